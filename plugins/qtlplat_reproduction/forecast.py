"""How long the runs of a recipe will take: from stored seconds of runs like them, else from a stated guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtlplat.catalog.plan import AUTO_CONTROLS, CONTROLS, ComponentChoice, RunPlan
from qtlplat.catalog.recipes import PlannedModel
from qtlplat.contracts import ImageSet, Role
from qtlplat.runs.cells import planned_cells
from qtlplat.specs import QuantumHeadSpec
from qtlplat.store.core.records import RunRecord
from qtlplat.store.read.queries import Reader

# Guesses, until there are stored runs: seconds of one epoch of one cell of a head on 2,000 samples, of computing and
# keeping the features of so many images, and the epochs after which a pretraining stops that may stop early.
HEAD_EPOCH_SECONDS = 0.035
FEATURE_SECONDS = 5.0
GUESSED_SAMPLES = 2_000
GUESSED_STOP = 12
CLASSICAL_CONTROLS = ("linear", "mlp", "shuffled")  # what `auto` gives a head without a circuit


@dataclass(frozen=True)
class Forecast:
    """What a missing run will take.

    cells: of it, those of its controls too; seconds: in all; measured: whether stored runs say so.
    """

    cells: int
    seconds: float
    measured: bool


@dataclass(frozen=True)
class _Speed:
    """Of a pretraining: seconds per epoch, and epochs per initialisation."""

    seconds: float
    epochs: float
    measured: bool


def forecast(missing: Sequence[PlannedModel], images: ImageSet, reader: Reader) -> dict[str, Forecast]:
    """What each missing model will take, by name, if they are trained in this order: backbones are pretrained once."""
    past = [run for run in reader.runs() if run.status == "finished"] if missing else []
    there = {run.fingerprint for run in past if run.kind == "pretraining"}
    found = {}
    for planned in missing:
        plan = planned.resolved.plan.bind(images.digest)
        # Finding duplicates would take longer than it changes the time: sources are taken as the dataset has them.
        cells, pretrainings = planned_cells(planned.resolved, images, images.groups)
        shares = [len(wanted.within) / len(images) for wanted in pretrainings if wanted.within is not None]
        seeds = [wanted.seed for wanted in pretrainings if wanted.within is None]
        if planned.model.head is None:
            shares, seeds = [], [plan.seed]
        for shared in (plan.pretraining_plan(seed).fingerprint for seed in seeds):
            shares += [] if shared in there else [1.0]
            there.add(shared)
        speed = _pretraining_speed(plan, past, reader) or _guess(planned, len(images))
        n_init = plan.pretraining.n_init
        seconds = sum(shares) * n_init * speed.epochs * speed.seconds
        measured = speed.measured or not shares
        trained = len(cells) * (1 + _n_controls(planned))
        if planned.model.head is not None:
            head_seconds = _head_seconds(plan, past, 1 + _n_controls(planned))
            scale = len(images) / GUESSED_SAMPLES
            guess = HEAD_EPOCH_SECONDS if head_seconds is None else head_seconds
            seconds += guess * (scale if head_seconds is None else 1.0) * trained * plan.training.epochs
            seconds += FEATURE_SECONDS * scale * len(pretrainings)
            measured = measured and head_seconds is not None
        found[planned.model.name] = Forecast(n_init if planned.model.head is None else trained, seconds, measured)
    return found


def _n_controls(planned: PlannedModel) -> int:
    """The number of controls of a head; for `auto` the most that a head with, or without, a circuit can have."""
    names = planned.resolved.plan.controls
    if AUTO_CONTROLS not in names:
        return len(names)
    quantum = isinstance(planned.resolved.specs["head"].spec, QuantumHeadSpec)
    return len(CONTROLS if quantum else CLASSICAL_CONTROLS)


def _guess(planned: PlannedModel, n_samples: int) -> _Speed:
    options = planned.resolved.plan.pretraining
    epochs = min(options.epochs, GUESSED_STOP) if options.patience else options.epochs
    return _Speed(planned.model.epoch_seconds * n_samples / GUESSED_SAMPLES, epochs, measured=False)


def _pretraining_speed(plan: RunPlan, past: Sequence[RunRecord], reader: Reader) -> _Speed | None:
    """What the newest pretraining of this backbone on this data with such batches took, None if there is none."""
    for run in past:
        if run.kind != "pretraining" or run.dataset_digest != plan.dataset_digest or "samples" in run.plan:
            continue
        options = run.plan.get("pretraining", {})
        step = (options.get("batch_size"), options.get("precision", "single"))
        if not _is_of(run, "backbone", plan.backbone) or step != (
            plan.pretraining.batch_size,
            plan.pretraining.precision,
        ):
            continue
        epochs = reader.epochs(run.id)
        if epochs:
            mean = sum(epoch.seconds for epoch in epochs) / len(epochs)
            stopped = len(epochs) / options.get("n_init", 1)
            alike = plan.pretraining.patience and options.get("patience") == plan.pretraining.patience
            limit = plan.pretraining.epochs
            usual = min(limit, GUESSED_STOP) if plan.pretraining.patience else limit
            return _Speed(mean, min(limit, stopped) if alike else usual, measured=True)
    return None


def _head_seconds(plan: RunPlan, past: Sequence[RunRecord], variants: int) -> float | None:
    """Seconds per epoch and cell of the newest run of this head on this data, None if there is none.

    variants: the head and its controls; each is trained on all cells.
    """
    for run in past:
        if run.kind != "run" or run.dataset_digest != plan.dataset_digest:
            continue
        cells, epochs = len(run.metrics.get("f1", ())), run.plan.get("training", {}).get("epochs")
        alike = _is_of(run, "head", plan.head) and run.plan.get("controls", []) == list(plan.controls)
        if alike and cells and epochs and run.seconds.get("heads"):
            return run.seconds["heads"] / (variants * cells * int(epochs))
    return None


def _is_of(run: RunRecord, role: Role, choice: ComponentChoice) -> bool:
    """Whether a run's component of that role is this one, with the same options."""
    row = run.components.get(role)
    return row is not None and (row.component, dict(row.options)) == (choice.component, choice.options)
