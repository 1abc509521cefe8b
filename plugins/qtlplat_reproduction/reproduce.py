"""Reproduce a recipe: find stored runs, estimate and train missing ones, and check the claims.

Runs are found by fingerprint and made by `prepare` and `execute` as those of `qtlplat run`; nothing here trains. torch
and PennyLane are imported only where something is missing, so that a complete reproduction is printed in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qtlplat.analysis.designs import backbones, mean_of
from qtlplat.catalog.plugin_calls import guarded, load_images
from qtlplat.catalog.recipes import PlannedModel, Work
from qtlplat.contracts import ImageSet
from qtlplat.errors import BusyError, QtlplatError, StoreError, TrainingError
from qtlplat.metrics import SHIPPED
from qtlplat.progress import Progress
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import HEAD, CellRecord, PredictionRow, RunRecord
from qtlplat.store.read.queries import Reader
from qtlplat_reproduction.claims import LEVEL, Estimate, Measured, of_predictions, of_test
from qtlplat_reproduction.parameter_counts import parameter_counts
from qtlplat_reproduction.resampled import OF_PROBABILITIES

if TYPE_CHECKING:
    from qtlplat_reproduction.forecast import Forecast


@dataclass(frozen=True)
class ModelState:
    """A model of a recipe and its run. run: None if it is missing; expected: of what is missing."""

    planned: PlannedModel
    run: RunRecord | None
    expected: Forecast | None = None

    @property
    def name(self) -> str:
        """As the publication calls the model."""
        return self.planned.model.name


@dataclass(frozen=True)
class Check:
    """A model with another evaluator, compared with the published model: F1 as shares.

    difference: F1 of this one minus that of the other one, None if one of them is missing.
    """

    model: str
    of: str
    evaluator: str
    f1: Estimate | None
    difference: float | None
    leakage: float | None
    group_leakage: float | None
    runs: tuple[str, ...]


def read_data(work: Work, *, needed: bool) -> ImageSet | None:
    """The dataset of a recipe's models; None if it is neither needed nor available. Raises as the dataset does."""
    resolved = work.models[0].resolved
    spec = resolved.specs["dataset"].spec
    options, provider = resolved.options["dataset"], resolved.plan.dataset.provider
    if not needed and not guarded(lambda: spec.is_available(options), provider, f"looking for dataset {spec.name}"):
        return None
    return load_images(spec, options, provider)


def survey(work: Work, images: ImageSet | None, reader: Reader) -> list[ModelState]:
    """The state of the models that the budget trains; images: None if the data is not available."""
    trained = [planned for planned in work.models if planned.trained]
    if images is None:
        return [ModelState(planned, None) for planned in trained]
    found = [(planned, _find(planned, images, reader)) for planned in trained]
    missing = [planned for planned, run in found if run is None]
    expected: dict[str, Forecast] = {}
    if missing:
        from qtlplat_reproduction.forecast import forecast

        expected = forecast(missing, images, reader)
    return [ModelState(planned, run, expected.get(planned.model.name)) for planned, run in found]


def _find(planned: PlannedModel, images: ImageSet, reader: Reader) -> RunRecord | None:
    """The finished run of a model on this data: of its head, or of its backbone where it has its own layers."""
    plan = planned.resolved.plan.bind(images.digest)
    if planned.model.head is None:
        return reader.find_finished(plan.pretraining_fingerprint, "pretraining")
    return reader.find_finished(plan.fingerprint, "run")


def carry_out(
    states: Sequence[ModelState], images: ImageSet, location: StoreLocation, progress: Progress
) -> dict[str, QtlplatError]:
    """Train what is missing, one run after the other; what ends is stored, and is not trained again the next time.

    A model that cannot be trained does not keep the others from it: returned is why, by name, and what starts from a
    backbone that failed is not tried. Raises what the store raises, and the error itself where all models have failed
    with the same one: that is not the models' fault.
    """
    from qtlplat.runs.execute import pretrain_only
    from qtlplat.runs.prepare import prepare
    from qtlplat.runs.reuse import found_or_executed

    missing = [state.planned for state in states if state.run is None]
    reader = Reader(location)
    failed: dict[str, QtlplatError] = {}
    lost: dict[str, str] = {}  # names of backbones that failed, by the fingerprint of their pretraining
    for number, planned in enumerate(missing, start=1):
        name, of_its_own = planned.model.name, planned.model.head is None
        if _find(planned, images, reader) is not None:  # a backbone that a run before this one has left
            continue
        progress.note(f"{number} of {len(missing)}: {name}")
        pretraining = planned.resolved.plan.bind(images.digest).pretraining_fingerprint
        try:
            if pretraining in lost and _starts_from_the_plans_backbone(planned, images):
                what = f"its backbone could not be pretrained, see {lost[pretraining]}"
                raise TrainingError(what, where=name, fix="fix that error first")
            prepared = prepare(planned.resolved, location.files, images)
            if of_its_own:
                pretrain_only(prepared, location, progress)
            else:
                found_or_executed(prepared, location, progress, go_on=True)
        except (StoreError, BusyError):
            raise
        except QtlplatError as error:
            failed[name] = error
            if of_its_own and isinstance(error, TrainingError):
                lost[pretraining] = name
            for line in (f"{name} could not be run", *error.lines()):
                progress.note(line)
    if len(failed) == len(states) and len({error.what for error in failed.values()}) == 1:
        raise failed[states[0].name]
    return failed


