"""What training produced, as the records that the store takes; nothing is written here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from qtlplat.analysis.metrics import classification_metrics
from qtlplat.catalog.plan import ComponentChoice, PretrainingPlan
from qtlplat.contracts import ROLES, Cell, ImageSet
from qtlplat.conventions import HEAD, of_share
from qtlplat.metrics import metric_facts
from qtlplat.quantum.devices.engine import COMPILED
from qtlplat.runs.environment import environment
from qtlplat.runs.preflight import own_metrics
from qtlplat.runs.prepare import Prepared
from qtlplat.specs import EvaluatorSpec
from qtlplat.state.epochs import CellKey
from qtlplat.store.core.records import REPLAY, ComponentRow, NewCell, NewRun, PredictionRow, Remarks


def new_run(prepared: Prepared, remarks: Remarks | None = None, parents: Mapping[str, str] | None = None) -> NewRun:
    """The row of a run about to start, and what is said of it. parents: ids of the runs that it repeats, by role."""
    plan = prepared.plan
    return NewRun(
        kind="run",
        fingerprint=plan.fingerprint,
        seed=plan.seed,
        plan=plan.model_dump(mode="json"),
        components=[_component_row(role, getattr(plan, role)) for role in ROLES],
        dataset_digest=plan.dataset_digest,
        environment={
            **environment(plan.device, plan.accelerator),
            **_engine(prepared),
            **metric_facts(prepared.evaluator.metric_info),
        },
        parameters=prepared.parameters,
        classes=prepared.images.class_names,
        image_shape=prepared.images.shape,
        parents=parents or {},
        tags=remarks.tags if remarks else (),
        note=remarks.note if remarks else None,
    )


def new_pretraining(plan: PretrainingPlan, images: ImageSet, made_for: str, replay_of: str) -> NewRun:
    """The row of a pretraining about to start.

    made_for: id of the run that needs it, '' if none does; replay_of: the pretraining that it repeats, '' if none.
    """
    return NewRun(
        kind="pretraining",
        fingerprint=plan.fingerprint,
        seed=plan.seed,
        plan=plan.stored(),
        components=[_component_row(role, getattr(plan, role)) for role in ("dataset", "backbone")],
        dataset_digest=plan.dataset_digest,
        environment=environment("", plan.accelerator),
        classes=images.class_names,
        image_shape=images.shape,
        parents={REPLAY: replay_of} if replay_of else {},
        made_for=made_for or None,
    )


def _engine(prepared: Prepared) -> dict[str, str]:
    """What runs the circuit, and why; empty for a classical head."""
    engine = prepared.make_head.engine
    if engine is None:
        return {}
    package = None
    if engine.name != COMPILED:
        from qtlplat.quantum.devices.making import package_of

        package = package_of(engine.name)
    return {
        "engine": engine.name,
        **({f"version of {package[0].lower().replace('_', '-')}": package[1]} if package else {}),
        "engine chosen because": engine.why,
        "gradient method": engine.gradient,
        **engine.traits.facts(),
        "cells are stacked": f"no: {engine.why_not_stackable}" if engine.why_not_stackable else "yes",
    }


def _component_row(role: str, choice: ComponentChoice) -> ComponentRow:
    return ComponentRow(
        role, choice.name, choice.component, choice.provider, choice.version, choice.digest, dict(choice.options)
    )


def new_cells(cells: Sequence[Cell], images: ImageSet, variant: int = 0, name: str = HEAD) -> list[NewCell]:
    """The rows of cells about to be trained, with the hashes of their sample ids. variant, name: of the head."""
    return [
        NewCell(
            CellKey(variant, number).position(len(cells)),
            cell.fold,
            cell.seed,
            len(cell.train),
            len(cell.test),
            ids_hash(images, cell.train),
            ids_hash(images, cell.test),
            of_share(name, cell.share),
        )
        for number, cell in enumerate(cells)
    ]


def ids_hash(images: ImageSet, indices: npt.NDArray[np.int64]) -> str:
    """sha256 over the sorted ids of samples."""
    ids = sorted(images.sample_ids[i] for i in indices)
    return hashlib.sha256("\0".join(ids).encode()).hexdigest()


def prediction_rows(
    position: int,
    test: npt.NDArray[np.int64],
    images: ImageSet,
    probabilities: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64] | None = None,
) -> list[PredictionRow]:
    """A row for each test sample of a cell.

    test: their indices (n_test,); probabilities: (n_test, K); labels: (N,) tested on, if not the true ones.
    """
    truth = images.labels if labels is None else labels
    return [
        PredictionRow(
            position,
            images.sample_ids[i],
            images.groups[i],
            int(truth[i]),
            int(row.argmax()),
            [float(p) for p in row],
        )
        for i, row in zip(test, probabilities, strict=True)
    ]


def cell_metrics(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64], evaluator: EvaluatorSpec, provider: str
) -> dict[str, float]:
    """The metrics that every cell has, and the evaluator's own; raises PluginError where those cannot be computed."""
    return {**classification_metrics(labels, probabilities), **own_metrics(evaluator, labels, probabilities, provider)}
