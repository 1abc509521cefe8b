"""How many backbones, seeds and folds it takes to see a difference, and which differences no number of them can show.

Knows numbers only. The corrected variance of a mean difference, (1/n + n_test/n_train) s², has a part that more cells
do not make smaller: they are drawn from the same samples again and again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from scipy import stats

from qtlplat.analysis.components import Components, least_df
from qtlplat.errors import UsageError, safe_repr

MOST_SEEDS = MOST_BACKBONES = 1000
MOST_SHIFT = 30.0  # beyond it the noncentral t-distribution is lost in rounding


@dataclass(frozen=True)
class Needed:
    """The number of seeds, or of backbones and seeds, that a difference requires.

    difference, power, level: as requested; folds: cells per seed; seeds, cells: the fewest that suffice, None if
    `MOST_SEEDS` do not; backbones: of either side, None if they are not what is counted; floor: the smallest difference
    that any number of them would show with this power; power_now: the power of the present cells. NaN if these have no
    spread.
    """

    difference: float
    power: float
    level: float
    folds: int
    seeds: int | None
    cells: int | None
    floor: float
    power_now: float
    backbones: int | None = None


def power_at(difference: float, standard_error: float, df: float, level: float = 0.95) -> float:
    """Power of a two-sided t-test, 0..1, from the noncentral t-distribution. NaN without standard error or df."""
    if not (standard_error > 0 and df > 0):
        return math.nan
    shift = abs(difference) / standard_error
    limit = float(stats.t.ppf((1 + level) / 2, df))
    if shift > MOST_SHIFT:  # only the estimated spread can still hide the difference
        return float(stats.chi2.cdf(df * (shift / limit) ** 2, df))
    # scipy loses the far end in rounding (NaN) where it holds next to nothing
    far_end = float(stats.nct.cdf(-limit, df, shift))
    return float(stats.nct.sf(limit, df, shift)) + (0.0 if math.isnan(far_end) else far_end)


def power_of(difference: float, sd: float, n: int, test_train_ratio: float, level: float = 0.95) -> float:
    """Power of the two-sided corrected t-test, 0..1, from the noncentral t-distribution.

    difference: the true one; sd: of the paired differences between cells; n: cells, 2 or more. NaN without spread.
    """
    if n < 2 or not sd > 0:
        return math.nan
    return power_at(difference, sd * math.sqrt(1 / n + test_train_ratio), n - 1, level)


def repetition(
    difference: float,
    sd: float,
    test_train_ratio: float,
    *,
    folds: int,
    seeds: int = 1,
    level: float = 0.95,
    power: float = 0.8,
) -> Needed:
    """The seeds, each a whole cross-validation of `folds` cells, that show a difference with the power asked for.

    difference: in the metric's units; sd: of the differences between the cells there are, of `seeds` seeds.
    The standard error never falls below sqrt(n_test / n_train) * sd, so that no number of seeds shows a difference
    below `floor` = (z_level + z_power) times that. Raises UsageError for numbers that make no sense.
    """
    _check(difference, level, power)
    if folds < 1 or seeds < 1:
        raise UsageError(f"there must be a fold and a seed at least, not {folds} and {seeds}")
    if not sd > 0:
        return Needed(difference, power, level, folds, None, None, math.nan, math.nan)
    z = float(stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(power))
    floor = z * sd * math.sqrt(test_train_ratio)
    now = power_of(difference, sd, folds * seeds, test_train_ratio, level)
    # no cells, or a single one, do not suffice
    fewest = _fewest(
        lambda n: power_of(difference, sd, folds * n, test_train_ratio, level) >= power, folds == 1, MOST_SEEDS
    )
    return Needed(difference, power, level, folds, fewest, fewest and fewest * folds, floor, now)


def _fewest(suffice: Callable[[int], bool], too_few: int, most: int) -> int | None:
    """The smallest number that suffices, by bisection, for power grows with it; None if `most` does not."""
    if not suffice(most):
        return None
    low, high = too_few, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffice(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class Layout:
    """How many backbones either side has, seeds, and folds per seed. ratio, same_folds: as of `components.Table`."""

    backbones: tuple[int, ...]
    seeds: int
    folds: int
    ratio: float
    same_folds: bool = False


def expected_error(components: Components, layout: Layout) -> tuple[float, float]:
    """The standard error of a mean difference that components of variance imply for a layout, and its df.

    components: of a difference, with `between` for as many independent sets of backbones as the layout has. Degrees of
    freedom are Satterthwaite's, at the expected mean squares. NaN if nothing varies.
    """
    seeds, folds = layout.seeds, layout.folds
    sets = folds if layout.same_folds else seeds * folds
    between = [(backbone, 0.0 if math.isnan(rest) else rest) for backbone, rest in components.between]
    parts = [  # of the variance, with their degrees of freedom
        ((backbone + rest / (seeds * folds)) / n, n - 1)
        for n, (backbone, rest) in zip(layout.backbones, between, strict=True)
    ]
    if components.fold > 0 and sets > 1:
        factor, repeats = 1 / sets + layout.ratio, seeds if layout.same_folds else 1
        noise = [rest / n / repeats for n, (_, rest) in zip(layout.backbones, between, strict=True)]
        parts.append((factor * (components.fold + sum(noise)), sets - 1))
        parts += [(-factor * one, (n - 1) * (sets - 1)) for n, one in zip(layout.backbones, noise, strict=True)]
    if components.seed > 0 and seeds > 1:
        parts.append((components.seed / seeds, seeds - 1))
    total = sum(part for part, _ in parts)
    spread = sum(part**2 / df for part, df in parts)
    if not (total > 0 and spread > 0):
        return math.nan, math.nan
    return math.sqrt(total), max(least_df(parts), total**2 / spread)


def more_backbones(
    difference: float, components: Components, layout: Layout, *, level: float = 0.95, power: float = 0.8
) -> Needed:
    """The backbones of either side, and the seeds of each, that show a difference with the power asked for.

    layout: the present one. Backbones are added first; where no number of them suffices, seeds are doubled. The floor
    is that of `repetition`, with the standard deviation of the component of folds. Raises UsageError for numbers that
    make no sense.
    """
    _check(difference, level, power)

    def reached(backbones: tuple[int, ...], seeds: int) -> float:
        return power_at(
            difference, *expected_error(components, replace(layout, backbones=backbones, seeds=seeds)), level
        )

    now = reached(layout.backbones, layout.seeds)
    if math.isnan(now):
        return Needed(difference, power, level, layout.folds, None, None, math.nan, math.nan)
    z = float(stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(power))
    floor = z * math.sqrt(layout.ratio * (0.0 if math.isnan(components.fold) else components.fold))
    for seeds in (layout.seeds * 2**i for i in range(7)):

        def suffice(backbones: int, seeds: int = seeds) -> bool:
            return reached((backbones,) * len(layout.backbones), seeds) >= power

        if fewest := _fewest(suffice, 1, MOST_BACKBONES):
            cells = fewest * seeds * layout.folds
            return Needed(difference, power, level, layout.folds, seeds, cells, floor, now, fewest)
    return Needed(difference, power, level, layout.folds, None, None, floor, now)


def _check(difference: float, level: float, power: float) -> None:
    if not 0 < difference < math.inf:
        raise UsageError(f"the difference to be seen is {safe_repr(difference)}, not above 0")
    if not (0 < level < 1 and 0 < power < 1 and 1 - level < power):
        raise UsageError(f"level {level} and power {power} must lie between 0 and 1, the power above {1 - level:.3g}")
