"""Scores over the number of training samples, and how many times the data of one head another one needs."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtlplat.conventions import HEAD, share_of

RESAMPLES = 2000
FEWEST = 5  # units of which a bootstrap says anything
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

    level: that score, the lower one of both heads' best; low, high: ends of a bootstrap interval, NaN if there are
    too few units; censored: whether the ratio is a bound, since a head reaches the level with the fewest samples
    already and may need still fewer; n: units that were drawn.
    """

    level: float
    ratio: float
    low: float
    high: float
    censored: bool
    n: int


def curves(cells: Sequence[Mapping[str, Any]], metric: str) -> dict[str, list[Score]]:
    """The scores of a run by variant, if it has cells with shares of their training samples.

    Units are the backbones; with a single one they are its folds and seeds. Cells of one share count as equally large:
    folds may differ by a sample.

    Args:
        cells: As `cell_form` gives them.
        metric: By name; cells without it are left out.
    """
    finished = [cell for cell in cells if cell["status"] == "finished" and metric in cell["metrics"]]
    if all(share_of(cell["variant"]) == 1 for cell in finished):
        return {}
    several = len({cell["backbone_index"] for cell in finished}) > 1
    sizes: dict[float, list[int]] = {}
    for cell in finished:
        sizes.setdefault(share_of(cell["variant"]), []).append(cell["n_train"])
    found: dict[str, list[Score]] = {}
    for cell in finished:
        share = share_of(cell["variant"])
        unit = cell["backbone_index"] if several else (cell["seed"], cell["fold"])
        size = round(sum(sizes[share]) / len(sizes[share]))
        found.setdefault(cell["variant"].partition("/")[0], []).append(Score(unit, size, cell["metrics"][metric]))
    return found


def ratio_lines(found: Mapping[str, Sequence[Score]], metric: str, *, higher_is_better: bool = True) -> list[str]:
    """How much data the head needs, compared with each control but `shuffled`."""
    others = [name for name in found if name not in (HEAD, "shuffled")]
    return [
        ratio_line(HEAD, name, metric, data_ratio(found[HEAD], found[name], higher_is_better=higher_is_better))
        for name in others
        if HEAD in found
    ]


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
    if len(units) < FEWEST:
        return DataRatio(sign * at, ratio, math.nan, math.nan, censored, len(units))
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
    interval = f"{found.low:.1f} to {found.high:.1f}, " if math.isfinite(found.low) else "too few for an interval, "
    words = f"{head} needs {found.ratio:.1f} times the training samples of {other}"
    return f"to reach {metric} {found.level:.4f}, {words} ({interval}n = {found.n})"
