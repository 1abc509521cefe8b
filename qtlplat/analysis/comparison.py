"""From stored records to the rows of a comparison: which cells are paired, which test they allow, what it says.

Reads nothing and prints nothing: it is handed records. The numbers come from `statistics.py` and `power.py`, the words
from `verdicts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from qtlplat.analysis import statistics, verdicts
from qtlplat.analysis.designs import design
from qtlplat.analysis.power import repetition
from qtlplat.analysis.sides import Side, leaks, parameters, what_differs
from qtlplat.analysis.single_samples import against_chance, mcnemar
from qtlplat.analysis.statistics import TTest
from qtlplat.analysis.verdicts import Wording
from qtlplat.conventions import HEAD, leakage_line, mean_std, short
from qtlplat.errors import UsageError, unknown_name
from qtlplat.metrics import SHIPPED, Metric, agreed

if TYPE_CHECKING:
    from qtlplat.store.core.records import CellRecord

CORRECTED = "paired t, Nadeau-Bengio corrected"
ONE_SPLIT = "paired t over the seeds of one split"
WELCH = "Welch's t, unpaired, Nadeau-Bengio corrected"
POWER = 0.8
SHUFFLED = "shuffled"


@dataclass(frozen=True)
class Asked:
    """What a comparison is about.

    metric: by name; level: of tests and intervals; rope: half width of the region of practical equivalence, and
    detect: the difference that one would like to see, both in the metric's units; higher_is_better: of the metric,
    None: as the runs' evaluators declared it.
    """

    metric: str = "f1"
    level: float = 0.95
    rope: float = 0.01
    detect: float = 0.01
    higher_is_better: bool | None = None

    def metric_of(self, sides: Sequence[Side]) -> Metric:
        """What is known of the metric. Raises UsageError if its direction is not declared, or not the same."""
        declared = [(short(side.run.id), side.declared.get(self.metric)) for side in sides]
        if self.higher_is_better is None:
            return agreed(self.metric, declared, "--minimize or --maximize says it")
        bounds = {one.bounds if one else (None, None) for _, one in declared}
        return Metric(self.metric, self.higher_is_better, bounds.pop() if len(bounds) == 1 else (None, None))


@dataclass(frozen=True)
class ComparisonRow:
    """One line of a comparison. test: None if nothing was tested, as for the baseline; n: values that were tested.

    mean, std: over all finished cells of the side, `cells` in number, with a partner or without; why: no test was
    possible, '' where the numbers tell; notes: what a reader must know besides; wording: how the verdict speaks of
    what differs; trainable, model_total: parameters, None if the run has not stored them; by_metric, disagreement: what
    metrics of other kinds say, see `several_metrics.py`.
    """

    run: str
    variant: str
    label: str
    mean: float | None
    std: float | None
    cells: int
    n: int
    leakage: float | None
    group_leakage: float | None
    test: TTest | None = None
    test_name: str | None = None
    p_adjusted: float = math.nan
    bootstrap: statistics.Interval = statistics.NOTHING
    mcnemar: dict[str, Any] | None = None
    rope: statistics.Rope | None = None
    needed: dict[str, Any] | None = None
    verdict: str = "baseline"
    why: str = ""
    selection_leakage: float | None = None
    trainable: int | None = None
    model_total: int | None = None
    notes: tuple[str, ...] = ()
    wording: Wording = field(default_factory=Wording)
    by_metric: tuple[dict[str, Any], ...] = ()
    disagreement: str = ""

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
            "leakage": self.leakage,
            "group_leakage": self.group_leakage,
            "selection_leakage": self.selection_leakage,
            "trainable": self.trainable,
            "model_total": self.model_total,
            "by_metric": [_without_nan(one) for one in self.by_metric],
            "disagreement": self.disagreement or None,
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


def compare(baseline: Side, others: Sequence[Side], asked: Asked = Asked()) -> list[ComparisonRow]:
    """The baseline's row, then one for each other side: other minus baseline.

    The tests of all others are one family: where there are several, Holm's p decides their verdicts. Shuffled labels
    stay outside: they check the experiment, and compare no models.
    Raises UsageError for a metric that no cell has or whose direction is not known, and for a side without finished
    cells.
    """
    for side in (baseline, *others):
        _refuse_unusable(side, asked.metric)
    metric = asked.metric_of((baseline, *others))
    rows = [_compared(side, baseline, asked, metric) for side in others]
    family = [row.test is not None and row.variant != SHUFFLED for row in rows]
    p_values = [row.test.p if row.test and inside else math.nan for row, inside in zip(rows, family, strict=True)]
    adjusted, size = statistics.holm(p_values), sum(not math.isnan(p) for p in p_values)
    return [_alone(baseline, asked), *(_judged(r, p, size, metric) for r, p in zip(rows, adjusted, strict=True))]


def _refuse_unusable(side: Side, metric: str) -> None:
    where = f"run {side.run.id}" + ("" if side.variant == HEAD else f", variant {side.variant}")
    if not side.cells:
        status = f"it is {'a pretraining' if side.run.kind == 'pretraining' else side.run.status}"
        raise UsageError(
            f"there are no finished cells to compare: {status}", where=where, fix="list runs: qtlplat runs"
        )
    known = {name for cell in side.cells for name in cell.metrics}
    if metric in SHIPPED.keys() - known:
        what = f"the run has no {metric}: it was stored by an older version, or not as a run of qtlplat"
        raise UsageError(what, where=where, fix=f"train it again with: qtlplat replay {short(side.run.id)}")
    if metric not in known:
        raise UsageError(unknown_name("metric", metric, known), where=where)


def _alone(side: Side, asked: Asked) -> ComparisonRow:
    """A side by itself: mean, spread, parameters, and what its backbone knew."""
    values = [cell.metrics.get(asked.metric, math.nan) for cell in side.cells]
    n, (mean, std) = len(values), mean_std(values)
    seen = leaks(side.cells)
    notes = []
    if side.run.status != "finished":
        notes.append(f"the run is {side.run.status}: only its {n} finished cells are compared")
    if words := leakage_line(seen):
        notes.append(words)
    if side.variant == SHUFFLED and (words := against_chance(side)):
        notes.append(words)
    trainable, model_total = parameters(side)
    return ComparisonRow(
        side.run.id, side.variant, side.label, mean, std, n, n, seen["leakage"], seen["group_leakage"],
        selection_leakage=seen["selection_leakage"], trainable=trainable, model_total=model_total, notes=tuple(notes),
    )  # fmt: skip


def _compared(side: Side, baseline: Side, asked: Asked, metric: Metric) -> ComparisonRow:
    """A side against the baseline; its verdict is left to `_judged`, which knows the family."""
    wording, notes = what_differs(side, baseline)
    row = _alone(side, asked)
    pairs = _paired(side.cells, baseline.cells)
    used = [cell for pair in pairs for cell in pair] or [*side.cells, *baseline.cells]
    lost = sum(not math.isfinite(cell.metrics.get(asked.metric, math.nan)) for cell in used)
    if lost:
        words = f"cannot be compared: {lost} of the cells have no finite {asked.metric}"
        return replace(row, verdict=words, notes=(*row.notes, *notes), wording=wording)
    measured = _over_pairs(pairs, asked, metric) if pairs else _unpaired(side.cells, baseline.cells, asked, metric)
    left = len(side.cells) + len(baseline.cells) - 2 * len(pairs)
    if pairs and left:
        notes.append(f"{len(pairs)} pairs of cells are compared; {left} cells have no partner on the same samples")
    if pairs:
        measured["mcnemar"], of_samples = mcnemar(pairs, side, baseline)
        measured["notes"] += of_samples
    if side.variant == SHUFFLED:  # nobody looks for a small difference there
        measured.update(needed=None, rope=None, notes=[])
    notes += measured["notes"]
    del measured["notes"]
    return replace(row, **measured, notes=(*row.notes, *notes), wording=wording)


def _paired(cells: Sequence[CellRecord], others: Sequence[CellRecord]) -> list[tuple[CellRecord, CellRecord]]:
    """Cells of the same backbone, fold and seed that were tested on the same samples, by backbone, seed and fold."""
    partners, mine = ({(c.backbone_index, c.seed, c.fold, c.test_hash): c for c in side} for side in (others, cells))
    return [(mine[key], partners[key]) for key in sorted(mine.keys() & partners.keys())]


def _over_pairs(pairs: Sequence[tuple[CellRecord, CellRecord]], asked: Asked, metric: Metric) -> dict[str, Any]:
    """The paired tests."""
    name, possible = metric.name, metric.possible_differences
    found = statistics.differences([c.metrics[name] for c, _ in pairs], [b.metrics[name] for _, b in pairs])
    tested = design([cell for cell, _ in pairs], found.tolist())
    values, ratio = tested.values, tested.ratio
    if tested.one_training:
        words = "all cells train on the same samples: their differences are parts of one test, and say nothing about "
        return {
            "test": _untested(len(values), fmean(values), asked),
            "why": "every cell trains on the same samples",
            "n": len(values),
            "notes": [f"{words}another training"],
        }
    test = statistics.corrected_t(values, ratio, asked.level, possible=possible)
    gains = [-value for value in values] if metric.lower_is_better else values
    notes, needed, why = [], None, ""
    if tested.one_split:
        notes.append("all cells share one split: seeds vary, the data do not; nothing is said about other images")
        why = "one seed of one split" if tested.seeds == 1 else ""
    if len(values) < tested.cells:
        by = "seeds, and the mean over the cells of a seed" if tested.one_split else "splits: the mean over a split"
        notes.append(f"{tested.cells} cells test {len(values)} {by} is one value")
    else:
        folds = max(1, len(values) // tested.seeds)
        needed = repetition(
            asked.detect, test.sd, ratio, folds=folds, seeds=tested.seeds, level=asked.level, power=POWER
        )
        notes.insert(0, verdicts.needed_line(needed, name))
    return {
        "test": test,
        "test_name": ONE_SPLIT if tested.one_split else CORRECTED,
        "n": test.n,
        # cells that share training data are no values to be drawn independently
        "bootstrap": statistics.bootstrap_mean(values, asked.level) if tested.one_split else statistics.NOTHING,
        "rope": statistics.practical_equivalence(gains, ratio, asked.rope, possible=possible),
        "needed": needed and vars(needed),
        "notes": [*notes, *_too_few(test)],
        "why": why,
    }


def _unpaired(
    cells: Sequence[CellRecord], others: Sequence[CellRecord], asked: Asked, metric: Metric
) -> dict[str, Any]:
    """Welch's test; only the difference where a side tests one split: its seeds are no sample of other data."""
    mine, theirs = (design(side, [c.metrics[metric.name] for c in side]) for side in (cells, others))
    if any(one.one_split or one.one_training or one.cells == 1 for one in (mine, theirs)):
        n, mean = mine.cells + theirs.cells, fmean(mine.values) - fmean(theirs.values)
        words = "a side that tests or trains on one set says nothing about other samples, however many seeds it has"
        return {
            "test": _untested(n, mean, asked),
            "why": "not paired, and one side tests a single split",
            "notes": [f"the runs share no fold, seed and test samples, so their cells are not paired; {words}"],
        }
    ratios, possible = (mine.ratio, theirs.ratio), metric.possible_differences
    test = statistics.welch_t(mine.values, theirs.values, asked.level, ratios=ratios, possible=possible)
    return {
        "test": test,
        "test_name": WELCH,
        "notes": [
            "the runs share no fold, seed and test samples, so their cells are not paired: the variance of either mean "
            "is corrected for the training data that its cells share, and what the runs have in common is not used",
            *_too_few(test),
        ],
    }


def _untested(n: int, mean: float, asked: Asked) -> TTest:
    """A difference of which nothing can be said."""
    no = math.nan
    return TTest(n, mean, no, no, no, no, no, statistics.NOTHING, asked.level)


def _too_few(test: TTest) -> list[str]:
    """A note where the interval would leave the values that there can be."""
    if not test.cut_off:
        return []
    what = "every difference that is possible" if test.cut_off == 2 else "all that is possible on one side"
    return [f"the interval holds {what}: n = {test.n} is too few, or the spread too large, for it to mean much"]


def _judged(row: ComparisonRow, p_adjusted: float, family: int, metric: Metric) -> ComparisonRow:
    if row.test is None:
        return row
    remark = {WELCH: "unpaired", ONE_SPLIT: "on this one split"}.get(row.test_name or "", "")
    words = verdicts.verdict(
        row.test, metric.name, row.wording, lower_is_better=metric.lower_is_better, p_adjusted=p_adjusted,
        family=family, rope=row.rope, remark=remark, why=row.why,
    )  # fmt: skip
    tested = None if math.isnan(row.test.p) else row.test_name
    return replace(row, test_name=tested, p_adjusted=p_adjusted, verdict=words)