def _starts_from_the_plans_backbone(planned: PlannedModel, images: ImageSet) -> bool:
    from qtlplat.runs.cells import planned_cells

    return any(wanted.within is None for wanted in planned_cells(planned.resolved, images, images.groups)[1])


def measure(
    work: Work,
    states: Sequence[ModelState],
    reader: Reader,
    *,
    keep: bool,
    failed: Mapping[str, QtlplatError] | None = None,
) -> dict[str, Measured]:
    """Parameter counts of every model, from the layers' shapes, and metrics of the trained ones.

    failed: why models could not be run, by name; keep: whether to save parameter counts in the store's files.
    """
    runs = {state.name: state.run for state in states if state.run}
    recipe = work.recipe
    counted = {claim.model for claim in work.claims if claim.kind == "arithmetic"}
    plans = {planned.model.name: planned.resolved for planned in work.models if planned.model.name in counted}
    ours = parameter_counts([*plans.values()], recipe.input_shape, recipe.n_classes, reader.location, keep=keep)
    parameters = dict(zip(plans, ours, strict=True))
    found = {}
    for planned in work.models:
        name, own = planned.model.name, planned.model.head is None
        run = runs.get(name)
        ranked = any(claim.model == name and claim.quantity in OF_PROBABILITIES for claim in work.claims)
        measured = _backbone_metrics if own else _head_metrics
        metrics = None if run is None else measured(run, reader, ranked=ranked)
        why = failed[name].what.splitlines()[0] if failed and name in failed else ""
        found[name] = Measured(parameters.get(name), own, metrics, (run.id,) if run else (), why)
    return found


def _head_metrics(run: RunRecord, reader: Reader, *, ranked: bool) -> dict[str, Estimate]:
    """Estimates over the backbones of a run's head, or the cells of a single one.

    With one backbone and one test part they are over the samples of that.
    """
    cells = _head_cells(run, reader)
    if _one_test_part(cells) and len(backbones(cells)) == 1:
        return _of_cells(run, [cell.position for cell in cells], reader, ranked=ranked)
    estimates: dict[str, Estimate] = {}
    for name, values in run.metrics.items():
        if name in SHIPPED and len(values) == len(cells):  # what else evaluators compute is in no claim
            test = mean_of(cells, values, LEVEL, SHIPPED[name].possible) if all(map(math.isfinite, values)) else None
            estimates |= {name: of_test(test)} if test else {}
    return estimates


def _one_test_part(cells: Sequence[CellRecord]) -> bool:
    """Whether all cells are tested on the same samples: seeds of one split, whose spread is not that of the metric."""
    return len({cell.test_hash for cell in cells}) == 1


def _head_cells(run: RunRecord, reader: Reader) -> list[CellRecord]:
    return [cell for cell in reader.cells(run.id) if cell.variant == HEAD and cell.status == "finished"]


def _backbone_metrics(run: RunRecord, reader: Reader, *, ranked: bool) -> dict[str, Estimate]:
    """Estimates of the initialisation that a pretraining has kept, over the samples of its test part."""
    weights = next((a for a in reader.artifacts(run.id) if a.kind == "weights"), None)
    return _of_cells(run, [int(weights.meta["initialisation"]) if weights else 0], reader, ranked=ranked)


def _of_cells(run: RunRecord, positions: Sequence[int], reader: Reader, *, ranked: bool) -> dict[str, Estimate]:
    """Estimates over the samples of the one test part that these cells have.

    ranked: whether those of metrics of ranks and probabilities are needed, which take a few seconds.
    """
    rows: dict[int, list[PredictionRow]] = {position: [] for position in positions}
    for row in reader.predictions(run.id):
        if row.cell in rows:
            rows[row.cell].append(row)
    mine = [sorted(of_cell, key=lambda row: row.sample_id) for of_cell in rows.values() if of_cell]
    if not mine:
        return {}
    labels = np.array([row.label for row in mine[0]], dtype=np.int64)
    predicted = np.array([[row.predicted for row in of_cell] for of_cell in mine], dtype=np.int64)
    groups = [row.group for row in mine[0]]
    probabilities = np.array([[row.probabilities for row in of_cell] for of_cell in mine], dtype=np.float64)
    return of_predictions(labels, predicted, probabilities.shape[-1], groups, probabilities if ranked else None)


def checks(states: Sequence[ModelState], measured: Mapping[str, Measured]) -> list[Check]:
    """Models that repeat another one with another evaluator, with that one."""
    found = []
    for state in states:
        model = state.planned.model
        if not model.instead_of:
            continue
        pair = (model.name, model.instead_of)
        mine, other = ((measured[name].metrics or {}).get("f1") if name in measured else None for name in pair)
        leakage, group_leakage = (state.run.leakage, state.run.group_leakage) if state.run else (None, None)
        difference = mine.value - other.value if mine and other else None
        evaluator = state.planned.resolved.plan.evaluator.name
        runs = tuple(run for name in pair if name in measured for run in measured[name].runs)
        found.append(Check(model.name, model.instead_of, evaluator, mine, difference, leakage, group_leakage, runs))
    return found
