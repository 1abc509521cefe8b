"""Tests of scores on several datasets: signed ranks, Friedman and Nemenyi, and how many datasets it takes.

Knows numbers only. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006), and for the
Bayesian test Benavoli, Corani, Demšar & Zaffalon, "Time for a Change", JMLR 18 (2017), section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from qtlplat.analysis.power import power_at
from qtlplat.analysis.statistics import Floats, Rope
from qtlplat.errors import UsageError, safe_repr

DIGITS = 12  # values that differ by less are equal: rounding must not decide a rank
PRIOR = 0.5  # strength of the pseudo-difference 0 of the Bayesian test, in datasets
SAMPLES = 50_000  # of its posterior
EFFICIENCY = 3 / math.pi  # of the signed-rank test, relative to the t-test, for normal differences
POWER = 0.8
MOST_DATASETS = 10_000


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test. better, worse: sums of ranks of positive and negative differences; p: two-sided.

    least_p: the smallest p that as many differences can have.
    """

    n: int
    better: float
    worse: float
    p: float
    least_p: float


def signed_rank(differences: Sequence[float] | Floats) -> SignedRank:
    """Wilcoxon's signed-rank test of differences (n,) being symmetric around 0.

    Ranks of differences of 0 are split evenly between both sides (Demšar 2006, section 3.1.3). p is exact, from all
    2^n choices of signs, also with ties. Raises UsageError for no values, and for values that are not finite.
    """
    x = _rounded(differences, 1)
    ranks = stats.rankdata(np.abs(x))
    zeros = float(ranks[x == 0].sum()) / 2
    better, worse = (float(ranks[side].sum()) + zeros for side in (x > 0, x < 0))
    # ranks are multiples of a half: the distribution of the sum of the positive ones, counted in halves
    doubled = np.rint(2 * ranks[x != 0]).astype(np.int64)
    chances = np.ones(1)
    for rank in doubled.tolist():
        chances = 0.5 * (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0)))
    at = round(2 * float(ranks[x > 0].sum()))
    p = min(1.0, 2 * float(min(chances[: at + 1].sum(), chances[at:].sum())))
    return SignedRank(len(x), better, worse, p, 2.0 ** (1 - len(x)))


def bayesian_signed_rank(
    differences: Sequence[float] | Floats, width: float = 0.01, *, samples: int = SAMPLES, seed: int = 0
) -> Rope:
    """The Bayesian signed-rank test with a region of practical equivalence of ±width.

    The distribution of differences between datasets has a Dirichlet process prior, whose strength `PRIOR` lies on a
    difference of 0. The posterior are Dirichlet weights of the differences (n,): they give the chances that the mean of
    two drawn ones lies below, inside or above the region. Each probability is how often its chance is the greatest of
    the three; equal ones share.

    Raises UsageError as `signed_rank`, and for a negative width.
    """
    if not width >= 0 or math.isinf(width):
        raise UsageError(f"the region of practical equivalence is ±{safe_repr(width)}, not ±0 or more")
    x = np.concatenate([[0.0], _rounded(differences, 1)])
    sums = np.round(x[:, None] + x, DIGITS)
    above, below = sums > 2 * width, sums < -2 * width
    weights = np.random.default_rng(seed).dirichlet([PRIOR, *np.ones(len(x) - 1)], samples)
    better, worse = ((weights @ side * weights).sum(axis=1) for side in (above, below))
    chances = np.round(np.stack([worse, 1 - better - worse, better]), DIGITS)
    greatest = chances == chances.max(axis=0)
    worse_p, equal_p, better_p = (greatest / greatest.sum(axis=0)).mean(axis=1).tolist()
    return Rope(width, worse_p, equal_p, better_p)


