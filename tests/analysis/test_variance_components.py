"""Tests over backbones, seeds and folds: against statsmodels, lme4, quadrature and simulation."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import integrate, stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from qtlplat.analysis.components import MeanSquare, Table, between_backbones, over_backbones, satterthwaite
from qtlplat.analysis.statistics import corrected_t, equivalence, independent, welch_t
from qtlplat.errors import UsageError

# Davies & Goldsmith, "Statistical Methods in Research and Production" (1972), section 6.6: six samples of penicillin on
# each of 24 plates, a row for each plate.
PENICILLIN = """
272326232321 272326232321 252125242420 262325232320 252226222320 242225232219 242023212219 262226242421
242124222220 242124232219 262326242421 252226242420 262426242522 262326232320 262325242422 252225232320
252124232320 252224232319 242123212119 262326242421 252124222218 252225222220 242124222419 242124222118
"""
Shape = tuple[int, int, int]


def drawn(
    shape: Shape,
    rng: np.random.Generator,
    *,
    backbone: float = 0.0,
    seed: float = 0.0,
    fold: float = 0.0,
    rest: float = 1.0,
    ratio: float = 0.0,
    same_folds: bool = False,
) -> np.ndarray:
    """A table of normal values with these standard deviations; folds correlated as the correction supposes."""
    backbones, seeds, folds = shape
    rho = ratio / (1 + ratio)
    own = rng.standard_normal((1, 1 if same_folds else seeds, folds))
    return (
        backbone * rng.standard_normal((backbones, 1, 1))
        + seed * rng.standard_normal((1, seeds, 1))
        + fold * (math.sqrt(rho) * rng.standard_normal() + math.sqrt(1 - rho) * own)
        + rest * rng.standard_normal(shape)
    )


def reml(table: np.ndarray, *, same_folds: bool) -> tuple[dict[str, float], float]:
    """Variances by source and the standard error of the mean, by restricted maximum likelihood (statsmodels)."""
    b, s, f = (index.ravel() for index in np.indices(table.shape))
    frame = pd.DataFrame({"y": table.ravel(), "b": b, "s": s, "f": f if same_folds else s * table.shape[2] + f})
    formulas = {"backbone": "0 + C(b)", "fold": "0 + C(f)"}
    if table.shape[1] > 1:
        formulas["seed"] = "0 + C(s)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its optimizer, whose result is compared below
        model = MixedLM.from_formula("y ~ 1", frame, groups=np.ones(len(frame)), re_formula="0", vc_formula=formulas)
        fitted = model.fit(reml=True, method=["lbfgs", "bfgs"], gtol=1e-10, maxiter=2000)
    found = dict(zip(sorted(formulas), np.asarray(fitted.vcomp), strict=True))
    return {**found, "rest": float(fitted.scale)}, float(fitted.bse_fe.iloc[0])


@pytest.mark.parametrize("shape", [(5, 1, 6), (6, 3, 4)])
def test_components_and_standard_error_agree_with_reml(shape: Shape) -> None:
    """Balanced, all estimates positive: REML gives those of the analysis of variance (Searle et al. 1992, ch. 4)."""
    table = drawn(shape, np.random.default_rng(3), backbone=2.0, seed=1.5, fold=1.5)
    expected, error = reml(table, same_folds=False)
    test, found = over_backbones(Table(table, 0.0))
    assert min(expected.values()) > 0.01
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=2e-3), name
    assert test.standard_error == pytest.approx(error, rel=1e-3)
    assert test.mean == pytest.approx(table.mean(), abs=1e-12)


def test_penicillin_gives_the_published_numbers_of_lme4() -> None:
    """Bates, Mächler, Bolker & Walker, "Fitting Linear Mixed-Effects Models Using lme4" (and its help page): REML."""
    plates = np.array([[int(row[i : i + 2]) for i in range(0, 12, 2)] for row in PENICILLIN.split()], dtype=float)
    test, found = over_backbones(Table(plates.T.reshape(6, 1, 24), 0.0))
    assert (found.backbone, found.fold, found.rest) == pytest.approx((3.7309, 0.7169, 0.3024), abs=2e-4)
    assert (test.mean, test.standard_error) == pytest.approx((22.9722, 0.8086), abs=1e-4)
    assert math.isnan(found.seed)
    assert sum(found.shares().values()) == pytest.approx(1)
    assert found.shares()["backbone"] == pytest.approx(0.785, abs=1e-3)


@pytest.mark.parametrize("same_folds", [False, True])
def test_mean_squares_agree_with_the_anova_of_statsmodels(same_folds: bool) -> None:
    """The variance of the mean is put together from the mean squares of an ordinary least squares fit."""
    shape, ratio = (4, 3, 5), 0.25
    table = drawn(shape, np.random.default_rng(7), backbone=1.0, seed=2.0, fold=2.0, same_folds=same_folds)
    b, s, f = (index.ravel() for index in np.indices(shape))
    frame = pd.DataFrame({"y": table.ravel(), "b": b, "s": s, "f": f})
    formula = "C(b)*C(s)*C(f) - C(b):C(s):C(f)" if same_folds else "C(b) + C(s) + C(s):C(f)"
    anova = sm.stats.anova_lm(sm.formula.ols(f"y ~ {formula}", frame).fit())
    square = anova["sum_sq"] / anova["df"]
    n = table.size
    if same_folds:
        fold = (square["C(f)"] - square["C(b):C(f)"]) * (1 + ratio * 5)
        seed = square["C(s)"] - square["C(s):C(f)"]
    else:
        fold = (square["C(s):C(f)"] - square["Residual"]) * (1 + ratio * 15)
        seed = square["C(s)"] - square["C(s):C(f)"]
    assert min(fold, seed) > 0
    test, _ = over_backbones(Table(table, ratio, same_folds=same_folds))
    assert test.standard_error == pytest.approx(math.sqrt((square["C(b)"] + fold + seed) / n), rel=1e-9)


def test_negative_components_are_zero_and_leave_the_t_test_of_the_means_of_backbones() -> None:
    rng = np.random.default_rng(0)
    table = drawn((5, 1, 4), rng, backbone=3.0)
    table -= table.mean(axis=0) - table.mean()  # no fold differs from another
    test, found = over_backbones(Table(table, 1 / 3))
    expected = stats.ttest_1samp(table.mean(axis=(1, 2)), 0)
    assert (found.fold, test.p, test.df) == (0, pytest.approx(expected.pvalue, rel=1e-12), pytest.approx(4))


def test_degrees_of_freedom_are_those_of_a_published_formula() -> None:
    """Welch's are Satterthwaite's for two variances; statsmodels computes them."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(4), 3 * rng.standard_normal(7)
    terms = [(1 / len(v), MeanSquare(float(v.var(ddof=1)), len(v) - 1)) for v in (x, y)]
    expected = CompareMeans(DescrStatsW(x), DescrStatsW(y)).dof_satt()
    assert satterthwaite(terms)[1] == pytest.approx(expected, rel=1e-12)
    shared = terms[0][1]
    assert satterthwaite([(1.0, shared), (2.0, shared)])[1] == pytest.approx(3), "one mean square, three times"


