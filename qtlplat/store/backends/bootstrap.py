"""Making a store ready to be written: created, or upgraded after a backup; refused where it cannot be."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sqlalchemy.engine import Connection

from qtlplat.errors import StoreError, UsageError, safe_repr
from qtlplat.store.backends import postgres
from qtlplat.store.backends.address import Server
from qtlplat.store.backends.retry import nobody_waits, patiently
from qtlplat.store.core import database, row_digests, schema, views
from qtlplat.store.core.files import KINDS, in_the_way
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance import copies

KEPT = ("weights", "features", "checkpoints")  # directories below a store's files


def prepare(location: StoreLocation, on_wait: Callable[[], None] = nobody_waits) -> Path | None:
    """Make the store writable by this version: create it, or upgrade its schema after a backup, in one transaction.

    Safe when several processes do so at once: the first one does the work, the others wait for it. Returns the
    backup's path, or None where none was needed. on_wait: called while a server is waited for.

    Raises
    ------
    StoreError: where the file is refused, or damaged, or it or a directory beside it cannot be written.
    """
    database.check_pages(location)
    _refuse_second_name(location)
    _make_directories(location)
    if location.server:
        return _prepare_server(location, location.server, on_wait)
    if not os.path.lexists(location.path):
        _create(location)
    # foreign keys are off while the schema changes, for rebuilding a table would otherwise cascade into its children
    upgrading = database.engine(location, write=True, foreign_keys=False)
    with database.translated(location), upgrading.connect() as connection, connection.begin() as transaction:
        old = database.revision(connection, location)
        if old == schema.REVISIONS[-1]:
            _try_writing(connection)
            transaction.rollback()
            return None
        copy = copies.backup_beside(location, f"before-{schema.REVISIONS[-1]}") if old is not None else None
        upgrade_within(connection, location)
    return copy


def _create(location: StoreLocation) -> None:
    """Make a new store under another name: a process that is killed meanwhile leaves no empty file in its place."""
    with suppress(UsageError), copies.new_file(location.path) as unfinished:  # another process was quicker
        growing = replace(location, path=unfinished)
        with database.translated(location), database.engine(growing, write=True, foreign_keys=False).begin() as one:
            upgrade_within(one, growing)


def _prepare_server(location: StoreLocation, server: Server, on_wait: Callable[[], None]) -> Path | None:
    def once() -> Path | None:
        with database.engine(location, write=True).connect() as connection, connection.begin() as transaction:
            if (old := database.revision(connection, location)) != schema.REVISIONS[-1]:
                postgres.hold_schema(connection, server)
                old = database.revision(connection, location)  # others may have been first
            if old == schema.REVISIONS[-1]:
                _try_writing(connection)
                transaction.rollback()
                return None
            if old is None:
                postgres.create(connection, server)
                return None
            copy = copies.backup_beside(location, f"before-{schema.REVISIONS[-1]}")
            upgrade_within(connection, location)
            postgres.complete(connection)
        return copy

    with database.translated(location):
        return patiently(location, once, on_wait)


def upgrade_within(connection: Connection, location: StoreLocation) -> None:
    """Bring the tables to the newest schema inside a writing transaction with foreign keys off, or make them."""
    from qtlplat.store.backends.migrations import upgrade

    wrong = row_digests.all_changed(connection)
    views.drop_views(connection)
    upgrade(connection)
    views.create_views(connection)
    row_digests.renewed(connection, wrong)
    if location.server:  # which looks after its references itself
        return
    connection.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken:
        raise StoreError(
            f"the upgraded store would hold dangling references in {safe_repr(broken[0])}; it stays as it was",
            where=str(location.path),
            fix="report this, with the output of `qtlplat store check`",
        )


def _refuse_second_name(location: StoreLocation) -> None:
    """A killed writer's journal is found by the name that it was written under, and by that only."""
    if not location.server and location.exists and location.path.stat().st_nlink > 1:
        raise StoreError(
            "the store's file has another name too (a hard link), and writing under two names may damage it",
            where=str(location.path),
            fix="give it a file of its own: cp STORE COPY && mv COPY STORE",
        )


def _make_directories(location: StoreLocation) -> None:
    """Make the directories of files and locks, and find out whether files can be made where some will have to be."""
    place = location.path.parent
    try:
        for place in (
            location.path.parent,
            location.files,
            location.locks,
            *([location.spool] * bool(location.server)),
        ):
            place.mkdir(parents=True, exist_ok=True)
        for place in (location.files / name for name in KEPT):
            if os.path.lexists(place) and not place.is_dir():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        for place in (location.files, *(path for path in location.files.iterdir() if path.is_dir())):
            with tempfile.TemporaryFile(dir=place):
                pass
    except OSError as error:
        if error.errno in KINDS:
            raise in_the_way("files of runs cannot be written", place, error) from error
        raise StoreError(
            f"files of runs cannot be written: {error.strerror}",
            where=str(place),
            fix=f"mend its permissions, free some space, or choose another place: {location.other_place}",
        ) from error


def _try_writing(connection: Connection) -> None:
    """Begin a write, so that a disk without room for a journal, or a server that only reads, is known in time."""
    connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = version_num")  # noqa: S608


def choose_journal(location: StoreLocation) -> None:
    """Bring the file to the journal mode this SQLite is safe with; not now if somebody else has it open."""
    if location.server:
        return
    wanted = database.journal_mode(sqlite3.sqlite_version_info)
    with database.translated(location), database.engine(location, write=True).connect() as connection:
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
