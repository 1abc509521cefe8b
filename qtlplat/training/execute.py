"""One run end to end: the only place that knows the order of things and what is written when."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qtlplat.contracts import Cell
from qtlplat.errors import StoreError
from qtlplat.store.location import StoreLocation
from qtlplat.store.records import HEAD
from qtlplat.store.writer import Writer
from qtlplat.training.backbones import Pretrained, backbone_for, features_of
from qtlplat.training.controls import Variant
from qtlplat.training.fit import CellEpoch, FittedCell, fit_heads, why_not_stackable
from qtlplat.training.job import Job, recorded, timed
from qtlplat.training.leak import leaks
from qtlplat.training.prepare import Prepared, Pretraining
from qtlplat.training.pretrain import make_split
from qtlplat.training.progress import Progress
from qtlplat.training.rows import cell_metrics, epoch_rows, new_cells, new_run, prediction_rows
from qtlplat.training.seeding import generator

SPARE_BYTES = 50_000_000  # beside the features: weights, rows, journal


def execute(prepared: Prepared, location: StoreLocation, progress: Progress) -> str:
    """Train and store a run; returns its id. Whatever stops it, the run's row says so.

    The backbones' weights and the frozen features are found by content where an earlier run left them.
    Raises what stopped the run, after it has been recorded.
    """
    for line in prepared.notes:
        progress.note(line)
    with Writer(location) as writer:
        job = Job(prepared, writer, location, progress)
        _check_disk(job)
        with recorded(job, new_run(prepared)) as (run, seconds):
            with timed(seconds, "pretrain"):
                backbones = [backbone_for(job, wanted) for wanted in prepared.pretrainings]
            for backbone in backbones:
                writer.link(run, "pretraining", backbone.run)
            with timed(seconds, "features"):
                features = torch.cat([features_of(job, run, backbone) for backbone in backbones])
            with timed(seconds, "heads"):
                _heads(job, run, features, backbones)
    return run


def pretrain_only(prepared: Prepared, location: StoreLocation, progress: Progress) -> str:
    """Pretrain the backbone that a plan's cells share, unless it is there; returns the id of its run."""
    plan = prepared.plan
    split = make_split(prepared.images.labels, prepared.groups, plan.pretraining, plan.seed)
    with Writer(location) as writer:
        job = Job(prepared, writer, location, progress)
        _check_disk(job)
        return backbone_for(job, Pretraining((), plan.seed, None, split)).run


def _check_disk(job: Job) -> None:
    backbones = len(job.prepared.pretrainings)
    needed = len(job.prepared.images) * job.prepared.make_head.n_in * 4 * backbones + SPARE_BYTES
    free = shutil.disk_usage(job.location.files).free
    if free < needed:
        raise StoreError(
            f"the run needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free",
            where=str(job.location.files),
            fix="free some space, or choose another store with --store",
        )


def _heads(job: Job, run: str, features: Tensor, backbones: Sequence[Pretrained]) -> None:
    """Train every variant of the head on all cells: epochs as they end, then weights, predictions and metrics.

    features: (P N, F), those of P backbones one behind the other.
    """
    prepared, images = job.prepared, job.prepared.images
    n = len(images)
    moved = list(prepared.cells)  # the same cells, with indices into all P N rows
    known: dict[int, dict[str, Any]] = {}
    for place, (backbone, wanted) in enumerate(zip(backbones, prepared.pretrainings, strict=True)):
        for i in wanted.positions:
            cell = prepared.cells[i]
            moved[i] = replace(cell, train=cell.train + place * n, test=cell.test + place * n)
            select_by = prepared.plan.pretraining.select_by
            known[i] = {"pretraining": backbone.run, **leaks(cell, wanted.split, prepared.groups, select_by)}
    for number, variant in enumerate(prepared.variants):
        rows = new_cells(prepared.cells, images, first=number * len(moved), variant=variant.name)
        job.writer.add_cells(run, [replace(row, **known[i]) for i, row in enumerate(rows)])
    if engine := prepared.make_head.engine:
        job.progress.note(f"circuit on {engine.name}: {engine.why}")
    where = features.to(prepared.accelerator)
    fitted: list[FittedCell] = []
    for number, variant in enumerate(prepared.variants):
        labels = _labels(prepared, variant)
        ones = _fit(job, run, variant, where, np.tile(labels, len(features) // n), moved, number * len(moved))
        for one in ones:
            test = prepared.cells[one.position].test
            position = number * len(moved) + one.position
            job.writer.add_predictions(run, prediction_rows(position, test, images, one.probabilities, labels))
            metrics = cell_metrics(
                labels[test], one.probabilities, prepared.evaluator, prepared.plan.evaluator.provider
            )
            job.writer.finish_cell(run, position, metrics, one.seconds)
            fitted.append(replace(one, position=position))
    states = {f"cell{one.position}.{name}": tensor for one in fitted for name, tensor in one.state.items()}
    job.save_weights(run, states, {"head": prepared.plan.head.identity(), "cells": len(fitted)})


def _labels(prepared: Prepared, variant: Variant) -> npt.NDArray[np.int64]:
    """Labels (N,) that a variant is trained and tested on."""
    labels = prepared.images.labels
    if not variant.shuffled:
        return labels
    order = torch.randperm(len(labels), generator=generator("shuffled labels", prepared.plan.seed)).numpy()
    shuffled: npt.NDArray[np.int64] = labels[order]
    return shuffled


def _fit(
    job: Job,
    run: str,
    variant: Variant,
    features: Tensor,
    labels: npt.NDArray[np.int64],
    cells: Sequence[Cell],
    first: int,
) -> list[FittedCell]:
    """Train a variant on all cells, storing every epoch as it ends. first: the position of its first cell."""
    training = job.prepared.plan.training
    title = "training heads" if variant.name == HEAD else f"training control {variant.name}"
    reason = variant.why_not_stackable or why_not_stackable(variant.make_head, features.shape[1])
    if reason and len(cells) > 1:
        job.progress.note(f"{title} cell by cell: {reason}")
    with job.progress.stage(title, len(cells) * training.epochs) as stage:

        def keep(rows: list[CellEpoch]) -> None:
            job.writer.add_epochs(run, epoch_rows(rows, first))
            accuracy = np.mean([row.values["test_accuracy"] for row in rows])
            stage.advance(len(rows), f"epoch {rows[0].epoch}, accuracy {accuracy:.3f}")

        return fit_heads(
            variant.make_head,
            features,
            torch.tensor(labels, device=features.device),
            cells,
            epochs=training.epochs,
            learning_rate=training.learning_rate,
            batch_size=training.batch_size,
            on_epoch=keep,
            on_note=job.progress.note,
            stack=not reason,
            limits=job.prepared.limits,
        )
