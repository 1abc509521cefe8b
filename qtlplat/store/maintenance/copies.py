"""Consistent copies of a store's database while others use it: backups, and the one before an upgrade."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from qtlplat.errors import StoreError, UsageError, safe_repr
from qtlplat.store.core import database, parts, row_digests, schema, views
from qtlplat.store.core.files import rename_new, sync
from qtlplat.store.core.location import StoreLocation, no_store

_ROWS = 2000  # at once in memory


def backup(location: StoreLocation, target: Path | None = None) -> Path:
    """Copy the database, with every run's rows, to a new file and check the copy; returns its path.

    Files of runs are not part of it. The copy of a store behind a server is an SQLite file with the same rows, a store
    too. target: where to; beside the store, with the time in its name, if None.

    Raises
    ------
    UsageError: where there is no store, or the target exists.
    StoreError: where the store or the copy is damaged, or the copy cannot be written. Nothing is left of it then.
    """
    database.check_pages(location)
    if not (database.is_there(location) if location.server else location.exists):
        raise no_store("copy", location)
    if target is None:
        return backup_beside(location, "backup", thorough=True)
    _copy(location, target.absolute(), thorough=True)
    return target


def backup_beside(location: StoreLocation, label: str, *, thorough: bool = False) -> Path:
    """The same beside the store, named by what it is for and the time; thorough: check its rows too."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = location.path.with_name(f"{location.path.stem}.{label}.{stamp}.db")
    target.parent.mkdir(parents=True, exist_ok=True)
    _copy(location, target, thorough=thorough)
    return target


def _copy(location: StoreLocation, target: Path, *, thorough: bool) -> None:
    with new_file(target) as unfinished:
        with database.translated(location):
            if location.server:
                _copy_rows(location, StoreLocation(unfinished, location.files, "a copy"))
            else:
                _copy_pages(location, unfinished)
        _check(StoreLocation(unfinished, location.files, "a copy"), thorough=thorough)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A name beside a file that is not there yet; what was written under it is the file when the block ends well.

    Until then nothing has the file's name. Raises UsageError if the file exists, then at the latest; StoreError if it
    cannot be written. Nothing is left of it then.
    """
    if os.path.lexists(target):
        raise _exists(target)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        yield unfinished
        sync(unfinished)
        rename_new(unfinished, target)
        sync(target.parent)
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        for ending in ("", *database.JOURNALS):
            with suppress(OSError):  # a disk that only reads
                unfinished.with_name(unfinished.name + ending).unlink()


def _exists(target: Path) -> UsageError:
    return UsageError(f"{safe_repr(str(target))} exists", fix="choose another name")


def _copy_pages(location: StoreLocation, unfinished: Path) -> None:
    with database.engine(location, write=False).connect() as connection:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        copy = sqlite3.connect(unfinished)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = delete")  # one file, whatever mode the store is in
        except sqlite3.Error as error:
            raise StoreError(
                f"the store cannot be copied: {error}",
                where=f"{location.path} -> {unfinished}",
                fix="free some space, or name another place with -o",
            ) from error
        finally:
            copy.close()


def _copy_rows(location: StoreLocation, copy: StoreLocation) -> None:
    """A file of the same schema with all rows of one moment."""
    from qtlplat.store.backends.migrations import upgrade

    reading, writing = database.engine(location, write=False), database.engine(copy, write=True, foreign_keys=False)
    with reading.begin() as source, database.translated(copy), writing.begin() as target:
        found = database.revision(source, location)
        assert found is not None
        upgrade(target, to=found)
        if found == schema.REVISIONS[-1]:
            views.create_views(target)
        target.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        for table in parts.every_table(source):
            for rows in source.execute(sa.select(table), execution_options={"yield_per": _ROWS}).partitions():
                values = [{c: parts.as_sqlite_holds(v) for c, v in row._mapping.items()} for row in rows]
                target.execute(sa.insert(table), values)


def _check(copy: StoreLocation, *, thorough: bool) -> None:
    with database.translated(copy), database.engine(copy, write=False, lenient=True).begin() as connection:
        found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        wrong = row_digests.all_changed(connection) if thorough else {}
    if found != "ok" or wrong:
        rows = f"rows of {', '.join(list(wrong)[:3])} are not as they were stored"
        what = rows if found == "ok" else safe_repr(found, 200)
        raise StoreError(f"the store is damaged, no copy was made: {what}", fix="look closer: qtlplat store check")


def _cannot_write(target: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the file cannot be written: {error.strerror}", where=str(target), fix="free some space, or name another place"
    )
