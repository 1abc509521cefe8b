"""Ctrl-C and SIGTERM, once or twice, at any stage of any write of a run: it ends in good order and goes on later."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from below_strace import QUICK, below_strace, child, ended, goes_on, write_down_what_is_acknowledged

from qtlplat.cli.app import main
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

pytestmark = [
    pytest.mark.usefixtures("single_threaded", "plugins"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
WRITES = {"pwrite64": 6, "fdatasync": 2, "fsync": 1, "rename": 1, "unlink": 2}  # and each how manieth is tried
LATER = {"pwrite64": 30}  # calls until the second signal: two in one call of SQLite's would be one to Python
CODES = {"INT": 130, "TERM": 143}
SECONDS = 5.0
KINDS = [("INT", 1), ("TERM", 1), ("INT", 2), ("TERM", 2)]  # which signal, how often


@pytest.fixture
def expected(undisturbed: Any) -> dict[str, Any]:
    numbers: dict[str, Any] = undisturbed(QUICK)["numbers"]
    return numbers


def told(store: Path, name: str, code: int, times: int) -> None:
    """The run ended as one that was asked to: with its code, one word, and how to go on where there is something to.

    Whoever asks twice is not kept waiting for words: where the run had just begun, it is found to be interrupted.
    """
    output = (store.parent / "output").read_text()
    assert code == CODES[name], output
    assert "Traceback" not in output
    assert output.endswith({"INT": "interrupted\n", "TERM": "terminated\n"}[name])
    for run in Reader(find_store(str(store))).runs(kind="run"):
        assert run.status in ("interrupted", "finished")  # the latter where it came with the last write
        assert times > 1 or run.status == "finished" or f"qtlplat resume {run.id[:8]} --store {store}" in output


def seconds_from_signal_to_end(trace: str, name: str) -> float:
    times = [float(line.split()[0]) for line in trace.splitlines() if f"--- SIG{name}" in line or "+++ exited" in line]
    return times[-1] - times[0]


def signalled_at(write: str, call: int, name: str, times: int, store: Path, expected: dict[str, Any]) -> bool:
    """Whether there is such a call; a signal comes with it, and if it is twice another one soon after."""
    step = LATER.get(write, 3)
    when = f"{call}..{call + step * (times - 1)}+{step}"
    options = ["-ttt", "-e", f"trace={write}", "-e", f"inject={write}:signal={name}:when={when}"]
    code = below_strace(store, options)
    trace = (store.parent / "trace").read_text()
    if f"--- SIG{name}" not in trace:
        assert code == 0
        return False
    told(store, name, code, times)
    assert seconds_from_signal_to_end(trace, name) < SECONDS
    goes_on(store, expected)
    return True


@pytest.mark.parametrize(
    ("write", "call", "name", "times"), [("pwrite64", 203, "INT", 1), ("fdatasync", 40, "TERM", 2)]
)
@pytest.mark.sampled(1)
def test_a_signal_in_a_system_call_of_a_write(
    write: str, call: int, name: str, times: int, store: Path, expected: Any
) -> None:
    assert signalled_at(write, call, name, times, store, expected)


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.sampled(3)
def test_a_signal_in_every_kind_of_system_call_of_a_write(write: str, tmp_path: Path, expected: Any) -> None:
    """Kinds of signals take turns."""
    tried = 0
    while signalled_at(
        write, 1 + WRITES[write] * tried, *KINDS[tried % 4], tmp_path / str(tried) / "runs.db", expected
    ):
        tried += 1
    assert tried > 3


class Stages:
    """Counts what Python sees of writes (statements, commits, fsync, rename), and does something at some of them."""

    def __init__(self, at: range, action: Callable[[], None]) -> None:
        self.at, self.action, self.count = at, action, 0
        self.when = 0.0

    def here(self, *_: Any, **__: Any) -> None:
        self.count += 1
        if self.count in self.at:
            self.when = self.when or time.monotonic()
            self.action()

    def install(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        for name in ("begin", "before_cursor_execute", "after_cursor_execute", "commit", "rollback"):
            event.listen(Engine, name, self.here)
        fsync, replace = os.fsync, Path.replace

        def stage_fsync(file: int) -> None:
            self.here()
            fsync(file)

        def stage_replace(path: Path, target: Path) -> Path:
            self.here()
            return replace(path, target)

        os.fsync, Path.replace = stage_fsync, stage_replace  # type: ignore[method-assign]


def signalled_in_python_at(stage: int, name: str, times: int, store: Path, expected: dict[str, Any]) -> bool:
    """The same without strace, at what Python sees of a write."""
    store.parent.mkdir(parents=True, exist_ok=True)
    marker = store.parent / "seconds"

    def work() -> None:
        main_thread = os.getpid()
        stages = Stages(range(stage, stage + times), lambda: os.kill(main_thread, getattr(signal, f"SIG{name}")))
        stages.install()
        write_down_what_is_acknowledged(store.parent / "acknowledged")
        try:
            main([*shlex.split(QUICK), "--store", str(store)])
        finally:
            if stages.when:
                marker.write_text(str(time.monotonic() - stages.when))

    with child(work, store.parent / "output") as process:
        code = ended(process)
    if not marker.exists():
        assert code == 0
        return False
    told(store, name, code, times)
    assert float(marker.read_text()) < SECONDS
    goes_on(store, expected)
    return True


@pytest.mark.parametrize(("stage", "name", "times"), [(70, "INT", 2), (121, "TERM", 1)])
@pytest.mark.sampled(1)
def test_a_signal_in_a_stage_of_a_write(stage: int, name: str, times: int, store: Path, expected: Any) -> None:
    assert signalled_in_python_at(stage, name, times, store, expected)


@pytest.mark.slow
def test_a_signal_in_every_seventh_stage_of_a_write(tmp_path: Path, expected: Any) -> None:
    stages = 0
    while signalled_in_python_at(1 + 7 * stages, *KINDS[stages % 4], tmp_path / str(stages) / "runs.db", expected):
        stages += 1
    assert stages > 20
