"""`store check` finds every change of a stored value, every lost file, and what was left behind; it only reads."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from damage import digests, snapshot
from sample_runs import new_cells, new_run, weights
from test_crash import HALF_WRITTEN
from test_database import next_revision as next_revision  # noqa: PLC0414 -- a fixture
from test_reproductions import OUTCOME

from qtlplat.store.backends import bootstrap
from qtlplat.store.core import database, parts, row_digests, schema, views
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import ArtifactRow
from qtlplat.store.maintenance.check import check
from qtlplat.store.write.writer import Writer


@pytest.fixture
def stored(location: StoreLocation, filled: tuple[Path, list[str]]) -> str:
    """A store with a pretraining, a run that builds on it and the outcome of a reproduction; returns the run's id."""
    shutil.copytree(filled[0], location.path.parent, dirs_exist_ok=True)
    return filled[1][1]


def change(location: StoreLocation, sql: str, *values: object) -> None:
    raw = sqlite3.connect(location.path)
    raw.execute(sql, values)
    raw.commit()
    raw.close()


def whats(location: StoreLocation) -> list[str]:
    return [problem.what for problem in check(location).problems]


def test_a_whole_store_has_no_problems_and_is_left_as_it_was(location: StoreLocation, stored: str) -> None:
    before = snapshot(location)
    health = check(location)
    assert health.problems == ()
    assert health.notes == ()
    assert snapshot(location) == before


COLUMNS = [
    (table.name, column.name)
    for table in schema.metadata.sorted_tables
    for column in table.columns
    if table.name not in ("digests", *schema.REMARKS) and (table.name, column.name) not in row_digests.UNCOUNTED
]


def other_value(value: object) -> object:
    """A value that SQLite takes for one as good, but is another one."""
    if isinstance(value, str):
        return {"finished": "failed", "run": "pretraining", "pretraining": "run", "not run": "misprint"}.get(
            value, {"metric": "comparison", "comparison": "metric", "inconclusive": "confirmed"}.get(value, f"{value} ")
        )
    if isinstance(value, int | float):
        return value + 100
    return 0.5


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_any_changed_value_is_found(location: StoreLocation, stored: str, every: int) -> None:
    whole, missed = location.path.read_bytes(), []
    for table, column in COLUMNS[::every]:
        raw = sqlite3.connect(location.path)  # foreign keys are off
        raw.execute("PRAGMA synchronous = OFF")
        found = raw.execute(f"SELECT * FROM {table} LIMIT 1")
        row = dict(zip([d[0] for d in found.description], found.fetchone(), strict=True))
        where = " AND ".join(f"{name} IS ?" for name in row)
        raw.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (other_value(row[column]), *row.values()))
        raw.commit()
        assert raw.total_changes == 1
        raw.close()
        if not whats(location):
            missed.append((table, column))
        location.path.write_bytes(whole)
    assert len(COLUMNS) > 60
    assert missed == []
    assert whats(location) == []


def test_a_row_that_is_gone_and_a_row_too_many_are_found(location: StoreLocation, stored: str) -> None:
    change(location, "DELETE FROM predictions WHERE run_id = ? AND cell = 1", stored)
    assert whats(location) == ["not as stored: rows of predictions"]
    (problem,) = check(location).problems
    assert problem.where == f"run {stored}"
    assert "qtlplat store merge" in problem.fix
    change(location, "INSERT INTO metrics VALUES (?, 0, 'extra', 0.5)", stored)
    assert whats(location) == ["not as stored: rows of metrics, predictions"]


def test_a_run_that_vanished_is_found(location: StoreLocation, stored: str) -> None:
    raw = sqlite3.connect(location.path)
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("DELETE FROM lineage")
    raw.execute("DELETE FROM runs WHERE id = ?", (stored,))
    raw.commit()
    raw.close()
    assert whats(location) == ["it was stored and is not there any more"]


def test_digests_that_are_gone_are_found(location: StoreLocation, stored: str) -> None:
    change(location, "DELETE FROM digests WHERE record = ?", stored)
    assert "its digests are gone" in whats(location)[0]


def test_dangling_references_are_found(location: StoreLocation, stored: str) -> None:
    change(location, "INSERT INTO environment VALUES ('0123456789abcdef', 'a', 'b')")
    assert whats(location) == ["a row of 'environment' refers to a row of 'runs' that is not there"]


def test_unfinished_runs_are_noted_and_not_judged(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
        writer.add_cells(run_id, new_cells(1))
        health = check(location)
        assert health.problems == ()
        assert [note.startswith(f"run {run_id} is running on") for note in health.notes] == [True]
    assert check(location).problems == ()
    assert check(location).notes == (f"run {run_id} was left by its process and counts as interrupted",)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda path: path.unlink(), "the file is missing"),
        (lambda path: path.write_bytes(b"weightz"), "the file's content is not what was stored (sha256)"),
        (lambda path: path.write_bytes(b"short"), "the file has 5 bytes instead of 7"),
    ],
)
def test_lost_and_changed_files_are_found(location: StoreLocation, stored: str, spoil: object, what: str) -> None:
    path = location.files / weights(location, b"weights").path
    spoil(path)  # type: ignore[operator]
    (problem,) = check(location).problems
    assert problem.what.startswith(f"{what}; it belongs to run ")
    assert problem.what.endswith(" and 1 more")
    assert problem.where == str(path)


@pytest.mark.parametrize("path", ["../store.txt", "/etc/hostname", "weights/../../out", "link/secret", "a\0b"])
def test_a_file_that_lies_outside_is_refused_unread(location: StoreLocation, path: str) -> None:
    with Writer(location) as writer:
        location.files.joinpath("link").symlink_to(location.path.parent)
        location.path.with_name("secret").write_bytes(b"x")
        run_id = writer.start_run(new_run())
        writer.add_artifact(run_id, ArtifactRow("weights", path, "0" * 64, 1))
        writer.finish_run(run_id, "finished", {})
    assert "lies outside of the store's files" in whats(location)[0]


def test_files_of_nobody_are_told_and_are_no_problem(location: StoreLocation, stored: str) -> None:
    for name in ("a.npy", "b.npy"):
        (location.files / "features").mkdir(exist_ok=True)
        (location.files / "features" / name).write_bytes(bytes(500_000))
    health = check(location)
    assert health.problems == ()
    assert health.notes == (f"of no run, caches or left behind: 2 files, 1.0 MB in {location.files / 'features'}",)


def test_half_written_files_and_locks_that_were_left_are_problems_with_a_command(
    location: StoreLocation, stored: str
) -> None:
    left = [
        location.files / "weights" / ".abc.safetensors.0123abcd",
        location.path.with_name(f".{location.path.stem}.backup.2026.db.part"),
    ]
    for path in left:
        path.touch()
    lock = location.locks / f"{stored}.lock"
    lock.touch()
    assert [p.where for p in check(location).problems] == [str(lock)]  # what is young is being written
    for path in left:
        os.utime(path, (time.time() - 4000,) * 2)
    found = {problem.where: problem.fix for problem in check(location).problems}
    assert found == {str(path): f"rm {path}" for path in [lock, *left]}


def test_what_was_wrong_before_an_upgrade_stays_wrong_after_it(
    location: StoreLocation, stored: str, request: pytest.FixtureRequest
) -> None:
    before = digests(location)
    change(location, "UPDATE metrics SET value = 0.1 WHERE run_id = ? AND cell = 0 AND name = 'f1'", stored)
    request.getfixturevalue("next_revision")
    assert bootstrap.prepare(location) is not None
    assert digests(location)[stored]["metrics"] == before[stored]["metrics"]
    assert digests(location)[stored]["runs"] != before[stored]["runs"]  # it has a column more
    assert whats(location) == ["not as stored: rows of metrics"]


def test_digests_do_not_depend_on_the_order_of_rows_or_columns(location: StoreLocation, stored: str) -> None:
    with database.engine(location, write=True).begin() as connection:
        views.drop_views(connection)
    raw = sqlite3.connect(location.path)
    raw.executescript(
        "CREATE TABLE other AS SELECT value, name, cell, run_id FROM metrics ORDER BY value DESC; DROP TABLE metrics;"
        "ALTER TABLE other RENAME TO metrics;"
    )
    raw.close()
    with database.engine(location, write=False).begin() as connection:
        assert [part.columns[0] for part in parts.all_parts(connection, "runs") if part.name == "metrics"] == ["value"]
        assert row_digests.all_changed(connection) == {}


def test_a_renewed_outcome_is_sealed_again(location: StoreLocation, stored: str) -> None:
    before = digests(location)
    with Writer(location) as writer:
        writer.add_reproduction(OUTCOME)
        writer.add_reproduction(replace(OUTCOME, budget="paper"))
    assert digests(location)[OUTCOME.id]["reproductions"] != before[OUTCOME.id]["reproductions"]
    assert check(location).problems == ()


def test_a_write_cut_off_half_way_is_told_and_not_undone(location: StoreLocation, stored: str) -> None:
    subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(location.path)], check=False)
    before = snapshot(location)
    (problem,) = check(location).problems
    assert "cut off half way" in problem.what
    assert problem.fix.startswith("qtlplat runs")
    assert snapshot(location) == before
