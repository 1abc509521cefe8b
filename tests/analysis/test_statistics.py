"""Each number is held against an independent computation or a published one; every test names its source."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import integrate, special, stats
from statsmodels.regression.linear_model import GLS
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from qtlplat.analysis.statistics import (
    bootstrap_mean,
    corrected_t,
    differences,
    holm,
    mcnemar,
    practical_equivalence,
    welch_t,
)
from qtlplat.errors import UsageError

# scikit-learn 1.7, example "Statistical comparison of models using grid search" (plot_grid_search_stats): ROC AUC of an
# SVC with rbf kernel minus one with linear kernel, 10 times 10 folds of 90 and 10 samples, in units of 1/25.
IN_25TH = (
    "-1 -3 0 0 0 1 1 0 1 0  1 1 1 1 1 -1 0 0 0 0  -1 -1 1 -2 0 1 1 1 0 0  -1 1 0 0 1 0 0 1 1 0 "
    "1 0 0 0 0 0 0 2 0 0  0 1 1 1 0 1 -1 2 0 0  0 0 0 5 -1 0 1 0 0 0  0 1 1 2 0 1 0 -1 0 0 "
    "1 -2 1 0 1 0 0 0 0 0  0 -1 0 -1 0 0 1 2 0 0"
)
EXAMPLE = [int(word) / 25 for word in IN_25TH.split()]
RATIO = 10 / 90
SCORES = [0.9837, 0.9741, 0.9918, 0.9702, 0.9783, 0.9865]
OTHERS = [0.9756, 0.9768, 0.9837, 0.9674, 0.9702, 0.9838]

# eighths are exact in binary, and so are their sums: properties hold exactly, without the noise of rounding
eighths = st.integers(-80, 80).map(lambda n: n / 8)
samples = st.lists(eighths, min_size=2, max_size=12)
ratios = st.sampled_from([0.0, 0.1, 0.2, 0.5])


def correlated(values: Sequence[float], ratio: float) -> GLS:
    """The mean of values that are all correlated by n_test / (n_test + n_train), as a generalized least squares fit.

    Nadeau & Bengio (2003), section 5.1: their variance is that of the mean of such values.
    """
    n, rho = len(values), ratio / (1 + ratio)
    return GLS(values, np.ones(n), sigma=(1 - rho) * np.eye(n) + rho).fit()


# --- the corrected t-test


def test_the_corrected_test_gives_the_numbers_that_scikit_learn_prints() -> None:
    test = corrected_t(EXAMPLE, RATIO)
    assert test.n == 100
    assert round(test.t, 3) == 0.750
    assert round(test.p / 2, 3) == 0.227  # theirs is one-sided
    assert test.interval == pytest.approx((-0.016445, 0.036445), abs=1e-6)
    assert corrected_t(EXAMPLE, RATIO, 0.75).interval == pytest.approx((-0.005422, 0.025422), abs=1e-6)
    assert corrected_t(EXAMPLE, RATIO, 0.5).interval == pytest.approx((0.000977, 0.019023), abs=1e-6)


def test_without_correction_it_is_the_uncorrected_test_that_scikit_learn_prints() -> None:
    test = corrected_t(EXAMPLE, 0)
    assert round(test.t, 3) == 2.611
    assert round(test.p / 2, 3) == 0.005


@pytest.mark.parametrize("ratio", [0.0, 1 / 9, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_the_corrected_test_is_that_of_correlated_values_in_statsmodels(ratio: float, level: float) -> None:
    values = differences(SCORES, OTHERS)
    test, fit = corrected_t(values, ratio, level), correlated(values, ratio)
    assert test.standard_error == pytest.approx(fit.bse[0], rel=1e-9)
    assert test.t == pytest.approx(fit.tvalues[0], rel=1e-9)
    assert test.p == pytest.approx(fit.pvalues[0], abs=1e-9)
    assert test.interval == pytest.approx(tuple(fit.conf_int(1 - level)[0]), abs=1e-9)


def test_with_ratio_0_it_is_scipys_paired_t_test() -> None:
    test, found = corrected_t(differences(SCORES, OTHERS), 0), stats.ttest_rel(SCORES, OTHERS)
    assert (test.t, test.p, test.df) == pytest.approx((found.statistic, found.pvalue, found.df), rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(samples, ratios)
def test_swapping_the_sides_turns_the_sign(values: list[float], ratio: float) -> None:
    there, back = corrected_t(values, ratio), corrected_t([-v for v in values], ratio)
    assert there.mean == -back.mean
    assert there.p == pytest.approx(back.p, nan_ok=True)
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]), nan_ok=True)


@settings(deadline=None, max_examples=25)
@given(samples, samples, eighths, ratios)
def test_a_shift_of_both_sides_changes_nothing(x: list[float], y: list[float], shift: float, ratio: float) -> None:
    n = min(len(x), len(y))
    plain = corrected_t(differences(x[:n], y[:n]), ratio)
    shifted = corrected_t(differences([v + shift for v in x[:n]], [v + shift for v in y[:n]]), ratio)
    assert repr(plain) == repr(shifted)  # NaN equals itself here


@settings(deadline=None, max_examples=25)
@given(samples, ratios)
def test_p_is_a_probability_and_agrees_with_the_interval(values: list[float], ratio: float) -> None:
    test = corrected_t(values, ratio)
    if not math.isnan(test.p):
        assert 0 <= test.p <= 1
        low, high = test.interval
        assert low <= test.mean <= high
        assert (test.p < 0.05) == (low > 0 or high < 0) or test.p == pytest.approx(0.05)


def test_a_single_value_has_a_mean_and_nothing_else() -> None:
    test = corrected_t([0.25], 0.2)
    assert (test.n, test.mean, test.df) == (1, 0.25, 0.0)
    assert all(map(math.isnan, (test.sd, test.standard_error, test.t, test.p, *test.interval)))


def test_values_that_are_all_zero_differ_in_nothing() -> None:
    test = corrected_t([0.0] * 6, 0.2)
    assert (test.p, test.t, test.interval, test.sd) == (1.0, 0.0, (0.0, 0.0), 0.0)


def test_equal_values_that_are_not_zero_allow_no_test() -> None:
    test = corrected_t(differences([0.3, 0.9, 0.7], [0.1, 0.7, 0.5]), 0.2)  # 0.2 each, but for rounding
    assert test.mean == pytest.approx(0.2)
    assert test.sd == 0
    assert math.isnan(test.p)
    assert math.isnan(test.interval[0])


def test_differences_that_are_only_rounding_are_none() -> None:
    assert differences([0.1 + 0.2, 1.0], [0.3, 0.75]).tolist() == [0.0, 0.25]


@pytest.mark.parametrize(
    ("values", "ratio", "level", "words"),
    [
        ([], 0.2, 0.95, "no values"),
        ([0.1, math.nan, math.inf], 0.2, 0.95, "2 of 3 values are not finite"),
        ([[0.1, 0.2]], 0.2, 0.95, "shape"),
        ([0.1, 0.2], -0.1, 0.95, "ratio"),
        ([0.1, 0.2], math.nan, 0.95, "ratio"),
        ([0.1, 0.2], math.inf, 0.95, "ratio"),
        ([0.1, 0.2], 0.2, 1.0, "confidence level"),
        ([0.1, 0.2], 0.2, math.nan, "confidence level"),
    ],
)
def test_what_makes_no_sense_is_refused(values: list[float], ratio: float, level: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        corrected_t(values, ratio, level)


def test_pairs_of_different_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match="2 and 1"):
        differences([0.1, 0.2], [0.1])


def test_the_example_of_the_page_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "statistics.md").read_text(encoding="utf-8")
    program, printed = page.split("```python\n")[1].split("```\n", 1)
    exec(compile(program, "statistics.md", "exec"), {})
    assert capsys.readouterr().out == printed.split("```text\n")[1].split("```")[0]


# --- Welch


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_welch_agrees_with_statsmodels(level: float) -> None:
    x, y = SCORES, [*OTHERS, 0.95, 0.999]
    test, means = welch_t(x, y, level), CompareMeans(DescrStatsW(x), DescrStatsW(y))
    assert (test.t, test.p, test.df) == pytest.approx(means.ttest_ind(usevar="unequal"), rel=1e-9)
    assert test.interval == pytest.approx(means.tconfint_diff(1 - level, usevar="unequal"), abs=1e-9)
    assert test.standard_error == pytest.approx(means.std_meandiff_separatevar, rel=1e-9)
    assert test.n == 14


def test_welch_without_enough_to_go_by() -> None:
    assert math.isnan(welch_t([0.5], [0.1, 0.2]).p)
    assert math.isnan(welch_t([0.5, 0.5], [0.25, 0.25]).p)
    assert welch_t([0.5, 0.5], [0.25, 0.25]).mean == 0.25
    assert welch_t([0.5, 0.5], [0.5, 0.5, 0.5]).p == 1
    assert welch_t([0.5, 0.5], [0.25, 0.5]).df == pytest.approx(1)  # one side alone has spread


def test_welch_of_folds_corrects_the_variance_of_each_mean() -> None:
    """Each mean has the standard error of the corrected test of its own values; the degrees are Satterthwaite's."""
    x, y = SCORES, [*OTHERS, 0.95, 0.999]
    test = welch_t(x, y, ratios=(0.2, 0.1))
    errors = [corrected_t(values, ratio).standard_error for values, ratio in ((x, 0.2), (y, 0.1))]
    assert test.standard_error == pytest.approx(math.hypot(*errors), rel=1e-12)
    df = sum(e**2 for e in errors) ** 2 / (errors[0] ** 4 / 5 + errors[1] ** 4 / 7)
    assert (test.df, test.p) == pytest.approx((df, 2 * stats.t.sf(abs(test.mean) / math.hypot(*errors), df)))
    assert test.p > welch_t(x, y).p


