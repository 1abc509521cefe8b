"""Opening the store's SQLite file: pragmas, transactions, what is refused, and what an error of SQLite means.

It knows whether a file is ours and of which schema; it reads and writes no records.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, event, exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

from qtlplat.errors import StoreError, shown
from qtlplat.store import schema
from qtlplat.store.location import StoreLocation

BUSY_SECONDS = 30.0
_MAGIC = b"SQLite format 3\x00"


def journal_mode(version: tuple[int, ...]) -> str:
    """`wal` where that version of SQLite is free of the WAL-reset bug (https://sqlite.org/wal.html), else `delete`."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "wal" if fixed else "delete"


def engine(location: StoreLocation, *, write: bool, foreign_keys: bool = True) -> Engine:
    """An engine for the file; every connection has the pragmas, every transaction of a writer is immediate.

    Nothing is opened yet, and a reader's engine never creates the file.
    """
    uri = f"{location.path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}"

    def connect() -> sqlite3.Connection:
        # isolation_level=None: SQLAlchemy's BEGIN is the only one, so that DDL is part of transactions too
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    result = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(result, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return result


def check_header(location: StoreLocation) -> bool:
    """Look at the first bytes without opening the database: whether a store has been begun there.

    Raises
    ------
    StoreError: where the file is no SQLite database, or somebody else's.
    """
    try:
        with location.path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(
            f"cannot read the store: {error.strerror}",
            where=str(location.path),
            fix="mend its permissions, or name another file with --store",
        ) from error
    if not head:
        return False
    if len(head) < 100 or not head.startswith(_MAGIC):
        raise _not_ours(location, "the file is not an SQLite database, or a damaged one")
    if struct.unpack(">I", head[68:72])[0] != schema.APPLICATION_ID:
        raise _not_ours(location, "the database belongs to another application")
    return True


def _not_ours(location: StoreLocation, what: str) -> StoreError:
    return StoreError(
        f"{what}; it has not been touched",
        where=f"{location.path} ({location.why})",
        fix="name another file: --store results.db",
    )


def revision(connection: Connection, location: StoreLocation) -> str | None:
    """The schema's revision in the file, or None for one without tables.

    Raises
    ------
    StoreError: for a revision that this version of qtlplat does not know.
    """
    if not connection.dialect.has_table(connection, schema.VERSION_TABLE):
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {schema.VERSION_TABLE}").scalar()  # noqa: S608
    if found is not None and found not in schema.REVISIONS:
        raise StoreError(
            f"the store has schema {shown(found)}, which this version of qtlplat does not know "
            f"(it knows up to {schema.REVISIONS[-1]!r}); it has not been touched",
            where=str(location.path),
            fix="pip install --upgrade qtlplat",
        )
    return None if found is None else str(found)


def prepare(location: StoreLocation) -> Path | None:
    """Make the store writable by this version: create it, or upgrade its schema after a backup, in one transaction.

    Safe when several processes do so at once: the first one does the work, the others wait for it. Returns the
    backup's path, or None where none was needed.
    """
    check_header(location)
    _make_directories(location)
    # foreign keys are off while the schema changes, for rebuilding a table would otherwise cascade into its children
    upgrading = engine(location, write=True, foreign_keys=False)
    with translated(location), upgrading.begin() as connection:
        old = revision(connection, location)
        if old == schema.REVISIONS[-1]:
            return None
        copy = backup(location, f"before-{schema.REVISIONS[-1]}") if old is not None else None
        from qtlplat.store.migrations import upgrade

        upgrade(connection)
        connection.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken:
            raise StoreError(
                f"the upgraded store would hold dangling references in {shown(broken[0])}; it stays as it was",
                where=str(location.path),
                fix="report this, with the output of `sqlite3 STORE 'PRAGMA foreign_key_check'`",
            )
    return copy


def _make_directories(location: StoreLocation) -> None:
    try:
        location.path.parent.mkdir(parents=True, exist_ok=True)
        location.locks.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot create the store's directory: {error.strerror}",
            where=str(error.filename),
            fix="choose another place with --store PATH",
        ) from error


def choose_journal(location: StoreLocation) -> None:
    """Bring the file to the journal mode this SQLite is safe with; not now if somebody else has it open."""
    wanted = journal_mode(sqlite3.sqlite_version_info)
    with translated(location), engine(location, write=True).connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        if driver.execute("PRAGMA journal_mode").fetchone()[0] == wanted:
            return
        driver.execute("PRAGMA busy_timeout = 0")
        try:
            driver.execute(f"PRAGMA journal_mode = {wanted}")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise


def backup(location: StoreLocation, label: str) -> Path:
    """A consistent copy of the database beside it; returns its path. Readers and writers may go on meanwhile."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = location.path.with_name(f"{location.path.stem}.{label}.{stamp}.db")
    unfinished = target.with_name(f"{target.name}.part")
    with engine(location, write=False).connect() as connection:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        copy = sqlite3.connect(unfinished)
        try:
            source.backup(copy)
        finally:
            copy.close()
    unfinished.replace(target)
    return target


def roll_back_leftovers(location: StoreLocation) -> None:
    """Let SQLite undo what a killed writer left half written; a reader may not do that itself."""
    with engine(location, write=True).begin() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")


def needs_roll_back(error: exc.DBAPIError) -> bool:
    """Whether a reader met the journal of a writer that was killed."""
    return error_name(error) == "SQLITE_READONLY_ROLLBACK"


def error_name(error: BaseException) -> str:
    """SQLite's name of an error, as in ``SQLITE_BUSY``; '' where there is none."""
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    return str(getattr(original, "sqlite_errorname", ""))


# what SQLite says -> what is wrong, how to mend it; the first prefix that fits
_MEANINGS = (
    ("SQLITE_BUSY", f"the store was locked by another process for {BUSY_SECONDS:.0f} seconds", "try again later"),
    ("SQLITE_LOCKED", "the store is locked", "try again later"),
    ("SQLITE_FULL", "the disk is full", "free some space; what was stored before is safe"),
    ("SQLITE_READONLY", "the store is read-only", "mend its permissions, or name another file with --store"),
    ("SQLITE_CANTOPEN", "the store cannot be opened", "mend its permissions, or name another file with --store"),
    ("SQLITE_PERM", "the store may not be accessed", "mend its permissions, or name another file with --store"),
    ("SQLITE_NOTADB", "the file is not an SQLite database", "name another file with --store"),
    ("SQLITE_CORRUPT", "the store is damaged", "restore a copy, or save what can be read: sqlite3 STORE .recover"),
    ("SQLITE_IOERR", "the disk reported an error", "check the disk, its quota and its free space"),
    ("SQLITE_CONSTRAINT", "the store refused a record that contradicts what it holds", ""),
)


@contextmanager
def translated(location: StoreLocation) -> Iterator[None]:
    """Raise SQLAlchemy's and SQLite's errors as StoreError, with the file and a way out."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        original = getattr(error, "orig", None) or error
        name = error_name(error)
        for prefix, what, fix in _MEANINGS:
            if name.startswith(prefix):
                raise StoreError(f"{what} ({name}: {original})", where=str(location.path), fix=fix) from error
        raise StoreError(
            f"the store cannot do that: {type(original).__name__}: {shown(str(original), 200)}",
            where=str(location.path),
        ) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise StoreError(f"a value cannot be stored: {shown(str(error), 200)}", where=str(location.path)) from error
