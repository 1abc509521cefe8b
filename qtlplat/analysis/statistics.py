"""Tests, intervals and probabilities for scores of cross-validation; knows numbers only, no runs and no store.

Cells of one cross-validation share most of their training samples, so their scores are not independent. What is
computed from cells therefore uses the corrected variance of Nadeau & Bengio, "Inference for the Generalization Error",
Machine Learning 52 (2003), unless its docstring says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from qtlplat.errors import UsageError, safe_repr

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

NOTHING: Interval = (math.nan, math.nan)
ANYTHING: Interval = (-math.inf, math.inf)
# A spread below this share of the largest value is what rounding leaves of none at all.
NO_SPREAD = 1e-12
RESAMPLES = 9999


@dataclass(frozen=True)
class TTest:
    """A two-sided t-test of a mean, or of a difference of means, against zero.

    n: values tested (of both samples together where there are two); mean: the tested mean; sd: sample standard
    deviation of the values, NaN for two samples; standard_error: of the mean; df: degrees of freedom; interval: of the
    mean, at the confidence level, cut to the values that the mean can have (cut_off says how many of its ends were).
    A test that the values do not allow has NaN in what cannot be said.
    """

    n: int
    mean: float
    sd: float
    standard_error: float
    t: float
    df: float
    p: float
    interval: Interval
    level: float
    cut_off: int = 0


@dataclass(frozen=True)
class McNemar:
    """McNemar's test. first_only, second_only: what only one of two classifiers gets right; p: two-sided."""

    first_only: int
    second_only: int
    p: float
    form: str = "exact binomial"


@dataclass(frozen=True)
class Rope:
    """Probabilities that a mean difference lies below, inside and above ±width; NaN if nothing can be said."""

    width: float
    worse: float
    equal: float
    better: float


def differences(values: Sequence[float], baseline: Sequence[float]) -> Floats:
    """Paired differences, values minus baseline; float64 (n,).

    Differences of a few units in the last place are rounding, and become 0. Raises UsageError for different lengths
    and for values that are not finite.
    """
    first, second = _finite(values), _finite(baseline)
    if len(first) != len(second):
        raise UsageError(
            f"paired values must be as many on both sides, not {len(first)} and {len(second)}",
            fix="pair them by fold and seed first",
        )
    result: Floats = first - second
    result[np.abs(result) <= 8 * np.finfo(np.float64).eps * np.maximum(np.abs(first), np.abs(second))] = 0.0
    return result


def corrected_t(
    values: Sequence[float] | Floats, test_train_ratio: float, level: float = 0.95, *, possible: Interval = ANYTHING
) -> TTest:
    """The corrected resampled t-test of a mean against zero (Nadeau & Bengio 2003, section 5.1).

    values: one per cell, (n,): paired differences for a comparison, scores for the interval of a mean.
    test_train_ratio: n_test / n_train of a cell; the variance of the mean is (1/n + n_test/n_train) times that of the
    values. 0 gives the ordinary t-test. level: of the interval, 0..1. possible: the least and the greatest value that
    the mean can have; the interval is cut there, which leaves its coverage: what is cut off can never be the true mean.

    With one value there is a mean and nothing else. Values without spread allow no test either (all else is NaN), but
    where all are exactly 0 nothing differs: p is 1, the interval (0, 0).
    Raises UsageError for no values, values that are not finite, a negative ratio, and a level outside 0..1.
    """
    x = _finite(values)
    _check(level, 0, 1, "the confidence level")
    if not test_train_ratio >= 0 or math.isinf(test_train_ratio):
        raise UsageError(f"the ratio of test to training samples is {safe_repr(test_train_ratio)}, not 0 or more")
    n, mean, sd = len(x), float(x.mean()), _sd(x)
    if not sd > 0:
        return without_spread(n, mean, sd, float(n - 1), level)
    return t_test(mean, sd * math.sqrt(1 / n + test_train_ratio), n - 1, level, n=n, sd=sd, possible=possible)


