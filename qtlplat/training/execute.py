"""One run end to end: the only place that knows the order of things and what is written when."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qtlplat.analysis.metrics import classification_metrics
from qtlplat.catalog.plan import ComponentChoice
from qtlplat.contracts import Cell, ImageSet
from qtlplat.errors import QtlplatError, StoreError, TrainingError
from qtlplat.store.location import StoreLocation
from qtlplat.store.queries import Reader
from qtlplat.store.records import ArtifactRow, ComponentRow, EpochRow, NewCell, NewRun, PredictionRow
from qtlplat.store.writer import Writer
from qtlplat.training.checkpoint import load_weights, save_weights
from qtlplat.training.environment import environment
from qtlplat.training.features import features_key, frozen_features
from qtlplat.training.fit import CellEpoch, FittedCell, fit_heads, why_not_stackable
from qtlplat.training.model import WholeBackbone
from qtlplat.training.prepare import Prepared
from qtlplat.training.pretrain import Initialisation, make_split, pretrain, pretraining_cells
from qtlplat.training.progress import Progress

SPARE_BYTES = 50_000_000  # beside the features: weights, rows, journal


def execute(prepared: Prepared, location: StoreLocation, progress: Progress) -> str:
    """Train and store a run; returns its id. Whatever stops it, the run's row says so.

    The backbone's weights and the frozen features are found by content where an earlier run left them.
    Raises what stopped the run, after it has been recorded.
    """
    seconds = {"total": 0.0, "pretrain": 0.0, "features": 0.0, "heads": 0.0}
    with Writer(location) as writer:
        _check_disk(prepared, location)
        run = writer.start_run(_new_run(prepared, "run"))
        with _recorded(writer, run, seconds, progress):
            with _timed(seconds, "pretrain"):
                model, weights, pretraining = _backbone(prepared, writer, location, progress)
            writer.link(run, "pretraining", pretraining)
            with _timed(seconds, "features"):
                features = _features(prepared, model, weights, writer, run, location, progress)
            del model
            with _timed(seconds, "heads"):
                _heads(prepared, features, writer, run, location, progress)
    return run


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = time.perf_counter() - started


@contextmanager
def _recorded(writer: Writer, run: str, seconds: dict[str, float], progress: Progress) -> Iterator[None]:
    """Finish the run's row whatever happens inside: finished, failed (an error) or interrupted (a signal)."""
    try:
        with _timed(seconds, "total"), _torch_errors():
            yield
    except Exception as error:
        text = error.what if isinstance(error, QtlplatError) else f"{type(error).__name__}: {error}"
        writer.finish_run(run, "failed", seconds, error=text)
        progress.note(f"run {run} is stored as failed, with its epochs so far")
        raise
    except BaseException:
        writer.finish_run(run, "interrupted", seconds)
        progress.note(f"run {run} is stored as interrupted, with its epochs so far")
        raise
    writer.finish_run(run, "finished", seconds)


