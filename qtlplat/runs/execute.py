"""One run end to end: the only place that knows the order of things and what is written when."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qtlplat.backbones.leakage import leaks
from qtlplat.backbones.pretrain import make_split
from qtlplat.catalog.plan import RunPlan
from qtlplat.control_specs import Candidate
from qtlplat.conventions import counted
from qtlplat.errors import StoreError
from qtlplat.heads.fit import HeadTraining, why_not_stackable
from qtlplat.heads.lockstep import FittedCell, Schedule, Task
from qtlplat.progress import Progress
from qtlplat.runs.cells import Pretraining
from qtlplat.runs.cleanup import remove_leftovers
from qtlplat.runs.context import Replay, ResumePoint, RunContext, StageTimer, recorded
from qtlplat.runs.controls import Variant
from qtlplat.runs.fitted_controls import FittedControl, fit_cell
from qtlplat.runs.prepare import Prepared
from qtlplat.runs.pretraining import backbone_for, features_of
from qtlplat.runs.rows import cell_metrics, new_cells, new_run, prediction_rows
from qtlplat.runs.tuning import tuned, tuned_controls
from qtlplat.seeding import generator
from qtlplat.signals import orderly_stop
from qtlplat.state.epochs import CellKey
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import HEAD, EndedCell, NewCell, NewRun, Remarks
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

    some = {"tune": prepared.plan.tuning is not None, "fit": bool(prepared.fitted)}
    stages = ("pretrain", "features", *(stage for stage, wanted in some.items() if wanted), "heads")
    with recorded(job, stages, make_row, again) as (run, clock):
        with clock.stage("pretrain"):
            backbones = [backbone_for(job, prepared, wanted, run) for wanted in prepared.pretrainings]
        for backbone in backbones:
            job.writer.link(run, "pretraining", backbone.run)
        with clock.stage("features"):
            features = [features_of(job, prepared, run, backbone) for backbone in backbones]
        rows = planned_rows(prepared, [backbone.run for backbone in backbones])
        finished = job.add_cells(run, rows, resumed=again is not None)
        if engine := prepared.make_head.engine:
            job.progress.note(f"circuit on {engine.name}: {engine.why}")
        tasks, of_cell = _tasks(job, prepared), _by_cell(prepared, features)
        schedules: Mapping[CellKey, Schedule] = {}
        options: Mapping[CellKey, Candidate] = {}
        if prepared.plan.tuning:
            with clock.stage("tune"):
                schedules = tuned(job, prepared, prepared.plan.tuning, run, tasks, of_cell)
                options = tuned_controls(job, prepared, prepared.plan.tuning, run, of_cell)
        if prepared.fitted:
            with clock.stage("fit"):
                _fit_controls(job, prepared, run, of_cell, options, finished)
        training = HeadTraining(
            tasks,
            prepared.cells,
            of_cell,
            prepared.plan.training,
            limits=prepared.limits,
            schedules=schedules,
            on_note=job.progress.note,
        )
        with clock.stage("heads"):
            _heads(job, prepared, run, training, clock, finished, resumed=again is not None)
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
    known = {i: dict[str, Any](backbone_index=one.index) for one in prepared.pretrainings for i in one.positions}
    for run, wanted in zip(backbones, prepared.pretrainings, strict=False):
        for i in wanted.positions:
            monitor = prepared.plan.pretraining.monitor
            known[i] |= {"pretraining": run, **leaks(prepared.cells[i], wanted.split, prepared.groups, monitor)}
    rows = []
    for number, variant in enumerate(prepared.every_variant):
        ones = new_cells(prepared.cells, prepared.images, number, variant.name)
        rows += [replace(row, **known[i]) for i, row in enumerate(ones)]
    return rows


def _heads(
    job: RunContext,
    prepared: Prepared,
    run: str,
    training: HeadTraining,
    clock: StageTimer,
    finished: Collection[int],
    *,
    resumed: bool,
) -> None:
    """Train all variants of the head on all cells: epochs as they end, then weights, predictions and metrics.

    finished: positions of cells that were stored before an interruption.
    """
    cells = len(prepared.cells)
    with (
        job.checkpoints(run) as checkpoints,
        job.progress.stage(f"training {prepared.heads}", training.all_rows) as stage,
        closing(training.run()) as epochs,
    ):
        if resumed and (start := checkpoints.take_up(training.restore)):
            clock.restore(start)
            job.progress.note(f"run {run} resumes after epoch {start.facts['epoch']}")
            stage.advance(training.rows)
        for epoch in epochs:
            if epoch is None:
                job.stop.check()
                continue
            job.keep_epoch(run, epoch, cells, checkpoints, clock)
            heads = [row.values["test_accuracy"] for row in epoch.rows if row.key.variant == 0]
            news = f", accuracy {np.mean(heads):.3f}" if heads else ""
            stage.advance(len(epoch.rows), f"epoch {epoch.rows[0].epoch}{news}")
    states: dict[str, Tensor] = {}
    new = []
    for one in training.fitted:
        position = one.key.position(cells)
        if position not in finished:
            new.append(_ended(prepared, position, one))
        states |= {f"cell{position}.{name}": tensor for name, tensor in one.state.items()}
    job.writer.finish_cells(run, new)
    job.save_weights(run, states, {"head": prepared.plan.head.identity(), "cells": len(training.fitted)})


def _fit_controls(
    job: RunContext,
    prepared: Prepared,
    run: str,
    features: Sequence[Tensor],
    options: Mapping[CellKey, Candidate],
    finished: Collection[int],
) -> None:
    """Fit the controls that have solvers of their own, cell by cell; predictions and metrics are stored at once.

    features: (N, F) for every cell; options: of cells that were tuned; finished: positions of cells that were stored
    before an interruption.
    """
    cells, labels = len(prepared.cells), prepared.images.labels
    keys = [
        (control, CellKey(len(prepared.variants) + number, cell))
        for number, control in enumerate(prepared.fitted)
        for cell in range(cells)
    ]
    with job.progress.stage(f"fitting {counted(len(prepared.fitted), 'control')}", len(keys)) as stage:
        for control, key in keys:
            job.stop.check()
            if (position := key.position(cells)) not in finished:
                one = fit_cell(control, key, features[key.cell], labels, prepared.cells[key.cell], options.get(key))
                job.writer.finish_cells(run, [_ended(prepared, position, one)])
            stage.advance()


def _by_cell(prepared: Prepared, features: Sequence[Tensor]) -> list[Tensor]:
    """Features (N, F) for every cell, where they are computed with; features: of every backbone."""
    known = [one.to(prepared.accelerator) for one in features]
    of_cell = {i: known[k] for k, wanted in enumerate(prepared.pretrainings) for i in wanted.positions}
    return [of_cell[i] for i in range(len(prepared.cells))]


def _tasks(job: RunContext, prepared: Prepared) -> list[Task]:
    """All variants, about to be trained."""
    tasks = []
    for variant in prepared.variants:
        make, width = variant.make_head, prepared.make_head.in_features
        reason = variant.why_not_stackable or variant.pool.why_not(functools.partial(why_not_stackable, make, width))
        if reason and len(prepared.cells) > 1:
            title = "heads are" if variant.name == HEAD else f"control {variant.name} is"
            job.progress.note(f"{title} trained cell by cell: {reason}")
        labels = torch.tensor(_labels(prepared, variant), device=prepared.accelerator)
        tasks.append(Task(variant.make_head, labels, stack=not reason, smallest=variant.smallest, pool=variant.pool))
    return tasks


def _ended(prepared: Prepared, position: int, one: FittedCell) -> EndedCell:
    """Predictions and metrics of a cell."""
    test, labels = prepared.cells[one.key.cell].test, _labels(prepared, prepared.every_variant[one.key.variant])
    rows = prediction_rows(position, test, prepared.images, one.probabilities, labels)
    metrics = cell_metrics(labels[test], one.probabilities, prepared.evaluator, prepared.plan.evaluator.provider)
    return EndedCell(position, rows, metrics, one.seconds)


def _labels(prepared: Prepared, variant: Variant | FittedControl) -> npt.NDArray[np.int64]:
    """Labels (N,) that a variant is trained and tested on."""
    labels = prepared.images.labels
    if not (isinstance(variant, Variant) and variant.shuffled):
        return labels
    order = torch.randperm(len(labels), generator=generator("shuffled labels", prepared.plan.seed)).numpy()
    shuffled: npt.NDArray[np.int64] = labels[order]
    return shuffled
