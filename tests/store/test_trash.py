"""Emptying the trash: what nobody needs goes, what somebody needs stays, whenever it is cut off and whoever works."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from damage import snapshot
from sample_runs import (
    empty_the_trash_until_told,
    finished_run,
    new_cells,
    new_run,
    store_and_throw_away,
    weights,
    whole_run,
)
from sqlalchemy.engine import Connection
from test_reproductions import MEASURED, OUTCOME

from qtlplat.errors import BusyError, StoreError
from qtlplat.store.backends.find import find_store
from qtlplat.store.core import files_lock, parts
from qtlplat.store.core.files import write_atomically
from qtlplat.store.core.files_lock import taking_up, undisturbed
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import ArtifactRow
from qtlplat.store.maintenance.check import check
from qtlplat.store.maintenance.trash import empty
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

pytestmark = pytest.mark.every_store(slow=True)


def ids(location: StoreLocation) -> set[str]:
    reader = Reader(location)
    return {run.id for run in (*reader.runs(), *reader.runs(trash=True))}


def files(location: StoreLocation) -> set[str]:
    found = (path for path in location.files.rglob("*") if path.is_file() and path.parent != location.locks)
    return {path.relative_to(location.files).as_posix() for path in found}


def rows_of(location: StoreLocation, run: str) -> dict[str, int]:
    """How many rows a run has, by table; those of its digests too."""

    def read(connection: Connection) -> dict[str, int]:
        found = {part.name: len(parts.read(connection, part, run)) for part in parts.all_parts(connection, "runs")}
        digests = connection.exec_driver_sql("SELECT count(*) FROM digests WHERE record = ?", (run,)).scalar()
        return {**found, "digests": int(digests or 0)}

    return Reader(location).read(read) or {}


@pytest.mark.in_a_file
def test_runs_in_the_trash_go_with_all_rows_and_files_and_the_others_stay(location: StoreLocation) -> None:
    with Writer(location) as writer:
        stays = whole_run(writer, location, b"stays")
        goes = whole_run(writer, location, b"goes!!", tags=["x"], note="y")
        writer.trash([goes])
    before = rows_of(location, stays)
    done = empty(location)
    assert (done.runs, done.kept, done.files, done.bytes) == ([goes], {}, {"weights": (1, 6)}, 6)
    assert set(rows_of(location, goes).values()) == {0}
    assert rows_of(location, stays) == before
    assert len(files(location)) == 1
    health = check(location)
    assert (health.problems, health.notes) == ((), ())
    again = empty(location)
    assert (again.runs, again.files) == ([], {})


def test_a_dry_run_says_the_same_and_changes_nothing(location: StoreLocation) -> None:
    with Writer(location) as writer:
        parent = whole_run(writer, location, b"p", kind="pretraining")
        whole_run(writer, location, b"c", parent=parent)
        goes = whole_run(writer, location, b"goes")
        writer.trash([parent, goes])
    before = snapshot(location)
    foreseen = empty(location, dry_run=True)
    assert snapshot(location) == before
    done = empty(location)
    assert foreseen == done
    assert (done.runs, list(done.kept)) == ([goes], [parent])


def test_nothing_is_done_to_a_store_that_is_not_there(location: StoreLocation) -> None:
    assert empty(location, dry_run=True).runs == []
    assert not location.path.exists()


def test_what_others_build_on_stays_until_they_are_gone(location: StoreLocation) -> None:
    with Writer(location) as writer:
        first = whole_run(writer, location, b"1", kind="pretraining")
        second = whole_run(writer, location, b"2", parent=first)
        third = whole_run(writer, location, b"3", parent=second)
        writer.trash([first, second])
    done = empty(location)
    assert done.runs == []
    assert done.kept == {
        first: f"run {second} builds on it, and stays in the trash",
        second: f"run {third} builds on it",
    }
    assert Reader(location).children(first) == [second]
    assert len(files(location)) == 3
    with Writer(location) as writer:
        writer.trash([third])
    assert set(empty(location).runs) == {first, second, third}
    assert (ids(location), files(location)) == (set(), set())
    assert check(location).problems == ()


def test_a_file_of_two_runs_stays_while_one_of_them_does(location: StoreLocation) -> None:
    with Writer(location) as writer:
        one, other = (whole_run(writer, location, b"same") for _ in range(2))
        writer.trash([one])
        assert empty(location).files == {}
        assert check(location).problems == ()
        writer.trash([other])
        assert empty(location).files == {"weights": (1, 4)}


@pytest.mark.in_a_file
def test_only_what_lies_there_for_long_enough_goes(location: StoreLocation) -> None:
    with Writer(location) as writer:
        parent = whole_run(writer, location, b"p", kind="pretraining")
        child = whole_run(writer, location, b"c", parent=parent)
        writer.trash([parent, child])
    raw = sqlite3.connect(location.path)
    raw.execute("UPDATE trash SET since = '2026-01-01T00:00:00.000000+00:00' WHERE run_id = ?", (parent,))
    raw.commit()
    raw.close()
    done = empty(location, older_than=timedelta(days=1))
    assert done.runs == []
    assert done.kept[parent] == f"run {child} builds on it, and stays in the trash"
    assert "it was put there 20" in done.kept[child]
    assert len(empty(location).runs) == 2


def test_a_run_that_was_going_on_may_still_build_on_what_was_put_away(location: StoreLocation) -> None:
    with Writer(location) as writer:
        parent = whole_run(writer, location, b"p", kind="pretraining")
        going_on = writer.start_run(new_run())
        writer.trash([parent])
        done = empty(location)
        assert done.runs == []
        assert f"run {going_on} was running already" in done.kept[parent]
        writer.link(going_on, "pretraining", parent)  # it had found it before
        writer.finish_run(going_on, "finished", {})
        assert empty(location).kept == {parent: f"run {going_on} builds on it"}


def test_a_run_that_began_later_cannot_have_found_it(location: StoreLocation) -> None:
    with Writer(location) as writer:
        old = whole_run(writer, location, b"p", kind="pretraining")
        writer.trash([old])
        writer.start_run(new_run())
        assert empty(location).runs == [old]
    assert check(location).problems == ()


@pytest.mark.in_a_file
def test_the_clock_of_another_machine_may_be_wrong(location: StoreLocation) -> None:
    with Writer(location) as writer:
        old = whole_run(writer, location, b"p", kind="pretraining")
        writer.trash([old])
        elsewhere = writer.start_run(new_run())
        raw = sqlite3.connect(location.path)
        raw.execute("UPDATE runs SET host = 'elsewhere' WHERE id = ?", (elsewhere,))
        raw.commit()
        raw.close()
        assert "may be about to build on it" in empty(location).kept[old]


def test_outcomes_that_name_a_run_are_counted(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = whole_run(writer, location)
        claims = tuple(replace(MEASURED, name=name, runs=(run,)) for name in ("a", "b"))
        writer.add_reproduction(replace(OUTCOME, claims=claims))
        writer.add_reproduction(OUTCOME)
        writer.trash([run])
    assert empty(location).outcomes == 1
    assert check(location).problems == ()


def test_caches_that_no_run_refers_to_go_and_those_that_cost_little_stay(location: StoreLocation) -> None:
    files_of = location.files
    with Writer(location) as writer:
        write_atomically(files_of / "features" / "used.npy", b"used")
        write_atomically(files_of / "features" / "used.sha256", b"seal")
        write_atomically(files_of / "features" / "left.npy", b"left")
        write_atomically(files_of / "features" / "left.sha256", b"seal")
        write_atomically(files_of / "weights" / "left.safetensors", b"left")
        write_atomically(files_of / "groups" / "left.json", b"left")
        for kept in ("parameter_counts/a.json", "mine.txt", "mine/features/a.npy"):
            write_atomically(files_of / kept, b"kept")
        digest = "3d7f3fd0dd2eae4dff3a5f8d0f3a2a8bd44b2f7ac15a96f9a1a0c0b3fdc0a9b4"
        finished_run(writer, artifact=ArtifactRow("features", "features/used.npy", digest, 4))
    done = empty(location)
    assert done.files == {"features": (2, 8), "weights": (1, 4), "groups": (1, 4)}
    assert files(location) == {
        "features/used.npy",
        "features/used.sha256",
        "parameter_counts/a.json",
        "mine.txt",
        "mine/features/a.npy",
    }


def test_no_name_leads_out_of_the_files(location: StoreLocation, tmp_path: Path) -> None:
    outside = tmp_path / "precious.txt"
    outside.write_text("mine")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "one").write_text("mine")
    names = ["../precious.txt", str(outside), "weights/link", "elsewhere/one", "weights/../../precious.txt", ".", ""]
    with Writer(location) as writer:
        (location.files / "weights").mkdir(parents=True)
        (location.files / "weights" / "link").symlink_to(outside)
        (location.files / "elsewhere").symlink_to(tmp_path / "precious")
        (location.files / "checkpoints").mkdir()
        (location.files / "checkpoints" / ("0" * 16)).symlink_to(tmp_path / "precious")
        run = writer.start_run(new_run())
        for name in names:
            writer.add_artifact(run, ArtifactRow("weights", name, "c" * 64, 4))
        writer.finish_run(run, "finished", {})
        writer.trash([run])
    assert empty(location).runs == [run]
    assert outside.read_text() == (tmp_path / "precious" / "one").read_text() == "mine"


def test_checkpoints_and_locks_go_with_runs_that_do_not_go_on(location: StoreLocation) -> None:
    folders = location.files / "checkpoints"
    with Writer(location) as writer:
        finished = finished_run(writer)
        states: dict[str, str] = {}
        for status in ("interrupted", "failed", "put away"):
            run = writer.start_run(new_run())
            writer.add_cells(run, new_cells(1))
            writer.finish_run(run, "failed" if status == "failed" else "interrupted", {})
            states[status] = run
        gone = finished_run(writer)
        running = writer.start_run(new_run())
        writer.trash([gone])
        for run in (*states.values(), finished, gone, running, "f" * 16):
            write_atomically(folders / run / "000001.json", b"123")
        for run in (finished, "e" * 16):
            (location.locks / f"{run}.lock").touch()
        done = empty(location)
        assert done.files["checkpoints"] == (3, 9)
        assert done.files["locks"] == (2, 0)
        assert {path.name for path in folders.iterdir()} == {*states.values(), running}
        assert {path.name for path in location.locks.glob("*.lock")} == {f"{running}.lock"}
        writer.trash([states["put away"]])
    empty(location)
    assert {path.name for path in folders.iterdir()} >= {states["interrupted"], states["failed"]}


def test_what_is_being_written_stays_and_what_was_left_half_written_goes(location: StoreLocation) -> None:
    with Writer(location):
        pass
    young, old = (location.files / "weights" / f".name.{n:08x}" for n in range(2))
    for path in (young, old):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert empty(location).files == {"half written": (1, 4)}
    assert (young.exists(), old.exists()) == (True, False)


def test_nothing_is_deleted_while_a_run_takes_up_a_file(
    location: StoreLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_lock, "PATIENCE", 0.1)
    with Writer(location) as writer:
        run = whole_run(writer, location)
        writer.trash([run])
        with taking_up(location):
            with taking_up(location):  # any number at once
                pass
            with pytest.raises(BusyError, match="a run is taking up files"):
                empty(location)
        assert ids(location) == {run}
        refused = pytest.raises(BusyError, match="files of the store are being deleted")
        with undisturbed(location), refused, taking_up(location):
            pass
    assert empty(location).runs == [run]


@pytest.mark.in_a_file
def test_two_stores_with_one_directory_of_files_keep_all_of_them(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = whole_run(writer, location)
        writer.trash([run])
    copy = location.path.with_suffix(".bak")
    shutil.copyfile(location.path, copy)
    location.path.with_suffix(".txt").write_text("no store")
    with pytest.raises(StoreError, match="has the same directory of files"):
        empty(location)
    assert len(files(location)) == 1
    copy.unlink()
    assert empty(location).runs == [run]


def test_a_file_that_cannot_be_deleted_is_told_and_goes_the_next_time(
    location: StoreLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Writer(location) as writer:
        run = whole_run(writer, location, b"one")
        writer.trash([run])

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(StoreError, match="1 files cannot be deleted; the rows of 1 runs are"):
            empty(location)
    assert ids(location) == set()
    assert empty(location).files == {"weights": (1, 3)}


def test_ctrl_c_leaves_a_sound_store_and_the_next_one_finishes(
    location: StoreLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Writer(location) as writer:
        runs = [whole_run(writer, location, bytes([i])) for i in range(3)]
        writer.trash(runs)
    unlink, calls = Path.unlink, iter(range(1))

    def interrupted(path: Path, missing_ok: bool = False) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            empty(location)
    assert (ids(location), len(files(location))) == (set(), 2)
    assert check(location).problems == ()
    assert empty(location).files == {"weights": (2, 2)}


def in_a_child(work: Callable[[], object]) -> int:
    """Do something in a forked process; returns its exit status as waitpid gives it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(99)
    return os.waitpid(child, 0)[1]


