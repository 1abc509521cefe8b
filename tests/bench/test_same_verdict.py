"""One question asked on two numerics, at two learning rates and by three metrics: one verdict, or why there is none."""

from pathlib import Path
from typing import Any

import pytest

from qtlplat.analysis.comparison import ComparisonRow
from qtlplat.api.store import open_store
from qtlplat_bench.same_plan_runs import Order, Trained, train

PLAN: dict[str, Any] = {
    "dataset": "steel-synth[per_class=90,images_per_kind=24,size=100,contrast=2]",
    "backbone": "lenet2",
    "head": "dressed[qubits=2,layers=1]",
    "controls": "linear",
    "backbones": 3,
    "pretrain_epochs": 4,
    "evaluator": "kfold[folds=3]",
}
RATES = {"low": {"options": {"training.learning_rate": 0.0008}}, "high": {"options": {"training.learning_rate": 0.008}}}
NUMERICS: dict[str, dict[str, str]] = {
    "default": {},
    "compatible": {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default"},
}
METRICS = ("f1", "roc_auc", "loss")
Verdicts = dict[tuple[str, str, str], ComparisonRow]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """Of the linear control against the quantum head, by numerics, learning rate and metric."""
    found: Verdicts = {}
    for numerics, rounding in NUMERICS.items():
        path: Path = tmp_path_factory.mktemp(numerics) / "store.db"
        runs: list[Trained] = []
        train(Order(str(path), None, PLAN, RATES, [0]), rounding, runs.append)
        store = open_store(path)
        for one in runs:
            for metric in METRICS:
                found[numerics, one.of, metric] = store.compare(one.run, metric=metric)[1]
    return found


def says(row: ComparisonRow) -> str:
    """The verdict without numbers."""
    return row.verdict.split(":")[0]


@pytest.mark.slow
def test_two_numerics_give_one_verdict(verdicts: Verdicts) -> None:
    """Backbones are pretrained in double precision, so that only heads round differently."""
    for rate in RATES:
        for metric in METRICS:
            one, two = (verdicts[numerics, rate, metric] for numerics in NUMERICS)
            assert says(one) == says(two), (rate, metric)
            assert one.test
            assert two.test
            assert two.test.mean == pytest.approx(one.test.mean, abs=0.01)


@pytest.mark.slow
def test_metrics_give_one_verdict_or_it_says_that_they_do_not(verdicts: Verdicts) -> None:
    for numerics in NUMERICS:
        for rate in RATES:
            rows = [verdicts[numerics, rate, metric] for metric in METRICS]
            for one in rows:
                for other in rows:
                    assert says(one) == says(other) or (one.disagreement and other.disagreement), (one, other)


@pytest.mark.slow
def test_learning_rates_give_one_verdict_or_one_has_not_converged(verdicts: Verdicts) -> None:
    for numerics in NUMERICS:
        for metric in METRICS:
            low, high = (verdicts[numerics, rate, metric] for rate in RATES)
            assert says(low) == says(high) or low.not_converged or high.not_converged, metric
            assert "not converged" in low.verdict  # 40 epochs at the low one are too few
