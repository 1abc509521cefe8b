"""Mean differences over backbones, seeds and folds: variance components, standard error, degrees of freedom.

Knows numbers only. The values of a side, or paired differences, form a balanced table of B backbones, S seeds and F
folds. They vary by backbone, by seed, by fold (its test samples and training set) and by the rest, which holds all
interactions. The mean is to hold for other backbones, other seeds and other data of this kind, so its variance is

    MS_backbone / n  +  var_seed / S  +  (1/K + n_test/n_train) var_fold

MS_backbone / n, with n = B S F, is the sample variance of the means of backbones, divided by B. K is the number of
test sets. The last factor corrects for the training samples that cells share (Nadeau & Bengio, Machine Learning 52,
2003). Components are those of the analysis of variance, 0 if negative (Searle, Casella & McCulloch, "Variance
Components", 1992, chapter 4); degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qtlplat.analysis.statistics import ANYTHING, NO_SPREAD, Floats, Interval, TTest, t_test, without_spread
from qtlplat.errors import UsageError

SOURCES = ("backbone", "seed", "fold", "rest")


@dataclass(frozen=True)
class Table:
    """Values of cells, balanced.

    values: float64 (B, S, F), by backbone, seed and fold, B at least 2; ratio: n_test / n_train of a cell;
    same_folds: all seeds test the same F sets of samples. False: every seed has F sets of its own.
    """

    values: Floats
    ratio: float
    same_folds: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no table. Raises UsageError."""
        if self.values.ndim != 3 or self.values.shape[0] < 2 or not self.values.size:
            raise UsageError(f"values have shape {self.values.shape}, not (B, S, F) with two backbones or more")
        if not np.isfinite(self.values).all():
            raise UsageError("some of the values are not finite", fix="leave them out, and say so")

    @property
    def test_sets(self) -> int:
        """K, how many different sets of samples are tested."""
        seeds, folds = int(self.values.shape[1]), int(self.values.shape[2])
        return folds if self.same_folds else seeds * folds


@dataclass(frozen=True)
class Components:
    """Variances of the value of one cell, or of a difference of two, by source; 0 for a negative estimate.

    seed: NaN with one seed; fold: NaN with one test set; rest: NaN if it cannot be told from the backbone.
    between: for either independent set of backbones, the variances of backbone and rest.
    """

    backbone: float
    seed: float
    fold: float
    rest: float
    between: tuple[tuple[float, float], ...] = ()

    def form(self) -> dict[str, float]:
        """By source."""
        return {name: getattr(self, name) for name in SOURCES}

    def shares(self) -> dict[str, float]:
        """The share of each source in the sum, without what is unknown; empty if nothing varies."""
        known = {name: value for name, value in self.form().items() if not math.isnan(value)}
        total = sum(known.values())
        return {name: value / total for name, value in known.items()} if total > 0 else {}


@dataclass(frozen=True, eq=False)
class MeanSquare:
    """A mean square of an analysis of variance, or a sample variance, with its degrees of freedom."""

    value: float
    df: int


# a variance, as a sum of coefficients times independent mean squares
Sum = list[tuple[float, MeanSquare]]


def satterthwaite(terms: Sum) -> tuple[float, float]:
    """The value of a sum of independent mean squares, and its degrees of freedom; NaN if it is 0.

    The approximation is made for positive coefficients, and is then not below the fewest degrees of freedom of these.
    Where large mean squares nearly cancel, it can fall towards 0, and rounding decides the quantile. It is cut at 2, or
    at the fewest of the positive ones if that is 1.
    """
    joined: dict[MeanSquare, float] = {}
    for coefficient, square in terms:
        joined[square] = joined.get(square, 0.0) + coefficient
    parts = [(coefficient * square.value, square.df) for square, coefficient in joined.items()]
    spread = sum(part**2 / df for part, df in parts if df)
    total = sum(part for part, _ in parts)
    return total, max(least_df(parts), total**2 / spread) if spread > 0 else math.nan


def least_df(parts: Sequence[tuple[float, float]]) -> float:
    """The degrees of freedom at which Satterthwaite's are cut. parts: of a variance, with theirs."""
    return min([2.0, *(df for part, df in parts if part > 0 and df)])


def over_backbones(table: Table, level: float = 0.95, *, possible: Interval = ANYTHING) -> tuple[TTest, Components]:
    """The t-test of a mean difference whose cells are paired on the same backbones.

    level, possible: as of `statistics.corrected_t`. The test's n is the number of backbones, and its sd the standard
    deviation of their means. Raises UsageError as `Table`, and for a level outside 0..1.
    """
    means = table.values.mean(axis=(1, 2))
    data = _of_data(table.values.mean(axis=0), [table])
    terms = [*_mean_of_backbones(means), *data.of_mean(table)]
    test = _test(float(means.mean()), terms, [table], len(means), float(means.std(ddof=1)), level, possible)
    return test, _components([table], data)


