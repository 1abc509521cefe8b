"""Who gets which member, and what happens to members whose processes fail; a light program stands for executors."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qtlplat.errors import ConfigError, StoreError
from qtlplat.progress import Silent
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.sweep_records import MemberRow, NewSweep, SweepRecord
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sweeps import member_states, named_sweep
from qtlplat.store.write.writer import Writer
from qtlplat_sweeps.coordinator import Coordinator, Pace
from qtlplat_sweeps.pool import Pool, Surroundings, how_it_ended

# tells what it does in a file of its own, so that a test can look at it
PROGRAM = """
import json, os, sys, time
facts = json.loads(sys.stdin.readline())
def tell(**event):
    print(json.dumps(event), flush=True)
if os.environ.get("NEVER_READY"):
    sys.exit(4)
tell(kind="ready")
for line in sys.stdin:
    job = json.loads(line)
    position, do = job["position"], job["request"].get("do", "finish")
    with open(os.environ["JOURNAL"], "a") as journal:
        journal.write(f"{position} {os.getpid()}\\n")
    print("what a plugin prints is no event", flush=True)
    tell(kind="stage", position=position, text="training")
    time.sleep(job["request"].get("seconds", 0.05))
    if do == "die":
        os.kill(os.getpid(), 9)
    if do == "leave":
        sys.exit(3)
    if do == "hang":
        time.sleep(600)
    error = {"kind": "TrainingError", "what": "no luck", "where": "", "fix": ""}
    if do == "fail":
        tell(kind="failed", position=position, error=error)
    elif do == "store":
        tell(kind="broken", position=position, error={**error, "kind": "StoreError", "what": "the disk is full"})
    else:
        tell(kind="finished", position=position, run="0123456789abcdef", seconds=0.1)
"""

SURROUNDINGS = Surroundings("store", None, 1, None)
Make = Callable[..., tuple[Coordinator, SweepRecord]]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JOURNAL", str(tmp_path / "journal"))
    return tmp_path / "journal"


@pytest.fixture
def make(tmp_path: Path, journal: Path) -> Make:
    """A coordinator of a stored sweep whose members do these things."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def coordinator(*requests: Any, pretrainings: str = "") -> tuple[Coordinator, SweepRecord]:
        members = tuple(
            MemberRow(
                i, f"run {i}", pretrainings[i : i + 1], {"number": i}, one if isinstance(one, dict) else {"do": one}
            )
            for i, one in enumerate(requests)
        )
        location = find_store(str(tmp_path / "runs.db"))
        with Writer(location) as writer:
            writer.add_sweep(NewSweep("mine", {"axes": {"number": []}}, members))
        sweep = named_sweep(Reader(location), "mine")
        return Coordinator(sweep, location, Silent(), (sys.executable, str(program))), sweep

    return coordinator


def carried_out(coordinator: Coordinator, sweep: SweepRecord, pace: Pace) -> Any:
    return coordinator.carry_out(member_states(coordinator.reader, sweep), pace, SURROUNDINGS)


def read(journal: Path) -> list[tuple[int, int]]:
    return [(int(one), int(pid)) for one, pid in (line.split() for line in journal.read_text().splitlines())]


def test_one_process_trains_many_members(make: Make, journal: Path) -> None:
    done = carried_out(*make(*["finish"] * 5), Pace(1))
    assert done.trained == 5
    assert [position for position, _ in read(journal)] == [0, 1, 2, 3, 4]
    assert len({pid for _, pid in read(journal)}) == 1


def test_several_processes_share_the_members(make: Make, journal: Path) -> None:
    done = carried_out(*make(*["finish"] * 6), Pace(3))
    assert done.trained == 6
    assert sorted(position for position, _ in read(journal)) == [0, 1, 2, 3, 4, 5]
    assert len({pid for _, pid in read(journal)}) == 3


