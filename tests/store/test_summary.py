import json
import math

import pytest
from sample_runs import component, epoch

from qtlplat.store.core.records import ArtifactRow, CellRecord, RunRecord
from qtlplat.store.read.serialize import by_variant, full_form, short_form


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
            "backbone_index": 0,
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
            "leakage": None,
            "group_leakage": None,
            "selection_leakage": None,
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
