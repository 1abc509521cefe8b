"""Killed, or refused by the disk, at every single fsync and rename of a run: nothing that was acknowledged is lost."""

from __future__ import annotations

import errno
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quick_runs import RUN, leftovers, numbers_of

from qtlplat.cli.app import _run
from qtlplat.errors import StoreError
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

SHORT = "--head 'dressed[qubits=2,layers=1]' --n-init 1 --pretrain-epochs 2 --epochs 2"
POINTS = 60  # more than there are
OF_A_CIRCUIT = 3  # points: the file, its name, the directory


class SyncPoints:
    """Counts fsync and rename, and does something at one of them."""

    def __init__(self, at: int, action: Callable[[], None]) -> None:
        self.at, self.action, self.count = at, action, 0
        self.fsync, self.replace = os.fsync, Path.replace

    def here(self) -> None:
        self.count += 1
        if self.count == self.at:
            self.action()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        def fsync(file: int) -> None:
            self.here()
            self.fsync(file)

        def replace(path: Path, target: Path) -> Path:
            self.here()
            return self.replace(path, target)

        patch.setattr(os, "fsync", fsync)
        patch.setattr(Path, "replace", replace)


def in_a_child(work: Callable[[], None]) -> int:
    """Do something in a forked process; returns its exit status as waitpid gives it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(99)
    return os.waitpid(child, 0)[1]


def acknowledged(store: Path) -> dict[str, list[tuple[int, int, str]]]:
    reader = Reader(find_store(str(store)))
    return {
        run.id: [(row.cell, row.epoch, repr(sorted(row.values.items()))) for row in reader.epochs(run.id)]
        for run in reader.runs()
    }


def resumed(store: Path, before: dict[str, Any], expected: dict[str, Any]) -> None:
    """Let it end, or run it where it had not begun; all that was there is still there, and it is as if undisturbed."""
    line = "resume --all -q" if Reader(find_store(str(store))).runs(kind="run") else f"{RUN} {SHORT} -q"
    assert _run([*shlex.split(line), "--store", str(store)]) == 0
    after = acknowledged(store)
    assert all(set(rows) <= set(after[run]) for run, rows in before.items())
    assert numbers_of(store) == expected
    assert leftovers(store) == []


@pytest.fixture
def expected(undisturbed: Any) -> dict[str, Any]:
    numbers: dict[str, Any] = undisturbed(SHORT)["numbers"]
    return numbers


def refused_at(point: int, error: int, store: Path, expected: dict[str, Any], capsys: Any) -> bool:
    """Whether there is such a point; the disk refuses it, the run says so and goes on later."""

    def refuse() -> None:
        raise OSError(error, os.strerror(error))

    with pytest.MonkeyPatch.context() as patch:
        points = SyncPoints(point, refuse)
        points.install(patch)
        code = _run([*shlex.split(f"{RUN} {SHORT} -q"), "--store", str(store)])
    if points.count < point:
        assert code == 0
        return False
    err = capsys.readouterr().err
    if code == 0:  # the compiled circuit, which is written first, may be missing: it is made again then
        assert point <= OF_A_CIRCUIT
        assert numbers_of(store) == expected
        return True
    assert code == 5, err
    assert os.strerror(error) in err
    assert len(err.splitlines()) <= 12
    assert "Traceback" not in err
    resumed(store, acknowledged(store), expected)
    return True


@pytest.mark.parametrize(("point", "error"), [(11, errno.EIO), (27, errno.ENOSPC)])
@pytest.mark.sampled(1)
def test_a_disk_that_refuses_is_named_and_the_run_goes_on_later(
    point: int, error: int, store: Path, plugins: Path, expected: Any, capsys: Any
) -> None:
    assert refused_at(point, error, store, expected, capsys)


def test_a_database_that_takes_nothing_more_leaves_the_command_to_go_on_with(
    store: Path, plugins: Path, expected: Any, capsys: Any
) -> None:
    """Not even that the run was interrupted can be stored; and still one is told of which run that holds."""
    with pytest.MonkeyPatch.context() as patch:

        def full(*_: object, **__: object) -> None:
            raise StoreError("the disk is full", where=str(store), fix="free some space")

        patch.setattr(Writer, "add_epochs", full)
        patch.setattr(Writer, "finish_run", full)
        assert _run([*shlex.split(f"{RUN} {SHORT}"), "--store", str(store)]) == 5
    run = Reader(find_store(str(store))).runs(kind="run")[0].id
    assert f"qtlplat resume {run[:8]} --store {store}" in capsys.readouterr().err
    resumed(store, acknowledged(store), expected)


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.sampled(2)
def test_a_disk_that_refuses_at_every_sync_point(
    error: int, first: int, tmp_path: Path, plugins: Path, expected: Any, capsys: Any
) -> None:
    there = [refused_at(n, error, tmp_path / str(n) / "runs.db", expected, capsys) for n in range(first, POINTS, 2)]
    assert 10 < there.count(True) < len(there)


def killed_at(point: int, store: Path, expected: dict[str, Any]) -> bool:
    """Whether there is such a point; the process is killed there, and the run goes on later."""

    def work() -> None:
        patch = pytest.MonkeyPatch()
        SyncPoints(point, lambda: os.kill(os.getpid(), signal.SIGKILL)).install(patch)
        os._exit(_run([*shlex.split(f"{RUN} {SHORT} -q"), "--store", str(store)]))

    status = in_a_child(work)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        return False
    assert os.WTERMSIG(status) == signal.SIGKILL
    resumed(store, acknowledged(store), expected)
    return True


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("point", [24])
@pytest.mark.slow
def test_a_run_killed_at_a_sync_point_goes_on_later(
    point: int, store: Path, plugins: Path, expected: Any, single_threaded: None
) -> None:
    assert killed_at(point, store, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("first", [1, 2])
def test_a_run_killed_at_every_sync_point_loses_nothing(
    first: int, tmp_path: Path, plugins: Path, expected: Any, single_threaded: None
) -> None:
    there = [killed_at(n, tmp_path / str(n) / "runs.db", expected) for n in range(first, POINTS, 2)]
    assert 10 < there.count(True) < len(there)
