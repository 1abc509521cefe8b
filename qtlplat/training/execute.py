"""One run end to end: the only place that knows the order of things and what is written when."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qtlplat.analysis.metrics import classification_metrics
from qtlplat.errors import QtlplatError, StoreError, TrainingError
from qtlplat.store.location import StoreLocation
from qtlplat.store.queries import Reader
from qtlplat.store.records import ArtifactRow, RunKind
from qtlplat.store.writer import Writer
from qtlplat.training.checkpoint import load_weights, save_weights
from qtlplat.training.features import features_key, frozen_features
from qtlplat.training.fit import CellEpoch, fit_heads, why_not_stackable
from qtlplat.training.model import WholeBackbone
from qtlplat.training.prepare import Prepared
from qtlplat.training.pretrain import Initialisation, make_split, pretrain, pretraining_cells
from qtlplat.training.progress import Progress
from qtlplat.training.rows import cell_metrics, epoch_rows, new_cells, new_run, prediction_rows

SPARE_BYTES = 50_000_000  # beside the features: weights, rows, journal


@dataclass(frozen=True)
class _Job:
    """What every step needs: what to do, where to write, whom to tell."""

    prepared: Prepared
    writer: Writer
    location: StoreLocation
    progress: Progress


@dataclass(frozen=True)
class _Weights:
    """A pretrained backbone's weights: the run they come from, their sha256, the tensors by name."""

    run: str
    sha256: str
    state: Mapping[str, Tensor]


def execute(prepared: Prepared, location: StoreLocation, progress: Progress) -> str:
    """Train and store a run; returns its id. Whatever stops it, the run's row says so.

    The backbone's weights and the frozen features are found by content where an earlier run left them.
    Raises what stopped the run, after it has been recorded.
    """
    with Writer(location) as writer:
        job = _Job(prepared, writer, location, progress)
        _check_disk(job)
        with _recorded(job, "run") as (run, seconds):
            with _timed(seconds, "pretrain"):
                weights = _find_weights(job) or _pretrain(job)
            writer.link(run, "pretraining", weights.run)
            with _timed(seconds, "features"):
                features = _features(job, run, weights)
            with _timed(seconds, "heads"):
                _heads(job, run, features)
    return run


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = time.perf_counter() - started


@contextmanager
def _recorded(job: _Job, kind: RunKind) -> Iterator[tuple[str, dict[str, float]]]:
    """Start a run's row and end it whatever happens inside: finished, failed (an error), interrupted (a signal).

    Yields the run's id and the seconds by stage, to be filled in.
    """
    run = job.writer.start_run(new_run(job.prepared, kind))
    stages = ("pretrain", "features", "heads") if kind == "run" else ()
    seconds = dict.fromkeys(("total", *stages), 0.0)
    try:
        with _timed(seconds, "total"), _torch_errors():
            yield run, seconds
    except Exception as error:
        text = error.what if isinstance(error, QtlplatError) else f"{type(error).__name__}: {error}"
        job.writer.finish_run(run, "failed", seconds, error=text)
        job.progress.note(f"run {run} is stored as failed, with its epochs so far")
        raise
    except BaseException:
        job.writer.finish_run(run, "interrupted", seconds)
        job.progress.note(f"run {run} is stored as interrupted, with its epochs so far")
        raise
    job.writer.finish_run(run, "finished", seconds)


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


def _check_disk(job: _Job) -> None:
    needed = len(job.prepared.images) * job.prepared.make_head.n_in * 4 + SPARE_BYTES
    free = shutil.disk_usage(job.location.files).free
    if free < needed:
        raise StoreError(
            f"the run needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free",
            where=str(job.location.files),
            fix="free some space, or choose another store with --store",
        )


def _find_weights(job: _Job) -> _Weights | None:
    """The weights that an earlier pretraining of this fingerprint left, if they are there and whole."""
    reader = Reader(job.location)
    earlier = reader.find_finished(job.prepared.plan.pretraining_fingerprint, "pretraining")
    if earlier is None:
        return None
    try:
        artifact = next((a for a in reader.artifacts(earlier.id) if a.kind == "weights"), None)
        if artifact is None:
            raise StoreError("it has no weights")
        state = load_weights(job.location.files / artifact.path, artifact.sha256)
    except StoreError as error:
        job.progress.note(f"pretraining {earlier.id} cannot be used, training again: {error.what}")
        return None
    job.progress.note(f"backbone found: pretraining {earlier.id}")
    return _Weights(earlier.id, artifact.sha256, state)