def welch_t(
    values: Sequence[float],
    baseline: Sequence[float],
    level: float = 0.95,
    *,
    ratios: tuple[float, float] = (0.0, 0.0),
    possible: Interval = ANYTHING,
) -> TTest:
    """Welch's t-test of two means, for values that cannot be paired; values minus baseline.

    ratios: n_test / n_train of either side, which correct the variance of its mean as in `corrected_t`; zeros give the
    ordinary test, which takes the values of a side as independent. The sides are taken as independent of each other;
    where they share samples the variance of the difference is smaller than that, and p rather too large. possible: as
    of `corrected_t`.

    Fewer than two values on a side, or no spread on both, allow no test (NaN), but equal values throughout have p 1.
    Raises UsageError as `corrected_t`.
    """
    x, y = _finite(values), _finite(baseline)
    _check(level, 0, 1, "the confidence level")
    n, mean = len(x) + len(y), float(x.mean() - y.mean())
    if min(len(x), len(y)) < 2 or max(_sd(x), _sd(y)) == 0:
        alike = min(len(x), len(y)) > 1 and abs(mean) <= NO_SPREAD * float(np.abs(x).max())
        return without_spread(n, 0.0 if alike else mean, 0.0 if alike else math.nan, math.nan, level)
    parts = [(1 / len(one) + ratio) * _sd(one) ** 2 for one, ratio in zip((x, y), ratios, strict=True)]
    error = math.sqrt(sum(parts))
    df = sum(parts) ** 2 / sum(part**2 / (len(one) - 1) for part, one in zip(parts, (x, y), strict=True))
    return t_test(mean, error, df, level, n=n, possible=possible)


def t_test(
    mean: float,
    standard_error: float,
    df: float,
    level: float = 0.95,
    *,
    n: int,
    sd: float = math.nan,
    possible: Interval = ANYTHING,
) -> TTest:
    """The two-sided t-test of a mean with this standard error, which is above 0; fields as of `TTest`.

    Raises UsageError for a level outside 0..1.
    """
    _check(level, 0, 1, "the confidence level")
    t = mean / standard_error
    reach = float(stats.t.ppf((1 + level) / 2, df)) * standard_error
    p = 2 * float(stats.t.sf(abs(t), df))
    return TTest(n, mean, sd, standard_error, t, float(df), p, *_cut(mean, reach, level, possible))


def independent(first: TTest, second: TTest, *, possible: Interval = ANYTHING) -> TTest:
    """The t-test of the difference of two independent estimates, first minus second, as `welch_t` of two samples.

    Degrees of freedom are Satterthwaite's. A side without spread has no standard error, and counts as known exactly.
    """
    mean = first.mean - second.mean
    sides = [(one.standard_error**2, one.df) for one in (first, second) if one.standard_error > 0]
    if not sides:
        return without_spread(first.n + second.n, mean, 0.0, math.nan, first.level)
    total = sum(variance for variance, _ in sides)
    df = total**2 / sum(variance**2 / df for variance, df in sides)
    return t_test(mean, math.sqrt(total), df, first.level, n=first.n + second.n, possible=possible)


