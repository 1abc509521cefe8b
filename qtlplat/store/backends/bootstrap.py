"""Making a store ready to be written: what every kind of database needs for it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.engine import Connection

from qtlplat.errors import StoreError
from qtlplat.store.core import row_digests, schema, views
from qtlplat.store.core.files import KINDS, in_the_way
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.retry import nobody_waits

KEPT = ("weights", "features", "checkpoints")  # directories below a store's files


def prepare(location: StoreLocation, on_wait: Callable[[], None] = nobody_waits) -> Path | None:
    """Make the store writable by this version: create it, or upgrade its schema after a backup, in one transaction.

    Safe when several processes do so at once: the first one does the work, the others wait for it. Returns the
    backup's path, or None if none was needed. on_wait: called while a server is waited for.

    Raises:
        StoreError: if the database is refused or damaged, or if it or one of its directories cannot be written.
    """
    return location.backend.prepare(location, on_wait)


def upgrade_within(connection: Connection, location: StoreLocation) -> None:
    """Bring the tables to the newest schema inside a writing transaction with foreign keys off, or make them."""
    from qtlplat.store.backends.migrations import upgrade

    wrong = row_digests.all_changed(connection)
    views.drop_views(connection)
    upgrade(connection)
    views.create_views(connection)
    row_digests.renewed(connection, wrong)
    location.backend.after_upgrade(connection, location)


def make_directories(location: StoreLocation) -> None:
    """Make the directories of files and locks, and find out whether files can be made where some will have to be."""
    place = location.path.parent
    try:
        for place in (location.path.parent, location.files, location.locks):
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
            fix=f"fix its permissions, free some space, or choose another place: {location.other_place}",
        ) from error


def try_writing(connection: Connection) -> None:
    """Begin a write, so that a disk without room for a journal, or a server that only reads, is known in time."""
    connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = version_num")  # noqa: S608