def _pretrain(job: _Job) -> _Weights:
    """Pretrain the backbone as a run of its own."""
    plan, images = job.prepared.plan, job.prepared.images
    options = plan.pretraining
    split = make_split(images.labels, options, plan.seed)
    cells = pretraining_cells(split, options, plan.seed)
    with _recorded(job, "pretraining") as (run, _):
        job.writer.add_cells(run, new_cells(cells, images))

        def keep(one: Initialisation) -> None:
            cell = cells[one.position]
            job.writer.add_predictions(run, prediction_rows(one.position, cell, images, one.probabilities))
            metrics = classification_metrics(images.labels[cell.test], one.probabilities)
            job.writer.finish_cell(run, one.position, metrics, one.seconds)

        best = pretrain(
            job.prepared.build_backbone,
            images,
            split,
            options,
            plan.seed,
            progress=job.progress,
            on_epoch=lambda row: job.writer.add_epochs(run, epoch_rows([row])),
            on_initialisation=keep,
            accelerator=plan.accelerator,
        )
        facts = {
            "backbone": plan.backbone.identity(),
            "initialisation": best.position,
            "best_epoch": best.best_epoch,
            "selected_by": options.select_by,
        }
        artifact = _save_weights(job, run, best.state, facts)
        which = f" of initialisation {best.position + 1}" if options.initialisations > 1 else ""
        job.progress.note(f"backbone pretrained: run {run}, best epoch {best.best_epoch}{which}")
    return _Weights(run, artifact.sha256, best.state)


def _features(job: _Job, run: str, weights: _Weights) -> Tensor:
    """Frozen features float32 (N, F) of all samples, found or computed."""
    prepared = job.prepared
    model = WholeBackbone(prepared.build_backbone(), prepared.images.shape[0])
    model.load_state_dict(weights.state)
    key = features_key(weights.sha256, prepared.replaced, prepared.plan.dataset_digest)
    directory = job.location.files / "features"
    features, path, found = frozen_features(
        model,
        prepared.replaced,
        prepared.images,
        directory,
        key,
        job.progress,
        accelerator=prepared.plan.accelerator,
    )
    if found:
        job.progress.note("frozen features found")
    shape = {"samples": features.shape[0], "features": features.shape[1]}
    _add_artifact(job, run, "features", path, path.with_suffix(".sha256").read_text(), shape)
    return features


def _heads(job: _Job, run: str, features: Tensor) -> None:
    """Train one head per cell, storing every epoch as it ends, then weights, predictions and metrics."""
    prepared, plan, cells = job.prepared, job.prepared.plan, job.prepared.cells
    images, training, engine = prepared.images, plan.training, prepared.make_head.engine
    job.writer.add_cells(run, new_cells(cells, images))
    if engine:
        job.progress.note(f"circuit on {engine.name}: {engine.why}")
    reason = engine.why_not_stackable if engine else ""
    reason = reason or why_not_stackable(prepared.make_head, features.shape[1])
    if reason and len(cells) > 1:
        job.progress.note(f"this head trains cell by cell: {reason}")
    with job.progress.stage("training heads", len(cells) * training.epochs) as stage:

        def keep(rows: list[CellEpoch]) -> None:
            job.writer.add_epochs(run, epoch_rows(rows))
            accuracy = np.mean([row.values["test_accuracy"] for row in rows])
            stage.advance(len(rows), f"epoch {rows[0].epoch}, accuracy {accuracy:.3f}")

        fitted = fit_heads(
            prepared.make_head,
            features.to(prepared.accelerator),
            torch.tensor(images.labels, device=prepared.accelerator),
            cells,
            epochs=training.epochs,
            learning_rate=training.learning_rate,
            batch_size=training.batch_size,
            on_epoch=keep,
            on_note=job.progress.note,
            stack=not reason,
            limits=prepared.limits,
        )
    states = {f"cell{one.position}.{name}": tensor for one in fitted for name, tensor in one.state.items()}
    _save_weights(job, run, states, {"head": plan.head.identity(), "cells": len(cells)})
    for one in fitted:
        job.writer.add_predictions(run, prediction_rows(one.position, one.cell, images, one.probabilities))
        labels = images.labels[one.cell.test]
        metrics = cell_metrics(labels, one.probabilities, prepared.evaluator, plan.evaluator.provider)
        job.writer.finish_cell(run, one.position, metrics, one.seconds)


def _save_weights(job: _Job, run: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> ArtifactRow:
    path, digest = save_weights(job.location.files / "weights", tensors, facts)
    return _add_artifact(job, run, "weights", path, digest, facts)


def _add_artifact(job: _Job, run: str, kind: str, path: Path, sha256: str, meta: Mapping[str, Any]) -> ArtifactRow:
    relative = path.relative_to(job.location.files).as_posix()
    row = ArtifactRow(kind, relative, sha256, path.stat().st_size, meta=meta)
    job.writer.add_artifact(run, row)
    return row
