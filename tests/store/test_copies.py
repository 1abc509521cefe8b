"""Backups: consistent while others write, checked, never in place of another file; nothing is left of a failed one."""

import errno
import os
import sqlite3
import threading
from pathlib import Path

import pytest
from damage import fill
from sample_runs import epoch, new_cells, new_run

from qtlplat.errors import StoreError, UsageError
from qtlplat.store.backends import copies
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


def test_a_backup_is_a_store_with_every_run(location: StoreLocation) -> None:
    ids = fill(location, 2)
    copy = find_store(str(copies.backup(location)))
    assert copy.path.parent == location.path.parent
    assert copy.path.name.startswith(f"{location.path.stem}.backup.2")
    assert {run.id for run in Reader(copy).runs()} == set(ids)
    assert [Reader(copy).run(run) for run in ids] == [Reader(location).run(run) for run in ids]
    location.files.rename(copy.files)  # with the files beside it, it is whole
    assert check(copy).problems == ()


@pytest.mark.slow
def test_a_backup_is_taken_between_two_writes_while_a_run_goes_on(location: StoreLocation, tmp_path: Path) -> None:
    fill(location, 2)
    stop, errors = threading.Event(), []

    def train() -> None:
        try:
            with Writer(location) as writer:
                run_id = writer.start_run(new_run())
                writer.add_cells(run_id, new_cells(2))
                number = 0
                while not stop.is_set():
                    writer.add_epochs(run_id, [epoch(0, number), epoch(1, number)])  # both, or neither
                    number += 1
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        targets = [copies.backup(location, tmp_path / f"copy{i}.db") for i in range(5)]
    finally:
        stop.set()
        thread.join()
    assert errors == []
    counts = []
    for target in targets:
        raw = sqlite3.connect(target)
        counts += raw.execute(
            "SELECT count(*) FILTER (WHERE cell = 0), count(*) FILTER (WHERE cell = 1) FROM epochs "
            "WHERE run_id IN (SELECT id FROM runs WHERE status = 'running')"
        ).fetchall()
        raw.close()
    assert len(counts) == 5
    assert all(first == second for first, second in counts)
    assert counts == sorted(counts)


def test_nothing_is_overwritten_and_a_missing_directory_is_no_bug(location: StoreLocation, tmp_path: Path) -> None:
    fill(location, 1)
    target = tmp_path / "precious"
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        copies.backup(location, target)
    assert target.read_text() == "mine"
    with pytest.raises(StoreError, match="No such file"):
        copies.backup(location, tmp_path / "nowhere" / "copy.db")
    with pytest.raises(UsageError, match="no store"):
        copies.backup(find_store(str(tmp_path / "none.db")))


def test_of_changed_rows_no_backup_is_made(location: StoreLocation, tmp_path: Path) -> None:
    fill(location, 1)
    raw = sqlite3.connect(location.path)
    raw.execute("UPDATE epochs SET test_loss = 0.0 WHERE cell = 0 AND epoch = 1")
    raw.commit()
    raw.close()
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(StoreError, match="no copy was made: rows of") as caught:
        copies.backup(location, tmp_path / "copy.db")
    assert "qtlplat store check" in caught.value.fix
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_copy_that_cannot_be_finished_leaves_nothing(
    location: StoreLocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(location, 1)
    before = sorted(path.name for path in tmp_path.iterdir())

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        copies.backup(location, tmp_path / "copy.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_store_in_wal_mode_is_copied_into_one_file(location: StoreLocation, tmp_path: Path) -> None:
    ids = fill(location, 1)
    raw = sqlite3.connect(location.path)
    raw.execute("PRAGMA journal_mode = wal")
    raw.execute("UPDATE qtlplat_schema SET version_num = version_num")
    raw.commit()
    target = copies.backup(location, tmp_path / "copy.db")
    raw.close()
    assert target.read_bytes()[18:20] == b"\x01\x01"
    assert {run.id for run in Reader(find_store(str(target))).runs()} == set(ids)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("copy")] == ["copy.db"]