def between_backbones(
    first: Table, second: Table, level: float = 0.95, *, possible: Interval = ANYTHING
) -> tuple[TTest, Components]:
    """The t-test of a difference of two means, first minus second, on other backbones but the same folds.

    Backbones are independent samples, as in Welch's test of the means of backbones. Seeds and folds are paired: both
    tables are of the same ones, in the same order. Without folds in common the tables are two independent estimates:
    `over_backbones` of either, and `statistics.independent`.

    Raises UsageError as `over_backbones`, and for tables with other numbers of seeds or folds.
    """
    one, two = first.values, second.values
    if one.shape[1:] != two.shape[1:] or first.same_folds != second.same_folds:
        raise UsageError("tables with the same folds must have as many seeds and folds")
    means = one.mean(axis=(1, 2)), two.mean(axis=(1, 2))
    data = _of_data(one.mean(axis=0) - two.mean(axis=0), [first, second])
    terms = [*_mean_of_backbones(means[0]), *_mean_of_backbones(means[1]), *data.of_mean(first)]
    mean = float(means[0].mean() - means[1].mean())
    test = _test(mean, terms, [first, second], len(one) + len(two), math.nan, level, possible)
    return test, _components([first, second], data)


def _test(
    mean: float, terms: Sum, tables: Sequence[Table], n: int, sd: float, level: float, possible: Interval
) -> TTest:
    total, df = satterthwaite(terms)
    error, scale = math.sqrt(max(0.0, total)), max(float(np.abs(table.values).max()) for table in tables)
    if error <= NO_SPREAD * scale:
        return without_spread(n, 0.0 if abs(mean) <= NO_SPREAD * scale else mean, 0.0, math.nan, level)
    return t_test(mean, error, df, level, n=n, sd=sd, possible=possible)


@dataclass(frozen=True)
class _Data:
    """Estimates of the variances of seed and fold, as sums; empty where nothing is known."""

    seed: Sum
    fold: Sum

    def of_mean(self, table: Table) -> Sum:
        """Their part of the variance of the mean over the seeds and folds of a table."""
        factors = (1 / table.values.shape[1], 1 / table.test_sets + table.ratio)
        return [
            (factor * coefficient, square)
            for factor, estimate in zip(factors, (self.seed, self.fold), strict=True)
            if _value(estimate) > 0
            for coefficient, square in estimate
        ]


def _value(terms: Sum) -> float:
    return sum(coefficient * square.value for coefficient, square in terms) if terms else math.nan


def _variance(values: Floats) -> MeanSquare:
    return MeanSquare(float(values.var(ddof=1)), values.size - 1)


def _mean_of_backbones(means: Floats) -> Sum:
    return [(1 / len(means), _variance(means))]


def _of_data(means: Floats, tables: Sequence[Table]) -> _Data:
    """What seeds and folds that backbones share contribute.

    means: (S, F), over the backbones, or the difference of two such; tables: those that they come from, whose
    backbones' own deviations are a part of how these means vary.
    """
    noise = [(-1 / len(table.values), _rest(table)) for table in tables]
    seeds, folds = means.shape
    same_folds = tables[0].same_folds
    if folds == 1 and not same_folds:  # a seed with a single test set of its own is a fold
        means, seeds, folds = means.reshape(1, -1), 1, seeds
    fold: Sum = []
    by_fold = means.mean(axis=0, keepdims=True) if same_folds else means
    if folds > 1:
        within = by_fold - by_fold.mean(axis=1, keepdims=True)
        df = by_fold.size - len(by_fold)
        fold = [(1.0, MeanSquare(float((within**2).sum()) / df, df)), *noise]
    if seeds == 1:
        return _Data([], fold)
    of_seeds = (1.0, _variance(means.mean(axis=1)))
    if folds == 1:
        return _Data([of_seeds, *noise], fold)
    if same_folds:  # seeds and folds are crossed, else folds are nested in seeds
        return _Data([of_seeds, (-1 / folds, _interaction(means))], fold)
    return _Data([of_seeds, (-1 / folds, fold[0][1])], fold)


def _rest(table: Table) -> MeanSquare:
    """How the backbones deviate from each other by test set."""
    values = table.values.mean(axis=1) if table.same_folds and table.test_sets > 1 else table.values
    return _interaction(values.reshape(len(values), -1))


def _interaction(rows: Floats) -> MeanSquare:
    """What rows and columns of a table leave."""
    df = (rows.shape[0] - 1) * (rows.shape[1] - 1)
    left = rows - rows.mean(axis=1, keepdims=True) - rows.mean(axis=0) + rows.mean()
    return MeanSquare(float((left**2).sum()) / df if df else 0.0, df)


def _components(tables: Sequence[Table], data: _Data) -> Components:
    between = []
    for table in tables:
        rest, cells = _interaction(table.values.reshape(len(table.values), -1)), table.values[0].size
        means = float(table.values.mean(axis=(1, 2)).var(ddof=1))
        between.append((max(0.0, means - rest.value / cells), rest.value if rest.df else math.nan))
    backbone, rest_sum = map(sum, zip(*between, strict=True))
    seed, fold = (value if math.isnan(value) else max(0.0, value) for value in map(_value, (data.seed, data.fold)))
    return Components(backbone, seed, fold, rest_sum, tuple(between))
