"""Runs that differ in seed and rounding are trained once each, in processes that round as they should."""

from pathlib import Path
from typing import Any

import pytest

from qtlplat.api.store import open_store
from qtlplat.errors import UsageError
from qtlplat_bench.same_plan_runs import ROUNDINGS, Order, Trained, rounding_of, spelled, train

PLAN: dict[str, Any] = {
    "dataset": "steel-synth[per_class=18,images_per_kind=8,size=100]",
    "backbone": "lenet2",
    "head": "linear",
    "epochs": 2,
    "pretrain_epochs": 1,
}
DESIGNS = {"same folds": {"evaluator": "kfold[folds=2,shuffle=false]"}}
COMPATIBLE = {"MKL_CBWR": "COMPATIBLE"}


def trained(store: Path, rounding: dict[str, str], **further: Any) -> list[Trained]:
    found: list[Trained] = []
    train(Order(str(store), None, PLAN, DESIGNS, **further), rounding, found.append)
    return found


@pytest.mark.slow
def test_runs_and_repetitions_are_rounded_as_asked_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    [first] = trained(path, {}, seeds=[0])
    assert (first.of, first.seed) == ("same folds", 0)
    second, repeated = trained(path, COMPATIBLE, seeds=[1], replays=[first.run])
    assert (repeated.of, repeated.seed) == (first.run, None)
    store = open_store(path)
    rounded = {one.id: one.environment.get("variable MKL_CBWR") for one in store.runs(kind="run")}
    assert rounded == {first.run: None, second.run: "COMPATIBLE", repeated.run: "COMPATIBLE"}
    assert store.run(repeated.run).record.replay_of == first.run
    backbones = [{cell.pretraining for cell in store.run(one.run).cells()} for one in (first, repeated)]
    assert backbones[0].isdisjoint(backbones[1])
    # the newest run with seed 0 is the repetition: it stands for the run that it repeats
    assert trained(path, {}, seeds=[0]) == [first]
    assert trained(path, COMPATIBLE, seeds=[1], replays=[first.run]) == [second, repeated]


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown backbone"):
        train(
            Order(str(tmp_path / "store.db"), None, {**PLAN, "backbone": "no-such-backbone"}, DESIGNS, [0]),
            COMPATIBLE,
            lambda _one: None,
        )


def test_seeds_take_turns_in_all_ways_of_rounding() -> None:
    assert {rounding_of(seed) for seed in range(12)} == set(range(len(ROUNDINGS)))
    assert [spelled(one) for one in ROUNDINGS[:2]] == ["default rounding", "ATEN_CPU_CAPABILITY=default"]
