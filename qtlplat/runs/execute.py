"""One run end to end: the only place that knows the order of things and what is written when."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qtlplat.backbones.leakage import leaks
from qtlplat.backbones.pretrain import make_split
from qtlplat.catalog.plan import RunPlan
from qtlplat.contracts import Cell
from qtlplat.errors import StoreError
from qtlplat.heads.fit import fit_heads, why_not_stackable
from qtlplat.heads.lockstep import FittedCell, Task
from qtlplat.progress import Progress
from qtlplat.runs.cells import Pretraining
from qtlplat.runs.cleanup import remove_leftovers
from qtlplat.runs.context import Replay, ResumePoint, RunContext, StageTimer, recorded
from qtlplat.runs.controls import Variant
from qtlplat.runs.prepare import Prepared
from qtlplat.runs.pretraining import Pretrained, all_features, backbone_for
from qtlplat.runs.rows import cell_metrics, epoch_rows, new_cells, new_run, prediction_rows
from qtlplat.seeding import generator
from qtlplat.signals import orderly_stop
from qtlplat.state.epochs import CellEpoch
from qtlplat.state.snapshots import Snapshot, Take
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import HEAD, NewCell, NewRun, Remarks
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.shared_work import Work, announced
from qtlplat.store.write.writer import Writer

SPARE_BYTES = 50_000_000  # beside the features: weights, rows, journal, checkpoints


def execute(
    prepared: Prepared,
    location: StoreLocation,
    progress: Progress,
    again: ResumePoint | None = None,
    *,
    remarks: Remarks | None = None,
    replay: Replay | None = None,
) -> str:
    """Train and store a run, or resume an interrupted one; returns its id.

    remarks: tags and note of a new run; replay: the replayed run, if this one is a replay.

    Backbone weights and frozen features of earlier runs are reused, and interrupted pretrainings are resumed, except in
    a `replay`. Raises the error that stopped the run, after it has been stored.
    """
    with working(location, progress, allow_drift=bool(again and again.drift), replay=replay) as job:
        if replay:
            return carried_out(job, prepared, again)
        with announced(location, whole_run(prepared.plan), job.stop.check):
            return carried_out(job, prepared, again, remarks)


def whole_run(plan: RunPlan) -> Work:
    """All that a plan asks for, as work that is found in the store's rows."""
    return Work(f"run {plan.fingerprint}", "rows")


def carried_out(job: RunContext, prepared: Prepared, again: ResumePoint | None, remarks: Remarks | None = None) -> str:
    """Train and store a run, within a job; otherwise as `execute`."""
    for line in prepared.notes:
        job.progress.note(line)
    _check_disk(job, prepared)
    parents = job.replay.parents() if job.replay else {}

    def make_row() -> NewRun:
        return new_run(prepared, remarks, parents)

    with recorded(job, ("pretrain", "features", "heads"), make_row, again) as (run, clock):
        with clock.stage("pretrain"):
            backbones = [backbone_for(job, prepared, wanted, run) for wanted in prepared.pretrainings]
        for backbone in backbones:
            job.writer.link(run, "pretraining", backbone.run)
        with clock.stage("features"):
            features = all_features(job, prepared, run, backbones)
        with clock.stage("heads"):
            _heads(job, prepared, run, features, backbones, clock, resumed=again is not None)
    return run


def pretrain_only(prepared: Prepared, location: StoreLocation, progress: Progress) -> str:
    """Pretrain the backbone that a plan's cells share, unless it is there; returns the id of its run."""
    plan = prepared.plan
    split = make_split(prepared.images.labels, prepared.groups, plan.pretraining, plan.seed)
    with working(location, progress) as job:
        _check_disk(job, prepared)
        return backbone_for(job, prepared, Pretraining((), plan.seed, None, split)).run


@contextmanager
def working(
    location: StoreLocation, progress: Progress, *, allow_drift: bool = False, replay: Replay | None = None
) -> Iterator[RunContext]:
    """A job: signals are obeyed between steps and where a server is waited for, the store is open for writing.

    What killed processes left is removed before, and after: a run may have ended before a server knew of it.
    """
    location = location.for_training()
    with orderly_stop() as stop, Writer(location, stop.check) as writer:
        remove_leftovers(location)
        yield RunContext(writer, Reader(location, stop.check), location, progress, stop, allow_drift, replay)
    remove_leftovers(location)


def _check_disk(job: RunContext, prepared: Prepared) -> None:
    backbones = len(prepared.pretrainings)
    needed = len(prepared.images) * prepared.make_head.in_features * 4 * backbones + SPARE_BYTES
    free = shutil.disk_usage(job.location.files).free
    if free < needed:
        raise StoreError(
            f"the run needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free",
            where=str(job.location.files),
            fix=f"free some space, or choose another place: {job.location.other_place}",
        )


def planned_rows(prepared: Prepared, backbones: Sequence[str]) -> list[NewCell]:
    """The rows of all cells of all variants. backbones: ids of the pretrainings, as prepared; none where unknown."""
    known: dict[int, dict[str, Any]] = {}
    for run, wanted in zip(backbones, prepared.pretrainings, strict=False):
        for i in wanted.positions:
            monitor = prepared.plan.pretraining.monitor
            known[i] = {"pretraining": run, **leaks(prepared.cells[i], wanted.split, prepared.groups, monitor)}
    rows = []
    for number, variant in enumerate(prepared.variants):
        ones = new_cells(prepared.cells, prepared.images, first=number * len(prepared.cells), variant=variant.name)
        rows += [replace(row, **known.get(i, {})) for i, row in enumerate(ones)]
    return rows


