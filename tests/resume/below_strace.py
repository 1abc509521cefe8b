"""Runs in forked children, whose main thread's system calls strace kills, refuses, meets with a signal or writes down.

What the store acknowledged is written down by the child itself, so that it can be asked for after a kill.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import strace
from quick_runs import RUN, leftovers, numbers_of

from qtlplat.cli.app import _run, main
from qtlplat.store.backends.find import find_store
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

QUICK = f"{RUN} --head linear --evaluator 'kfold[folds=2]' --n-init 1 --pretrain-epochs 2 --epochs 2"


def fact(*values: object) -> str:
    return json.dumps(values)


def exact(values: Any) -> dict[str, str]:
    return {name: float(value).hex() for name, value in sorted(values.items())}


def write_down_what_is_acknowledged(log: Path) -> None:
    """From now on, in this process: every row that the store has confirmed, as a line of a file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def after(name: str, facts: Callable[..., list[str]]) -> None:
        real = getattr(Writer, name)

        def confirmed(self: Writer, *arguments: Any, **more: Any) -> Any:
            result = real(self, *arguments, **more)
            os.write(file, "".join(f"{line}\n" for line in facts(result, *arguments)).encode())
            return result

        setattr(Writer, name, confirmed)

    after("start_run", lambda run, _row: [fact("run", run)])
    after("add_epochs", lambda _, run, rows: [fact("epoch", run, r.cell, r.epoch, exact(r.values)) for r in rows])
    after("add_predictions", lambda _, run, rows: [fact("row", run, p.cell, p.sample_id) for p in rows])
    after("add_artifact", lambda _, run, row: [fact("file", run, row.path, row.sha256)])
    after("finish_cell", lambda _, run, position, metrics, _seconds: [fact("cell", run, position, exact(metrics))])
    after("finish_run", lambda _, run, status, *_rest, **_more: [fact("end", run)] if status == "finished" else [])


def stored(store: Path) -> set[str]:
    """The same lines for all that is in a store."""
    reader = Reader(find_store(str(store)))
    found: set[str] = set()
    for run in reader.runs():
        found.add(fact("run", run.id))
        found |= {fact("epoch", run.id, r.cell, r.epoch, exact(r.values)) for r in reader.epochs(run.id)}
        found |= {fact("row", run.id, p.cell, p.sample_id) for p in reader.predictions(run.id)}
        found |= {fact("file", run.id, a.path, a.sha256) for a in reader.artifacts(run.id)}
        cells = [c for c in reader.cells(run.id) if c.status == "finished"]
        found |= {fact("cell", run.id, c.position, exact(c.metrics)) for c in cells}
        found |= {fact("end", run.id)} if run.status == "finished" else set()
    return found


@contextmanager
def child(work: Callable[[], None], output: Path) -> Iterator[int]:
    """A forked process that works, its output into a file; inside, its id. Whoever enters has to wait for it."""
    process = os.fork()
    if process == 0:
        try:
            sys.stdout = sys.stderr = output.open("w", buffering=1)
            work()
        except SystemExit as end:
            os._exit(int(end.code or 0))
        finally:
            os._exit(99)
    yield process


def ended(process: int, seconds: float = 60.0) -> int:
    """Wait for a child: its exit code, or minus the number of the signal that killed it."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise AssertionError(f"still running after {seconds} seconds")
        time.sleep(0.002)


def below_strace(store: Path, options: Sequence[str], line: str = QUICK) -> int:
    """Run a command line in a child below strace; returns how it `ended`.

    Beside the store: `acknowledged` as above, `output` of both streams, `trace` with one line per system call.
    """
    if why := strace.why_not():
        pytest.skip(why)
    store.parent.mkdir(parents=True, exist_ok=True)
    beside = store.parent

    def work() -> None:
        while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
            time.sleep(0.001)
        sys.dont_write_bytecode = True  # only the store's calls are counted
        write_down_what_is_acknowledged(beside / "acknowledged")
        main([*shlex.split(line), "--store", str(store)])

    with child(work, beside / "output") as process:
        command = ["strace", "-qq", "-o", str(beside / "trace"), "-p", str(process), *options]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL):
            return ended(process)


def acknowledged(store: Path) -> set[str]:
    """What `write_down_what_is_acknowledged` wrote; a line that a kill cut was not read by anybody either."""
    log = store.parent / "acknowledged"
    return set(log.read_text().splitlines()) if log.exists() else set()


def nothing_is_lost(store: Path) -> None:
    """All that was acknowledged is stored, and the store is whole."""
    assert acknowledged(store) <= stored(store)
    problems = [p.what for p in check(find_store(str(store))).problems]
    assert [what for what in problems if not what.startswith("a lock was left")] == []


def goes_on(store: Path, expected: dict[str, Any]) -> None:
    """Nothing is lost, and a run that goes on, or begins where it had not, ends as if it had never been disturbed."""
    nothing_is_lost(store)
    begun = Reader(find_store(str(store))).runs(kind="run")
    assert _run([*shlex.split("resume --all -q" if begun else f"{QUICK} -q"), "--store", str(store)]) == 0
    nothing_is_lost(store)
    assert numbers_of(store) == expected
    assert leftovers(store) == []