# --- bounds


@pytest.mark.parametrize(("values", "cut"), [([0.9, -0.84], 2), ([0.4, 0.9, 0.6, 0.7], 1), (SCORES, 0)])
def test_an_interval_is_that_of_scipy_within_what_is_possible(values: list[float], cut: int) -> None:
    n, mean = len(values), float(np.mean(values))
    low, high = stats.t.interval(0.95, n - 1, loc=mean, scale=np.std(values, ddof=1) * math.sqrt(1 / n + 0.2))
    test = corrected_t(values, 0.2, possible=(-1.0, 1.0))
    assert test.interval == pytest.approx((max(low, -1), min(high, 1)), abs=1e-9)
    assert test.cut_off == cut
    whole = corrected_t(values, 0.2)
    assert (test.p, test.t, test.mean, whole.cut_off) == (whole.p, whole.t, whole.mean, 0)


def test_cutting_an_interval_leaves_its_coverage() -> None:
    """Differences of two bounded scores with a known mean: the same intervals hold it before and after the cut."""
    random, true = np.random.default_rng(11), 0.9 - 2 / 3
    held, held_cut = 0, 0
    for _ in range(400):
        values = random.beta(9, 1, 3) - random.beta(2, 1, 3)
        for possible in ((-math.inf, math.inf), (-1.0, 1.0)):
            low, high = corrected_t(values, 0.0, possible=possible).interval
            if math.isinf(possible[0]):
                held += low <= true <= high
            else:
                held_cut += low <= true <= high
                assert -1 <= low <= high <= 1
    assert held == held_cut
    assert held / 400 == pytest.approx(0.95, abs=0.04)  # four standard errors


