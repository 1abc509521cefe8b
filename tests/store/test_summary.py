import json
import math
import statistics

import pytest
from sample_runs import component, epoch

from qtlplat.store.records import ArtifactRow, CellRecord, RunRecord
from qtlplat.store.summary import by_variant, full_form, leak_line, mean_std, percent, short_form


def record(**changes: object) -> RunRecord:
    values: dict[str, object] = {
        "id": "0123456789abcdef",
        "kind": "pretraining",
        "status": "finished",
        "fingerprint": "f" * 64,
        "seed": 7,
        "created": "2026-01-01T00:00:00.000000+00:00",
        "finished": None,
        "plan": {"a": 1},
        "components": {"dataset": component("dataset")},
        "dataset_digest": "d",
        "parameters": {},
        "metrics": {"f1": (0.9, 1.0)},
        "seconds": {"total": 1.0, "extra": 2.0},
        "pretraining": None,
        "error": "",
    }
    return RunRecord(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [[0.9, 1.0], [0.1] * 7, [1e16, 1.0, -1e16], [0.9870, 0.9823, 0.9912, 0.9733]])
def test_mean_and_sample_deviation_agree_with_exact_arithmetic(values: list[float]) -> None:
    mean, std = mean_std(values)
    assert mean == pytest.approx(statistics.mean(values), rel=1e-14)
    assert std == pytest.approx(statistics.stdev(values), rel=1e-13, abs=1e-16)


def test_too_few_values_have_no_deviation() -> None:
    assert mean_std([]) == (None, None)
    assert mean_std([0.5]) == (0.5, None)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_not_hidden(bad: float) -> None:
    mean, std = mean_std([0.5, bad])
    assert mean is not None
    assert std is not None
    assert not math.isfinite(mean)
    assert not math.isfinite(std)


def test_the_short_form_has_its_fixed_keys() -> None:
    form = short_form(record())
    fixed = "run kind status fingerprint dataset backbone head evaluator metrics parameters pretraining seconds"
    assert set(fixed.split()) <= set(form)
    assert form["dataset"] == {
        "name": "my-dataset",
        "component": "dataset",
        "provider": "qtlplat",
        "version": "0.1",
        "options": {"size": 3},
    }
    assert form["head"] is None
    assert form["metrics"]["f1"] == {"mean": 0.95, "std": pytest.approx(math.sqrt(0.005)), "values": [0.9, 1.0]}
    assert form["seconds"] == {"total": 1.0, "pretrain": None, "features": None, "heads": None, "extra": 2.0}


def test_the_full_form_adds_cells_epochs_and_the_rest() -> None:
    cell = CellRecord(0, 2, 7, 10, 5, "1", "2", "finished", 1.5, {"f1": 0.9})
    form = full_form(record(), [cell], [epoch(0, 3)], {"python": "3"}, [ArtifactRow("w", "p", "s", 1)], ["c"])
    assert short_form(record()).items() <= form.items()
    assert form["cells"] == [
        {
            "position": 0,
            "fold": 2,
            "seed": 7,
            "n_train": 10,
            "n_test": 5,
            "train_hash": "1",
            "test_hash": "2",
            "status": "finished",
            "seconds": 1.5,
            "metrics": {"f1": 0.9},
            "variant": "head",
            "leak": None,
            "group_leak": None,
            "selection_leak": None,
            "pretraining": None,
        }
    ]
    assert form["epochs"][0] == {
        "cell": 0,
        "epoch": 3,
        "seconds": 0.5,
        "train_loss": 1.0,
        "test_loss": 0.9,
        "test_accuracy": 0.8,
    }
    assert form["plan"] == {"a": 1}
    assert form["environment"] == {"python": "3"}
    assert form["children"] == ["c"]
    assert json.loads(json.dumps(form)) == form


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0%"), (0.004, "under 1%"), (0.01, "1%"), (0.724, "72%"), (0.996, "over 99%"), (1.0, "100%")],
)
def test_shares_that_are_there_never_read_as_nothing_or_all(share: float, words: str) -> None:
    assert percent(share) == words


def test_the_leak_line_names_what_there_is() -> None:
    none = {"leak": None, "group_leak": None, "selection_leak": None}
    assert leak_line(none) == leak_line({"leak": 0.0, "group_leak": 0.0, "selection_leak": 0.0}) == ""
    assert leak_line({"leak": 0.0, "group_leak": 0.5, "selection_leak": 0.0}) == (
        "leak: the source image of 50% of what is tested stands in training"
    )
    assert leak_line({"leak": 0.8, "group_leak": 0.9, "selection_leak": 0.2}).count(";") == 2


def test_metrics_that_only_some_cells_have_are_averaged_over_these() -> None:
    cells = [
        {"variant": "head", "status": "finished", "metrics": {"f1": 0.5, "auc": 0.7}},
        {"variant": "head", "status": "finished", "metrics": {"f1": 0.7}},
        {"variant": "head", "status": "running", "metrics": {}},
    ]
    found = by_variant(cells)["head"]
    assert found["n"] == 2
    assert found["metrics"]["f1"]["mean"] == pytest.approx(0.6)
    assert found["metrics"]["auc"]["values"] == [0.7]
