"""What training produced, as the records that the store takes; nothing is written here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qtlplat.analysis.metrics import classification_metrics
from qtlplat.catalog.calls import guarded
from qtlplat.catalog.plan import ComponentChoice
from qtlplat.contracts import Cell, EvaluatorSpec, ImageSet
from qtlplat.store.records import ComponentRow, EpochRow, NewCell, NewRun, PredictionRow, RunKind
from qtlplat.training.environment import environment
from qtlplat.training.fit import CellEpoch
from qtlplat.training.prepare import Prepared
from qtlplat.training.stack import step_milliseconds

ROLES: dict[RunKind, tuple[str, ...]] = {
    "run": ("dataset", "backbone", "head", "evaluator"),
    "pretraining": ("dataset", "backbone"),
}


def new_run(prepared: Prepared, kind: RunKind) -> NewRun:
    """The row of a run about to start; a pretraining keeps only the part of the plan that decides it."""
    plan, roles = prepared.plan, ROLES[kind]
    dump = plan.model_dump(mode="json")
    if kind == "pretraining":
        dump = {key: dump[key] for key in (*roles, "pretraining", "seed", "dataset_digest")}
    return NewRun(
        kind=kind,
        fingerprint=plan.pretraining_fingerprint if kind == "pretraining" else plan.fingerprint,
        seed=plan.seed,
        plan=dump,
        components=[_component_row(role, getattr(plan, role)) for role in roles],
        dataset_digest=plan.dataset_digest,
        environment=environment(plan.device, plan.accelerator) | (_engine(prepared) if kind == "run" else {}),
        parameters={} if kind == "pretraining" else prepared.parameters,
    )


def _engine(prepared: Prepared) -> dict[str, str]:
    """What runs the circuit, why, and how long a training step takes, measured now; empty for a classical head."""
    make_head = prepared.make_head
    engine = make_head.engine
    if engine is None:
        return {}
    batch = prepared.plan.training.batch_size
    milliseconds = step_milliseconds(
        make_head,
        make_head.n_in,
        make_head.n_out,
        batch,
        stack=not engine.why_not_stackable,
        device=prepared.accelerator,
    )
    return {
        "engine": engine.name,
        "engine chosen because": engine.why,
        "gradient method": engine.gradient,
        "cells are stacked": f"no: {engine.why_not_stackable}" if engine.why_not_stackable else "yes",
        f"ms per step of one cell, batch {batch}": f"{milliseconds:.3f}",
    }


def _component_row(role: str, choice: ComponentChoice) -> ComponentRow:
    return ComponentRow(
        role, choice.name, choice.component, choice.provider, choice.version, choice.digest, dict(choice.options)
    )


def new_cells(cells: Sequence[Cell], images: ImageSet) -> list[NewCell]:
    """The rows of cells about to be trained, with the hashes of their sample ids."""
    return [
        NewCell(i, c.fold, c.seed, len(c.train), len(c.test), _ids_hash(images, c.train), _ids_hash(images, c.test))
        for i, c in enumerate(cells)
    ]


def _ids_hash(images: ImageSet, indices: npt.NDArray[np.int64]) -> str:
    ids = sorted(images.sample_ids[i] for i in indices)
    return hashlib.sha256("\0".join(ids).encode()).hexdigest()


def epoch_rows(rows: Sequence[CellEpoch]) -> list[EpochRow]:
    """Trained epochs as rows."""
    return [EpochRow(row.position, row.epoch, row.seconds, row.values) for row in rows]


def prediction_rows(
    position: int, cell: Cell, images: ImageSet, probabilities: npt.NDArray[np.float64]
) -> list[PredictionRow]:
    """A row for each test sample of a cell. probabilities: (n_test, K), rows as in `cell.test`."""
    return [
        PredictionRow(
            position,
            images.sample_ids[i],
            images.groups[i],
            int(images.labels[i]),
            int(row.argmax()),
            [float(p) for p in row],
        )
        for i, row in zip(cell.test, probabilities, strict=True)
    ]


def cell_metrics(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64], evaluator: EvaluatorSpec, provider: str
) -> dict[str, float]:
    """The metrics that every cell has, and the evaluator's own; raises PluginError where those cannot be computed."""
    own = evaluator.metrics
    further = guarded(
        lambda: {k: float(v) for k, v in own(labels, probabilities).items()} if own else {},
        provider,
        f"computing the metrics of {evaluator.name}",
    )
    return {**classification_metrics(labels, probabilities), **further}