def test_equivalence_knows_what_cannot_be() -> None:
    values, width = [0.9, 0.5, 0.7], 0.1
    scale = np.std(values, ddof=1) * math.sqrt(1 / 3)
    posterior = stats.t(2, loc=np.mean(values), scale=scale)
    within = posterior.cdf(1) - posterior.cdf(-1)
    rope = practical_equivalence(values, 0.0, width, possible=(-1.0, 1.0))
    assert rope.better == pytest.approx((posterior.cdf(1) - posterior.cdf(width)) / within)
    assert rope.worse == pytest.approx((posterior.cdf(-width) - posterior.cdf(-1)) / within)
    assert rope.worse + rope.equal + rope.better == pytest.approx(1)


# --- practical equivalence


def test_equivalence_gives_the_probabilities_that_scikit_learn_prints() -> None:
    rope = practical_equivalence(EXAMPLE, RATIO, 0.01)
    assert (round(rope.worse, 3), round(rope.equal, 3), round(rope.better, 3)) == (0.068, 0.432, 0.500)


@pytest.mark.parametrize(("ratio", "width"), [(0.2, 0.01), (0.2, 0.002), (0.0, 0.005), (1 / 9, 0.0)])
def test_equivalence_is_the_integral_of_the_posterior(ratio: float, width: float) -> None:
    """The density of Benavoli et al. (2017), equation 6, written out and integrated by quadrature."""
    values = differences(SCORES, OTHERS)
    n, mean = len(values), float(values.mean())
    scale = math.sqrt((1 / n + ratio) * float(values.var(ddof=1)))

    def density(x: float) -> float:
        norm = special.gamma(n / 2) / (special.gamma((n - 1) / 2) * math.sqrt((n - 1) * math.pi) * scale)
        return float(norm * (1 + ((x - mean) / scale) ** 2 / (n - 1)) ** (-n / 2))

    def integral(low: float, high: float) -> float:
        return float(integrate.quad(density, low, high, epsabs=1e-12)[0])

    rope = practical_equivalence(values, ratio, width)
    assert rope.worse == pytest.approx(integral(-math.inf, -width), abs=1e-8)
    assert rope.equal == pytest.approx(integral(-width, width), abs=1e-8)
    assert rope.better == pytest.approx(integral(width, math.inf), abs=1e-8)


