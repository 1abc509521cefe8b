"""From stored records to the rows of a comparison: which cells are paired, which test they allow, what it says.

Reads nothing and prints nothing: it is handed records. The numbers come from `statistics.py` and `power.py`, the words
from `verdicts.py`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from qtlplat.analysis import statistics, verdicts
from qtlplat.analysis.power import repetition
from qtlplat.analysis.sides import Side, against_chance, leaks, parameters, what_differs
from qtlplat.analysis.statistics import TTest
from qtlplat.analysis.verdicts import Wording
from qtlplat.conventions import HEAD, leak_line, lower_is_better, mean_std
from qtlplat.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from qtlplat.store.records import CellRecord, PredictionRow

CORRECTED = "paired t, Nadeau-Bengio corrected"
ONE_SPLIT = "paired t over the seeds of one split"
WELCH = "Welch's t, unpaired"
POWER = 0.8
SHUFFLED = "shuffled"


@dataclass(frozen=True)
class Asked:
    """What a comparison is about.

    metric: by name; level: of tests and intervals; rope: half width of the region of practical equivalence, and
    detect: the difference that one would like to see, both in the metric's units.
    """

    metric: str = "f1"
    level: float = 0.95
    rope: float = 0.01
    detect: float = 0.01

    @property
    def lower_is_better(self) -> bool:
        """True for losses; every other metric is better when it is higher."""
        return lower_is_better(self.metric)


@dataclass(frozen=True)
class Row:
    """One line of a comparison. test: None where nothing was tested, as for the baseline; n: values that were tested.

    mean, std: over all finished cells of the side, `cells` in number, with a partner or without; why: no test was
    possible, '' where the numbers tell; notes: what a reader must know besides; wording: how the verdict speaks of
    what differs; trainable, model_total: parameters, None where the run has not stored them.
    """

    run: str
    variant: str
    label: str
    mean: float | None
    std: float | None
    cells: int
    n: int
    leak: float | None
    group_leak: float | None
    test: TTest | None = None
    test_name: str | None = None
    p_adjusted: float = math.nan
    bootstrap: statistics.Interval = statistics.NOTHING
    mcnemar: dict[str, Any] | None = None
    rope: statistics.Rope | None = None
    needed: dict[str, Any] | None = None
    verdict: str = "baseline"
    why: str = ""
    selection_leak: float | None = None
    trainable: int | None = None
    model_total: int | None = None
    notes: tuple[str, ...] = ()
    wording: Wording = field(default_factory=Wording)

    def form(self) -> dict[str, Any]:
        """The row as `compare --json` prints it; keys are never renamed. None stands for what cannot be said."""
        test = self.test
        values = {
            "run": self.run,
            "variant": self.variant,
            "label": self.label,
            "mean": self.mean,
            "std": self.std,
            "cells": self.cells,
            "n": self.n,
            "difference": test and test.mean,
            "interval": test and test.interval,
            "p": test and test.p,
            "p_adjusted": self.p_adjusted,
            "test": self.test_name,
            "verdict": self.verdict,
            "bootstrap": self.bootstrap,
            "mcnemar": self.mcnemar,
            "rope": self.rope and vars(self.rope),
            "needed": self.needed,
            "leak": self.leak,
            "group_leak": self.group_leak,
            "selection_leak": self.selection_leak,
            "trainable": self.trainable,
            "model_total": self.model_total,
            "notes": list(self.notes),
        }
        return {key: _without_nan(value) for key, value in values.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return None if any(map(math.isnan, value)) else list(value)
    return value


def compare(baseline: Side, others: Sequence[Side], asked: Asked = Asked()) -> list[Row]:
    """The baseline's row, then one for each other side: other minus baseline.

    The tests of all others are one family: where there are several, Holm's p decides their verdicts. Shuffled labels
    stay outside: they check the experiment, and compare no models.
    Raises UsageError for a metric that no cell has, and for a side without finished cells.
    """
    for side in (baseline, *others):
        _refuse_unusable(side, asked.metric)
    rows = [_compared(side, baseline, asked) for side in others]
    family = [row.test is not None and row.variant != SHUFFLED for row in rows]
    p_values = [row.test.p if row.test and inside else math.nan for row, inside in zip(rows, family, strict=True)]
    adjusted, size = statistics.holm(p_values), sum(not math.isnan(p) for p in p_values)
    return [_alone(baseline, asked), *(_judged(r, p, size, asked) for r, p in zip(rows, adjusted, strict=True))]


def _refuse_unusable(side: Side, metric: str) -> None:
    where = f"run {side.run.id}" + ("" if side.variant == HEAD else f", variant {side.variant}")
    if not side.cells:
        status = f"it is {'a pretraining' if side.run.kind == 'pretraining' else side.run.status}"
        raise UsageError(
            f"there are no finished cells to compare: {status}", where=where, fix="list runs: qtlplat runs"
        )
    known = {name for cell in side.cells for name in cell.metrics}
    if metric not in known:
        raise UsageError(unknown_name("metric", metric, known), where=where)


def _alone(side: Side, asked: Asked) -> Row:
    """A side by itself: mean, spread, parameters, and what its backbone knew."""
    values = [cell.metrics.get(asked.metric, math.nan) for cell in side.cells]
    n, (mean, std) = len(values), mean_std(values)
    seen = leaks(side.cells)
    notes = []
    if side.run.status != "finished":
        notes.append(f"the run is {side.run.status}: only its {n} finished cells are compared")
    if words := leak_line(seen):
        notes.append(words)
    if side.variant == SHUFFLED and (words := against_chance(side)):
        notes.append(words)
    trainable, model_total = parameters(side)
    return Row(
        side.run.id, side.variant, side.label, mean, std, n, n, seen["leak"], seen["group_leak"],
        selection_leak=seen["selection_leak"], trainable=trainable, model_total=model_total, notes=tuple(notes),
    )  # fmt: skip


def _compared(side: Side, baseline: Side, asked: Asked) -> Row:
    """A side against the baseline; its verdict is left to `_judged`, which knows the family."""
    wording, notes = what_differs(side, baseline)
    row = _alone(side, asked)
    pairs = _paired(side.cells, baseline.cells)
    used = [cell for pair in pairs for cell in pair] or [*side.cells, *baseline.cells]
    lost = sum(not math.isfinite(cell.metrics.get(asked.metric, math.nan)) for cell in used)
    if lost:
        words = f"cannot be compared: {lost} of the cells have no finite {asked.metric}"
        return replace(row, verdict=words, notes=(*row.notes, *notes), wording=wording)
    measured = _over_pairs(pairs, asked) if pairs else _unpaired(side.cells, baseline.cells, asked)
    left = len(side.cells) + len(baseline.cells) - 2 * len(pairs)
    if pairs and left:
        notes.append(f"{len(pairs)} pairs of cells are compared; {left} cells have no partner on the same samples")
    if pairs:
        measured["mcnemar"] = _mcnemar(pairs, side, baseline)
    if side.variant == SHUFFLED:  # nobody looks for a small difference there
        measured.update(needed=None, rope=None, notes=[])
    notes += measured["notes"]
    del measured["notes"]
    return replace(row, **measured, notes=(*row.notes, *notes), wording=wording)


def _paired(cells: Sequence[CellRecord], others: Sequence[CellRecord]) -> list[tuple[CellRecord, CellRecord]]:
    """Cells of the same fold and seed that were tested on the same samples, by seed and fold."""
    partners = {(c.seed, c.fold, c.test_hash): c for c in others}
    mine = {(c.seed, c.fold, c.test_hash): c for c in cells}
    return [(mine[key], partners[key]) for key in sorted(mine.keys() & partners.keys())]


def _over_pairs(pairs: Sequence[tuple[CellRecord, CellRecord]], asked: Asked) -> dict[str, Any]:
    """The paired tests. Cells of one split, by several seeds, are one observation of the data: their mean counts."""
    metric = asked.metric
    found = statistics.differences([c.metrics[metric] for c, _ in pairs], [b.metrics[metric] for _, b in pairs])
    splits: dict[tuple[int, str], list[float]] = defaultdict(list)
    for (cell, _), value in zip(pairs, found, strict=True):
        splits[cell.fold, cell.test_hash].append(float(value))
    one_split = len(splits) == 1 and len(pairs) > 1
    values = found.tolist() if one_split else [math.fsum(group) / len(group) for group in splits.values()]
    both = [cell for pair in pairs for cell in pair]
    # seeds of one split share all of their data: nothing there that the correction could speak of
    ratio = 0.0 if one_split else sum(c.n_test for c in both) / max(1, sum(c.n_train for c in both))
    test = statistics.corrected_t(values, ratio, asked.level)
    gains = [-value for value in values] if asked.lower_is_better else values
    notes, needed = [], None
    if one_split:
        notes.append("all cells test the same samples: seeds vary, the data do not; nothing is said about other images")
    if one_split or len(values) == len(pairs):
        seeds = len(values) if one_split else len({c.seed for c, _ in pairs})
        folds = max(1, len(values) // seeds)
        needed = repetition(asked.detect, test.sd, ratio, folds=folds, seeds=seeds, level=asked.level, power=POWER)
        notes.insert(0, verdicts.needed_line(needed, metric))
    else:
        notes.append(f"{len(pairs)} cells test {len(values)} splits: the mean over the seeds of a split is one value")
    return {
        "test": test,
        "test_name": ONE_SPLIT if one_split else CORRECTED,
        "n": test.n,
        "bootstrap": statistics.bootstrap_mean(values, asked.level),
        "rope": statistics.practical_equivalence(gains, ratio, asked.rope),
        "needed": needed and vars(needed),
        "notes": notes,
    }


def _unpaired(cells: Sequence[CellRecord], others: Sequence[CellRecord], asked: Asked) -> dict[str, Any]:
    """Welch's test; only the difference where a side tests one split: its seeds are no sample of other data."""
    values, baseline = ([c.metrics[asked.metric] for c in side] for side in (cells, others))
    if any(len({cell.test_hash for cell in side}) == 1 for side in (cells, others)):
        n, mean = len(values) + len(baseline), sum(values) / len(values) - sum(baseline) / len(baseline)
        no = math.nan
        words = "a side that tests one split says nothing about other samples, however many seeds it has"
        return {
            "test": TTest(n, mean, no, no, no, no, no, statistics.NOTHING, asked.level),
            "why": "not paired, and one side tests a single split",
            "notes": [f"the runs share no fold, seed and test samples, so their cells are not paired; {words}"],
        }
    return {
        "test": statistics.welch_t(values, baseline, asked.level),
        "test_name": WELCH,
        "bootstrap": statistics.bootstrap_difference(values, baseline, asked.level),
        "notes": [
            "the runs share no fold, seed and test samples, so their cells are not paired; the cells of a run share "
            "training data, which this test does not know: p is too small, the interval too narrow"
        ],
    }


