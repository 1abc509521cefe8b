"""How many threads pretrain a backbone: measured where that is worth it, stored, and used again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from quick_runs import RUN, numbers_of

from qtlplat.backbones.pretrain import BackboneTraining
from qtlplat.runs import thread_count
from qtlplat.runs.thread_count import measured_threads
from qtlplat.signals import Stop
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

Call = Callable[[str], int]
LINE = f"{RUN} --head linear --n-init 1 --epochs 2 -q"


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch has two, and nobody has asked for a number."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # put back afterwards, also if a command sets it
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch, two_threads: None) -> dict[int, Any]:
    """Seconds of a step by number of threads; an exception instead is raised."""
    seconds: dict[int, Any] = {2: 1.0, 1: 0.1}

    def of(_make: object, threads: int) -> float:
        if isinstance(seconds[threads], Exception):
            raise seconds[threads]
        return float(seconds[threads])

    monkeypatch.setattr(thread_count, "_seconds", of)
    return seconds


@pytest.mark.parametrize(
    ("two", "one", "steps", "chosen"),
    [
        (2.675, 0.157, 100, 1),
        (1.0, 0.6, 100, 2),  # not worth other last bits
        (0.1, 0.2, 1000, 2),
        (1.0, 0.01, 4, 2),  # all of it takes less than five seconds
        (RuntimeError("of the plugin"), 0.01, 100, 2),
        (1.0, MemoryError(), 100, 2),
    ],
)
def test_one_thread_is_chosen_if_it_is_clearly_faster(
    two: Any, one: Any, steps: int, chosen: int, speeds: dict[int, Any]
) -> None:
    speeds |= {2: two, 1: one}
    told: list[str] = []
    assert measured_threads(lambda: pytest.fail("not made here"), steps, told.append) == chosen
    if chosen == 1:
        assert told == ["pretraining with 1 thread: a step takes 157 ms, with 2 threads 2675 ms (--threads 2 keeps 2)"]
    else:
        assert told == []


def threads_of(store: Path) -> dict[str, list[str]]:
    """Of the runs of each kind, oldest first."""
    reader = Reader(find_store(str(store)))
    found: dict[str, list[str]] = {"run": [], "pretraining": []}
    for run in reversed(reader.runs()):
        found[run.kind].append(reader.environment(run.id)["threads"])
    return found


def test_the_choice_is_stored_and_used_again(
    speeds: dict[int, Any], qtlplat: Call, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    real = BackboneTraining.run
    monkeypatch.setattr(BackboneTraining, "run", lambda self: used.append(torch.get_num_threads()) or real(self))
    seen: list[int] = []

    def stop(_self: Stop) -> None:
        seen.append(1)
        if len(seen) == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Stop, "check", stop)
        assert qtlplat(LINE) == 130
    speeds |= {2: 0.0, 1: 1.0}  # now two are the better choice, and are not asked
    assert qtlplat("resume -q") == 0
    assert (threads_of(store), torch.get_num_threads()) == ({"run": ["2"], "pretraining": ["1"]}, 2)
    assert qtlplat("replay @last --verify -q --json") == 0
    assert threads_of(store) == {"run": ["2", "2"], "pretraining": ["1", "1"]}
    assert used == [1, 1, 1]


@pytest.mark.slow
def test_who_asks_for_a_number_gets_it(
    speeds: dict[int, Any], qtlplat: Call, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qtlplat(f"{LINE} --threads 2 --json") == 0
    assert threads_of(store) == {"run": ["2"], "pretraining": ["2"]}
    run = json.loads(capsys.readouterr().out)["run"]
    assert Reader(find_store(str(store))).environment(run)["variable OMP_NUM_THREADS"] == "2"
    assert qtlplat(f"{LINE} --threads 0") == 2


def test_a_run_is_resumed_with_the_threads_that_it_had(
    speeds: dict[int, Any], qtlplat: Call, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def stop(_self: Stop) -> None:
        seen.append(1)
        if len(seen) == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Stop, "check", stop)
        assert qtlplat(f"{LINE} --threads 1") == 130
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    assert qtlplat("resume -q") == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert qtlplat("resume -q") == 0
    assert (threads_of(store), torch.get_num_threads()) == ({"run": ["1"], "pretraining": ["1"]}, 2)


@pytest.mark.slow
def test_measuring_changes_no_bit(
    two_threads: None, qtlplat: Call, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(thread_count, "_seconds", lambda *_: pytest.fail("it was to be left alone"))
        patch.setenv("OMP_NUM_THREADS", "2")
        assert qtlplat(LINE) == 0
    expected = numbers_of(store)
    measured: list[int] = []
    real = thread_count._seconds
    monkeypatch.setattr(thread_count, "_seconds", lambda make, n: measured.append(n) or real(make, n))
    monkeypatch.setattr(thread_count, "SHORT_SECONDS", 0.0)
    monkeypatch.setattr(thread_count, "CLEARLY", 1e9)
    store.rename(store.with_name("first.db"))
    assert qtlplat(LINE) == 0
    assert measured == [2, 1]
    assert numbers_of(store) == expected