@settings(deadline=None, max_examples=25)
@given(samples, ratios, st.sampled_from([0.0, 0.125, 1.0]))
def test_the_three_probabilities_make_one_and_mirror(values: list[float], ratio: float, width: float) -> None:
    rope = practical_equivalence(values, ratio, width)
    mirrored = practical_equivalence([-v for v in values], ratio, width)
    if len(set(values)) > 1:
        assert rope.worse + rope.equal + rope.better == pytest.approx(1)
    assert (rope.worse, rope.better) == pytest.approx((mirrored.better, mirrored.worse), nan_ok=True)


def test_equivalence_says_nothing_without_spread() -> None:
    for values in ([0.1], [0.0, 0.0], [0.5, 0.5]):
        assert math.isnan(practical_equivalence(values, 0.2).equal)
    with pytest.raises(UsageError, match="practical equivalence"):
        practical_equivalence([0.1, 0.2], 0.2, -0.01)


# --- McNemar


def test_mcnemar_on_agrestis_approval_ratings() -> None:
    """Agresti, Categorical Data Analysis (1990), p. 350: 794, 150, 86, 570; z² = 17.36, asymptotically p = 3.1e-5."""
    test = mcnemar(150, 86)
    assert test.p == pytest.approx(statsmodels_mcnemar([[794, 150], [86, 570]], exact=True).pvalue, rel=1e-9)
    assert test.p == pytest.approx(3.1e-5, rel=0.25)  # the exact p lies close to the asymptotic one
    assert test.form == "exact binomial"


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (0, 5), (3, 3), (7, 2), (12, 30)])
def test_mcnemar_agrees_with_statsmodels(counts: tuple[int, int]) -> None:
    first, second = counts
    expected = statsmodels_mcnemar([[4, first], [second, 9]], exact=True).pvalue if sum(counts) else 1.0
    assert mcnemar(first, second).p == pytest.approx(expected, abs=1e-12)


def test_mcnemar_of_two_and_one_disagreements() -> None:
    assert mcnemar(2, 1).p == 1.0
    with pytest.raises(UsageError, match="negative"):
        mcnemar(-1, 2)


# --- Holm

probabilities = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=1, max_size=8)


@settings(deadline=None, max_examples=25)
@given(probabilities)
@pytest.mark.slow
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-12)


def test_tests_that_were_not_possible_do_not_count() -> None:
    adjusted = holm([0.01, math.nan, 0.04])
    assert (adjusted[0], adjusted[2]) == pytest.approx((0.02, 0.04))
    assert math.isnan(adjusted[1])
    assert holm([]) == []
    with pytest.raises(UsageError, match="p-value"):
        holm([0.5, 1.5])


# --- bootstrap


def accelerated(values: Sequence[float], resampled: np.ndarray, level: float) -> tuple[float, float]:
    """The BCa interval written out: Efron & Tibshirani, An Introduction to the Bootstrap (1993), 14.9 to 14.15."""
    x = np.array(values)
    leave_one_out = np.array([np.delete(x, i).mean() for i in range(len(x))])
    deviation = leave_one_out.mean() - leave_one_out
    a = (deviation**3).sum() / (6 * (deviation**2).sum() ** 1.5)
    z0 = special.ndtri((np.sum(resampled < x.mean()) + np.sum(resampled <= x.mean())) / (2 * len(resampled)))
    z = special.ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(resampled, special.ndtr(z0 + (z0 + z) / (1 - a * (z0 + z))))
    return float(low), float(high)


def test_the_bootstrap_agrees_with_the_textbook_formula() -> None:
    drawn = np.random.default_rng(5).choice(np.array(EXAMPLE), (200_000, len(EXAMPLE))).mean(axis=1)
    found = bootstrap_mean(EXAMPLE, 0.9, seed=1, resamples=50_000)
    assert found == pytest.approx(accelerated(EXAMPLE, drawn, 0.9), abs=5e-4)  # of draws of their own


def test_the_bootstrap_is_repeated_by_its_seed() -> None:
    assert bootstrap_mean(SCORES, seed=3) == bootstrap_mean(SCORES, seed=3)
    assert bootstrap_mean(SCORES, seed=3, resamples=99) != bootstrap_mean(SCORES, seed=4, resamples=99)


def test_the_bootstrap_without_spread() -> None:
    assert bootstrap_mean([0.5, 0.5, 0.5]) == (0.5, 0.5)
    assert math.isnan(bootstrap_mean([0.5])[0])
    with pytest.raises(UsageError, match="not finite"):
        bootstrap_mean([0.5, math.nan])


@settings(deadline=None, max_examples=30)
@given(samples)
def test_the_bootstrap_stays_within_the_values(values: list[float]) -> None:
    low, high = bootstrap_mean(values, resamples=199)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
