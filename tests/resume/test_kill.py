"""Processes that are killed with -9 anywhere, and resumed: the same bits, one epoch again at most, nothing left."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from quick_runs import RUN, Runs, leftovers, numbers_of

from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

ARGUMENTS = "--head 'dressed[qubits=2,layers=1]' --controls linear --n-init 1"
KILL = -9


def epochs_stored(store: Path) -> dict[str, int]:
    reader = Reader(find_store(str(store)))
    return {run.id: max((row.epoch for row in reader.epochs(run.id)), default=0) for run in reader.runs()}


def resume_points(log: Path) -> dict[str, int]:
    """The epoch after which each run went on last, by id."""
    pattern = r"(?:pretraining|run) (\w{16}) resumes after (?:initialisation \d+, )?epoch (\d+)"
    return {run: int(epoch) for run, epoch in re.findall(pattern, log.read_text())}


def go_through(runs: Runs, seed: int, kills: int, undisturbed: Any) -> None:
    """Kill a run so many times at random moments, then let it end."""
    draw = random.Random(seed)
    expected = undisturbed(ARGUMENTS)
    line, reader = f"{RUN} {ARGUMENTS}", Reader(find_store(str(runs.store)))
    for _ in range(kills):
        if not runs.killed(line, draw.uniform(0.0, expected["seconds"])):
            break
        line = "resume --all"
    before = epochs_stored(runs.store)
    runs.log.write_text("")
    assert runs.to_the_end("resume --all") == 0, runs.log.read_text()
    for run, epoch in resume_points(runs.log).items():
        assert before[run] - epoch <= 1, "more than one epoch was done again"
    assert reader.interrupted() == []
    assert numbers_of(runs.store) == expected["numbers"]
    assert leftovers(runs.store) == []


def test_a_killed_run_ends_bitwise_equal(runs: Runs, undisturbed: Any) -> None:
    go_through(runs, seed=1, kills=2, undisturbed=undisturbed)


@pytest.mark.sampled(4)
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_25_runs_killed_one_to_three_times_end_bitwise_equal(seed: int, runs: Runs, undisturbed: Any) -> None:
    go_through(runs, seed=100 + seed, kills=1 + seed % 3, undisturbed=undisturbed)


def contended(runs: Runs, several: int) -> None:
    """Several processes resume the same run at once: one does it, the others are told by whom."""
    assert runs.killed(f"{RUN} {ARGUMENTS}", 0.0)
    (run,) = Reader(find_store(str(runs.store))).interrupted(kind="run")
    started = [runs.start(f"resume {run.id}") for _ in range(several)]
    for process in started:
        process.join(300)
    codes = sorted(process.exitcode or 0 for process in started)
    # One that comes late finds it finished (2).
    assert codes.count(0) == 1, (codes, runs.log.read_text())
    assert set(codes) <= {0, 2, 7}, (codes, runs.log.read_text())
    assert f"run {run.id} is owned by process" in runs.log.read_text() or codes.count(7) == 0


@pytest.mark.slow
def test_of_two_who_resume_a_run_one_wins(runs: Runs) -> None:
    contended(runs, 2)


@pytest.mark.sampled(3)
@pytest.mark.slow
@pytest.mark.parametrize("_again", range(20))
def test_20_contended_resumes_have_one_winner(_again: int, runs: Runs) -> None:
    contended(runs, 3)


@pytest.mark.slow
def test_a_reproduction_that_is_killed_goes_on_with_the_same_command(runs: Runs) -> None:
    reader = Reader(find_store(str(runs.store)))
    process = runs.start("reproduce quick2026")
    while not any(epochs_stored(runs.store).values()):
        assert process.is_alive(), runs.log.read_text()
        time.sleep(0.02)
    process.kill()
    process.join(60)
    before = epochs_stored(runs.store)
    assert {run.status for run in reader.runs()} == {"interrupted"}
    assert runs.to_the_end("reproduce quick2026") == 0, runs.log.read_text()
    after = {run.id: run.status for run in reader.runs()}
    assert set(before) <= set(after), "what had begun was taken up again, not begun anew"
    assert list(after.values()) == ["finished"] * len(after)
    assert leftovers(runs.store) == []
    runs.log.write_text("")
    assert runs.to_the_end("reproduce quick2026") == 0
    assert re.search(r"(\d) of \1 models are stored", runs.log.read_text())
    assert {run.id for run in reader.runs()} == set(after)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_a_run_within_seconds_and_names_the_command(
    name: str, code: int, runs: Runs, undisturbed: Any
) -> None:
    process = runs.start(f"{RUN} {ARGUMENTS} --pretrain-epochs 100 -S pretraining.patience=0")
    deadline = time.monotonic() + 60
    while not any(epochs_stored(runs.store).values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert process.pid
    os.kill(process.pid, getattr(signal, name))
    asked = time.monotonic()
    process.join(60)
    assert time.monotonic() - asked < 5
    assert process.exitcode == code
    (run,) = Reader(find_store(str(runs.store))).interrupted(kind="run")
    assert f"qtlplat resume {run.id[:8]}" in runs.log.read_text()
    assert "Traceback" not in runs.log.read_text()
