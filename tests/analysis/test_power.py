import math

import pytest
from statsmodels.stats.power import TTestPower

from qtlplat.analysis.power import MOST_SEEDS, power_of, repetition
from qtlplat.analysis.statistics import corrected_t
from qtlplat.errors import UsageError


@pytest.mark.parametrize(("difference", "n", "level"), [(0.01, 6, 0.95), (0.02, 12, 0.99), (-0.005, 30, 0.9)])
def test_power_without_correction_agrees_with_statsmodels(difference: float, n: int, level: float) -> None:
    expected = TTestPower().power(effect_size=abs(difference) / 0.015, nobs=n, alpha=1 - level)
    assert power_of(difference, 0.015, n, 0.0, level) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [6, 18])
def test_power_with_correction_agrees_with_statsmodels(n: int) -> None:
    """The correction makes the effect smaller by the factor between the two standard errors."""
    effect = 0.02 / 0.015 / math.sqrt(1 + n * 0.2)
    assert power_of(0.02, 0.015, n, 0.2) == pytest.approx(TTestPower().power(effect, n, 0.05), abs=1e-9)


def test_power_agrees_with_simulation() -> None:
    """Correlated normal scores, as the corrected test supposes them: the share of tests that see the difference."""
    import numpy as np

    rng, n, ratio, sd, difference = np.random.default_rng(0), 6, 0.2, 0.01, 0.02
    rho = ratio / (1 + ratio)
    shared, own = rng.standard_normal((2000, 1)), rng.standard_normal((2000, n))
    # the sample variance of such values is (1 - rho) times their variance
    values = difference + sd / math.sqrt(1 - rho) * (math.sqrt(rho) * shared + math.sqrt(1 - rho) * own)
    seen = np.mean([corrected_t(row, ratio).p < 0.05 for row in values])
    assert power_of(difference, sd, n, ratio) == pytest.approx(seen, abs=0.03)  # three standard errors


def test_the_fewest_seeds_are_the_first_that_suffice() -> None:
    needed = repetition(0.02, 0.015, 0.2, folds=6)
    assert needed.seeds is not None
    assert needed.cells == 6 * needed.seeds
    assert power_of(0.02, 0.015, needed.cells, 0.2) >= 0.8 > power_of(0.02, 0.015, needed.cells - 6, 0.2)
    assert needed.power_now == power_of(0.02, 0.015, 6, 0.2)


def test_a_difference_below_the_floor_is_seen_by_no_number_of_seeds() -> None:
    needed = repetition(0.01, 0.03, 0.2, folds=6)
    assert (needed.seeds, needed.cells) == (None, None)
    assert needed.floor == pytest.approx((1.959963985 + 0.841621234) * math.sqrt(0.2) * 0.03)  # tables of the normal
    assert power_of(needed.floor, 0.03, 10**6, 0.2) == pytest.approx(0.8, abs=1e-3)
    assert power_of(0.01, 0.03, 10**6, 0.2) < 0.8


def test_just_above_the_floor_more_seeds_than_anybody_trains_are_not_named() -> None:
    floor = repetition(0.01, 0.03, 0.2, folds=6).floor
    needed = repetition(floor * 1.00001, 0.03, 0.2, folds=6)
    assert needed.seeds is None
    assert power_of(floor * 1.00001, 0.03, 6 * MOST_SEEDS, 0.2) < 0.8


def test_without_sharing_there_is_no_floor() -> None:
    needed = repetition(0.002, 0.01, 0.0, folds=1, seeds=5)
    assert needed.floor == 0
    assert needed.seeds is not None
    assert needed.seeds > 100
    assert repetition(1.0, 0.01, 0.0, folds=1, seeds=5).seeds == 2  # one cell alone has no spread


@pytest.mark.parametrize("n", [2, 6])
def test_power_goes_on_smoothly_where_the_distribution_is_lost_in_rounding(n: int) -> None:
    sd = 1 / math.sqrt(1 / n + 0.2) / 30  # the shift is 30 at a difference of 1
    below, above = (power_of(difference, sd, n, 0.2) for difference in (0.9999, 1.0001))
    assert below == pytest.approx(above, abs=1e-3)


def test_what_cannot_be_told() -> None:
    for sd in (0.0, math.nan):
        needed = repetition(0.01, sd, 0.2, folds=6)
        assert needed.seeds is None
        assert math.isnan(needed.floor)
    assert math.isnan(power_of(0.01, 0.1, 1, 0.2))
    for options in ({"difference": 0.0}, {"level": 1.0}, {"power": 0.01}, {"folds": 0}, {"difference": math.nan}):
        with pytest.raises(UsageError):
            repetition(**{"difference": 0.01, "sd": 0.1, "test_train_ratio": 0.2, "folds": 6, **options})