def _mcnemar(pairs: Sequence[tuple[CellRecord, CellRecord]], side: Side, baseline: Side) -> dict[str, Any] | None:
    """McNemar on the out-of-fold predictions of the first seed, in which every sample stands once.

    None where predictions are missing, or belong to other labels (shuffled ones).
    """
    seed = min(cell.seed for cell, _ in pairs)
    first = [(cell, partner) for cell, partner in pairs if cell.seed == seed]
    mine = _by_sample(side.predictions, {cell.position: (cell.fold, cell.test_hash) for cell, _ in first})
    theirs = _by_sample(baseline.predictions, {b.position: (b.fold, b.test_hash) for _, b in first})
    shared = sorted(mine.keys() & theirs.keys())
    if not shared or any(mine[key].label != theirs[key].label for key in shared):
        return None
    right = ([rows[key].predicted == rows[key].label for key in shared] for rows in (mine, theirs))
    found = statistics.mcnemar(*right)
    counts = {"run_only": found.first_only, "baseline_only": found.second_only}
    return {**counts, "p": found.p, "form": found.form, "samples": len(shared), "seed": seed}


def _by_sample(
    predictions: Sequence[PredictionRow], cells: dict[int, tuple[int, str]]
) -> dict[tuple[tuple[int, str], str], PredictionRow]:
    return {(cells[row.cell], row.sample_id): row for row in predictions if row.cell in cells}


def _judged(row: Row, p_adjusted: float, family: int, asked: Asked) -> Row:
    if row.test is None:
        return row
    remark = {WELCH: "unpaired", ONE_SPLIT: "on this one split"}.get(row.test_name or "", "")
    words = verdicts.verdict(
        row.test, asked.metric, row.wording, lower_is_better=asked.lower_is_better, p_adjusted=p_adjusted,
        family=family, rope=row.rope, remark=remark, why=row.why,
    )  # fmt: skip
    return replace(row, p_adjusted=p_adjusted, verdict=words)
