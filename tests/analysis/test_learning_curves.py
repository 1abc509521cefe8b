"""How many times the data a head needs, on curves whose answer is known."""

import math

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.isotonic import IsotonicRegression

from qtlplat.analysis.learning_curves import Score, curves, data_ratio, means, ratio_line

SIZES = (25, 50, 100, 200)


def curve(shift=1.0, units=6, noise=0.0, seed=0):
    """A score that grows with the logarithm of size / shift."""
    rng = np.random.default_rng(seed)
    return [Score(u, n, 0.5 + 0.1 * math.log(n / shift) + noise * rng.normal()) for u in range(units) for n in SIZES]


def test_a_head_with_a_shifted_curve_needs_that_many_times_the_data():
    found = data_ratio(curve(2.0), curve())
    assert found.ratio == pytest.approx(2.0)
    assert (found.low, found.high) == (pytest.approx(2.0), pytest.approx(2.0))
    assert found.level == pytest.approx(0.5 + 0.1 * math.log(100))
    assert not found.censored
    back = data_ratio(curve(), curve(2.0))
    assert back.ratio == pytest.approx(0.5)
    assert "needs 2.0 times the training samples of linear (2.0 to 2.0, n = 6)" in ratio_line(
        "head", "linear", "f1", found
    )


def test_losses_are_compared_downwards():
    loss = [[Score(s.unit, s.size, -s.value) for s in one] for one in (curve(3.0), curve())]
    found = data_ratio(*loss, higher_is_better=False)
    assert found.ratio == pytest.approx(3.0)
    assert found.level == pytest.approx(-(0.5 + 0.1 * math.log(200 / 3)))


def test_what_is_reached_with_the_fewest_samples_is_a_bound():
    found = data_ratio(curve(100.0), curve())
    assert found.censored
    assert found.ratio == pytest.approx(8.0)
    assert "at least 8.0 times" in ratio_line("head", "linear", "f1", found)


def test_the_curve_is_that_of_scikit_learns_isotonic_regression():
    """An independent answer, on curves that fall in places."""
    noisy, plain = curve(1.5, noise=0.08, seed=3), curve(noise=0.08, seed=4)
    levels, needed = [], []
    fits = []
    for one in (noisy, plain):
        points = means(one)
        fits.append(IsotonicRegression().fit_transform(list(points), list(points.values())))
    level = min(fit[-1] for fit in fits)
    levels.append(level)
    for fit in fits:
        first = int(np.argmax(fit >= level))
        needed.append(
            SIZES[0]
            if first == 0
            else math.exp(np.interp(level, fit[first - 1 : first + 1], np.log(SIZES)[first - 1 : first + 1]))
        )
    found = data_ratio(noisy, plain)
    assert found.level == pytest.approx(level)
    assert found.ratio == pytest.approx(needed[0] / needed[1])


def test_the_interval_is_that_of_a_percentile_bootstrap():
    """Of scipy, whose draws differ: within the error of 2,000 resamples."""
    noisy, plain = curve(2.0, units=12, noise=0.02, seed=1), curve(units=12, noise=0.02, seed=2)
    found = data_ratio(noisy, plain)

    def ratio(units):
        chosen = np.asarray(units, dtype=int)
        drawn = [
            [Score(i, s.size, s.value) for i, u in enumerate(chosen) for s in one if s.unit == u]
            for one in (noisy, plain)
        ]
        return math.log(data_ratio(*drawn).ratio) if len(set(chosen)) > 1 else 0.0

    from qtlplat.analysis import learning_curves

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning_curves, "RESAMPLES", 1)
        expected = bootstrap((np.arange(12),), ratio, vectorized=False, n_resamples=600, method="percentile", rng=5)
    low, high = np.exp(expected.confidence_interval)
    assert found.low == pytest.approx(low, rel=0.03)
    assert found.high == pytest.approx(high, rel=0.03)


def test_too_little_says_so():
    assert data_ratio(curve(units=1), curve(units=1)) is None
    one_size = [score for score in curve() if score.size == 25]
    assert data_ratio(one_size, one_size) is None
    broken = [Score(0, 25, math.nan), *curve()]
    assert data_ratio(broken, curve()) is None
    assert "too few" in ratio_line("head", "linear", "f1", None)


def test_few_units_have_no_interval():
    found = data_ratio(curve(2.0, units=4), curve(units=4))
    assert found.ratio == pytest.approx(2.0)
    assert math.isnan(found.low)
    assert "(too few for an interval, n = 4)" in ratio_line("head", "linear", "f1", found)


def cell(variant, backbone, fold, n_train, f1):
    return {
        "variant": variant,
        "status": "finished",
        "backbone_index": backbone,
        "seed": 0,
        "fold": fold,
        "n_train": n_train,
        "metrics": {"f1": f1},
    }


def test_units_are_backbones_or_the_folds_of_one():
    ones = [cell(v, b, f, n, 0.5) for v, n in (("head", 101), ("head/0.5", 50)) for b in (0, 1) for f in (0, 1)]
    assert {(s.unit, s.size) for s in curves(ones, "f1")["head"]} == {(0, 101), (1, 101), (0, 50), (1, 50)}
    first = [one for one in ones if not one["backbone_index"]]
    assert {s.unit for s in curves(first, "f1")["head"]} == {(0, 0), (0, 1)}
    assert curves([one for one in ones if one["variant"] == "head"], "f1") == {}