def _heads(
    job: RunContext,
    prepared: Prepared,
    run: str,
    features: Tensor,
    backbones: Sequence[Pretrained],
    clock: StageTimer,
    *,
    resumed: bool,
) -> None:
    """Train all variants of the head on all cells: epochs as they end, then weights, predictions and metrics.

    features: (P N, F), those of P backbones one behind the other.
    """
    rows = planned_rows(prepared, [backbone.run for backbone in backbones])
    finished = job.add_cells(run, rows, resumed=resumed)
    if engine := prepared.make_head.engine:
        job.progress.note(f"circuit on {engine.name}: {engine.why}")
    with job.checkpoints(run) as checkpoints:

        def save(take: Take) -> None:
            if job.writer.has_arrived(run):  # whoever resumes from it must find all epochs before it
                checkpoints.save(clock.stamp(take()))

        def go_on(start: Snapshot | None) -> list[FittedCell]:
            def say() -> None:
                assert start is not None
                clock.restore(start)
                job.progress.note(f"run {run} resumes after epoch {start.facts['epoch']}")

            return _fit(job, prepared, run, features, save, start, say)

        fitted = checkpoints.go_on(go_on) if resumed else go_on(None)
    for one in fitted:
        if one.position not in finished:  # before an interruption
            _keep(job, prepared, run, one)
    states = {f"cell{one.position}.{name}": tensor for one in fitted for name, tensor in one.state.items()}
    job.save_weights(run, states, {"head": prepared.plan.head.identity(), "cells": len(fitted)})


def _keep(job: RunContext, prepared: Prepared, run: str, one: FittedCell) -> None:
    """Store predictions and metrics of a cell."""
    variant, number = divmod(one.position, len(prepared.cells))
    test, labels = prepared.cells[number].test, _labels(prepared, prepared.variants[variant])
    rows = prediction_rows(one.position, test, prepared.images, one.probabilities, labels)
    job.writer.add_predictions(run, rows)
    metrics = cell_metrics(labels[test], one.probabilities, prepared.evaluator, prepared.plan.evaluator.provider)
    job.writer.finish_cell(run, one.position, metrics, one.seconds)


def _labels(prepared: Prepared, variant: Variant) -> npt.NDArray[np.int64]:
    """Labels (N,) that a variant is trained and tested on."""
    labels = prepared.images.labels
    if not variant.shuffled:
        return labels
    order = torch.randperm(len(labels), generator=generator("shuffled labels", prepared.plan.seed)).numpy()
    shuffled: npt.NDArray[np.int64] = labels[order]
    return shuffled


def _moved(prepared: Prepared) -> list[Cell]:
    """The cells with indices into the rows of all backbones' features, one behind the other."""
    moved, n = list(prepared.cells), len(prepared.images)
    for place, wanted in enumerate(prepared.pretrainings):
        for i in wanted.positions:
            cell = prepared.cells[i]
            moved[i] = replace(cell, train=cell.train + place * n, test=cell.test + place * n)
    return moved


def _fit(
    job: RunContext,
    prepared: Prepared,
    run: str,
    features: Tensor,
    save: Callable[[Take], None],
    start: Snapshot | None,
    on_start: Callable[[], None],
) -> list[FittedCell]:
    """Train all variants on all cells, storing every epoch as it ends.

    save: called with a function that takes a snapshot; start: one to resume from; on_start: called when it is restored.
    """
    training, cells = prepared.plan.training, _moved(prepared)
    where = features.to(prepared.accelerator)
    copies = len(features) // len(prepared.images)
    tasks = []
    for variant in prepared.variants:
        reason = variant.why_not_stackable or why_not_stackable(variant.make_head, features.shape[1])
        if reason and len(cells) > 1:
            title = "heads are" if variant.name == HEAD else f"control {variant.name} is"
            job.progress.note(f"{title} trained cell by cell: {reason}")
        labels = torch.tensor(np.tile(_labels(prepared, variant), copies), device=where.device)
        tasks.append(Task(variant.make_head, labels, stack=not reason, smallest=variant.smallest))
    names = [variant.name for variant in prepared.variants]
    title = "training heads" + (f" and {len(names) - 1} controls" if len(names) > 1 else "")
    with job.progress.stage(title, len(tasks) * len(cells) * training.epochs) as stage:

        def started() -> None:
            assert start is not None
            on_start()
            stage.advance(start.facts["rows"])

        def keep(rows: list[CellEpoch], take: Take) -> None:
            job.add_epochs(run, epoch_rows(rows))
            save(take)
            heads = [row.values["test_accuracy"] for row in rows if row.position < len(cells)]
            news = f", accuracy {np.mean(heads):.3f}" if heads else ""
            stage.advance(len(rows), f"epoch {rows[0].epoch}{news}")

        return fit_heads(
            tasks,
            where,
            cells,
            epochs=training.epochs,
            learning_rate=training.learning_rate,
            batch_size=training.batch_size,
            on_epoch=keep,
            on_note=job.progress.note,
            on_step=job.stop.check,
            limits=prepared.limits,
            start=start,
            on_start=started,
        )
