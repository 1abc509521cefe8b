import hashlib
import multiprocessing
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_runs import finished_run, new_run, open_and_store_one

from qtlplat.errors import StoreError
from qtlplat.store.backends import migrations, own_schema, sqlite, sqlite_file
from qtlplat.store.backends.bootstrap import prepare
from qtlplat.store.core import database, schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

NEWEST = schema.REVISIONS[-1]
TABLES = Path(__file__).with_name("tables.sql").read_text(encoding="utf-8")
NEXT = f"{len(schema.REVISIONS) + 1:04}"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pragma(location: StoreLocation, name: str) -> object:
    with database.engine(location, write=True).connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "delete"),
        ((3, 44, 5), "delete"),
        ((3, 44, 6), "wal"),
        ((3, 45, 3), "delete"),
        ((3, 50, 6), "delete"),
        ((3, 50, 7), "wal"),
        ((3, 51, 2), "delete"),
        ((3, 51, 3), "wal"),
        ((3, 52, 0), "wal"),
    ],
)
def test_wal_only_where_sqlite_is_free_of_the_reset_bug(version: tuple[int, ...], mode: str) -> None:
    assert sqlite_file.journal_mode(version) == mode


def test_a_new_store_has_our_pragmas_and_our_mark(location: StoreLocation) -> None:
    with Writer(location):
        pass
    assert pragma(location, "application_id") == schema.APPLICATION_ID
    assert pragma(location, "foreign_keys") == 1
    assert pragma(location, "synchronous") == 2
    assert pragma(location, "busy_timeout") == 30_000
    assert pragma(location, "journal_mode") == sqlite_file.journal_mode(sqlite3.sqlite_version_info)
    assert pragma(location, "foreign_key_check") is None