def test_a_component_of_folds_that_is_nearly_0_makes_no_jump() -> None:
    """Three backbones: where the estimate falls to 0 the test is the t-test of their means (scipy)."""
    means = np.array([0.02, 0.005, 0.001])
    alone = stats.ttest_1samp(means, 0.0)
    rest = np.array([[1, -1, 0, 0, 0, 0], [-1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]) * 0.02
    folds = np.array([0, 0, 0, 1, -1, 0])
    scale = math.sqrt((rest**2).sum() / 10 / 3 / (folds**2).sum() * 5)  # the mean squares of folds and rest are equal
    for size, p_is in ((0.999 * scale, alone.pvalue), (1.001 * scale, pytest.approx(alone.pvalue, rel=1e-3))):
        test, found = over_backbones(Table((means[:, None] + rest + size * folds)[:, None, :], 0.2))
        assert found.fold == (0 if size < scale else pytest.approx(0, abs=1e-6))
        assert (test.df, test.p) == (pytest.approx(2), p_is if size > scale else pytest.approx(p_is, rel=1e-12))


def test_independent_backbones_without_effects_of_folds_are_welch_on_their_means() -> None:
    rng = np.random.default_rng(2)
    one, two = drawn((4, 1, 3), rng, backbone=2.0), drawn((6, 1, 3), rng, backbone=1.0)
    folds = one.mean(axis=0) - two.mean(axis=0)
    one -= folds - folds.mean()  # the folds of both sides differ by the same
    test, found = between_backbones(Table(one, 0.5), Table(two, 0.5))
    expected = stats.ttest_ind(one.mean(axis=(1, 2)), two.mean(axis=(1, 2)), equal_var=False)
    assert (found.fold, test.p, test.df) == (0, pytest.approx(expected.pvalue), pytest.approx(expected.df))
    assert len(found.between) == 2


def test_independent_estimates_add_up_as_in_the_test_of_two_samples() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal(5), 2 * rng.standard_normal(7)
    expected = welch_t(x.tolist(), y.tolist(), ratios=(0.2, 0.25))
    found = independent(corrected_t(x, 0.2), corrected_t(y, 0.25))
    for name in ("mean", "standard_error", "df", "p", "n"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12), name
    assert found.interval == pytest.approx(expected.interval)
    known = independent(corrected_t(x, 0.2), corrected_t([0.5, 0.5], 0.2))
    assert (known.standard_error, known.df) == (corrected_t(x, 0.2).standard_error, pytest.approx(4))
    assert math.isnan(independent(corrected_t([0.5] * 2, 0.2), corrected_t([0.25] * 2, 0.2)).p)


def test_values_without_spread_allow_no_test() -> None:
    test, found = over_backbones(Table(np.full((3, 1, 4), 0.25), 0.2))
    assert (test.mean, test.sd) == (0.25, 0)
    assert math.isnan(test.p)
    assert found.shares() == {}
    alike, _ = between_backbones(Table(np.full((3, 1, 4), 0.1), 0.2), Table(np.full((2, 1, 4), 0.1), 0.2))
    assert (alike.mean, alike.p, alike.interval) == (0, 1, (0, 0))


@pytest.mark.parametrize(
    "values", [np.ones((1, 2, 3)), np.ones((2, 3)), np.full((2, 1, 2), np.nan), np.ones((2, 0, 1))]
)
def test_what_is_no_table_is_refused(values: np.ndarray) -> None:
    with pytest.raises(UsageError):
        Table(values, 0.2)


def test_tables_of_the_same_folds_must_have_as_many() -> None:
    one, two = Table(np.ones((2, 1, 3)), 0.2), Table(np.ones((3, 1, 4)), 0.2)
    with pytest.raises(UsageError, match="same folds"):
        between_backbones(one, two)


def test_the_posterior_is_that_of_a_hierarchical_model() -> None:
    """Box & Tiao (1973), chapter 5: y_bf = mu + B_b + e_bf with the prior 1/(expected mean squares), by quadrature.

    Where folds have no effect, and without the constraint that the mean square of backbones exceeds the other.
    """
    table = drawn((5, 1, 4), np.random.default_rng(9), backbone=0.02, rest=0.03) + 0.02
    table -= table.mean(axis=0) - table.mean()
    test, _ = over_backbones(Table(table, 0.0))
    means = table.mean(axis=(1, 2))

    def density(mu: float) -> float:
        """Integrated over the variance of the means of backbones, on its logarithm, where the prior is flat."""

        def at(log_variance: float) -> float:
            variance = math.exp(log_variance)
            return variance ** (-len(means) / 2) * math.exp(-((means - mu) ** 2).sum() / (2 * variance))

        middle = math.log(((means - mu) ** 2).mean())
        return float(integrate.quad(at, middle - 12, middle + 25, points=[middle], limit=400)[0])

    reach = 2000 * test.standard_error
    near = [test.mean + k * test.standard_error for k in (-60, -6, 0, 6, 60)]
    whole, inside, below = (
        integrate.quad(
            density, low, high, limit=400, epsabs=0, epsrel=1e-9, points=[p for p in near if low < p < high] or None
        )[0]
        for low, high in ((test.mean - reach, test.mean + reach), (-0.01, 0.01), (test.mean - reach, -0.01))
    )
    found = equivalence(test, 0.01)
    assert (found.equal, found.worse) == pytest.approx((inside / whole, below / whole), abs=1e-6)
    assert found.worse + found.equal + found.better == pytest.approx(1)


CASES = [
    ((3, 1, 6), {"backbone": 2.0}),
    ((5, 1, 6), {"backbone": 1.0}),
    ((5, 2, 6), {"backbone": 1.0, "seed": 1.0}),
    ((10, 1, 6), {"backbone": 0.0, "rest": 0.5}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "spread"), CASES)
def test_true_differences_of_none_are_found_at_most_as_often_as_the_level_says(
    shape: Shape, spread: dict[str, float]
) -> None:
    """1,500 draws of the model itself: standard error of the rate 0.6 %. With few backbones the test is cautious."""
    rng, ratio = np.random.default_rng(11), 0.2
    for unpaired in (False, True):
        found = 0
        for _ in range(1500):
            folds = drawn((1, *shape[1:]), rng, fold=1.0, seed=spread.get("seed", 0.0), rest=0.0, ratio=ratio)
            own = {name: value for name, value in spread.items() if name != "seed"}
            one = drawn(shape, rng, **own) + folds
            if unpaired:
                two = drawn(shape, rng, **own)
                test, _ = between_backbones(Table(one, ratio), Table(two, ratio))
            else:
                test, _ = over_backbones(Table(one, ratio))
            found += test.p < 0.05
        assert 0.015 < found / 1500 < 0.068, (unpaired, found / 1500)
