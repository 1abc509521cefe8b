"""A run that is interrupted anywhere ends with the numbers of one that never stopped, bit for bit."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quick_runs import RUN, leftovers, numbers_of

from qtlplat.cli.app import _run
from qtlplat.errors import Terminated
from qtlplat.runs.cleanup import remove_leftovers
from qtlplat.signals import Stop
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

Call = Callable[[str], int]
QUANTUM = "--head 'dressed[qubits=2,layers=1]'"
EPOCH = 5  # steps
CONTROLS = f"{QUANTUM} --controls linear,frozen,shuffled"


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Stop training at the n-th step from now, as a signal would; returns a list that counts the steps."""

    def at(step: int, error: type[BaseException] = KeyboardInterrupt) -> list[int]:
        seen: list[int] = []

        def check(_self: Stop) -> None:
            seen.append(len(seen) + 1)
            if len(seen) == step:
                raise error

        monkeypatch.setattr(Stop, "check", check)
        return seen

    return at


def interrupted(store: Path) -> list[str]:
    return [run.id for run in Reader(find_store(str(store))).interrupted(kind="run")]


# of about 60 steps of pretraining, 2 of features and 48 of heads
@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "step", [40, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 7, 31, 61, 62, 63, 64, 75, 109))]
)
def test_a_run_stopped_at_any_step_ends_bitwise_equal(
    step: int, qtlplat: Call, store: Path, stop_at: Any, undisturbed: Any
) -> None:
    stop_at(step)
    assert qtlplat(f"{RUN} {CONTROLS} -q") == 130
    assert len(interrupted(store)) == 1
    seen = stop_at(-1)
    assert qtlplat("resume -q") == 0
    assert numbers_of(store) == undisturbed(CONTROLS)["numbers"]
    assert step + len(seen) - undisturbed(CONTROLS)["steps"] <= EPOCH, "more than an epoch was trained again"
    assert leftovers(store) == []


@pytest.mark.slow
def test_a_run_stopped_again_and_again_ends_bitwise_equal(
    qtlplat: Call, store: Path, stop_at: Any, undisturbed: Any
) -> None:
    stop_at(9)
    assert qtlplat(f"{RUN} {QUANTUM} -q") == 130
    stops = 0
    while True:
        stop_at(13, Terminated)
        code = qtlplat("resume --all -q")
        if code == 0:
            break
        assert code == 143
        stops += 1
    assert stops > 5
    assert numbers_of(store) == undisturbed(QUANTUM)["numbers"]


