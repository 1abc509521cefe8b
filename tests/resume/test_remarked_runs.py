"""Runs that are tagged as they start, put away before they have ended, and deleted for good."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quick_runs import RUN, leftovers, numbers_of

from qtlplat.signals import Stop
from qtlplat.store.backends.find import find_store
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader

Call = Callable[[str], int]
QUANTUM = "--head 'dressed[qubits=2,layers=1]'"
SHORT = "--head 'mlp[hidden=[3]]' --n-init 1 --pretrain-epochs 1 --epochs 1 -q --json"


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_a_run_that_was_put_away_comes_back_and_goes_on_where_it_was(
    qtlplat: Call,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: Callable[[str], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    steps = iter(range(80))

    def stop(_self: Stop) -> None:
        if next(steps, None) is None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Stop, "check", stop)
        assert qtlplat(f"{RUN} {QUANTUM} -q --tag paper --tag b --note 'first try'") == 130
    reader = Reader(find_store(str(store)))
    (run,) = reader.interrupted(kind="run")
    assert (run.tags, run.note) == (("b", "paper"), "first try")
    assert [one.tags for one in reader.runs(kind="pretraining")] == [()]
    checkpoints = store.with_name("runs.files") / "checkpoints" / run.id
    kept = sorted(path.name for path in checkpoints.iterdir())
    assert qtlplat(f"rm {run.id}") == 0
    capsys.readouterr()
    assert qtlplat("resume -q --json") == 0
    assert answer(capsys) == []
    assert qtlplat(f"resume {run.id}") == 2
    assert f"qtlplat rm --restore {run.id[:8]}" in capsys.readouterr().err
    assert sorted(path.name for path in checkpoints.iterdir()) == kept
    assert qtlplat(f"rm --restore {run.id}") == 0
    assert qtlplat("resume") == 0
    assert f"run {run.id} resumes after epoch" in capsys.readouterr().err
    assert numbers_of(store) == undisturbed(QUANTUM)["numbers"]
    assert leftovers(store) == []


def test_tags_are_no_part_of_what_is_needed_and_what_is_put_away_is_trained_again(
    qtlplat: Call, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qtlplat(f"{RUN} {SHORT} --tag '@x'") == 2
    assert not store.exists()
    capsys.readouterr()

    def run(more: str) -> dict[str, Any]:
        assert qtlplat(f"{RUN} {SHORT} {more}") == 0
        found: dict[str, Any] = answer(capsys)
        return found

    first = run("--tag paper --note one")
    again = run("--reuse --tag new --tag paper --note two")
    assert (again["run"], again["fingerprint"]) == (first["run"], first["fingerprint"])
    assert (again["tags"], again["note"]) == (["new", "paper"], "one\ntwo")
    assert run("--reuse --note two")["note"] == "one\ntwo"
    assert qtlplat(f"rm {first['run']}") == 0
    capsys.readouterr()
    second = run("--reuse")
    assert second["run"] != first["run"]
    assert (second["tags"], second["note"], second["pretraining"]) == ([], None, first["pretraining"])
    assert second["metrics"] == first["metrics"]
    assert qtlplat("store gc --json") == 0
    assert answer(capsys)["runs"] == [first["run"]]
    assert qtlplat(f"rm {second['run']} {second['pretraining']}") == 0
    capsys.readouterr()
    assert qtlplat("store gc --json") == 0
    done = answer(capsys)
    assert set(done["runs"]) == {second["run"], second["pretraining"]}
    assert {kind: one["number"] for kind, one in done["files"].items()} == {"weights": 2, "features": 2}
    third = run("--reuse")
    assert third["metrics"] == first["metrics"]
    health = check(find_store(str(store)))
    assert health.problems == ()
    assert leftovers(store) == []
