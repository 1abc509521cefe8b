"""A store behind a server is copied into a file, merged with files in both directions, checked and upgraded."""

from pathlib import Path

import pytest
from a_server import PostgresServer
from by_hand import sql
from damage import digests, fill
from sample_runs import (
    finished_run,
    new_cells,
    new_run,
    weights,
    whole_run,
)
from test_database import (
    NEXT,
    next_revision as next_revision,  # noqa: PLC0414 -- a fixture
)
from test_merge import everything

from qtlplat.errors import StoreError, UsageError
from qtlplat.store.backends import copies
from qtlplat.store.backends.bootstrap import prepare
from qtlplat.store.backends.find import find_store
from qtlplat.store.core import database, row_digests, schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import EpochRow
from qtlplat.store.maintenance.check import check
from qtlplat.store.maintenance.merge import merge
from qtlplat.store.maintenance.recover import recover
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@pytest.fixture
def location(behind_a_server: StoreLocation) -> StoreLocation:
    return behind_a_server


@pytest.fixture
def file(tmp_path: Path) -> StoreLocation:
    return find_store(str(tmp_path / "a file.db"))


def hashes_that_changed(location: StoreLocation) -> dict[str, list[str]]:
    with database.engine(location, write=False).begin() as connection:
        return row_digests.all_changed(connection)


@pytest.mark.slow
def test_a_backup_is_a_file_with_every_row(location: StoreLocation, tmp_path: Path) -> None:
    fill(location, 2)
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
        writer.add_cells(run_id, new_cells(1))
        writer.add_epochs(run_id, [EpochRow(0, 0, 0.1, {"test_loss": float("nan"), "x": float("inf"), "y": -0.0})])
        writer.finish_run(run_id, "failed", {"total": float("nan")})
        still_running = writer.start_run(new_run())
    sql(location, "INSERT INTO tags VALUES (?, 'mine', '2026')", run_id)
    copy = find_store(str(copies.backup(location, tmp_path / "copy.db")))
    assert repr(everything(copy)) == repr({**everything(location)})
    assert still_running in everything(copy)
    assert digests(copy) == digests(location)
    assert Reader(copy).reproductions() == Reader(location).reproductions()
    assert hashes_that_changed(copy) == {}
    assert sql(copy, "SELECT tags FROM v_runs WHERE run = ?", run_id) == [("mine",)]
    beside = copies.backup(location)
    assert beside.parent == location.path.parent
    assert beside.name.startswith("store.backup.")


@pytest.mark.slow
def test_runs_are_merged_both_ways_with_the_same_digests(
    location: StoreLocation, file: StoreLocation, tmp_path: Path
) -> None:
    ids = fill(file, 2)
    with Writer(file) as writer:
        odd = writer.start_run(new_run())
        writer.add_cells(odd, new_cells(1))
        values = {"test_loss": float("nan"), "train_loss": float("-inf"), "x": float("nan"), "y": -0.0}
        writer.add_epochs(odd, [EpochRow(0, 0, 5e-324, values)])
        writer.finish_run(odd, "failed", {"total": 0.1 + 0.2})
    done = merge(location, file)
    assert set(done.runs) == {*ids, odd}
    assert done.files == len(ids)
    assert digests(location) == digests(file)
    assert check(location).problems == ()
    assert merge(location, file).runs == []
    back = find_store(str(tmp_path / "back.db"))
    with Writer(location) as writer:
        new = whole_run(writer, location, b"made there")
    assert set(merge(back, location).runs) == {*ids, odd, new}
    assert digests(back) == digests(location)
    assert repr(everything(back)) == repr(everything(location))
    assert check(back).problems == ()
    assert Reader(back).reproductions() == Reader(file).reproductions()


def test_a_negative_zero_has_one_digest(location: StoreLocation, file: StoreLocation) -> None:
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
        writer.add_cells(run_id, new_cells(1))
        writer.add_epochs(run_id, [EpochRow(0, 0, 1.0, {"test_loss": -0.0})])
        writer.finish_run(run_id, "failed", {})
    assert merge(file, location).runs == [run_id]
    assert digests(file) == digests(location)


def test_a_clash_is_told_by_names_without_passwords(location: StoreLocation, file: StoreLocation) -> None:
    _, second = fill(file, 1)
    merge(location, file)
    sql(location, "UPDATE metrics SET value = 0.25 WHERE run_id = ? AND cell = 0 AND name = 'f1'", second)
    with pytest.raises(StoreError) as caught:
        merge(location, file)
    text = "\n".join(caught.value.lines())
    assert "s3cret" not in text
    assert f"{second}: differs in metrics; the one in {location.name} is not as it was stored" in text
    assert [problem.what for problem in check(location).problems] == ["not as stored: rows of metrics"]


def test_a_store_is_not_merged_into_itself_nor_from_nowhere(
    location: StoreLocation, file: StoreLocation, postgres: PostgresServer
) -> None:
    fill(location, 0)
    with pytest.raises(UsageError, match="into itself"):
        merge(location, location)
    with pytest.raises(UsageError, match="no store to merge"):
        merge(file, find_store(postgres.store()))


def test_files_of_other_machines_are_no_damage(location: StoreLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    with Writer(location) as writer:
        run_id = whole_run(writer, location)
    path = location.files / weights(location, b"weights").path
    path.unlink()
    assert [problem.what for problem in check(location).problems] == [
        f"the file is missing; it belongs to run {run_id}"
    ]
    monkeypatch.setattr("qtlplat.store.maintenance.check.this_host", lambda: "another machine")
    health = check(location)
    assert health.problems == ()
    assert health.notes == (f"on the machines that made them, not below {location.files}: 1 file of runs",)


def test_recovery_is_refused_with_what_to_do_instead(location: StoreLocation, file: StoreLocation) -> None:
    fill(location, 0)
    with pytest.raises(UsageError) as caught:
        recover(location, file)
    assert "pg_restore" in caught.value.fix
    assert "store merge" in caught.value.fix
    fill(file, 0)
    with pytest.raises(UsageError, match="into a file first"):
        recover(file, location)


def test_an_older_store_is_upgraded_after_a_backup_and_loses_nothing(
    location: StoreLocation, request: pytest.FixtureRequest
) -> None:
    with Writer(location) as writer:
        run_id = finished_run(writer)
    before = Reader(location).run(run_id)
    request.getfixturevalue("next_revision")
    with pytest.raises(StoreError, match="older schema") as caught:
        Reader(location).runs()
    assert caught.value.fix == "qtlplat store upgrade (it makes a backup first)"
    copy = prepare(location)
    assert copy is not None
    assert prepare(location) is None
    assert Reader(location).run(run_id) == before
    assert sql(location, "SELECT version_num FROM qtlplat_schema") == [(NEXT,)]
    assert sql(location, "SELECT tag FROM runs") == [(None,)]
    assert hashes_that_changed(location) == {}
    assert sql(find_store(str(copy)), "SELECT id FROM runs") == [(run_id,)]
    assert sql(find_store(str(copy)), "SELECT version_num FROM qtlplat_schema") == [(schema.REVISIONS[0],)]
