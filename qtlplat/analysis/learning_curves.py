"""Scores over the number of training samples, and how many times the data of one head another one needs."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
SEED = 20_260  # of the bootstrap: the same scores always have the same interval


@dataclass(frozen=True)
class Score:
    """A score of a cell. unit: cells of one unit are drawn together; size: number of training samples."""

    unit: Hashable
    size: int
    value: float


@dataclass(frozen=True)
class DataRatio:
    """How many times the training samples of another head a head needs for the same mean score.

    level: that score, the lower one of both heads' best; ratio, low, high: with the ends of a bootstrap interval; they
    are bounds where `ratio` is beyond what was measured: a head that reaches the level with the fewest samples already
    may need still fewer. censored: whether it is such a bound. n: units that were drawn.
    """

    level: float
    ratio: float
    low: float
    high: float
    censored: bool
    n: int


def means(scores: Sequence[Score]) -> dict[int, float]:
    """The mean score by number of training samples, in ascending order."""
    by_size: dict[int, list[float]] = {}
    for score in scores:
        by_size.setdefault(score.size, []).append(score.value)
    return {size: math.fsum(values) / len(values) for size, values in sorted(by_size.items())}


def data_ratio(
    head: Sequence[Score], other: Sequence[Score], *, higher_is_better: bool = True, level: float = 0.95
) -> DataRatio | None:
    """Compare two learning curves at the best score that both reach.

    Each curve is made monotone (isotonic regression), and interpolated linearly over the logarithm of the number of
    training samples. The interval is the percentile bootstrap over units (Efron & Tibshirani 1993, ch. 13), which
    draws the same units for both heads.

    Args:
        head: Scores of the head at two sizes or more.
        other: Those of the other head, for the same units and sizes.
        higher_is_better: Of the score.
        level: Of the interval.

    Returns:
        None if there are fewer than two sizes or units, or a score that is not finite.
    """
    sign = 1.0 if higher_is_better else -1.0
    units = sorted({score.unit for score in head} & {score.unit for score in other}, key=repr)
    sizes = sorted({score.size for score in head} & {score.size for score in other})
    if len(units) < 2 or len(sizes) < 2:
        return None
    curves = sign * np.array([_by_unit(scores, units, sizes) for scores in (head, other)])  # (2, U, S)
    if not np.isfinite(curves).all():
        return None
    at, ratio, censored = _ratio(curves.mean(axis=1), sizes)
    drawn = np.random.default_rng(SEED).integers(len(units), size=(RESAMPLES, len(units)))
    ratios = [_ratio(curves[:, one].mean(axis=1), sizes)[1] for one in drawn]
    low, high = (float(end) for end in np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2]))
    return DataRatio(sign * at, ratio, low, high, censored, len(units))


def _by_unit(scores: Sequence[Score], units: Sequence[Hashable], sizes: Sequence[int]) -> npt.NDArray[np.float64]:
    """Mean scores (U, S); NaN where a unit has none of a size."""
    cells: dict[tuple[Hashable, int], list[float]] = {}
    for score in scores:
        cells.setdefault((score.unit, score.size), []).append(score.value)
    return np.array(
        [[np.mean(cells[unit, size]) if (unit, size) in cells else np.nan for size in sizes] for unit in units]
    )


def _ratio(curves: npt.NDArray[np.float64], sizes: Sequence[int]) -> tuple[float, float, bool]:
    """Level, ratio of the samples that both need to reach it, and whether one of them needs fewer than the fewest."""
    from scipy.optimize import isotonic_regression

    rising = [isotonic_regression(curve).x for curve in curves]
    at = min(float(curve[-1]) for curve in rising)
    needed = [_samples(curve, sizes, at) for curve in rising]
    return at, needed[0] / needed[1], any(float(curve[0]) >= at for curve in rising)


def _samples(curve: npt.NDArray[np.float64], sizes: Sequence[int], at: float) -> float:
    """The fewest samples with which a rising curve reaches a score that it does reach."""
    after = int(np.argmax(curve >= at))
    if after == 0:
        return float(sizes[0])
    low, high = float(curve[after - 1]), float(curve[after])
    share = (at - low) / (high - low)
    return math.exp(math.log(sizes[after - 1]) + share * (math.log(sizes[after]) - math.log(sizes[after - 1])))


def ratio_line(head: str, other: str, metric: str, found: DataRatio | None) -> str:
    """The same in a sentence."""
    if found is None:
        return f"{head} and {other}: too few sizes, backbones, seeds or folds to compare their need for data"
    if found.censored:
        most = found.ratio >= 1
        words = f"{'at least' if most else 'at most'} {found.ratio:.1f} times"
        return f"to reach {metric} {found.level:.4f}, {head} needs {words} the training samples of {other}"
    return (
        f"to reach {metric} {found.level:.4f}, {head} needs {found.ratio:.1f} times the training samples of {other} "
        f"({found.low:.1f} to {found.high:.1f}, n = {found.n})"
    )
