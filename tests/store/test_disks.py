"""Read-only media, missing permissions, full disks, failing disks: named, with exit code 5, and nothing is lost."""

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import on_a_disk
import pytest
import strace
from damage import snapshot
from sample_runs import NAME, whole_run

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

NOBODY = 65534


def call(location: StoreLocation, action: str, *, user: int = 0, limit: int = 0) -> tuple[int, list[str]]:
    """Let a process of its own do something; returns its exit code and what it said, by line."""
    context = multiprocessing.get_context("forkserver")
    told = context.Queue()
    process = context.Process(target=on_a_disk.tell, args=(told, str(location.path), action, user, limit))
    process.start()
    lines = []
    while isinstance(said := told.get(timeout=60), str):
        assert "Error(" not in said, said
        lines.append(said)
    process.join(60)
    return said, lines


def call_under(tracer: tuple[str, ...], location: StoreLocation, action: str) -> tuple[int, list[str]]:
    """The same below another program."""
    command = [*tracer, sys.executable, on_a_disk.__file__, str(location.path), action]
    # without what measures coverage, and without compiled modules: their files would meet the failing disk, too
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def copy_of(filled: tuple[Path, list[str]], location: StoreLocation) -> None:
    """Put a copy of a store at a place."""
    location.path.parent.mkdir(exist_ok=True)
    shutil.copy(filled[0] / NAME, location.path)
    shutil.copytree(filled[0] / f"{Path(NAME).stem}.files", location.files)


@pytest.fixture
def open_place(filled: tuple[Path, list[str]]) -> Iterator[StoreLocation]:
    """A store in a directory that every user may look into."""
    folder = Path(tempfile.mkdtemp(prefix="qtlplat-disk-"))
    folder.chmod(0o755)
    location = find_store(str(folder / "at" / "store.db"))
    copy_of(filled, location)
    yield location
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user, whom permissions bind")


def may_do_all(path: Path) -> None:
    for one in [path, *path.rglob("*")]:
        one.chmod(0o777 if one.is_dir() else 0o666)


FORBIDDEN = {
    "the file": (lambda at: at.path.chmod(0o444), "read-only", True),
    "the directory": (lambda at: at.path.parent.chmod(0o555), "SQLITE_", True),
    "reading the file": (lambda at: at.path.chmod(0o000), "cannot read the store: Permission denied", False),
    "looking into the directory": (lambda at: at.path.parent.chmod(0o700), "cannot read the store: Permission", False),
    "the files": (lambda at: at.files.chmod(0o555), "files of runs cannot be written: Permission denied", True),
    "the weights": (
        lambda at: (at.files / "weights").chmod(0o555),
        "files of runs cannot be written: Permission denied",
        True,
    ),
    "the locks": (lambda at: at.locks.chmod(0o555), "files of runs cannot be written: Permission denied", True),
}


@needs_root
@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_missing_permission_is_named_when_the_store_is_opened_and_reading_goes_on(
    open_place: StoreLocation, what: str
) -> None:
    forbid, words, readable = FORBIDDEN[what]
    may_do_all(open_place.path.parent)
    forbid(open_place)
    before = snapshot(open_place)
    code, lines = call(open_place, "open_writer", user=NOBODY)
    assert code == 5
    assert words in lines[0]
    assert lines[1].startswith("  where: /")
    assert lines[2].startswith("  fix: ")
    code, lines = call(open_place, "read", user=NOBODY)
    assert (code, len(lines)) == ((0, 3) if readable else (5, 3))
    code, lines = call(open_place, "look", user=NOBODY)
    assert (code, lines) == (0, ["ok"]) if readable else words in "".join(lines)
    assert snapshot(open_place) == before


@needs_root
def test_a_store_in_wal_mode_is_read_where_nothing_can_be_written(open_place: StoreLocation) -> None:
    raw = sqlite3.connect(open_place.path)
    raw.execute("PRAGMA journal_mode = wal")
    raw.close()
    may_do_all(open_place.path.parent)
    open_place.path.parent.chmod(0o555)
    before = snapshot(open_place)
    assert call(open_place, "read", user=NOBODY)[0] == 0
    code, lines = call(open_place, "open_writer", user=NOBODY)
    assert code == 5
    assert "read-only" in lines[0]
    assert snapshot(open_place) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a disk cannot be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def acknowledged(location: StoreLocation, lines: list[str]) -> list[str]:
    """Ids of the runs that were stored before an error; they are there, finished, and so is the store sound."""
    ids = [line for line in lines if not line.startswith((" ", "error", "ok"))]
    found = {run.id: run for run in Reader(location).runs()}
    assert set(ids) <= set(found)
    assert {found[run].status for run in ids} <= {"finished"}
    assert {run.status for run in found.values()} <= {"finished", "interrupted"}
    assert check(location).problems == ()
    return ids


