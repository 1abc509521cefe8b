"""Killed, or refused by the disk, at every system call that syncs or renames, SQLite's own among them.

The calls are those of the thread that trains; `test_sync_points` goes through those of the one that writes checkpoints.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from below_strace import QUICK, below_strace, goes_on

from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

pytestmark = [
    pytest.mark.usefixtures("single_threaded", "plugins"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
MOST = 200  # more calls than there are


@pytest.fixture
def expected(undisturbed: Any) -> dict[str, Any]:
    numbers: dict[str, Any] = undisturbed(QUICK)["numbers"]
    return numbers


def injected(name: str, what: str, when: str) -> list[str]:
    return ["-e", f"trace={name}", "-e", f"inject={name}:{what}:when={when}"]


def killed_at(name: str, call: int, store: Path, expected: dict[str, Any]) -> bool:
    """Whether there is such a call; the process is killed as it begins, and the run goes on later."""
    code = below_strace(store, injected(name, "signal=KILL", str(call)))
    if code == 0:
        return False
    assert code == -9
    goes_on(store, expected)
    return True


def refused_at(name: str, call: int, error: int, store: Path, expected: dict[str, Any], *, for_good: bool) -> bool:
    """Whether there is such a call; the disk refuses it, and all that follow if `for_good`; it says what is wrong."""
    when = f"{call}+" if for_good else str(call)
    code = below_strace(store, injected(name, f"error={errno.errorcode[error]}", when))
    output = (store.parent / "output").read_text()
    if code == 0 and "(INJECTED)" not in (store.parent / "trace").read_text():
        return False
    # Where SQLite can do without it (the sync of a directory), so can the run.
    if code != 0:
        message = output[output.index("error: ") :].splitlines()
        assert code == 5, output
        assert len(message) <= 12, output
        assert any(line.startswith("  where: ") for line in message), output
        assert any(line.startswith("  fix: ") for line in message), output
        assert {run.status for run in Reader(find_store(str(store))).runs(kind="run")} <= {"interrupted"}
        goes_on(store, expected)
    assert "Traceback" not in output
    return True


@pytest.mark.parametrize(("name", "call"), [("fdatasync", 70), ("rename", 3)])
@pytest.mark.sampled(1)
def test_a_run_killed_at_a_system_call_loses_nothing(name: str, call: int, store: Path, expected: Any) -> None:
    assert killed_at(name, call, store, expected)


@pytest.mark.parametrize(
    ("name", "call", "error", "for_good"), [("fdatasync", 44, errno.EIO, False), ("fdatasync", 60, errno.ENOSPC, True)]
)
@pytest.mark.sampled(1)
@pytest.mark.slow
def test_a_run_refused_a_system_call_loses_nothing(
    name: str, call: int, error: int, for_good: bool, store: Path, expected: Any
) -> None:
    assert refused_at(name, call, error, store, expected, for_good=for_good)


LEAST = {"fdatasync": 70, "fsync": 8, "rename": 4}  # calls that there are
# All calls, those of the longest list in parts that machines can share out: which is the first, and every how manieth.
PARTS = [("fdatasync", first, 5) for first in range(1, 6)] + [("fsync", 1, 1), ("rename", 1, 1)]


def every(one: Callable[[int, Path], bool], tmp_path: Path, first: int, step: int) -> int:
    """Go through the calls of a part; returns about how many there are in all."""
    for call in range(first, MOST, step):
        if not one(call, tmp_path / str(call) / "runs.db"):
            return call - 1
    raise AssertionError("there is no end to them")


@pytest.mark.sampled(2)
@pytest.mark.slow
@pytest.mark.parametrize(("name", "first", "step"), PARTS)
def test_a_run_killed_at_every_system_call_loses_nothing(
    name: str, first: int, step: int, tmp_path: Path, expected: Any
) -> None:
    assert every(lambda call, store: killed_at(name, call, store, expected), tmp_path, first, step) >= LEAST[name]


@pytest.mark.sampled(2)
@pytest.mark.slow
@pytest.mark.parametrize(("name", "first", "step"), PARTS)
def test_a_run_refused_every_system_call_loses_nothing(
    name: str, first: int, step: int, tmp_path: Path, expected: Any
) -> None:
    errors = [(errno.EIO, False), (errno.ENOSPC, True), (errno.ENOSPC, False), (errno.EIO, True)]

    def refused(call: int, store: Path) -> bool:
        error, for_good = errors[call % len(errors)]
        return refused_at(name, call, error, store, expected, for_good=for_good)

    assert every(refused, tmp_path, first, step) >= LEAST[name]
