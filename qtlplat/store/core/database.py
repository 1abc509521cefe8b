"""Opening a store: pragmas, transactions, and what is refused.

It knows whether a file is ours, whole and of which schema; it changes nothing, and reads and writes no records. What is
different behind a server is asked of `postgres.py`.
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import stat
import struct
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import create_engine, event, exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

from qtlplat.errors import StoreError, safe_repr
from qtlplat.store.backends import postgres
from qtlplat.store.backends.retry import nobody_waits, patiently
from qtlplat.store.core import schema
from qtlplat.store.core.dialect import add_functions
from qtlplat.store.core.errors import RECOVER as RECOVER  # noqa: PLC0414 -- whoever opens a store finds them here
from qtlplat.store.core.errors import error_name as error_name  # noqa: PLC0414
from qtlplat.store.core.errors import translated as translated  # noqa: PLC0414
from qtlplat.store.core.hidden import hide
from qtlplat.store.core.location import StoreLocation

T = TypeVar("T")
BUSY_SECONDS = 30.0
MAGIC = b"SQLite format 3\x00"
HEADER_BYTES = 100
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
WAL = 2  # bytes 18 and 19 of the header of a file in that journal mode
JOURNALS = ("-journal", "-wal", "-shm")  # SQLite's own files beside a database


class _OpenFile(sqlite3.Connection):
    """A connection of which it is known that it is open."""

    def close(self) -> None:
        """As every connection's."""
        super().close()
        _OPEN.pop(self, None)


_OPEN: WeakKeyDictionary[_OpenFile, tuple[int, int]] = WeakKeyDictionary()  # device and inode of the file


def journal_mode(version: tuple[int, ...]) -> str:
    """`wal` where that version of SQLite is free of the WAL-reset bug (https://sqlite.org/wal.html), else `delete`."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "wal" if fixed else "delete"


def engine(
    location: StoreLocation,
    *,
    write: bool,
    foreign_keys: bool = True,
    at_rest: bool = False,
    keep: bool = False,
    lenient: bool = False,
    past_definitions: bool = False,
    hidden: Collection[Any] = (),
) -> Engine:
    """An engine for the store; every connection has the pragmas, every transaction of a writer is immediate.

    Nothing is opened yet, and a reader's engine never creates the file. at_rest: nobody writes meanwhile; keep: a
    server's connection is used again, and the engine has to be disposed of; lenient: text that is not UTF-8 can be
    read; past_definitions: tables and views that SQLite cannot make out are passed over, where it would refuse the
    file; hidden: ids of records that queries do not see (as damaged ones).
    """
    if location.server:
        return postgres.engine(location.server, write=write, keep=keep, hidden=hidden)

    def connect() -> sqlite3.Connection:
        # a reader in WAL mode needs files beside the database, which read-only media do not let it make
        alone = at_rest or (not write and _in_wal_at_rest(location) and not os.access(location.path.parent, os.W_OK))
        uri = f"{location.path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}{'&immutable=1' if alone else ''}"
        # isolation_level=None: SQLAlchemy's BEGIN is the only one, so that DDL is part of transactions too
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, factory=_OpenFile)
        if found := _identity(location):
            _OPEN[connection] = found
        if past_definitions:  # first of all: most settings read the definitions
            connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        connection.execute("PRAGMA synchronous = FULL")
        add_functions(connection)
        if lenient:
            connection.text_factory = lenient_text
        if hidden:
            connection.execute("PRAGMA temp_store = MEMORY")
            hide(connection.execute, "main", hidden)
        return connection

    result = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(result, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return result


def lenient_text(data: bytes) -> str:
    """SQLite's text as Python's; bytes that are not UTF-8 become half surrogates, which nothing of ours can store."""
    return data.decode(errors="surrogateescape")


def wait_at_most(connection: Connection, seconds: float) -> None:
    """How long a connection waits for other processes' locks, from now on."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")


def check_header(location: StoreLocation) -> bool:
    """Look at the first bytes without opening the database: whether a store has been begun there.

    One that this process has open has been looked at, and is left alone: closing a file frees all locks that the
    process holds on it (https://sqlite.org/howtocorrupt.html, 2.2), those of SQLite too.

    Raises
    ------
    StoreError: where the file is no SQLite database, or somebody else's, or cannot be read. Of a server nothing is
        known before it is asked.
    """
    if location.server:
        return True
    if _is_open(location):
        return location.path.stat().st_size > 0
    head = header(location)
    if not head and (file := _file_of_a_run(location)):
        raise StoreError(
            "the store's database is an empty file, beside files of its runs; it has not been touched",
            where=f"{location.path}, {file}",
            fix=f"restore a backup; or, to begin a new store there: rm {shlex.quote(str(location.path))}",
        )
    if not head or (not any(head) and _was_empty(location)):
        return False
    if len(head) < HEADER_BYTES or not head.startswith(MAGIC):
        raise _not_ours(location, "the file is not an SQLite database, or a damaged one")
    if struct.unpack(">I", head[68:72])[0] != schema.APPLICATION_ID:
        raise _not_ours(location, "the database belongs to another application")
    if _in_wal_at_rest(location):
        # opened as usual, even for reading, SQLite would leave files beside one that is refused
        with translated(location), engine(location, write=False, at_rest=True).connect() as connection:
            revision(connection, location)
    return True