@pytest.mark.parametrize("step", [70, pytest.param(100, marks=pytest.mark.slow), 130])
@pytest.mark.slow
@pytest.mark.sampled(1)
def test_a_run_stopped_while_it_tunes_ends_bitwise_equal(
    step: int, qtlplat: Call, store: Path, stop_at: Any, undisturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells that were tuned before the interruption are not tuned again."""
    monkeypatch.setattr("qtlplat.runs.tuning.STACK", 4)
    grid = "-S tuning.folds=2 -S tuning.learning_rates=[0.01,0.1] -S tuning.epochs=4"
    line = f"{RUN.replace(' --epochs 12', '')} {QUANTUM} --controls frozen {grid}"
    expected = undisturbed(line)
    stop_at(step)
    assert qtlplat(f"{line} -q") == 130
    (run,) = interrupted(store)
    tuned = len(Reader(find_store(str(store))).candidates(run))
    assert tuned == {70: 0, 100: 4, 130: 8}[step]
    seen = stop_at(-1)
    assert qtlplat("resume -q") == 0
    assert numbers_of(store) == expected["numbers"]
    assert len(Reader(find_store(str(store))).candidates(run)) == 12
    assert step + len(seen) - expected["steps"] <= 5 * EPOCH, "what was stored was trained again"
    assert leftovers(store) == []


@pytest.mark.slow
def test_a_head_that_trains_cell_by_cell_is_resumed_within_its_cells(
    qtlplat: Call, store: Path, stop_at: Any, undisturbed: Any
) -> None:
    """Shots are random and cannot be stacked: their generator follows from the epoch."""
    more = f"{QUANTUM} --device 'default.qubit[shots=20]' --epochs 2"
    expected = undisturbed(more)
    stop_at(75)  # in the second cell
    assert qtlplat(f"{RUN} {more} -q") == 130
    seen = stop_at(-1)
    assert qtlplat("resume -q") == 0
    assert numbers_of(store) == expected["numbers"]
    assert 75 + len(seen) - expected["steps"] <= EPOCH


@pytest.mark.slow
def test_the_same_command_goes_on_with_an_interrupted_pretraining(
    qtlplat: Call, store: Path, stop_at: Any, undisturbed: Any
) -> None:
    steps = stop_at(40)
    assert qtlplat(f"{RUN} {QUANTUM} -q") == 130
    steps = stop_at(-1)
    assert qtlplat(f"{RUN} {QUANTUM} -q") == 0
    assert len(steps) < 90, "the first initialisation was trained again"
    numbers = numbers_of(store)
    assert numbers["pretraining"] == undisturbed(QUANTUM)["numbers"]["pretraining"]
    assert numbers["runs"] == ["pretraining", "run", "run"]


@pytest.mark.slow
def test_after_resume_the_run_is_found_and_shown(
    qtlplat: Call, store: Path, stop_at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(70)
    assert qtlplat(f"{RUN} {QUANTUM}") == 130
    (run,) = interrupted(store)
    assert f"qtlplat resume {run[:8]} --store {store}" in capsys.readouterr().err
    stop_at(-1)
    assert qtlplat(f"resume {run[:6]} --json") == 0
    (resumed,) = json.loads(capsys.readouterr().out)
    assert (resumed["run"], resumed["status"]) == (run, "finished")
    assert qtlplat(f"{RUN} {QUANTUM} --reuse --json") == 0
    assert json.loads(capsys.readouterr().out)["run"] == run
    assert qtlplat(f"show {run} --json") == 0
    owners = json.loads(capsys.readouterr().out)["owners"]
    assert [owner["number"] for owner in owners] == [1, 2]
    assert qtlplat(f"resume {run}") == 2
    assert "is finished" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_pretraining_leads_to_the_run_that_needs_it(
    qtlplat: Call, store: Path, stop_at: Any, undisturbed: Any
) -> None:
    stop_at(10)
    assert qtlplat(f"{RUN} {QUANTUM} -q") == 130
    (pretraining,) = Reader(find_store(str(store))).interrupted(kind="pretraining")
    stop_at(-1)
    assert qtlplat(f"resume {pretraining.id} -q") == 0
    assert numbers_of(store) == undisturbed(QUANTUM)["numbers"]


def test_nothing_to_resume_is_no_error_and_several_are_named(
    qtlplat: Call, store: Path, stop_at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qtlplat("resume --json") == 0
    assert json.loads(capsys.readouterr().out) == []
    for seed in (1, 2):
        stop_at(3)
        assert qtlplat(f"{RUN} {QUANTUM} --seed {seed} -q") == 130
    capsys.readouterr()
    assert qtlplat("resume") == 2
    err = capsys.readouterr().err
    assert all(run in err for run in interrupted(store))
    assert "--all" in err


@pytest.mark.slow
def test_what_has_changed_is_refused_with_each_difference_unless_it_is_allowed(
    qtlplat: Call, store: Path, stop_at: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(70)
    assert qtlplat(f"{RUN} {QUANTUM} -q") == 130
    (run,) = interrupted(store)
    stop_at(-1)
    from qtlplat.runs import drift

    real = drift.environment
    today = {
        "version of torch": "9.9", "threads": "77", "vector instructions": "NONE", "oneDNN enabled": "no",
        "variable MKL_CBWR": "COMPATIBLE", "interop threads": "5", "cpus": "99",
    }  # fmt: skip
    monkeypatch.setattr(drift, "environment", lambda *a: real(*a) | today)
    before = numbers_of(store)
    capsys.readouterr()
    assert qtlplat(f"resume -q --store {store}") == 3
    err = capsys.readouterr().err
    assert err.startswith(f"error: cannot resume run {run}: 5 settings have changed since it started")
    for name, value in list(today.items())[:5]:
        assert f"{name}: " in err
        assert f"-> '{value}'" in err
    assert "--allow-drift" in err
    assert numbers_of(store) == before
    assert qtlplat(f"resume --allow-drift -q --store {store}") == 0
    assert f"store: {store}" in capsys.readouterr().err
    assert qtlplat(f"show {run} --json") == 0
    assert json.loads(capsys.readouterr().out)["owners"][1]["drift"].keys() == set(list(today)[:5])


@pytest.mark.slow
def test_a_damaged_checkpoint_is_told_and_the_older_one_used(
    qtlplat: Call, store: Path, stop_at: Any, undisturbed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(80)
    assert qtlplat(f"{RUN} {QUANTUM} -q") == 130
    (directory,) = (store.with_name("runs.files") / "checkpoints").glob(interrupted(store)[0])
    newest = max(directory.glob("*.safetensors"))
    data = bytearray(newest.read_bytes())
    data[-5] ^= 4
    newest.write_bytes(data)
    stop_at(-1)
    capsys.readouterr()
    assert qtlplat("resume") == 0
    assert "is damaged and not used" in capsys.readouterr().err
    assert numbers_of(store) == undisturbed(QUANTUM)["numbers"]


@pytest.mark.slow
def test_without_any_checkpoint_training_starts_again_and_agrees_with_what_is_stored(
    qtlplat: Call, store: Path, stop_at: Any, undisturbed: Any
) -> None:
    stop_at(80)
    assert qtlplat(f"{RUN} {QUANTUM} -q") == 130
    shutil.rmtree(store.with_name("runs.files") / "checkpoints")
    stop_at(-1)
    assert qtlplat("resume -q") == 0
    assert numbers_of(store) == undisturbed(QUANTUM)["numbers"]


def test_leftovers_of_finished_runs_go_and_those_of_a_run_that_begins_meanwhile_stay(
    qtlplat: Call, store: Path, stop_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(80)
    assert qtlplat(f"{RUN} {QUANTUM} -q") == 130
    location = find_store(str(store))
    going_on = location.files / "checkpoints" / interrupted(store)[0]
    left, begun = (going_on.with_name(name * 16) for name in "ab")
    left.mkdir()
    (location.locks / "cccccccccccccccc.lock").touch()
    table = Reader.table

    def meanwhile(reader: Reader, *arguments: Any, **named: Any) -> Any:
        begun.mkdir(exist_ok=True)
        return table(reader, *arguments, **named)

    monkeypatch.setattr(Reader, "table", meanwhile)
    remove_leftovers(location)
    assert {path.name for path in going_on.parent.iterdir()} == {going_on.name, begun.name}
    assert list(location.locks.iterdir()) == []


def test_a_pretraining_that_nothing_needs_any_more_is_not_among_all(
    qtlplat: Call, store: Path, stop_at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(10)
    assert qtlplat(f"{RUN} {QUANTUM} -q") == 130
    reader = Reader(find_store(str(store)))
    (run,), (pretraining,) = interrupted(store), reader.interrupted(kind="pretraining")
    with sqlite3.connect(store) as raw:  # as if the run had gone on with another backbone
        raw.execute("UPDATE runs SET status = 'finished' WHERE id = ?", (run,))
    raw.close()
    stop_at(-1)
    capsys.readouterr()
    assert qtlplat("resume --all --json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert qtlplat(f"resume {pretraining.id}") == 2
    assert "nothing needs it any more" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["lenet1", "lenet2", "lenet3"])
def test_the_built_in_backbones_go_on_bit_for_bit(
    backbone: str, qtlplat: Call, store: Path, stop_at: Any, tmp_path: Path
) -> None:
    """With averaged weights, in their own memory layout, some of their kernels through their spectra."""
    line = (
        f"run --dataset 'steel-synth[per_class=18,images_per_kind=8]' --backbone {backbone} --head linear "
        "--evaluator 'kfold[folds=2]' --epochs 2 --pretrain-epochs 3 -S pretraining.patience=0 -q"
    )
    whole = tmp_path / "whole.db"
    assert _run([*shlex.split(line), "--store", str(whole)]) == 0
    stop_at(4)
    assert qtlplat(line) == 130
    stop_at(-1)
    assert qtlplat("resume -q") == 0
    assert numbers_of(store) == numbers_of(whole)
