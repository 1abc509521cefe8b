"""How many folds and seeds it takes to see a difference, and which differences no number of seeds can show.

Knows numbers only. The corrected variance of a mean difference, (1/n + n_test/n_train) s², has a part that more cells
do not make smaller: they are drawn from the same samples again and again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from qtlplat.errors import UsageError, safe_repr

MOST_SEEDS = 1000
MOST_SHIFT = 30.0  # beyond it the noncentral t-distribution is lost in rounding


@dataclass(frozen=True)
class Needed:
    """The number of seeds that a difference requires.

    difference, power, level: as requested; folds: cells per seed; seeds, cells: the fewest that suffice, None if
    `MOST_SEEDS` do not; floor: the smallest difference that any number of seeds would show with this power;
    power_now: the power of the present cells. NaN if these have no spread.
    """

    difference: float
    power: float
    level: float
    folds: int
    seeds: int | None
    cells: int | None
    floor: float
    power_now: float


def power_of(difference: float, sd: float, n: int, test_train_ratio: float, level: float = 0.95) -> float:
    """Power of the two-sided corrected t-test, 0..1, from the noncentral t-distribution.

    difference: the true one; sd: of the paired differences between cells; n: cells, 2 or more. NaN without spread.
    """
    if n < 2 or not sd > 0:
        return math.nan
    shift = abs(difference) / (sd * math.sqrt(1 / n + test_train_ratio))
    limit = float(stats.t.ppf((1 + level) / 2, n - 1))
    if shift > MOST_SHIFT:  # only the estimated spread can still hide the difference
        return float(stats.chi2.cdf((n - 1) * (shift / limit) ** 2, n - 1))
    # scipy loses the far end in rounding (NaN) where it holds next to nothing
    far_end = float(stats.nct.cdf(-limit, n - 1, shift))
    return float(stats.nct.sf(limit, n - 1, shift)) + (0.0 if math.isnan(far_end) else far_end)


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
    if not 0 < difference < math.inf:
        raise UsageError(f"the difference to be seen is {safe_repr(difference)}, not above 0")
    if not (0 < level < 1 and 0 < power < 1 and 1 - level < power):
        raise UsageError(f"level {level} and power {power} must lie between 0 and 1, the power above {1 - level:.3g}")
    if folds < 1 or seeds < 1:
        raise UsageError(f"there must be a fold and a seed at least, not {folds} and {seeds}")
    if not sd > 0:
        return Needed(difference, power, level, folds, None, None, math.nan, math.nan)
    z = float(stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(power))
    floor = z * sd * math.sqrt(test_train_ratio)
    now = power_of(difference, sd, folds * seeds, test_train_ratio, level)
    fewest = _fewest_seeds(difference, sd, test_train_ratio, folds, level, power)
    return Needed(difference, power, level, folds, fewest, fewest and fewest * folds, floor, now)


def _fewest_seeds(difference: float, sd: float, ratio: float, folds: int, level: float, power: float) -> int | None:
    """By bisection: power grows with the number of cells."""
    low, high = (0 if folds > 1 else 1), MOST_SEEDS  # `low` seeds do not suffice: no cells, or a single one
    if power_of(difference, sd, folds * high, ratio, level) < power:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if power_of(difference, sd, folds * middle, ratio, level) >= power:
            high = middle
        else:
            low = middle
    return high