def _file_of_a_run(location: StoreLocation) -> Path | None:
    """One of the weights or checkpoints beside a database that is there, if there is any."""
    if not location.exists:
        return None
    kept = (location.files / name for name in ("weights", "checkpoints"))
    return next((path for folder in kept if folder.is_dir() for path in folder.iterdir()), None)


def _was_empty(location: StoreLocation) -> bool:
    """Whether a journal says that there was nothing in the file before a write that was cut off, or still goes on."""
    try:
        with beside(location, "-journal").open("rb") as file:
            head = file.read(len(JOURNAL_MAGIC) + 12)
    except OSError:
        return False
    return head.startswith(JOURNAL_MAGIC) and head[16:20] == bytes(4)  # pages that the file had


def _identity(location: StoreLocation) -> tuple[int, int] | None:
    try:
        found = location.path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_open(location: StoreLocation) -> bool:
    return _identity(location) in list(_OPEN.values())


def header(location: StoreLocation) -> bytes:
    """The first 100 bytes of the file, fewer where it is shorter, none where there is no file.

    Not to be called where this process may have the file open.
    Raises StoreError where it cannot be read, or is no ordinary file.
    """
    try:
        if not stat.S_ISREG(location.path.stat().st_mode):  # a pipe would keep us waiting for ever
            raise _not_ours(location, "it is not an ordinary file")
        with location.path.open("rb") as file:
            return file.read(HEADER_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StoreError(
            f"cannot read the store: {error.strerror}",
            where=str(location.path),
            fix="mend its permissions, or name another file with --store",
        ) from error


def beside(location: StoreLocation, suffix: str) -> Path:
    """One of SQLite's own files beside the database, as '-journal'."""
    return location.path.with_name(location.path.name + suffix)


def _in_wal_at_rest(location: StoreLocation) -> bool:
    """Whether the file is in WAL mode and nobody has it open for writing, nor was killed at that."""
    if _is_open(location):
        return False
    try:
        return header(location)[18:20] == bytes([WAL, WAL]) and not beside(location, "-wal").exists()
    except (StoreError, OSError):
        return False


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
    StoreError: for a revision that this version of qtlplat does not know, and for a server's schema of somebody else.
    """
    if not connection.dialect.has_table(connection, schema.VERSION_TABLE):
        if location.server:
            postgres.refuse_strangers(connection, location.server)
        elif others := connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar():
            raise _no_revision(f"the table {schema.VERSION_TABLE} is missing beside {others} others", location)
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {schema.VERSION_TABLE}").scalars().all()  # noqa: S608
    if len(found) != 1:
        raise _no_revision(f"the table {schema.VERSION_TABLE} has {len(found)} rows instead of one", location)
    if not re.fullmatch(r"\d{4}", str(found[0])):
        raise _no_revision(f"the table {schema.VERSION_TABLE} says {safe_repr(found[0])}", location)
    if found[0] not in schema.REVISIONS:
        raise StoreError(
            f"the store has schema {safe_repr(found[0])}, which this version of qtlplat does not know "
            f"(it knows up to {schema.REVISIONS[-1]!r}); it has not been touched",
            where=location.name,
            fix="pip install --upgrade qtlplat",
        )
    return str(found[0])


class NoRevisionError(StoreError):
    """A store's tables without what says of which schema they are."""


def _no_revision(what: str, location: StoreLocation) -> NoRevisionError:
    fix = "restore a backup" if location.server else RECOVER
    return NoRevisionError(f"the store is damaged: {what}, so its schema is not known", where=location.name, fix=fix)


def check_pages(location: StoreLocation) -> None:
    """Look at every page of a file before writing to it: SQLite would write into a damaged one. About 2 ms per MB.

    A server looks after its pages itself.

    Raises
    ------
    StoreError: where a page is damaged, or what lies there is refused anyway.
    """

    def first_damage() -> str:
        with engine(location, write=False).begin() as connection:
            revision(connection, location)
            return str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())

    if location.server or not check_header(location):
        return
    with translated(location):
        found = after_roll_back(location, first_damage)
    if found != "ok":
        raise StoreError(f"the store is damaged: {safe_repr(found, 200)}", where=str(location.path), fix=RECOVER)


def after_roll_back(location: StoreLocation, read: Callable[[], T]) -> T:
    """What `read` returns; the journal of a killed writer, which a reader may not roll back, is rolled back first."""
    try:
        return read()
    except exc.DBAPIError as error:
        if error_name(error) != "SQLITE_READONLY_ROLLBACK":
            raise
    # by reading: a transaction that may write would make a database of a file that is empty again
    with engine(location, write=True).connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return read()


def reading(location: StoreLocation, read: Callable[[], T], on_wait: Callable[[], None] = nobody_waits) -> T:
    """What `read` returns, as soon as the store can be read. on_wait: called while a server is waited for."""
    return patiently(location, read, on_wait) if location.server else after_roll_back(location, read)


def is_there(location: StoreLocation) -> bool:
    """Whether there is a store, of whatever schema. Raises StoreError where that is refused, or cannot be told."""

    def look() -> bool:
        with engine(location, write=False).begin() as connection:
            return revision(connection, location) is not None

    if not location.server:
        return location.exists or bool(header(location))
    with translated(location):
        return patiently(location, look)