def bootstrap_mean(
    values: Sequence[float] | Floats, level: float = 0.95, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Bootstrap interval of a mean (bias-corrected and accelerated; Efron 1987), by scipy, from a seed.

    Values are taken as independent, which the cells of a cross-validation are not. NaN for one value, the mean itself
    if there is no spread. Raises UsageError as `corrected_t`.
    """
    x = _finite(values)
    _check(level, 0, 1, "the confidence level")
    if len(x) < 2:
        return NOTHING
    if not _sd(x) > 0:
        return float(x.mean()), float(x.mean())
    found = stats.bootstrap(
        (x,),
        np.mean,
        n_resamples=resamples,
        confidence_level=level,
        method="BCa",
        vectorized=True,
        random_state=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def mcnemar(first_only: int, second_only: int) -> McNemar:
    """McNemar's test of two classifiers on the same samples, in its exact form, from the counts of disagreement.

    Under the null each disagreement is as likely to fall either way, and p is the two-sided binomial one, 1 where there
    is none. What is counted must be independent of each other. Raises UsageError for a negative count.
    """
    if min(first_only, second_only) < 0:
        raise UsageError(f"counts cannot be negative: {first_only} and {second_only}")
    total = first_only + second_only
    p = float(stats.binomtest(first_only, total, 0.5).pvalue) if total else 1.0
    return McNemar(first_only, second_only, p)


def practical_equivalence(
    values: Sequence[float] | Floats, test_train_ratio: float, width: float = 0.01, *, possible: Interval = ANYTHING
) -> Rope:
    """The Bayesian correlated t-test with a region of practical equivalence of ±width.

    From Benavoli, Corani, Demšar & Zaffalon, "Time for a Change", JMLR 18 (2017), section 3: with their prior, and
    the correlation n_test / (n_test + n_train) between cells, the mean difference follows a t-distribution around the
    observed one, with n - 1 degrees of freedom and the corrected standard error. Values as for `corrected_t`, and so is
    `possible`: a prior that excludes what cannot be.
    One value, or values without spread, say nothing: NaN. Raises UsageError as `corrected_t`, and for a negative width.
    """
    return equivalence(corrected_t(values, test_train_ratio), width, possible=possible)


def equivalence(test: TTest, width: float = 0.01, *, possible: Interval = ANYTHING) -> Rope:
    """The same from a test: the posterior of the mean difference is its t-distribution, with its standard error.

    With the prior 1/variance on each mean square this is the posterior of a balanced hierarchical model without
    correlation between folds (Box & Tiao, "Bayesian Inference in Statistical Analysis", 1973, chapter 5), and with the
    test's degrees of freedom an approximation to it where several mean squares count. A test without a standard error
    says nothing: NaN. Raises UsageError for a negative width.
    """
    if not width >= 0 or math.isinf(width):
        raise UsageError(f"the region of practical equivalence is ±{safe_repr(width)}, not ±0 or more")
    if not test.standard_error > 0:
        return Rope(width, math.nan, math.nan, math.nan)
    posterior = stats.t(test.df, loc=test.mean, scale=test.standard_error)
    below, above = float(posterior.cdf(possible[0])), float(posterior.sf(possible[1]))
    within = 1 - below - above
    worse = max(0.0, float(posterior.cdf(-width)) - below) / within
    better = max(0.0, float(posterior.sf(width)) - above) / within
    return Rope(width, worse, max(0.0, 1 - worse - better), better)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values of a family (Scandinavian Journal of Statistics 6, 1979), in the order given.

    A NaN stands for a test that was not possible: it stays NaN, and the family is the others.
    Raises UsageError for a value outside 0..1.
    """
    for p in p_values:
        if not math.isnan(p):
            _check(p, 0, 1, "a p-value", closed=True)
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _finite(values: Any) -> Floats:
    x = np.array(values, dtype=np.float64)
    if x.ndim != 1 or not x.size:
        raise UsageError(
            "there are no values to compute with" if not x.size else f"values have shape {x.shape}, not (n,)"
        )
    if not np.isfinite(x).all():
        raise UsageError(
            f"{int((~np.isfinite(x)).sum())} of {len(x)} values are not finite", fix="leave them out, and say so"
        )
    return x


def _cut(mean: float, reach: float, level: float, possible: Interval) -> tuple[Interval, float, int]:
    """The interval around a mean within what is possible, its level, and how many of its ends were cut off."""
    low, high = mean - reach, mean + reach
    # a mean beyond what is declared to be possible is nothing that a cut could help
    least, most = min(possible[0], mean), max(possible[1], mean)
    return (max(low, least), min(high, most)), level, (low < least) + (high > most)


def _check(value: float, low: float, high: float, what: str, *, closed: bool = False) -> None:
    if not (low <= value <= high if closed else low < value < high):
        raise UsageError(f"{what} is {safe_repr(value)}, not between {low} and {high}")


def _sd(x: Floats) -> float:
    """Sample standard deviation, exactly 0 where only rounding differs; NaN for one value."""
    if len(x) == 1:
        return math.nan
    sd = float(x.std(ddof=1))
    return sd if sd > NO_SPREAD * float(np.abs(x).max()) else 0.0


def without_spread(n: int, mean: float, sd: float, df: float, level: float) -> TTest:
    """What can be said if there is no spread: that nothing differs, or only by how much."""
    if sd == 0 and mean == 0:
        return TTest(n, mean, sd, 0.0, 0.0, df, 1.0, (0.0, 0.0), level)
    return TTest(n, mean, sd, math.nan, math.nan, df, math.nan, NOTHING, level)