def test_another_backbone_is_begun_before_somebody_waits_for_one(make: Make, journal: Path) -> None:
    """a and b are pretrained at once; not two members that would both wait for a."""
    carried_out(*make(*[{"seconds": 0.4}] * 4, pretrainings="aabb"), Pace(2))
    assert {position for position, _ in read(journal)[:2]} == {0, 2}


def test_what_fails_and_what_dies_is_written_down_and_the_rest_is_trained(make: Make, journal: Path) -> None:
    coordinator, sweep = make("finish", "fail", "die", "finish", "leave")
    done = carried_out(coordinator, sweep, Pace(1))
    assert done.trained == 2
    states = member_states(coordinator.reader, sweep)
    assert [one.state for one in states] == [
        "missing",
        "failed",
        "killed",
        "missing",
        "killed",
    ]
    assert [failure.error for failure in states[1].failures] == ["no luck"]
    assert [failure.error for failure in states[2].failures] == ["its process was killed by SIGKILL"] * 3
    assert [failure.error for failure in states[4].failures] == ["its process ended with status 3"] * 3
    # tried again after all others
    assert [position for position, _ in read(journal)] == [0, 1, 2, 3, 4, 2, 4, 2, 4]
    # and never again by itself
    journal.unlink()
    assert (
        carried_out(Coordinator(sweep, coordinator.location, Silent(), coordinator.program), sweep, Pace(1)).trained
        == 2
    )
    assert [position for position, _ in read(journal)] == [0, 3]


def test_a_member_that_hangs_is_ended_at_its_limit(make: Make, journal: Path) -> None:
    coordinator, sweep = make("hang", "finish")
    done = carried_out(coordinator, sweep, Pace(1, limit=0.5))
    assert done.trained == 1
    assert [failure.error for failure in done.failures] == ["it took longer than 0.5 s"] * 3


def test_a_broken_store_ends_everything(make: Make, journal: Path) -> None:
    coordinator, sweep = make("store", "finish", "finish")
    with pytest.raises(StoreError, match="the disk is full"):
        carried_out(coordinator, sweep, Pace(1))
    assert [position for position, _ in read(journal)] == [0]
    assert member_states(coordinator.reader, sweep)[0].state == "missing"


def test_executors_that_cannot_start_are_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEVER_READY", "1")
    coordinator, sweep = make("finish")
    with pytest.raises(ConfigError, match="an executor cannot start: its process ended with status 4"):
        carried_out(coordinator, sweep, Pace(2))


def test_ctrl_c_ends_all_processes(make: Make, journal: Path) -> None:
    coordinator, sweep = make("hang", "hang", "finish")

    def press() -> None:
        while not journal.exists() or len(read(journal)) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        carried_out(coordinator, sweep, Pace(2))
    for _, pid in read(journal):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert [one.state for one in member_states(coordinator.reader, sweep)] == ["missing"] * 3


def test_a_process_in_vain_asked_to_stop_is_killed(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, journal: Path
) -> None:
    """It ignores SIGTERM; nothing outlives the pool."""
    monkeypatch.setattr("qtlplat_sweeps.pool.GRACE_SECONDS", 0.3)
    program = tmp_path / "deaf.py"
    program.write_text("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                       "print('{\"kind\": \"ready\"}', flush=True)\ntime.sleep(600)\n")  # fmt: skip
    with Pool(SURROUNDINGS, (sys.executable, str(program))) as pool:
        executor = pool.start()
        while not executor.is_ready:
            executor.is_ready = any(True for _ in pool.news(0.1))
        executor.job = coordinator_job()
    assert executor.process.poll() == -signal.SIGKILL


def coordinator_job() -> Any:
    from qtlplat_sweeps.protocol import Job

    return Job(0, "run 0", {}, "")


@pytest.mark.parametrize(("code", "said"), [(0, "ended with status 0"), (-15, "SIGTERM"), (-500, "signal 500")])
def test_ends_in_words(code: int, said: str) -> None:
    assert said in how_it_ended(code)