def killed_at(owner: type, name: str, number: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Send SIGKILL to this process at one of the calls of a method."""
    original: Any = getattr(owner, name)
    count = 0

    def counted(*arguments: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **more)

    return lambda patch: patch.setattr(owner, name, counted)


@pytest.mark.parametrize(
    ("owner", "name", "points"),
    [
        (Connection, "execute", (7, 9)),
        (Path, "unlink", (1, 3)),
        pytest.param(Connection, "execute", range(1, 25), marks=pytest.mark.slow),
        pytest.param(Path, "unlink", range(1, 7), marks=pytest.mark.slow),
    ],
)
@pytest.mark.sampled(1)
def test_killed_at_any_moment_it_leaves_a_sound_store_and_the_next_one_finishes(
    tmp_path: Path, owner: type, name: str, points: Sequence[int]
) -> None:
    template = find_store(str(tmp_path / "template" / "s.db"))
    with Writer(template) as writer:
        stays = whole_run(writer, template, b"stays")
        going = [whole_run(writer, template, bytes([i]), tags=["t"]) for i in range(4)]
        row = weights(template, b"more")
        child = finished_run(writer, parent=going[0], artifact=row)
        writer.trash([*going, child])
    killed = 0
    for point in points:
        location = find_store(str(tmp_path / f"{point}" / "s.db"))
        shutil.copytree(template.path.parent, location.path.parent)
        with pytest.MonkeyPatch.context() as patch:
            killed_at(owner, name, point)(patch)
            status = in_a_child(lambda location=location: empty(location))  # type: ignore[misc]
        assert status in (0, signal.SIGKILL)
        killed += status == signal.SIGKILL
        # the first look rolls back what was begun
        assert ids(location) in ({stays}, {stays, *going, child})
        assert check(location).problems == ()
        empty(location)
        assert (ids(location), len(files(location))) == ({stays}, 1)
        assert (check(location).problems, check(location).notes) == ((), ())
    assert killed >= min(len(points), 5)


@pytest.mark.parametrize(("writers", "runs"), [(2, 12), pytest.param(4, 200, marks=pytest.mark.slow)])
def test_runs_that_find_files_by_content_never_lose_one(location: StoreLocation, writers: int, runs: int) -> None:
    context = multiprocessing.get_context("forkserver")
    with Writer(location):
        pass
    barrier, done, told = context.Barrier(writers + 1), context.Event(), context.Queue()
    collector = context.Process(target=empty_the_trash_until_told, args=(location, barrier, done, told))
    arguments = (location, barrier, runs, 3)
    workers = [context.Process(target=store_and_throw_away, args=arguments) for _ in range(writers)]
    for process in (collector, *workers):
        process.start()
    for process in workers:
        process.join(300)
    done.set()
    gone, deleted = told.get(timeout=60)
    collector.join(60)
    assert [process.exitcode for process in (*workers, collector)] == [0] * (writers + 1)
    assert check(location).problems == ()
    assert len(Reader(location).runs()) == writers * runs // 2
    left = len(Reader(location).runs(trash=True))
    assert gone + left == writers * (runs // 2)
    assert deleted >= 0
    assert len(empty(location).runs) == left
    assert Reader(location).runs(trash=True) == []
    assert check(location).problems == ()
