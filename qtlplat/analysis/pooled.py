"""The mean of several runs with its interval: runs that repeat each other by seed, or whose settings are averaged.

Cells of one backbone are no independent values, and nor are folds that share training samples. So the unit is the
largest thing that was repeated: the seed of a run, with which come another backbone and other folds; else the
backbones of a single seed; else the folds, or the seeds, on one backbone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from qtlplat.analysis.components import MeanSquare, satterthwaite
from qtlplat.analysis.designs import backbone_of, backbones, design, mean_of, separate
from qtlplat.analysis.statistics import ANYTHING, Interval, corrected_t, t_test, without_spread
from qtlplat.metrics import Metric

if TYPE_CHECKING:
    from qtlplat.analysis.statistics import TTest
    from qtlplat.store.core.records import CellRecord

LEVEL = 0.95
BALANCED = 1e-9  # of a mean: what rounding may make of the same mean


@dataclass(frozen=True)
class Pooled:
    """A mean over runs. interval: at `LEVEL`, None if there is none, for the reason `why`.

    unit: what varies, "seed", "backbone" or "fold"; n: how many of them; remark: what else the interval depends on.
    """

    mean: float
    interval: Interval | None
    unit: str | None = None
    n: int = 0
    why: str = ""
    remark: str = ""


def pooled(runs: Sequence[tuple[int, Sequence[CellRecord]]], metric: Metric) -> Pooled | None:
    """The mean of the means of runs, and its interval; None if no run has a finite value.

    Args:
        runs: The seed of each run, and the finished cells of its head. Runs of one seed differ in settings that are
            averaged, as a learning rate.
        metric: Of the cells.
    """
    scores = [[cell.metrics.get(metric.name, math.nan) for cell in cells] for _, cells in runs]
    finite = [values for values in scores if values and all(map(math.isfinite, values))]
    if not finite:
        return None
    mean = fmean(map(fmean, finite))
    if len(finite) < len(scores):
        return Pooled(mean, None, why=f"not every cell has a finite {metric.title}")
    by_seed: dict[int, list[Sequence[CellRecord]]] = defaultdict(list)
    for seed, cells in runs:
        by_seed[seed].append(cells)
    seeds = [[cell for cells in alike for cell in cells] for alike in by_seed.values()]
    used = [backbones(cells) for cells in seeds]
    if why := _unequal(list(by_seed.values()), used):
        return Pooled(mean, None, why=why)
    if len(used) > 1 and len(set().union(*used)) > 1:
        return _over_seeds(mean, seeds, metric)
    return _within(mean, [cell for cells in seeds for cell in cells], metric)


def _unequal(seeds: Sequence[Sequence[Sequence[CellRecord]]], used: Sequence[set[str]]) -> str:
    """Why the runs, by seed, are no repetitions of each other; '' if they are. used: the backbones of each seed."""
    if any(len({_tested(cells) for cells in alike}) > 1 for alike in seeds):
        return "the mean is over different backbones or data"
    if len({len(alike) for alike in seeds}) > 1:
        return "not every seed has all of the settings"
    different = len(set().union(*used))
    return "some of the seeds share a backbone" if 1 < different < sum(map(len, used)) else ""


def _tested(cells: Sequence[CellRecord]) -> frozenset[tuple[str, int, str]]:
    return frozenset((backbone_of(cell), cell.seed, cell.test_hash) for cell in cells)


def _within(mean: float, cells: Sequence[CellRecord], metric: Metric) -> Pooled:
    """Over the backbones of one seed, or the folds of one backbone."""
    values = [cell.metrics[metric.name] for cell in cells]
    tested = design(cells, values)
    if tested.one_training:
        return Pooled(mean, None, why="every cell trains on the same samples")
    found = mean_of(cells, values, LEVEL, metric.possible)
    if found is None:
        return Pooled(mean, None, why="no fold that all backbones have")
    single = len(backbones(cells)) == 1
    unit = ("seed" if tested.one_split else "fold") if single else "backbone"
    remark = "for this backbone only" if single else "" if separate(cells) or not tested.one_split else "one split"
    return _told(mean, found, unit, remark)


def _over_seeds(mean: float, seeds: Sequence[Sequence[CellRecord]], metric: Metric) -> Pooled:
    groups = []
    for cells in seeds:
        sets: dict[str, list[float]] = defaultdict(list)
        for cell in cells:
            sets[cell.test_hash].append(cell.metrics[metric.name])
        groups.append({samples: fmean(values) for samples, values in sets.items()})
    every = [cell for cells in seeds for cell in cells]
    ratio = sum(cell.n_test for cell in every) / max(1, sum(cell.n_train for cell in every))
    same = all(group.keys() == groups[0].keys() for group in groups)
    found = over_seeds([list(group.values()) for group in groups], ratio, same_folds=same, possible=metric.possible)
    return _told(mean, found, "seed", "one split" if same and len(groups[0]) == 1 else "")


def over_seeds(
    values: Sequence[Sequence[float]], ratio: float, *, same_folds: bool = False, possible: Interval = ANYTHING
) -> TTest:
    """The mean of seeds that have backbones of their own, with its interval at `LEVEL`.

    The seeds' means vary by backbone and, if each seed has folds of its own, by fold; folds share training samples, for
    which the variance of the mean is corrected as in `components`: it is s² / S + f v, with s² the sample variance
    of the S means, v that of the folds of a seed, which has the rest in it and so is rather too large, and
    f = n_test / n_train, plus 1 / K where all seeds test the same K folds. Degrees of freedom are Satterthwaite's.

    Args:
        values: Of each seed, two or more, one for every fold.
        ratio: n_test / n_train of a cell.
        same_folds: Whether all seeds test the same sets of samples. With one such set nothing is said about others.
        possible: As of `statistics.corrected_t`.
    """
    means = np.array([fmean(one) for one in values])
    free = sum(len(one) - 1 for one in values)
    if not free:
        return corrected_t(means, 0.0 if same_folds else ratio, LEVEL, possible=possible)
    inside = sum(float(((np.array(one) - fmean(one)) ** 2).sum()) for one in values) / free
    factor = ratio + (1 / len(values[0]) if same_folds else 0.0)
    between = float(means.var(ddof=1))
    total, df = satterthwaite(
        [(1 / len(means), MeanSquare(between, len(means) - 1)), (factor, MeanSquare(inside, free))]
    )
    mean, sd = float(means.mean()), math.sqrt(between)
    if not total > 0:
        return without_spread(len(means), mean, sd, math.nan, LEVEL)
    return t_test(mean, math.sqrt(total), df, LEVEL, n=len(means), sd=sd, possible=possible)


def _told(mean: float, found: TTest, unit: str, remark: str) -> Pooled:
    if not all(map(math.isfinite, found.interval)):
        return Pooled(mean, None, unit, found.n, why=f"one {unit}" if found.n == 1 else "no spread", remark=remark)
    if abs(found.mean - mean) > BALANCED * max(1.0, abs(mean)):
        return Pooled(mean, None, unit, found.n, why="the runs have different numbers of cells")
    return Pooled(mean, found.interval, unit, found.n, remark=remark)
