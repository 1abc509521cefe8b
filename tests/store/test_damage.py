"""What is no store, or a damaged one, is refused by everything that opens one, and stays the same to the byte."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from damage import KINDS, PAGE, _change, _root_page, fill, snapshot
from sample_runs import new_run

from qtlplat.errors import QtlplatError, StoreError
from qtlplat.store.backends import copies
from qtlplat.store.backends.bootstrap import prepare
from qtlplat.store.backends.find import find_store
from qtlplat.store.core import database
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance.check import check
from qtlplat.store.maintenance.merge import merge
from qtlplat.store.maintenance.recover import recover
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    fill(find_store(str(folder / "store.db")))
    return folder


def test_ten_kinds_of_damage_are_tried() -> None:
    assert len(KINDS) == 10


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_store_is_refused_by_everybody_and_left_byte_identical(
    tmp_path: Path, whole: Path, kind: str
) -> None:
    shutil.copytree(whole, tmp_path / "at")
    location = find_store(str(tmp_path / "at" / "store.db"))
    KINDS[kind](location.path)
    other = find_store(str(tmp_path / "good" / "store.db"))
    with Writer(other) as writer:
        writer.finish_run(writer.start_run(new_run()), "finished", {})
    before = snapshot(location)
    content = hashlib.sha256(location.path.read_bytes()).hexdigest()
    for attempt in (
        lambda: Reader(location).runs(),
        lambda: Writer(location),
        lambda: prepare(location),
        lambda: copies.backup(location),
        lambda: copies.backup(location, tmp_path / "copy.db"),
        lambda: merge(location, other),
        lambda: merge(other, location),
    ):
        with pytest.raises(StoreError) as caught:
            attempt()
        assert caught.value.where or caught.value.fix
        assert len(caught.value.lines()) <= 12
        assert snapshot(location) == before
    problems = check(location).problems
    assert problems
    assert all(problem.what and (problem.where or problem.fix) for problem in problems)
    assert snapshot(location) == before
    assert not (tmp_path / "copy.db").exists()
    try:  # of some, something can be saved; that is read only, too
        recover(location, find_store(str(tmp_path / "new" / "store.db")))
    except StoreError:
        assert not list((tmp_path / "new").rglob("*"))
    assert snapshot(location) == before
    assert hashlib.sha256(location.path.read_bytes()).hexdigest() == content


def test_damage_deep_in_the_file_stops_writers_and_upgrades_before_they_write(tmp_path: Path, whole: Path) -> None:
    shutil.copytree(whole, tmp_path / "at")
    location = find_store(str(tmp_path / "at" / "store.db"))
    assert Reader(location).runs()
    _change(location.path, (_root_page(location.path, "predictions") - 1) * PAGE + 3, b"\xff\xff")
    assert Reader(location).runs()  # what is read is not there
    before = snapshot(location)
    for attempt in (lambda: Writer(location), lambda: copies.backup(location)):
        with pytest.raises(StoreError, match="damaged") as caught:
            attempt()
        assert "qtlplat store recover" in caught.value.fix
    assert any("damaged" in problem.what for problem in check(location).problems)
    assert snapshot(location) == before


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_ordinary_file_is_refused(tmp_path: Path, make: object) -> None:
    place = tmp_path / "at" / "store.db"
    place.parent.mkdir()
    make(place)  # type: ignore[operator]
    location = find_store(str(place.parent)) if place.is_dir() else find_store(str(place))
    for attempt in (lambda: Reader(location).runs(), lambda: Writer(location), lambda: check(location)):
        answer: list[object] = []

        def call(attempt: object = attempt, answer: list[object] = answer) -> None:
            try:
                answer.append(attempt())  # type: ignore[operator]
            except QtlplatError as error:
                answer.append(error)

        thread = threading.Thread(target=call, daemon=True)  # a pipe would be waited for
        thread.start()
        thread.join(20)
        assert answer, "it hangs"
        assert isinstance(answer[0], StoreError) or answer[0].problems  # type: ignore[attr-defined]
    assert list(place.parent.iterdir()) == [place]


HOLDS = """
import sqlite3, sys
raw = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    raw.execute("BEGIN IMMEDIATE")
    print("free")
except sqlite3.OperationalError as error:
    print(error.sqlite_errorname)
"""


def test_looking_at_a_store_that_this_process_writes_does_not_free_its_lock(location: StoreLocation) -> None:
    """A process that closes a file loses all its POSIX locks on it, those of SQLite's own descriptor too."""
    with Writer(location), database.engine(location, write=True).begin():
        assert database.has_begun(location)
        assert Reader(location).runs() == []
        told = subprocess.run(
            [sys.executable, "-c", HOLDS, str(location.path)], capture_output=True, text=True, check=True
        )
        assert told.stdout.split() == ["SQLITE_BUSY"]