def test_a_store_in_wal_mode_is_read(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run_id = finished_run(writer)
    raw = sqlite3.connect(location.path)
    raw.execute("PRAGMA journal_mode = wal")
    assert Reader(location).run(run_id).status == "finished"
    raw.close()


def test_a_new_store_has_the_tables_that_are_written_down(location: StoreLocation) -> None:
    """The tables of stores: to change one after a release takes a revision of its own."""
    prepare(location)
    with database.engine(location, write=False).connect() as connection:
        made = connection.exec_driver_sql("SELECT sql FROM sqlite_schema WHERE type IN ('table', 'index')").all()
    assert "".join(f"{own_schema.canonical(sql)};\n" for sql in sorted(row.sql for row in made if row.sql)) == TABLES


def test_the_known_revisions_are_those_of_the_scripts() -> None:
    walked = [script.revision for script in migrations.scripts().walk_revisions()]
    assert tuple(reversed(walked)) == schema.REVISIONS


def test_eight_processes_open_a_new_store_at_once(location: StoreLocation) -> None:
    context = multiprocessing.get_context("forkserver")
    barrier = context.Barrier(8)
    workers = [context.Process(target=open_and_store_one, args=(location, barrier)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert [run.status for run in Reader(location).runs()] == ["finished"] * 8


def foreign_database(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE runs (id TEXT, mine TEXT)")
    raw.execute("INSERT INTO runs VALUES ('1', 'precious')")
    raw.commit()
    raw.close()


@pytest.mark.parametrize("what", ["foreign", "text", "cut"])
def test_what_is_not_ours_is_refused_untouched(location: StoreLocation, what: str) -> None:
    if what == "foreign":
        foreign_database(location.path)
    else:
        location.path.write_bytes(b"my thesis\n" * 50 if what == "text" else b"SQLite format 3\x00abc")
    before = digest(location.path)
    for attempt in (lambda: Writer(location), lambda: Reader(location).runs()):
        with pytest.raises(StoreError, match="not been touched") as caught:
            attempt()
        assert "--store" in caught.value.fix
    assert digest(location.path) == before
    assert list(location.path.parent.iterdir()) == [location.path]


def test_a_newer_schema_is_refused_untouched_with_the_command(location: StoreLocation) -> None:
    with Writer(location) as writer:
        finished_run(writer)
    raw = sqlite3.connect(location.path)
    raw.execute("UPDATE qtlplat_schema SET version_num = '9999'")
    raw.commit()
    raw.close()
    before = digest(location.path)
    for attempt in (lambda: Writer(location), lambda: Reader(location).runs()):
        with pytest.raises(StoreError, match="9999") as caught:
            attempt()
        assert caught.value.fix == "pip install --upgrade qtlplat"
    assert digest(location.path) == before


def test_a_damaged_store_is_an_error_of_the_store(location: StoreLocation) -> None:
    with Writer(location) as writer:
        finished_run(writer)
    data = bytearray(location.path.read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    location.path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        Reader(location).runs()


@pytest.fixture
def next_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A version of qtlplat that knows one more revision, which rebuilds `runs`."""
    folder = tmp_path / "scripts"
    shutil.copytree(migrations.HERE / "versions", folder / "versions", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / f"v{NEXT}_next.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = {NEXT!r}, {NEWEST!r}\n"
        "def upgrade():\n    how = 'always' if op.get_context().dialect.name == 'sqlite' else 'never'\n"
        "    with op.batch_alter_table('runs', recreate=how) as batch:\n"
        "        batch.add_column(sa.Column('tag', sa.Text()))\n"
    )
    monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, NEXT))
    monkeypatch.setattr(migrations.upgrade, "__defaults__", (folder,))
    own_schema._own_of_file.cache_clear()
    yield
    own_schema._own_of_file.cache_clear()


def test_an_older_store_is_upgraded_after_a_backup_and_loses_nothing(
    location: StoreLocation, request: pytest.FixtureRequest
) -> None:
    with Writer(location) as writer:
        run_id = finished_run(writer)
    request.getfixturevalue("next_revision")
    with pytest.raises(StoreError, match="older schema") as caught:
        Reader(location).runs()
    assert "qtlplat store upgrade" in caught.value.fix
    copy = prepare(location)
    assert copy is not None
    assert prepare(location) is None
    assert Reader(location).run(run_id).metrics["f1"] == (0.9, 1.0)
    old = sqlite3.connect(copy)
    assert old.execute("SELECT version_num FROM qtlplat_schema").fetchall() == [(NEWEST,)]
    assert old.execute("SELECT count(*) FROM epochs").fetchone() == (4,)
    old.close()


def test_a_failing_upgrade_leaves_the_store_as_it_was(
    location: StoreLocation, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with Writer(location) as writer:
        finished_run(writer)
    before = digest(location.path)
    request.getfixturevalue("next_revision")
    script = tmp_path / "scripts" / "versions" / f"v{NEXT}_next.py"
    script.write_text(script.read_text() + "    op.execute('INSERT INTO nowhere VALUES (1)')\n")
    with pytest.raises(StoreError, match="nowhere"):
        prepare(location)
    assert digest(location.path) == before


def test_a_writer_holds_the_store_from_its_first_look_on(location: StoreLocation) -> None:
    prepare(location)
    other = sqlite3.connect(location.path, isolation_level=None, timeout=0)
    with database.engine(location, write=True).begin() as writing:
        assert writing.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 0
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    with database.engine(location, write=False).begin() as reading:
        assert reading.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 0
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_locked_store_says_so(location: StoreLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with Writer(location) as writer:
        other = sqlite3.connect(location.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="the store is locked by another process"):
            writer.start_run(new_run())
        assert list(location.locks.iterdir()) == []
        other.close()
        finished_run(writer)


def test_a_full_disk_says_so_and_keeps_what_was_stored(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run_id = finished_run(writer)
        connection = writer._transport._connection
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite's own word for a disk without room
        connection.rollback()
        with pytest.raises(StoreError, match="disk is full"):
            writer.start_run(new_run(plan={"long": "x" * 100_000}))
    assert [run.id for run in Reader(location).runs()] == [run_id]


def test_readers_cannot_write(location: StoreLocation) -> None:
    prepare(location)
    reading = database.engine(location, write=False)
    with pytest.raises(StoreError, match="read-only"), database.translated(location), reading.begin() as connection:
        connection.exec_driver_sql("DELETE FROM runs")


def test_a_directory_that_cannot_be_made_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    from qtlplat.store.backends.find import find_store

    with pytest.raises(StoreError):
        Writer(find_store(str(tmp_path / "file" / "store.db")))


def test_who_is_in_a_hurry_does_not_wait_for_others(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
        other = sqlite3.connect(location.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writer.hurry()
        begun = time.monotonic()
        with pytest.raises(StoreError, match="locked"):
            writer.finish_run(run_id, "interrupted", {})
        assert time.monotonic() - begun < 5
        other.close()
    assert Reader(location).run(run_id).status == "interrupted"