@dataclass(frozen=True)
class Ranks:
    """Average ranks of k configurations on n datasets, 1 is best, with Friedman's and Nemenyi's tests.

    ranks: (n, k); means: (k,); chi2: Friedman's statistic, and p that of F (Iman & Davenport), its correction with
    k - 1 and (k - 1)(n - 1) degrees of freedom, but never below that of n equal orders, which is exact: k!^(1-n), where
    F is infinite; critical_difference: of two mean ranks, at the level; nemenyi: (k, k),
    p of each pair, 1 on the diagonal.
    """

    ranks: Floats
    means: Floats
    chi2: float
    f: float
    p: float
    critical_difference: float
    nemenyi: Floats

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """The largest sets of configurations, best first, whose mean ranks differ by less than the critical difference.

        Sets of one are left out.
        """
        order = np.argsort(self.means, kind="stable").tolist()
        found: list[tuple[int, ...]] = []
        last = 0
        for i, first in enumerate(order):
            size = sum(self.means[other] - self.means[first] < self.critical_difference for other in order[i:])
            if size > 1 and i + size > last:
                found.append(tuple(order[i : i + size]))
                last = i + size
        return found


def ranked(values: Floats, *, lower_is_better: bool = False, level: float = 0.95) -> Ranks:
    """Ranks, Friedman's test and Nemenyi's of values (n, k), n datasets and k configurations, two or more of either.

    Equal values have the mean of their ranks. The statistic is Demšar's, without a correction for ties, which makes
    it cautious. Raises UsageError for fewer rows or columns, and for values that are not finite.
    """
    x = _rounded(values, 2)
    n, k = x.shape
    if min(n, k) < 2:
        raise UsageError(f"ranks need two datasets and two configurations, not {n} and {k}")
    ranks = stats.rankdata(x if lower_is_better else -x, axis=1)
    means = ranks.mean(axis=0)
    chi2 = 12 * n / (k * (k + 1)) * (float((means**2).sum()) - k * (k + 1) ** 2 / 4)
    left = n * (k - 1) - chi2
    f = (n - 1) * chi2 / left if left > 1e-9 else math.inf
    p = max(float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))), math.exp((1 - n) * math.lgamma(k + 1)))
    error = math.sqrt(k * (k + 1) / (6 * n))
    critical = float(stats.studentized_range.ppf(level, k, math.inf)) / math.sqrt(2) * error
    apart = np.abs(means[:, None] - means) / error * math.sqrt(2)
    nemenyi = np.ones((k, k))
    for i in range(k):
        for j in range(i):
            nemenyi[i, j] = nemenyi[j, i] = float(stats.studentized_range.sf(apart[i, j], k, math.inf))
    return Ranks(ranks, means, chi2, f, p, critical, nemenyi)


@dataclass(frozen=True)
class DatasetsNeeded:
    """The fewest datasets that show a difference with this power; None if `MOST_DATASETS` do not.

    difference: in the metric's units; power_now: of the present ones. NaN if the differences have no spread.
    """

    difference: float
    power: float
    datasets: int | None
    power_now: float


def datasets_needed(
    difference: float, sd: float, n: int, level: float = 0.95, power: float = POWER, *, tests: int = 1
) -> DatasetsNeeded:
    """How many datasets the signed-rank test takes to see a mean difference.

    sd: standard deviation of the difference from dataset to dataset; n: the present datasets; tests: of a family, of
    which the least p is Holm's: the level is Bonferroni's. The power is that of the t-test on 3/pi times as many
    datasets, the efficiency of the signed-rank test if the differences are normal (Lehmann, "Nonparametrics", 2006,
    chapter 4), and 0 if so few differences cannot have a p below 1 - level.
    Raises UsageError for a difference that is not above 0.
    """
    if not 0 < difference < math.inf:
        raise UsageError(f"the difference to be seen is {safe_repr(difference)}, not above 0")
    if not sd > 0:
        return DatasetsNeeded(difference, power, None, math.nan)
    alpha = (1 - level) / tests

    def reached(datasets: int) -> float:
        effective = datasets * EFFICIENCY
        if 2.0 ** (1 - datasets) >= alpha or effective <= 1:
            return 0.0
        return power_at(difference, sd / math.sqrt(effective), effective - 1, 1 - alpha)

    low, high = 1, MOST_DATASETS
    if reached(high) < power:
        return DatasetsNeeded(difference, power, None, reached(n))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    return DatasetsNeeded(difference, power, high, reached(n))


def _rounded(values: Sequence[float] | Floats, axes: int) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != axes or not x.size:
        raise UsageError(f"values have shape {x.shape}, not that of {axes} axes with at least one value")
    if not np.isfinite(x).all():
        raise UsageError(f"{int((~np.isfinite(x)).sum())} of {x.size} values are not finite", fix="leave them out")
    return np.round(x, DIGITS)
