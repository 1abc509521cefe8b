"""Stores in SQLite files: pragmas, transactions, which files are refused, what errors mean."""

from __future__ import annotations

import fcntl
import os
import shlex
import sqlite3
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event, exc
from sqlalchemy.engine import Connection, Engine

from qtlplat.errors import LockedError, StoreError, UsageError, safe_repr
from qtlplat.store.backends import copies, own_schema
from qtlplat.store.backends.bootstrap import make_directories, try_writing, upgrade_within
from qtlplat.store.backends.page_checks import check_before_writing
from qtlplat.store.backends.sqlite_engine import sqlite_engine
from qtlplat.store.backends.sqlite_errors import RECOVER, error_name, explained
from qtlplat.store.backends.sqlite_file import (
    HEADER_BYTES,
    MAGIC,
    OPEN,
    OpenFile,
    file_of_a_run,
    header,
    identity,
    in_wal_at_rest,
    is_open,
    journal_mode,
    not_ours,
    was_empty,
)
from qtlplat.store.core import database, schema
from qtlplat.store.core.damage import lenient_text
from qtlplat.store.core.dialect import add_functions
from qtlplat.store.core.file_lock import try_lock, unlock
from qtlplat.store.core.hidden import hide
from qtlplat.store.core.location import StoreLocation

T = TypeVar("T")
BUSY_SECONDS = 30.0
MOST = 100  # findings of one sort; a store so damaged is past counting