def test_a_disk_that_fills_up_says_so_and_keeps_all_that_was_acknowledged(small_disk: Path) -> None:
    location = find_store(str(small_disk / "store.db"))
    code, lines = call(location, "fill")
    assert code == 5
    assert "disk is full" in lines[-3] or "No space left" in lines[-3]
    assert lines[-2].startswith(f"  where: {small_disk}")
    assert "free some space" in lines[-1]
    assert len(acknowledged(location, lines)) > 3
    code, lines = call(location, "open_writer")  # and the next one is told before it trains
    for path in sorted((location.files / "weights").iterdir())[:20]:
        path.write_bytes(b"")  # room
    with Writer(location) as writer:
        whole_run(writer, location, b"once more")


def test_a_read_only_disk_is_named_and_read(small_disk: Path, filled: tuple[Path, list[str]]) -> None:
    location = find_store(str(small_disk / "store.db"))
    copy_of(filled, location)
    before = snapshot(location)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, lines = call(location, "open_writer")
    assert code == 5
    assert "read-only" in lines[0].lower()
    assert call(location, "read")[0] == 0
    assert call(location, "look") == (0, ["ok"])
    code, lines = call(location, "copy")
    assert code == 5
    assert "Read-only" in lines[0]
    assert snapshot(location) == before


def test_a_new_store_on_a_read_only_disk_is_named(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, lines = call(find_store(str(small_disk / "new" / "store.db")), "open_writer")
    assert code == 5
    assert "Read-only" in lines[0]


@pytest.mark.parametrize("kilobytes", [0, 4, 40])
def test_files_that_may_not_grow_are_an_error_of_the_disk(
    location: StoreLocation, filled: tuple[Path, list[str]], kilobytes: int
) -> None:
    """As a quota does; where no disk can be mounted, this is the one that is tried."""
    copy_of(filled, location)
    ids = filled[1]
    limit = location.path.stat().st_size + kilobytes * 1024
    code, lines = call(location, "fill", limit=limit)
    assert code == 5
    assert [line for line in lines if line.startswith("error: ")]
    assert lines[-1].startswith("  fix: ")
    acknowledged(location, lines)
    assert {run.id for run in Reader(location).runs()} >= set(ids)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("syscall", "error", "when"),
    [
        ("fsync,fdatasync", "EIO", 60),
        ("pwrite64", "EIO", 60),
        ("pwrite64", "ENOSPC", 61),
        *(
            pytest.param(syscall, error, when, marks=pytest.mark.slow)
            for syscall in ("fsync,fdatasync", "pwrite64", "unlink", "rename", "openat")
            for error in ("EIO", "ENOSPC", "EROFS")
            for when in (5, 47, 131)
        ),
    ],
)
def test_a_disk_that_fails_at_any_call_costs_nothing_that_was_acknowledged(
    location: StoreLocation, filled: tuple[Path, list[str]], syscall: str, error: str, when: int
) -> None:
    if why := strace.why_not():
        pytest.skip(why)
    copy_of(filled, location)
    tracer = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscall}"]
    tracer += ["-e", f"inject={syscall}:error={error}:when={when // 10 + 1 if syscall == 'rename' else when}+"]
    if syscall != "rename":  # of others, only those that concern the database
        for path in (location.path, f"{location.path}-journal", location.path.parent, location.files / "weights"):
            tracer += ["-P", str(path)]
    code, lines = call_under(tuple(tracer), location, "fill")
    assert code == 5
    message = [line for line in lines if line.startswith(("error: ", " "))]
    assert message[0].startswith("error: ")
    assert any(line.startswith("  where: ") for line in message)
    assert any(line.startswith("  fix: ") for line in message)
    acknowledged(location, lines)
