"""Verdicts by their rules; intervals against independent computations."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from qtlplat.analysis.metrics import classification_metrics
from qtlplat.analysis.statistics import corrected_t
from qtlplat.conventions import claim_text, interval_text
from qtlplat.metrics import SHIPPED
from qtlplat.recipes import PERCENTAGES, Claim
from qtlplat_reproduction.claims import LEVEL, Estimate, Judged, Measured, boost, judge, of_predictions, of_test
from qtlplat_reproduction.resampled import OF_PROBABILITIES, weighted_scores

PARAMETERS = {
    "backbone_total": 1000,
    "model_total": 774,
    "reduction_percent_model": 22.6,
    "reduction_percent_replaced": 80.0,
}


def claim(quantity: str = "f1", printed: float = 95.0, tolerance: float = 1.0, **more: object) -> Claim:
    return Claim("c", quantity, "m", "Table 1", printed, tolerance, "%", **more)  # type: ignore[arg-type]


def estimate(value: float, low: float, high: float, n: int = 6) -> Estimate:
    return Estimate(value, (high - low) / 4, low, high, n, n - 1)


def verdict(one: Claim, mine: Measured, other: Measured | None = None, **how: bool) -> str:
    (judged,) = judge([one], {"m": mine, "b": other or Measured()}, **how)
    return judged.verdict


def run(value: float, low: float, high: float) -> Measured:
    return Measured(metrics={"f1": estimate(value, low, high)}, runs=("r1",))


@pytest.mark.parametrize(
    ("printed", "corrected", "expected"),
    [(774, None, "confirmed"), (764, 774, "misprint"), (764, None, "contradicted"), (764, 770, "contradicted")],
)
def test_a_count_is_confirmed_a_misprint_or_contradicted(printed: int, corrected: int | None, expected: str) -> None:
    assert verdict(claim("parameters", printed, 0, corrected=corrected), Measured(PARAMETERS)) == expected


def test_a_backbone_with_its_own_layers_has_the_backbones_parameters() -> None:
    assert verdict(claim("parameters", 1000, 0), Measured(PARAMETERS, own_layers=True)) == "confirmed"


def test_a_reduction_is_of_the_whole_model_and_rounds_within_its_tolerance() -> None:
    (judged,) = judge([claim("reduction", 22.61, 0.01)], {"m": Measured(PARAMETERS)})
    assert (judged.verdict, judged.ours) == ("confirmed", 22.6)
    assert "of the replaced layers alone 80.00 %" in judged.note
    assert verdict(claim("reduction", 22.62, 0.01), Measured(PARAMETERS)) == "contradicted"


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.942, 0.958), "confirmed"),
        ((0.930, 0.958), "inconclusive"),
        ((0.962, 0.970), "exceeded"),
        ((0.920, 0.938), "contradicted"),
    ],
)
def test_a_metric_is_judged_by_its_whole_interval(interval: tuple[float, float], expected: str) -> None:
    assert verdict(claim(), run(sum(interval) / 2, *interval)) == expected


def test_a_lower_value_does_not_contradict_where_the_budget_trains_less() -> None:
    assert verdict(claim(), run(0.93, 0.92, 0.938), trains_less=True) == "inconclusive"
    assert verdict(claim(), run(0.966, 0.962, 0.97), trains_less=True) == "exceeded"


def test_other_data_and_missing_runs_decide_nothing() -> None:
    assert verdict(claim(), run(0.95, 0.945, 0.955), other_data=True) == "inconclusive"
    assert verdict(claim(), Measured(PARAMETERS)) == "not run"
    assert verdict(claim("parameters", 774, 0), Measured()) == "not run"
    assert verdict(claim(), Measured(metrics={}, runs=("r1",))) == "inconclusive"


@pytest.mark.parametrize(
    ("mine", "printed", "expected"),
    [(0.97, 2.0, "confirmed"), (0.83, 2.0, "contradicted"), (0.905, 2.0, "inconclusive"), (0.83, -2.0, "confirmed")],
)
def test_a_comparison_is_judged_by_the_side_of_zero(mine: float, printed: float, expected: str) -> None:
    one = claim("boost", printed, 0, baseline="b")
    baseline = Measured(metrics={"f1": Estimate(0.9, 0.01, 0.88, 0.92, 1, math.inf)}, runs=("r2",))
    assert verdict(one, run(mine, mine - 0.01, mine + 0.01), baseline) == expected
    assert verdict(one, run(mine, mine - 0.01, mine + 0.01), baseline, trains_less=True) == "inconclusive"
    assert verdict(one, run(mine, mine - 0.01, mine + 0.01)) == "not run"
    (judged,) = judge([one], {"m": run(mine, mine - 0.01, mine + 0.01), "b": baseline})
    assert "only its sign is judged" in judged.note


def test_what_could_not_be_run_says_why() -> None:
    failed = Measured(error="the loss is not a number")
    for one in (claim(), claim("boost", 2.0, 0, baseline="b")):
        (judged,) = judge([one], {"m": failed, "b": failed})
        assert (judged.verdict, judged.note) == ("not run", "could not be run: the loss is not a number")


def test_the_interval_of_cells_is_nadeau_and_bengios() -> None:
    values = [0.96, 0.98, 0.97, 0.99, 0.95, 0.97]
    ours = of_test(corrected_t(values, 0.2, LEVEL, possible=(0, 1)))
    se = np.std(values, ddof=1) * np.sqrt(1 / 6 + 100 / 500)
    low, _ = stats.t.interval(0.95, 5, loc=np.mean(values), scale=se)
    assert ours.value == pytest.approx(np.mean(values), abs=1e-12)
    assert ours.low == pytest.approx(low, abs=1e-9)
    assert ours.high == pytest.approx(min(1.0, 2 * np.mean(values) - low), abs=1e-9)


def test_the_interval_of_a_score_stays_within_what_scores_can_be() -> None:
    wide = of_test(corrected_t([0.0, 0.9, 0.0, 0.8], 0.2, LEVEL, possible=(0, 1)))
    assert (wide.low, wide.high) == (0.0, 1.0)
    assert wide.se > 0.2


@pytest.mark.parametrize("values", [[0.95], [0.95, 0.95, 0.95], [0.0, 0.0, 0.0]])
def test_cells_without_spread_have_a_value_and_no_interval(values: list[float]) -> None:
    same = of_test(corrected_t(values, 0.2, LEVEL, possible=(0, 1)))
    assert math.isnan(same.se)
    (judged,) = judge([claim()], {"m": Measured(metrics={"f1": same}, runs=("r1",))})
    assert (judged.verdict, judged.interval) == ("inconclusive", None)
    assert judged.ours == pytest.approx(100 * values[0], abs=1e-12)


@pytest.mark.parametrize("right", [True, False])
def test_a_test_part_without_errors_or_without_hits_decides_nothing(right: bool) -> None:
    labels = np.array([0, 1] * 20)
    found = of_predictions(labels, labels if right else 1 - labels, 2)
    mine = Measured(metrics=found, runs=("r1",))
    for quantity in found:
        (judged,) = judge([claim(quantity, 50.0)], {"m": mine})
        assert (judged.verdict, judged.ours, judged.interval) == ("inconclusive", 100.0 * right, None)
    ours = Measured(metrics={"f1": Estimate(0.9, 0.01, 0.88, 0.92, 6, 5)}, runs=("r2",))
    (judged,) = judge([claim("boost", -2.0, 0, baseline="b")], {"m": ours, "b": mine})
    assert (judged.verdict, judged.interval) == ("inconclusive", None)


@pytest.mark.parametrize("k", [2, 3])
def test_the_bootstrap_agrees_with_scipys_and_the_metrics_with_ours(k: int) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, k, 200)
    predicted = np.where(rng.random(200) < 0.9, labels, rng.integers(0, k, 200))
    found = of_predictions(labels, predicted, k)
    exact = classification_metrics(labels, np.eye(k)[predicted])
    assert {name: one.value for name, one in found.items()} == pytest.approx(
        {name: exact[name] for name in found}, abs=1e-12
    )
    hits = (labels == predicted).astype(float)
    theirs = stats.bootstrap((hits,), np.mean, method="percentile", n_resamples=9999, rng=np.random.default_rng(1))
    # two independent bootstraps; a step of the accuracy is 0.005
    assert found["accuracy"].low == pytest.approx(theirs.confidence_interval.low, abs=0.0051)
    assert found["accuracy"].high == pytest.approx(theirs.confidence_interval.high, abs=0.0051)
    assert of_predictions(labels, predicted, k) == found


@pytest.mark.parametrize("k", [2, 3])
def test_weighted_scores_are_those_of_scikit_learn_and_of_repeated_samples(k: int) -> None:
    """Rounded probabilities, for ties; ROC-AUC, average precision, log-loss, Brier score to 1e-12."""
    rng = np.random.default_rng(k)
    labels = rng.integers(0, k, 60)
    rough = np.round(rng.dirichlet(np.ones(k), 60) + 0.4 * np.eye(k)[labels], 1) + 0.05
    probabilities = rough / rough.sum(axis=1, keepdims=True)
    weights = rng.multinomial(60, np.full(60, 1 / 60), 5).astype(float)
    found = weighted_scores(labels, probabilities, weights)
    assert tuple(found) == OF_PROBABILITIES
    classes = [1] if k == 2 else range(k)
    for i, w in enumerate(weights):
        sides = [(labels == c, probabilities[:, c]) for c in classes]
        expected = {
            "roc_auc": np.mean([metrics.roc_auc_score(y, p, sample_weight=w) for y, p in sides]),
            "average_precision": np.mean([metrics.average_precision_score(y, p, sample_weight=w) for y, p in sides]),
            "loss": metrics.log_loss(labels, probabilities, sample_weight=w),
            "brier": metrics.brier_score_loss(
                labels, probabilities, sample_weight=w, labels=list(range(k)), scale_by_half=True
            ),
        }
        assert {name: found[name][i] for name in expected} == pytest.approx(expected, abs=1e-12)
        drawn = np.repeat(np.arange(60), w.astype(int))
        repeated = classification_metrics(labels[drawn], probabilities[drawn])
        assert {name: found[name][i] for name in found} == pytest.approx({n: repeated[n] for n in found}, abs=1e-12)
    alone = weighted_scores(np.zeros(4, np.int64), np.full((4, 2), 0.5), np.ones((1, 4)))
    assert np.isnan([alone["roc_auc"][0], alone["average_precision"][0]]).all()


def test_the_bootstrap_of_the_log_loss_agrees_with_scipys() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 200)
    of_class = np.clip(rng.beta(4, 2, 200), 0.02, 0.98)
    probabilities = np.where(labels[:, None] == np.arange(2), of_class[:, None], 1 - of_class[:, None])
    found = of_predictions(labels, probabilities.argmax(axis=1), 2, None, probabilities[None])
    losses = -np.log(of_class)
    theirs = stats.bootstrap((losses,), np.mean, method="percentile", n_resamples=9999, rng=np.random.default_rng(1))
    assert found["loss"].value == pytest.approx(losses.mean(), abs=1e-12)
    # a quantile of 10,000 draws has a standard error of about 3 % of the standard error of the mean
    close = 0.15 * found["loss"].se
    assert found["loss"].low == pytest.approx(theirs.confidence_interval.low, abs=close)
    assert found["loss"].high == pytest.approx(theirs.confidence_interval.high, abs=close)
    assert found["loss"].se == pytest.approx(theirs.standard_error, rel=0.05)
    assert set(found) == set(SHIPPED)
    one_class = of_predictions(np.ones(50, np.int64), np.ones(50, np.int64), 2, None, np.tile([0.2, 0.8], (1, 50, 1)))
    assert "roc_auc" not in one_class


@pytest.mark.parametrize("name", list(SHIPPED))
def test_every_metric_can_be_claimed_and_worse_is_what_contradicts(name: str) -> None:
    """Percentages where the unit is %, and of the four metrics that always are; other numbers as they are."""
    better = SHIPPED[name].higher_is_better
    for unit in ("%", ""):
        scale = 100 if unit or name in PERCENTAGES else 1
        one = Claim("c", name, "m", "Table 1", 0.3 * scale, 0.02 * scale, unit)

        def judged(low: float, high: float, one: Claim = one, **how: bool) -> Judged:
            mine = Measured(metrics={name: estimate((low + high) / 2, low, high)}, runs=("r",))
            return judge([one], {"m": mine}, **how)[0]

        assert judged(0.29, 0.31).verdict == "confirmed"
        assert judged(0.29, 0.31).ours == pytest.approx(0.3 * scale)
        assert judged(0.4, 0.45).verdict == ("exceeded" if better else "contradicted")
        assert judged(0.1, 0.15).verdict == ("contradicted" if better else "exceeded")
        short = judged(*((0.1, 0.15) if better else (0.4, 0.45)), trains_less=True)
        assert (short.verdict, short.note.partition(",")[0]) == ("inconclusive", "lower" if better else "higher")


def test_numbers_of_claims_are_written_in_their_unit() -> None:
    assert [claim_text(*one) for one in ((95.0, "%"), (1000.0, ""), (0.12345, ""), (0.5, "nats"), (None, ""))] == [
        "95.00 %", "1,000", "0.1235", "0.5 nats", ""
    ]  # fmt: skip
    assert (interval_text(94.5, 96.0, "%"), interval_text(0.12345, 0.2, "")) == ("94.50 to 96.00", "0.1235 to 0.2")


def test_cells_with_one_test_part_are_resampled_together() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 150)
    cells = np.array([np.where(rng.random(150) < 0.85, labels, 1 - labels) for _ in range(4)])
    found = of_predictions(labels, cells, 2)

    def mean_f1(index: np.ndarray) -> float:
        y, p = labels[index], cells[:, index]
        hits = (p * y).sum(axis=1)
        return float((2 * hits / (p.sum(axis=1) + y.sum())).mean())

    assert found["f1"].value == pytest.approx(mean_f1(np.arange(150)), abs=1e-12)
    drawn = [mean_f1(rng.integers(0, 150, 150)) for _ in range(4000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    # the standard error of such a quantile is about 0.001 after 4,000 draws
    assert (found["f1"].low, found["f1"].high) == pytest.approx((low, high), abs=0.004)
    assert found["f1"].se == pytest.approx(np.std(drawn), rel=0.05)


def test_a_boost_is_that_of_independent_values() -> None:
    one, two = Estimate(0.95, 0.01, 0, 1, 6, 5), Estimate(0.9, 0.02, 0, 1, 1, math.inf)
    ours = boost(one, two)
    assert ours is not None
    rng = np.random.default_rng(0)
    drawn = 100 * (rng.normal(0.95, 0.01, 400_000) / rng.normal(0.9, 0.02, 400_000) - 1)
    assert ours.value == pytest.approx(100 * (0.95 / 0.9 - 1), abs=1e-12)
    assert ours.se == pytest.approx(drawn.std(), rel=0.02)  # first order, and 400,000 draws
    assert boost(one, Estimate(0.0, 0, 0, 0, 1, math.inf)) is None
