import json
from pathlib import Path

import pytest
from stored_runs import qtlplat

from qtlplat.api.store import open_store
from qtlplat_bench.verdict_command import PLAN


@pytest.mark.slow
def test_runs_are_trained_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"epochs": 2, "pretrain_epochs": 1, "options": {"dataset.per_class": 24, "dataset.images_per_kind": 12}}
    monkeypatch.setattr("qtlplat_bench.verdict_command.PLAN", PLAN | small)
    monkeypatch.setattr("qtlplat_bench.verdict.FAMILIES", 20)
    store = tmp_path / "s.db"
    command = ("bench", "verdict", "--runs", "3", "--backbones", "2", "--simulated", "20")
    first = qtlplat(store, *command, "--json")
    assert first.code == 0, first.err
    found = json.loads(first.out)
    assert (found["real"]["pairs"], found["real"]["without_verdict"]) == (3, 0)
    ids = {run.id for run in open_store(store).runs()}
    again = qtlplat(store, *command)
    assert "same-plan runs, same folds" in again.out
    assert "standard deviations of a score" in again.err
    assert {run.id for run in open_store(store).runs()} == ids
