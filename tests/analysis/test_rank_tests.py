"""Tests over datasets: against the worked examples of Demšar (JMLR 7, 2006), against scipy, and in simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from qtlplat.analysis.rank_tests import PRIOR, bayesian_signed_rank, datasets_needed, ranked, signed_rank
from qtlplat.errors import UsageError

# Demšar 2006, table 6: AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 datasets. The printed ranks of "voting"
# tell apart two values that are printed as 0.975.
TABLE_6 = np.array(
    [
        [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
    ]
)  # fmt: skip


def test_friedman_and_nemenyi_are_those_of_the_published_example() -> None:
    found = ranked(TABLE_6)
    assert found.means == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert (found.chi2, found.f) == (pytest.approx(9.28, abs=0.01), pytest.approx(3.69, abs=0.01))
    assert found.p == pytest.approx(stats.f.sf(found.f, 3, 39), rel=1e-12)
    assert found.critical_difference == pytest.approx(1.25, abs=0.006)  # 2.569 * sqrt(4 * 5 / (6 * 14))
    assert ranked(TABLE_6, level=0.90).critical_difference == pytest.approx(1.12, abs=0.005)
    # "we can only identify ..., at p = 0.10": 3.143 - 1.964 = 1.179 > 1.12
    assert 0.05 < found.nemenyi[0, 3] < 0.10


def test_without_ties_the_statistic_is_scipys_and_groups_are_maximal() -> None:
    values = np.random.default_rng(4).normal(size=(9, 5)) + np.arange(5)
    found = ranked(values)
    assert found.chi2 == pytest.approx(stats.friedmanchisquare(*values.T).statistic, rel=1e-12)
    assert ranked(values, lower_is_better=True).means == pytest.approx(6 - found.means)
    k, n = 5, 9
    q = (abs(found.means[0] - found.means[3])) / math.sqrt(k * (k + 1) / (6 * n))
    assert found.nemenyi[0, 3] == pytest.approx(stats.studentized_range.sf(q * math.sqrt(2), k, np.inf), rel=1e-9)
    inside = [
        set(some)
        for size in range(2, 6)
        for some in itertools.combinations(range(5), size)
        if np.ptp(found.means[list(some)]) < found.critical_difference
    ]
    maximal = {tuple(sorted(one)) for one in inside if not any(one < other for other in inside)}
    assert {tuple(sorted(group)) for group in found.groups} == maximal
    assert len(maximal) > 1


def test_equal_orders_have_their_exact_probability() -> None:
    """Of 3! orders of each of four datasets, one is that of the first."""
    found = ranked(np.arange(4.0)[:, None] + np.arange(3))
    assert (found.f, found.p) == (math.inf, pytest.approx(1 / 6**3, rel=1e-12))


def test_signed_ranks_are_those_of_the_published_example() -> None:
    """Table 2: C4.5 with and without m, R+ = 93 and R- = 12, with the ranks of two zeros split."""
    found = signed_rank(TABLE_6[:, 1] - TABLE_6[:, 0])
    assert (found.better, found.worse, found.n) == (93, 12, 14)
    assert found.p < 0.05  # T = 12 is below the critical value 21


@pytest.mark.parametrize("n", [1, 2, 5, 8, 11])
def test_p_is_exact_with_and_without_ties(n: int) -> None:
    random = np.random.default_rng(n)
    values = random.normal(0.3, 1, n)
    expected = stats.wilcoxon(values, method="exact") if n > 1 else None
    found = signed_rank(values)
    assert found.p == pytest.approx(1.0 if expected is None else expected.pvalue, rel=1e-12)
    assert found.p >= found.least_p == 2.0 ** (1 - n)
    tied = np.round(values, 0)
    x = tied[tied != 0]
    ranks = stats.rankdata(np.abs(tied))[tied != 0]
    sums = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in itertools.product([0, 1], repeat=len(x))
    ]
    at = ranks[x > 0].sum()
    both = min(np.mean(np.array(sums) <= at + 1e-9), np.mean(np.array(sums) >= at - 1e-9))
    assert signed_rank(tied).p == pytest.approx(min(1.0, 2 * both), rel=1e-12)


@pytest.mark.parametrize("width", [0.0, 0.5])
def test_the_bayesian_test_agrees_with_plain_sampling(width: float) -> None:
    """Weights as normalised gamma variates, chances by loops over all pairs; and the exact mean of a chance."""
    x = np.array([0.9, -0.2, 0.4, 1.4, 0.1, -0.7, 0.3])
    random, z, votes = np.random.default_rng(9), [0.0, *x], np.zeros(3)
    draws = 4000
    for _ in range(draws):
        weights = random.gamma([PRIOR, *np.ones(len(x))])
        weights /= weights.sum()
        chances = np.zeros(3)
        for (i, one), (j, other) in itertools.product(enumerate(z), repeat=2):
            mean = (one + other) / 2
            chances[1 + (mean > width) - (mean < -width)] += weights[i] * weights[j]
        votes[chances.argmax()] += 1
    found = bayesian_signed_rank(x, width)
    assert [found.worse, found.equal, found.better] == pytest.approx((votes / draws).tolist(), abs=0.025)
    assert found.worse + found.equal + found.better == pytest.approx(1)
    turned = bayesian_signed_rank(-x, width)
    assert (turned.worse, turned.better) == pytest.approx((found.better, found.worse), abs=0.01)


def test_differences_within_the_region_are_equal_and_large_ones_are_not() -> None:
    assert bayesian_signed_rank([0.001, -0.002, 0.003, 0.0, -0.001], 0.01).equal > 0.99
    assert bayesian_signed_rank([0.1, 0.2, 0.15, 0.12, 0.3, 0.2], 0.01).better > 0.99
    assert bayesian_signed_rank([0.0, 0.0], 0.0).equal == 1


@pytest.mark.parametrize(("difference", "sd"), [(0.01, 0.012), (0.02, 0.05)])
def test_that_many_datasets_show_the_difference(difference: float, sd: float) -> None:
    found = datasets_needed(difference, sd, 5)
    assert found.datasets is not None
    random = np.random.default_rng(2)
    seen = [signed_rank(random.normal(difference, sd, found.datasets)).p < 0.05 for _ in range(1500)]
    assert np.mean(seen) == pytest.approx(0.8, abs=0.04)
    assert found.power_now == 0  # no p of five differences is below 0.05
    assert (datasets_needed(difference, sd, 5, tests=4).datasets or 0) > found.datasets
    assert datasets_needed(difference, 0.0, 5).datasets is None
    assert datasets_needed(1e-6, 1.0, 5).datasets is None


@pytest.mark.parametrize("values", [[], [math.nan], [[1.0]]])
def test_what_is_no_list_of_numbers_is_refused(values: list[float]) -> None:
    for test in (signed_rank, bayesian_signed_rank):
        with pytest.raises(UsageError):
            test(values)
    with pytest.raises(UsageError):
        ranked(np.array([[1.0, 2.0]]))
    with pytest.raises(UsageError):
        datasets_needed(0.0, 1.0, 3)
    with pytest.raises(UsageError):
        bayesian_signed_rank([1.0], -1)