@dataclass(frozen=True)
class SqliteBackend:
    """A file; its locks and files of runs are in a directory next to it."""

    shared = False
    other_place = "--store PATH"
    recovery = RECOVER

    def name(self, path: Path) -> str:
        """The file."""
        return str(path)

    def exists(self, path: Path) -> bool | None:
        """Whether the file is there."""
        return os.path.isfile(path)  # noqa: PTH113 -- unlike Path's, it takes a forbidden directory for a no

    def has_begun(self, location: StoreLocation) -> bool:
        """Check the first bytes without opening the database.

        A database that this process has open has been checked and is skipped: closing a file releases all locks that
        the process has on it (https://sqlite.org/howtocorrupt.html, 2.2), including SQLite's. Raises StoreError if the
        file is no SQLite database, belongs to another application, or cannot be read.
        """
        if is_open(location):
            return location.path.stat().st_size > 0
        head = header(location)
        if not head and (file := file_of_a_run(location)):
            raise StoreError(
                "the store's database is an empty file next to files of its runs; it has not been touched",
                where=f"{location.path}, {file}",
                fix=f"restore a backup; or, to begin a new store there: rm {shlex.quote(str(location.path))}",
            )
        if not head or (not any(head) and was_empty(location)):
            return False
        if len(head) < HEADER_BYTES or not head.startswith(MAGIC):
            raise not_ours(location, "the file is not an SQLite database, or a damaged one")
        if struct.unpack(">I", head[68:72])[0] != schema.APPLICATION_ID:
            raise not_ours(location, "the database belongs to another application")
        if in_wal_at_rest(location):
            # opened as usual, even for reading, SQLite would leave files beside one that is refused
            with database.translated(location), _engine(location, write=False, at_rest=True).connect() as connection:
                database.revision(connection, location)
        return True

    def is_same(self, location: StoreLocation, other: StoreLocation) -> bool:
        """Whether both names lead to one file."""
        both = isinstance(other.backend, SqliteBackend) and location.exists and other.exists
        return both and os.path.samefile(location.path, other.path)  # noqa: PTH121 -- either may be a link

    def connect(
        self,
        location: StoreLocation,
        *,
        write: bool,
        foreign_keys: bool = True,
        keep: bool = False,
        lenient: bool = False,
        past_definitions: bool = False,
        hidden: Collection[Any] = (),
    ) -> Engine:
        """Every connection has the pragmas, every transaction of a writer is immediate; none is kept."""
        return _engine(
            location,
            write=write,
            foreign_keys=foreign_keys,
            lenient=lenient,
            past_definitions=past_definitions,
            hidden=hidden,
        )

    def reading(self, location: StoreLocation, read: Callable[[], T], on_wait: Callable[[], None]) -> T:
        """The journal of a killed writer, which a reader may not roll back, is rolled back first."""
        try:
            return read()
        except exc.DBAPIError as error:
            if error_name(error) != "SQLITE_READONLY_ROLLBACK":
                raise
        # by reading: a transaction that may write would make a database of a file that is empty again
        with _engine(location, write=True).connect() as connection:
            driver_of(connection).execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return read()

    def refuse_strangers(self, connection: Connection, location: StoreLocation) -> None:
        """A store has its version table, or no tables at all."""
        if others := connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar():
            what = f"the table {schema.VERSION_TABLE} is missing from a database with {others} others"
            raise database.no_revision(what, location)

    def prepare(self, location: StoreLocation, on_wait: Callable[[], None]) -> Path | None:
        """Several processes may do so at once: the first one does the work, the others wait for it."""
        check_before_writing(location)
        _refuse_second_name(location)
        make_directories(location)
        if not os.path.lexists(location.path):
            _create(location)
        # foreign keys are off while the schema changes: rebuilding a table would otherwise cascade into its children
        upgrading = _engine(location, write=True, foreign_keys=False)
        copy = None
        with database.translated(location), upgrading.connect() as connection, connection.begin() as transaction:
            old = database.revision(connection, location)
            if old == schema.REVISIONS[-1]:
                try_writing(connection)
                transaction.rollback()
            else:
                copy = copies.backup_beside(location, f"before-{schema.REVISIONS[-1]}") if old is not None else None
                upgrade_within(connection, location)
        _choose_journal(location)
        return copy

    def after_upgrade(self, connection: Connection, location: StoreLocation) -> None:
        """Mark the file as ours, and check its references, which were not enforced."""
        connection.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise StoreError(
                f"the upgraded store would hold dangling references in {safe_repr(broken[0])}; it stays as it was",
                where=str(location.path),
                fix="report this, with the output of `qtlplat store check`",
            )

    def damage(self, connection: Connection, *, quick: bool) -> Iterator[str]:
        """What SQLite finds."""
        pragma = "quick_check(1)" if quick else f"integrity_check({MOST})"
        for (line,) in connection.exec_driver_sql(f"PRAGMA {pragma}").all():
            if line != "ok":
                yield safe_repr(line, 200) if quick else f"damaged: {safe_repr(line, 200)}"
        if quick:
            return
        for table, _, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check").all()[:MOST]:
            yield f"a row of {safe_repr(table)} refers to a row of {safe_repr(parent)} that is not there"

    def schema_differences(self, location: StoreLocation) -> list[str]:
        """Compared with a new file's; definitions that SQLite cannot read are passed over."""
        for past in (False, True):
            try:
                with (
                    database.translated(location),
                    _engine(location, write=False, lenient=True, past_definitions=past).begin() as connection,
                ):
                    return list(own_schema.differences(connection))
            except LockedError:
                raise
            except StoreError:
                if past:
                    raise
        raise AssertionError

    def copy(self, location: StoreLocation, target: Path) -> None:
        """Page by page, while others use it."""
        with _engine(location, write=False).connect() as connection:
            made = sqlite3.connect(target)
            try:
                driver_of(connection).backup(made)
                made.execute("PRAGMA journal_mode = delete")  # one file, whatever mode the store is in
            except sqlite3.Error as error:
                raise StoreError(
                    f"the store cannot be copied: {error}",
                    where=f"{location.path} -> {target}",
                    fix="free some space, or name another place with -o",
                ) from error
            finally:
                made.close()

    def lock(self, location: StoreLocation, name: str, *, alone: bool) -> Callable[[], None] | None:
        """On a file in the store's directory."""
        path = location.locks / f"{name}.lock"
        location.locks.mkdir(parents=True, exist_ok=True)
        file = try_lock(path, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        return None if file is None else lambda: unlock(path, file)

    def hold_runs(self, connection: Connection) -> None:
        """Every writing transaction does."""

    def wait_at_most(self, connection: Connection, seconds: float) -> None:
        """For locks of the file."""
        driver_of(connection).execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")

    def is_away(self, error: BaseException) -> bool:
        """A file never is."""
        return False

    def is_of_the_rows(self, error: BaseException) -> bool:
        """Nothing is tried again."""
        return True

    def explain_error(self, error: BaseException, location: StoreLocation) -> StoreError:
        """By the name that SQLite gives it."""
        return explained(error, location.path)


SQLITE = SqliteBackend()


def in_file(path: Path, files: Path, why: str, asked: str = "") -> StoreLocation:
    """A store in an SQLite file, of which nothing needs to be there yet."""
    return StoreLocation(path, files, why, SQLITE, asked)


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Python's own connection below one of SQLAlchemy's."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _engine(
    location: StoreLocation,
    *,
    write: bool,
    foreign_keys: bool = True,
    at_rest: bool = False,
    lenient: bool = False,
    past_definitions: bool = False,
    hidden: Collection[Any] = (),
) -> Engine:
    """As `SqliteBackend.connect`; at_rest: no process writes meanwhile."""

    def connect() -> sqlite3.Connection:
        # a reader in WAL mode needs files beside the database, which read-only media do not let it make
        alone = at_rest or (not write and in_wal_at_rest(location) and not os.access(location.path.parent, os.W_OK))
        uri = f"{location.path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}{'&immutable=1' if alone else ''}"
        # isolation_level=None: SQLAlchemy's BEGIN is the only one, so that DDL is part of transactions too
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, factory=OpenFile)
        if found := identity(location):
            OPEN[connection] = found
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

    result = sqlite_engine(connect)

    @event.listens_for(result, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return result


def is_a_store(path: Path) -> bool:
    """Whether a file is a store by its header."""
    try:
        head = header(in_file(path, path, ""))
    except StoreError:
        return False
    return head.startswith(MAGIC) and head[68:72] == struct.pack(">I", schema.APPLICATION_ID)


def _create(location: StoreLocation) -> None:
    """Make a new store under another name: a process that is killed meanwhile leaves no empty file in its place."""
    with suppress(UsageError), copies.new_file(location.path) as unfinished:  # another process was quicker
        growing = replace(location, path=unfinished)
        with database.translated(location), _engine(growing, write=True, foreign_keys=False).connect() as one:
            driver_of(one).execute("PRAGMA journal_mode = memory")  # of a file that only counts once it is whole
            with one.begin():
                upgrade_within(one, growing)


def _refuse_second_name(location: StoreLocation) -> None:
    """A killed writer's journal is found by the name that it was written under, and by that only."""
    if location.exists and location.path.stat().st_nlink > 1:
        raise StoreError(
            "the store's file has another name too (a hard link), and writing under two names may damage it",
            where=str(location.path),
            fix="give it a file of its own: cp STORE COPY && mv COPY STORE",
        )


def _choose_journal(location: StoreLocation) -> None:
    """Set a journal mode that is safe with this SQLite, unless another process has the file open."""
    wanted = journal_mode(sqlite3.sqlite_version_info)
    with database.translated(location), _engine(location, write=True).connect() as connection:
        driver = driver_of(connection)
        if driver.execute("PRAGMA journal_mode").fetchone()[0] == wanted:
            return
        driver.execute("PRAGMA busy_timeout = 0")
        try:
            driver.execute(f"PRAGMA journal_mode = {wanted}")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise
