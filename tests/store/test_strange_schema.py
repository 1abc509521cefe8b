"""`store check` finds every table, view and index that is gone, changed or not ours."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from by_hand import sql
from damage import fill

from qtlplat.errors import StoreError
from qtlplat.store.backends.find import find_store
from qtlplat.store.backends.own_schema import own_tables
from qtlplat.store.core import schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance.check import check
from qtlplat.store.maintenance.recover import recover
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

FOREIGN = {
    "trigger": "CREATE TRIGGER mine AFTER INSERT ON runs BEGIN UPDATE runs SET seed = 0; END",
    "table": "CREATE TABLE mine (a TEXT)",
    "view": "CREATE VIEW mine AS SELECT 1",
    "index": "CREATE INDEX mine ON runs (seed)",
}


@pytest.fixture
def stored(location: StoreLocation, filled: tuple[Path, list[str]]) -> list[str]:
    shutil.copytree(filled[0], location.path.parent, dirs_exist_ok=True)
    return filled[1]


def whats(location: StoreLocation) -> list[str]:
    return [problem.what for problem in check(location).problems]


def change(location: StoreLocation, statement: str, *values: object) -> None:
    """What SQLite does not let one do by accident."""
    raw = sqlite3.connect(location.path, isolation_level=None)
    raw.execute("PRAGMA writable_schema = ON")
    raw.execute("PRAGMA legacy_alter_table = ON")
    raw.execute(statement, values)
    raw.close()


def objects(location: StoreLocation) -> list[tuple[str, str, str]]:
    return sorted(sql(location, "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_everything_that_is_dropped_or_changed_by_a_letter_is_found(
    location: StoreLocation, stored: list[str], step: int
) -> None:
    content, missed = location.path.read_bytes(), []
    every = objects(location)
    assert len(every) > 25
    for kind, name, text in every[::step]:
        letters = [found.start() for found in re.finditer("[a-z]", text)]
        place = letters[-1]
        other = text[:place] + ("q" if text[place] != "q" else "z") + text[place + 1 :]
        changes = [
            (f"the {kind} {name!r} is missing", f"DROP {kind} {name}", ()),
            (f"the {kind} {name!r} is not defined", "UPDATE sqlite_schema SET sql = ? WHERE name = ?", (other, name)),
            (f"the {kind} 'other' is not one", f"ALTER TABLE {name} RENAME TO other", ()),
        ]
        for what, statement, values in changes if kind == "table" else changes[:2]:
            change(location, statement, *values)
            if not any(found.startswith((what, "the store is damaged", "damaged")) for found in whats(location)):
                missed.append((what, whats(location)))
            location.path.write_bytes(content)
    assert missed == []
    assert whats(location) == []


def broken(name: str) -> list[tuple[str, tuple[object, ...]]]:
    """Ways in which SQLite cannot make out a definition any more, and refuses the whole file."""
    of_it = "UPDATE sqlite_schema SET {} WHERE name = ?"
    return [
        (of_it.format("sql = replace(sql, 'CREATE', 'CREATI')"), (name,)),
        (of_it.format("sql = CAST(x'43ff' AS TEXT)"), (name,)),
        (of_it.format("name = CAST(x'ff' AS TEXT)"), (name,)),
        ("INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name = ?", (name,)),
    ]


@pytest.mark.parametrize(("statement", "values"), broken("v_runs"))
@pytest.mark.sampled(4)
def test_a_view_that_cannot_be_made_out_hides_nothing(
    location: StoreLocation, stored: list[str], statement: str, values: tuple[object, ...], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    sql(location, "UPDATE predictions SET predicted = 0 WHERE run_id = ?", stored[1])
    change(location, statement, *values)
    found = whats(location)
    assert found[0].startswith("the store is damaged")
    assert "not as stored: rows of predictions" in found
    assert {run.id for run in Reader(location).runs()} == set(stored)
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "definitions of tables or views are damaged"
    ]
    with pytest.raises(StoreError, match="damaged"):  # nothing is written into it
        Writer(location)
    assert recover(location, find_store(str(tmp_path / "new.db"))).in_part == {stored[1]: ["predictions"]}


@pytest.mark.parametrize("table", ["runs", "cells", "tags"])
@pytest.mark.sampled(1)
def test_rows_of_a_table_that_cannot_be_made_out_are_recovered(
    location: StoreLocation, stored: list[str], table: str, tmp_path: Path
) -> None:
    content = location.path.read_bytes()
    for number, (statement, values) in enumerate(broken(table)[:2]):
        change(location, statement, *values)
        with pytest.raises(StoreError, match=f"damaged: no such table: {table}"):
            Reader(location).runs()
        assert f"the table {table!r} is not defined as qtlplat defines it" in whats(location)
        new = find_store(str(tmp_path / f"{number}.db"))
        assert set(recover(location, new).whole) == set(stored)
        assert check(new).problems == ()
        location.path.write_bytes(content)


def test_a_run_that_cannot_be_read_hides_no_other(location: StoreLocation, stored: list[str]) -> None:
    sql(location, "UPDATE reproductions SET provider = 'x'")
    change(location, "UPDATE sqlite_schema SET rootpage = 99999 WHERE name = 'cells'")
    found = check(location).problems
    assert all(any(p.where == f"run {run}" and "cannot be read" in p.what for p in found) for run in stored)
    assert any("reproductions" in p.what for p in found)


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_ours_is_found(location: StoreLocation, stored: list[str], kind: str) -> None:
    sql(location, FOREIGN[kind])
    assert whats(location) == [f"the {kind} 'mine' is not one of a store"]


def test_a_column_more_or_less_is_found_and_hides_nothing(location: StoreLocation, stored: list[str]) -> None:
    sql(location, "DROP VIEW v_epochs")
    sql(location, "ALTER TABLE epochs DROP COLUMN test_loss")
    sql(location, "ALTER TABLE notes ADD COLUMN mine TEXT")
    found = whats(location)
    assert {"the view 'v_epochs' is missing", "the table 'epochs' is not defined as qtlplat defines it"} <= set(found)
    assert "the table 'notes' is not defined as qtlplat defines it" in found
    assert "not as stored: rows of epochs" in found


@pytest.mark.parametrize("statement", ["DELETE FROM qtlplat_schema", "DROP TABLE qtlplat_schema",
                                       "INSERT INTO qtlplat_schema VALUES ('0002')",
                                       "UPDATE qtlplat_schema SET version_num = 'x'",
                                       "UPDATE qtlplat_schema SET version_num = x'00'"])  # fmt: skip
def test_a_store_whose_revision_is_gone_does_not_pass_for_an_empty_one(
    location: StoreLocation, stored: list[str], statement: str
) -> None:
    sql(location, statement)
    sql(location, "UPDATE predictions SET predicted = 0")
    for attempt in (lambda: Reader(location).runs(), lambda: Writer(location)):
        with pytest.raises(StoreError, match="qtlplat_schema") as caught:
            attempt()
        assert "qtlplat store recover" in caught.value.fix
    found = whats(location)
    assert "qtlplat_schema" in found[0]
    assert "not as stored: rows of predictions" in found  # the rest is looked at all the same
    new = find_store(str(location.path.with_name("new.db")))
    recover(location, new)
    assert len(Reader(new).runs()) == 2


@pytest.mark.parametrize("setting", ["user_version = 5", "application_id = 5"])
def test_settings_that_are_not_ours_are_found(location: StoreLocation, stored: list[str], setting: str) -> None:
    sql(location, f"PRAGMA {setting}")
    assert len(whats(location)) == 1


def test_an_empty_file_beside_files_of_runs_is_no_new_store(location: StoreLocation, stored: list[str]) -> None:
    location.path.write_bytes(b"")
    for attempt in (lambda: Reader(location).runs(), lambda: Writer(location)):
        with pytest.raises(StoreError, match="empty file next to files of its runs"):
            attempt()
    assert "empty file" in whats(location)[0]
    assert location.path.stat().st_size == 0
    shutil.rmtree(location.files)
    assert Reader(location).runs() == []


def test_digests_and_rows_are_compared_both_ways(location: StoreLocation, stored: list[str]) -> None:
    _, run = stored
    sql(location, "DELETE FROM digests WHERE record = ? AND part = 'epochs'", run)
    sql(location, "INSERT INTO digests VALUES (?, 'feelings', 'x')", run)
    sql(location, "INSERT INTO digests VALUES ('0123456789abcdef', 'runs', 'x')")
    assert whats(location) == ["not as stored: rows of epochs, feelings", "it was stored and is not there any more"]


def test_a_run_that_ended_and_is_made_to_run_again_is_found(location: StoreLocation, stored: list[str]) -> None:
    sql(location, "UPDATE runs SET status = 'running' WHERE id = ?", stored[1])
    assert any("it ended" in what for what in whats(location))


def test_no_definition_is_forgotten() -> None:
    names = {name for kind, name, _, _ in own_tables(schema.REVISIONS[-1]) if kind == "table"}
    assert names == {*schema.metadata.tables, schema.VERSION_TABLE}


@pytest.mark.slow
def test_behind_a_server_too(behind_a_server: StoreLocation) -> None:
    location = behind_a_server
    fill(location, 1)
    assert check(location).problems == ()
    for statement, back, what in (
        ("DROP VIEW v_claims", "", "the view 'v_claims' is missing"),
        ("CREATE VIEW v_claims AS SELECT 1 AS outcome", "DROP VIEW v_claims", "the view 'v_claims' is not defined"),
        ("CREATE TABLE mine (a TEXT)", "DROP TABLE mine", "the table 'mine' is not one"),
        ("CREATE INDEX mine ON runs (seed)", "DROP INDEX mine", "the index 'mine' is not one"),
        ("DROP INDEX ix_runs_created", "CREATE INDEX ix_runs_created ON runs (created)", "the index 'ix_runs_created'"),
        ("ALTER TABLE notes ADD COLUMN mine TEXT", "ALTER TABLE notes DROP COLUMN mine", "the table 'notes' is not"),
        ("ALTER TABLE notes ALTER COLUMN text DROP NOT NULL", "ALTER TABLE notes ALTER COLUMN text SET NOT NULL",
         "the table 'notes' is not"),
        ("ALTER TABLE runs DROP CONSTRAINT ck_runs_kind", "", "the constraint 'runs.ck_runs_kind' is missing"),
        ("CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'", "", ""),
        ("CREATE TRIGGER mine BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION mine()", "DROP TRIGGER mine ON runs",
         "the trigger 'runs.mine' is not one"),
        ("CREATE RULE mine AS ON DELETE TO tags DO INSTEAD NOTHING", "DROP RULE mine ON tags", "the rule 'tags.mine'"),
        ("DELETE FROM qtlplat_schema", "INSERT INTO qtlplat_schema VALUES ('0001')", "the store is damaged: the table"),
    ):  # fmt: skip
        sql(location, statement)
        if what:
            assert any(found.startswith(what) for found in whats(location)), what
        if back:
            sql(location, back)
    assert whats(location) == ["the constraint 'runs.ck_runs_kind' is missing", "the view 'v_claims' is missing"]
