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
from sqlalchemy.pool import NullPool

from qtlplat.errors import StoreError, UsageError, safe_repr
from qtlplat.store.core import database, row_digests
from qtlplat.store.core.damage import lenient_text
from qtlplat.store.core.files import rename_new, sync
from qtlplat.store.core.location import StoreLocation, no_store

JOURNALS = ("-journal", "-wal", "-shm")  # SQLite's own files beside a database


def backup(location: StoreLocation, target: Path | None = None) -> Path:
    """Copy the database, with every run's rows, to a new file and check the copy; returns its path.

    The copy has no files of runs. The copy of a store on a server is an SQLite file with the same rows, and a store.
    target: the new file; None: in the store's directory, with the time in its name.

    Raises:
        UsageError: if there is no store, or the target exists.
        StoreError: if the store or the copy is damaged, or the copy cannot be written. The copy is then removed.
    """
    database.check_pages(location)
    if not database.is_there(location):
        raise no_store("copy", location)
    if target is None:
        return backup_beside(location, "backup", thorough=True)
    _copy(location, target.absolute(), thorough=True)
    return target


def backup_beside(location: StoreLocation, label: str, *, thorough: bool = False) -> Path:
    """A backup in the store's directory, named by its purpose and the time; thorough: check its rows, too."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = location.path.with_name(f"{location.path.stem}.{label}.{stamp}.db")
    target.parent.mkdir(parents=True, exist_ok=True)
    _copy(location, target, thorough=thorough)
    return target


def _copy(location: StoreLocation, target: Path, *, thorough: bool) -> None:
    with new_file(target) as unfinished:
        with database.translated(location):
            location.backend.copy(location, unfinished)
        _check(unfinished, thorough=thorough)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A temporary name for a new file, which is renamed when the block succeeds.

    Raises UsageError if the file exists, at the latest before renaming; StoreError if it cannot be written. The
    temporary file is then removed.
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
        for ending in ("", *JOURNALS):
            with suppress(OSError):  # a disk that only reads
                unfinished.with_name(unfinished.name + ending).unlink()


def _exists(target: Path) -> UsageError:
    return UsageError(f"{safe_repr(str(target))} exists", fix="choose another name")


def _check(copy: Path, *, thorough: bool) -> None:
    def connect() -> sqlite3.Connection:
        made = sqlite3.connect(copy)
        made.text_factory = lenient_text
        return made

    with sa.create_engine("sqlite://", creator=connect, poolclass=NullPool).begin() as connection:
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