@contextmanager
def _torch_errors() -> Iterator[None]:
    """What torch raises while training (out of memory, overflow) as a TrainingError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = (str(error).strip() or "no message").splitlines()[0]
        raise TrainingError(
            f"training failed: {type(error).__name__}: {text}", fix="run again with --debug to see where"
        ) from error


def _check_disk(prepared: Prepared, location: StoreLocation) -> None:
    needed = len(prepared.images) * prepared.make_head.n_in * 4 + SPARE_BYTES
    free = shutil.disk_usage(location.files).free
    if free < needed:
        raise StoreError(
            f"the run needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free",
            where=str(location.files),
            fix="free some space, or choose another store with --store",
        )


def _new_run(prepared: Prepared, kind: str) -> NewRun:
    plan = prepared.plan
    pretraining = kind == "pretraining"
    roles = ("dataset", "backbone") if pretraining else ("dataset", "backbone", "head", "evaluator")
    dump = plan.model_dump(mode="json")
    if pretraining:
        dump = {key: dump[key] for key in (*roles, "pretraining", "seed", "dataset_digest")}
    return NewRun(
        kind="pretraining" if pretraining else "run",
        fingerprint=plan.pretraining_fingerprint if pretraining else plan.fingerprint,
        seed=plan.seed,
        plan=dump,
        components=[_component_row(role, getattr(plan, role)) for role in roles],
        dataset_digest=plan.dataset_digest,
        environment=environment(plan.device),
        parameters={} if pretraining else prepared.parameters,
    )


def _component_row(role: str, choice: ComponentChoice) -> ComponentRow:
    return ComponentRow(
        role, choice.name, choice.component, choice.provider, choice.version, choice.digest, dict(choice.options)
    )


# --- the backbone's weights


def _backbone(
    prepared: Prepared, writer: Writer, location: StoreLocation, progress: Progress
) -> tuple[WholeBackbone, str, str]:
    """The pretrained model, the sha256 of its weights and the id of its pretraining; trained only if not found."""
    model = WholeBackbone(prepared.build_backbone(), prepared.images.shape[0])
    reader = Reader(location)
    earlier = reader.find_finished(prepared.plan.pretraining_fingerprint, "pretraining")
    if earlier:
        artifact = next(a for a in reader.artifacts(earlier.id) if a.kind == "weights")
        try:
            model.load_state_dict(load_weights(location.files / artifact.path, artifact.sha256))
        except StoreError as error:
            progress.note(f"the weights of pretraining {earlier.id} cannot be used, training again: {error.what}")
        else:
            progress.note(f"backbone found: pretraining {earlier.id}")
            return model, artifact.sha256, earlier.id
    run, artifact, state = _pretraining(prepared, writer, location, progress)
    model.load_state_dict(state)
    return model, artifact.sha256, run


def _pretraining(
    prepared: Prepared, writer: Writer, location: StoreLocation, progress: Progress
) -> tuple[str, ArtifactRow, dict[str, Tensor]]:
    plan, images = prepared.plan, prepared.images
    options = plan.pretraining
    split = make_split(images.labels, options, plan.seed)
    cells = pretraining_cells(split, options, plan.seed)
    run = writer.start_run(_new_run(prepared, "pretraining"))
    seconds: dict[str, float] = {}
    with _recorded(writer, run, seconds, progress):
        writer.add_cells(run, _new_cells(cells, images))

        def keep(one: Initialisation) -> None:
            _finish_cell(writer, run, one.position, cells[one.position], images, one.probabilities, one.seconds)

        best = pretrain(
            prepared.build_backbone,
            images,
            split,
            options,
            plan.seed,
            progress=progress,
            on_epoch=lambda row: writer.add_epochs(run, _epoch_rows([row])),
            on_initialisation=keep,
        )
        facts = {
            "backbone": plan.backbone.identity(),
            "initialisation": best.position,
            "best_epoch": best.best_epoch,
            "selected_by": options.select_by,
        }
        artifact = _save(writer, run, location, "weights", best.state, facts)
        progress.note(
            f"backbone pretrained: {run}, best epoch {best.best_epoch}"
            + (f" of initialisation {best.position + 1}" if options.initialisations > 1 else "")
        )
    return run, artifact, best.state


# --- features and heads


def _features(
    prepared: Prepared,
    model: WholeBackbone,
    weights: str,
    writer: Writer,
    run: str,
    location: StoreLocation,
    progress: Progress,
) -> Tensor:
    key = features_key(weights, prepared.replaced, prepared.plan.dataset_digest)
    features, path, found = frozen_features(
        model, prepared.replaced, prepared.images, location.files / "features", key, progress
    )
    if found:
        progress.note("frozen features found")
    digest = path.with_suffix(".sha256").read_text()
    shape = {"samples": features.shape[0], "features": features.shape[1]}
    writer.add_artifact(
        run, ArtifactRow("features", _relative(path, location), digest, path.stat().st_size, meta=shape)
    )
    return features


def _heads(
    prepared: Prepared, features: Tensor, writer: Writer, run: str, location: StoreLocation, progress: Progress
) -> None:
    plan, images, cells = prepared.plan, prepared.images, prepared.cells
    training = plan.training
    writer.add_cells(run, _new_cells(cells, images))
    reason = why_not_stackable(prepared.make_head, features.shape[1]) if len(cells) > 1 else ""
    if reason:
        progress.note(f"this head trains cell by cell: {reason}")
    with progress.stage("training heads", len(cells) * training.epochs) as stage:

        def keep(rows: list[CellEpoch]) -> None:
            writer.add_epochs(run, _epoch_rows(rows))
            accuracy = np.mean([row.values["test_accuracy"] for row in rows])
            stage.advance(len(rows), f"epoch {rows[0].epoch}, accuracy {accuracy:.3f}")

        fitted = fit_heads(
            prepared.make_head,
            features,
            torch.tensor(images.labels),
            cells,
            epochs=training.epochs,
            learning_rate=training.learning_rate,
            batch_size=training.batch_size,
            on_epoch=keep,
            stack=not reason,
        )
    _save(writer, run, location, "weights", _states(fitted), {"head": plan.head.identity(), "cells": len(cells)})
    for one in fitted:
        _finish_cell(writer, run, one.position, one.cell, images, one.probabilities, one.seconds, prepared)


def _states(fitted: Sequence[FittedCell]) -> dict[str, Tensor]:
    return {f"cell{f.position}.{name}": tensor for f in fitted for name, tensor in f.state.items()}


# --- rows


def _save(
    writer: Writer, run: str, location: StoreLocation, kind: str, tensors: dict[str, Tensor], facts: dict[str, object]
) -> ArtifactRow:
    path, digest, size = save_weights(location.files / kind, tensors, facts)
    row = ArtifactRow(kind, _relative(path, location), digest, size, meta=facts)
    writer.add_artifact(run, row)
    return row


def _relative(path: Path, location: StoreLocation) -> str:
    return path.relative_to(location.files).as_posix()


def _new_cells(cells: Sequence[Cell], images: ImageSet) -> list[NewCell]:
    return [
        NewCell(i, c.fold, c.seed, len(c.train), len(c.test), _ids_hash(images, c.train), _ids_hash(images, c.test))
        for i, c in enumerate(cells)
    ]


def _ids_hash(images: ImageSet, indices: npt.NDArray[np.int64]) -> str:
    ids = sorted(images.sample_ids[i] for i in indices)
    return hashlib.sha256("\0".join(ids).encode()).hexdigest()


def _epoch_rows(rows: Sequence[CellEpoch]) -> list[EpochRow]:
    return [EpochRow(cell=r.position, **{k: v for k, v in asdict(r).items() if k != "position"}) for r in rows]


def _finish_cell(
    writer: Writer,
    run: str,
    position: int,
    cell: Cell,
    images: ImageSet,
    probabilities: npt.NDArray[np.float64],
    seconds: float,
    prepared: Prepared | None = None,
) -> None:
    """Store predictions and metrics of a trained cell; a head run also gets its evaluator's own metrics."""
    labels = images.labels[cell.test]
    writer.add_predictions(
        run,
        [
            PredictionRow(
                position,
                images.sample_ids[i],
                images.groups[i],
                int(images.labels[i]),
                int(row.argmax()),
                [float(p) for p in row],
            )
            for i, row in zip(cell.test, probabilities, strict=True)
        ],
    )
    metrics = dict(classification_metrics(labels, probabilities))
    if prepared and prepared.evaluator.metrics:
        metrics |= {k: float(v) for k, v in prepared.evaluator.metrics(labels, probabilities).items()}
    writer.finish_cell(run, position, metrics, seconds)
