import math

import pytest
from statsmodels.stats.power import TTestPower

from qtlplat.analysis.components import Components, Table, between_backbones, over_backbones
from qtlplat.analysis.power import (
    MOST_BACKBONES,
    MOST_SEEDS,
    Layout,
    expected_error,
    more_backbones,
    power_at,
    power_of,
    repetition,
)
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


OF_TWO = Components(4e-4, math.nan, 2e-5, 9e-4, ((2e-4, 4e-4), (2e-4, 5e-4)))
PAIRED = Components(2e-4, math.nan, 2e-5, 4e-4, ((2e-4, 4e-4),))


def test_the_expected_error_is_that_of_a_table_with_these_components() -> None:
    """For the present layout, components that are all positive give back the standard error that they come from."""
    import numpy as np

    rng = np.random.default_rng(2)
    one, two = (
        rng.standard_normal((b, 1, 1)) + rng.standard_normal((1, 3, 4)) + 0.3 * rng.standard_normal((b, 3, 4))
        for b in (4, 6)
    )
    one += np.arange(3).reshape(1, 3, 1) * 4.0
    test, found = over_backbones(Table(one, 0.25))
    assert min(found.backbone, found.seed, found.fold) > 0
    assert expected_error(found, Layout((4,), 3, 4, 0.25))[0] == pytest.approx(test.standard_error, rel=1e-12)
    test, found = between_backbones(Table(one, 0.25), Table(two, 0.25))
    assert min(found.backbone, found.seed, found.fold) > 0
    assert expected_error(found, Layout((4, 6), 3, 4, 0.25))[0] == pytest.approx(test.standard_error, rel=1e-12)


def test_power_over_backbones_without_an_effect_of_folds_agrees_with_statsmodels() -> None:
    only = Components(2e-4, math.nan, 0.0, 4e-4, ((2e-4, 4e-4),))
    error, df = expected_error(only, Layout((7,), 1, 6, 0.2))
    expected = TTestPower().power(effect_size=0.02 / math.sqrt(2e-4 + 4e-4 / 6), nobs=7, alpha=0.05)
    assert power_at(0.02, error, df) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("components", [OF_TWO, PAIRED])
def test_the_fewest_backbones_are_the_first_that_suffice(components: Components) -> None:
    layout = Layout((3,) * len(components.between), 1, 6, 0.2)
    needed = more_backbones(0.02, components, layout)
    assert needed.backbones
    assert needed.cells == 6 * needed.backbones
    at = {n: expected_error(components, Layout((n,) * len(components.between), 1, 6, 0.2)) for n in range(2, 40)}
    assert power_at(0.02, *at[needed.backbones]) >= 0.8 > power_at(0.02, *at[needed.backbones - 1])
    assert needed.power_now == power_at(0.02, *at[3])


def test_seeds_are_added_where_no_number_of_backbones_suffices() -> None:
    folds = Components(1e-5, math.nan, 4e-4, 1e-4, ((1e-5, 1e-4),))
    needed = more_backbones(0.03, folds, Layout((3,), 1, 6, 0.2))
    assert needed.seeds
    assert needed.seeds > 1
    assert power_at(0.03, *expected_error(folds, Layout((MOST_BACKBONES,), 1, 6, 0.2))) < 0.8
    none = more_backbones(0.01, folds, Layout((3,), 1, 6, 0.2))
    assert (none.seeds, none.backbones) == (None, None)
    assert none.floor == pytest.approx((1.959963985 + 0.841621234) * math.sqrt(0.2 * 4e-4))  # tables of the normal
    assert math.isnan(more_backbones(0.01, Components(0, 0, 0, 0, ((0, 0),)), Layout((3,), 1, 6, 0.2)).power_now)


def test_power_over_backbones_agrees_with_simulation() -> None:
    import numpy as np

    rng, draws, components, ratio = np.random.default_rng(5), 400, PAIRED, 0.2
    rho = ratio / (1 + ratio)
    sd = [math.sqrt(value) for value in (components.backbone, components.fold, components.rest)]
    seen = 0
    for _ in range(draws):
        folds = math.sqrt(rho) * rng.standard_normal() + math.sqrt(1 - rho) * rng.standard_normal((1, 1, 6))
        values = sd[0] * rng.standard_normal((8, 1, 1)) + sd[1] * folds + sd[2] * rng.standard_normal((8, 1, 6))
        seen += over_backbones(Table(0.02 + values, ratio))[0].p < 0.05
    expected = power_at(0.02, *expected_error(components, Layout((8,), 1, 6, ratio)))
    assert seen / draws == pytest.approx(expected, abs=0.08)  # three standard errors, and an approximation
