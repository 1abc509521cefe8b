"""The plan and its fingerprints: what counts, what does not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from qtlplat.catalog.plan import ComponentChoice, PretrainingOptions, RunPlan, TrainingOptions, canonical_json


def choice(**changes: Any) -> ComponentChoice:
    base = {"name": "p", "component": "c", "provider": "d", "version": "1", "digest": "ab", "options": {"x": 1}}
    return ComponentChoice(**{**base, **changes})


def plan(**changes: Any) -> RunPlan:
    parts = {role: choice(component=role) for role in ("dataset", "backbone", "head", "evaluator")}
    return RunPlan(**{**parts, "dataset_digest": "0" * 64, **changes})


SAME = {
    "preset's name": {"head": choice(component="head", name="other")},
    "provider's version": {"head": choice(component="head", version="2")},
    "where the data lies": {
        "dataset": choice(component="dataset", options={"x": 1, "root": "/b"}, locations=("root",))
    },
    "how the device is written": {"device": " auto[precision=single] "},
}
OTHER_RUN = {
    "head option": {"head": choice(component="head", options={"x": 2})},
    "head code": {"head": choice(component="head", digest="cd")},
    "evaluator": {"evaluator": choice(component="other")},
    "replace": {"replace": 2},
    "training": {"training": TrainingOptions(epochs=1)},
    "seeds": {"seeds": 2},
    "backbones": {"backbones": 2},
    "device": {"device": "lightning.qubit"},
}
OTHER_PRETRAINING = {
    "data": {"dataset_digest": "1" * 64},
    "backbone": {"backbone": choice(component="backbone", options={"x": 2})},
    "pretraining": {"pretraining": PretrainingOptions(epochs=1)},
    "seed": {"seed": 1},
    "accelerator": {"accelerator": "cuda"},
}


@pytest.mark.parametrize("what", SAME)
def test_what_changes_no_number_changes_no_fingerprint(what: str) -> None:
    assert plan(**SAME[what]).fingerprint == plan().fingerprint
    assert plan(**SAME[what]).pretraining_fingerprint == plan().pretraining_fingerprint


@pytest.mark.parametrize("what", OTHER_RUN)
def test_what_concerns_the_head_only_keeps_the_pretraining(what: str) -> None:
    assert plan(**OTHER_RUN[what]).fingerprint != plan().fingerprint
    assert plan(**OTHER_RUN[what]).pretraining_fingerprint == plan().pretraining_fingerprint


@pytest.mark.parametrize("what", OTHER_PRETRAINING)
def test_what_concerns_the_backbone_changes_both(what: str) -> None:
    assert plan(**OTHER_PRETRAINING[what]).fingerprint != plan().fingerprint
    assert plan(**OTHER_PRETRAINING[what]).pretraining_fingerprint != plan().pretraining_fingerprint


def test_one_backbone_is_no_part_of_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs from before there could be several are found again."""
    monkeypatch.setattr("qtlplat.catalog.plan._sha256", str)
    assert "backbones" not in plan().fingerprint
    assert "'backbones': 2" in plan(backbones=2).fingerprint
    monkeypatch.undo()
    assert plan(backbones=2).fingerprint != plan(backbones=3).fingerprint


def test_an_unbound_plan_has_no_fingerprint() -> None:
    with pytest.raises(ValueError, match="not bound"):
        _ = plan(dataset_digest="").fingerprint
    assert plan(dataset_digest="").bind("0" * 64).fingerprint == plan().fingerprint


def test_a_plan_survives_its_json() -> None:
    assert RunPlan.model_validate_json(plan().model_dump_json()) == plan()


def test_canonical_json_ignores_order_and_refuses_nan() -> None:
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


@pytest.mark.parametrize(
    "bad", [{"replace": 0}, {"replace": "some"}, {"seed": -1}, {"accelerator": "tpu"}, {"unknown": 1}]
)
def test_a_wrong_plan_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        plan(**bad)
