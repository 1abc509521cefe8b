"""Killed at any step, a command that makes a file leaves nothing under its name, or all of it."""

import os
import signal
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from damage import fill

from qtlplat.cli.app import _run
from qtlplat.store.backends.find import find_store
from qtlplat.store.core import files
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
# what Python tells of before it is done, where it concerns files of the command
STEPS = ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "sqlite3.connect", "shutil.rmtree")

# command -> the file that it makes, and its words; {store}, {run} and {to} stand for what they say
COMMANDS = {
    "backup": ("copy.db", "--store {store} store backup -o {to}"),
    "recover": ("new.db", "--store {store} store recover --to {to}"),
    "merge": ("new.db", "--store {to} store merge {store}"),
    "export": ("bundle.zip", "--store {store} export {run} -o {to}"),
    "import": ("new.db", "--store {to} import {bundle}"),
    "report": ("report.md", "--store {store} report {run} -o {to}"),
    "runs": ("runs.csv", "--store {store} runs -o {to}"),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A store of three runs, one of them, and a bundle of it."""
    folder = tmp_path_factory.mktemp("stored")
    location = find_store(str(folder / "store.db"))
    run = fill(location, 2)[1]
    names = {"store": str(location.path), "run": run, "bundle": str(folder / "bundle.zip")}
    assert _run(["--store", names["store"], "export", run, "-o", names["bundle"]]) == 0
    return names


def killed_at(step: int, words: list[str], folder: Path) -> int:
    """Carry out a command in a forked process that is killed before a step; returns how many steps there were.

    A step is a call that has to do with a file, or a sync.
    """
    process = os.fork()
    if process == 0:
        taken = 0
        read, real = str(folder), os.fsync

        def one(what: str) -> None:
            nonlocal taken
            taken += 1
            if taken > step:
                os.kill(os.getpid(), signal.SIGKILL)

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in STEPS and read in str(arguments):
                one(event)

        def synced(file: int) -> None:
            one("fsync")
            real(file)

        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            os.fsync = synced
            sys.addaudithook(hook)
            code = _run(words)
            folder.joinpath("steps").write_text(str(taken))
            os._exit(code)
        finally:
            os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return int(folder.joinpath("steps").read_text()) if code == 0 else step


def is_whole(path: Path) -> bool:
    """A store with runs, a bundle, or a text that ends."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as bundle:
            return bundle.testzip() is None and len(bundle.namelist()) > 4
    if path.suffix != ".db":
        return path.read_bytes().endswith(b"\n")
    left = ("a file was left half written", "a lock was left", "the file is missing")  # a backup has no files
    assert [p for p in check(find_store(str(path))).problems if not p.what.startswith(left)] == []
    Reader(find_store(str(path))).runs()
    return path.stat().st_size > 0


@pytest.mark.parametrize("command", [*(name for name in COMMANDS if name in ("backup", "recover", "runs")),
                                     *(pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS)])  # fmt: skip
@pytest.mark.sampled(1)
def test_a_killed_command_leaves_nothing_or_a_whole_file(
    command: str, stored: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name, line = COMMANDS[command]

    def begin(folder: Path) -> list[str]:
        folder.mkdir()
        return line.format(**stored, to=folder / name).split()

    total = killed_at(10**6, begin(tmp_path / "whole"), tmp_path / "whole")
    assert total > 2
    every = request.node.get_closest_marker("slow") is not None
    for step in range(total) if every else sorted({total // 2, total - 3, total - 2, total - 1}):
        folder = tmp_path / str(step)
        words = begin(folder)
        killed_at(step, words, folder)
        target = folder / name
        assert not os.path.lexists(target) or is_whole(target), step
        refuses = target.exists() and command not in ("merge", "import")
        assert _run(words) == (2 if refuses else 0), step
        assert is_whole(target)


def test_a_file_that_somebody_else_makes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "file"
    (tmp_path / "new").write_bytes(b"mine")
    target.write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        files.rename_new(tmp_path / "new", target)
    with pytest.raises(FileExistsError):
        files.write_atomically(target, b"mine", new=True)
    assert target.read_bytes() == b"theirs"
    target.unlink()
    files.write_atomically(target, b"mine", new=True)
    files.rename_new(target, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "other"]


def test_where_the_system_cannot_rename_to_a_new_name_a_link_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    (tmp_path / "old").write_bytes(b"mine")
    files.rename_new(tmp_path / "old", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    (tmp_path / "old").write_bytes(b"other")
    with pytest.raises(FileExistsError):
        files.rename_new(tmp_path / "old", tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"mine"
