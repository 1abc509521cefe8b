"""What errors of SQLite, SQLAlchemy and psycopg mean: each as an error of ours, with the store and a way out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from qtlplat.errors import LockedError, StoreError, Terminated, safe_repr
from qtlplat.store.backends import postgres
from qtlplat.store.core import lock_holders
from qtlplat.store.core.columns import ForeignValueError
from qtlplat.store.core.location import StoreLocation

RECOVER = "restore a backup, or save what can be read: qtlplat store recover --to NEW.db"


def error_name(error: BaseException) -> str:
    """SQLite's name of an error, as in ``SQLITE_BUSY``; '' where there is none."""
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    return str(getattr(original, "sqlite_errorname", ""))


# what SQLite says -> what is wrong, how to mend it; the first prefix that fits
_MEANINGS = (
    ("SQLITE_FULL", "the disk is full", "free some space; what was stored before is safe"),
    (
        "SQLITE_READONLY_ROLLBACK",
        "a write was cut off half way, and is not undone yet",
        "qtlplat runs, or any other command that reads the store: it undoes it",
    ),
    ("SQLITE_READONLY", "the store is read-only", "mend its permissions, or name another file with --store"),
    ("SQLITE_CANTOPEN", "the store cannot be opened", "mend its permissions, or name another file with --store"),
    ("SQLITE_PERM", "the store may not be accessed", "mend its permissions, or name another file with --store"),
    ("SQLITE_NOTADB", "the file is not an SQLite database", "name another file with --store"),
    ("SQLITE_IOERR_CORRUPTFS", "the store is damaged", RECOVER),
    ("SQLITE_CORRUPT", "the store is damaged", RECOVER),
    ("SQLITE_IOERR", "the disk reported an error", "check the disk, its quota and its free space"),
    (
        "SQLITE_CONSTRAINT",
        "the store refused a record that contradicts what it holds",
        "look at what it holds: qtlplat store check",
    ),
)


def _what_stopped(error: BaseException) -> BaseException | None:
    """The Ctrl-C or SIGTERM in whose wake an error came: it met SQLAlchemy half way through something."""
    context = error.__context__
    while context is not None and not isinstance(context, KeyboardInterrupt | Terminated):
        context = context.__context__
    return context


@contextmanager
def translated(location: StoreLocation) -> Iterator[None]:
    """Raise the errors of SQLAlchemy and of the database as StoreError, with the store and a way out."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        if stopped := _what_stopped(error):
            raise stopped from None
        if location.server:
            raise postgres.explained(error, location.server) from error
        original = getattr(error, "orig", None) or error
        name = error_name(error)
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            who = lock_holders.of_file(location.path)
            raise LockedError(
                f"the store is locked by another process, and stayed so while it was waited for ({name}): {who}",
                where=str(location.path),
                fix="wait until it has ended, or end it; then try again",
            ) from error
        for prefix, what, fix in _MEANINGS:
            if name.startswith(prefix):
                raise StoreError(f"{what} ({name}: {original})", where=str(location.path), fix=fix) from error
        if str(original).startswith(("no such table", "no such column")):  # of ours: others' queries are told apart
            what = f"the store is damaged: {safe_repr(str(original), 200)[1:-1]}"
            raise StoreError(what, where=str(location.path), fix=RECOVER) from error
        raise StoreError(
            f"the store cannot do that: {type(original).__name__}: {safe_repr(str(original), 200)}",
            where=str(location.path),
        ) from error
    except ForeignValueError as error:
        what = f"the store holds a value that nothing of ours has written: {error}"
        raise StoreError(what, where=location.name, fix=f"see which: qtlplat store check{location.flag}") from error
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot read
        raise StoreError("the store is damaged: its names are no text", where=location.name, fix=RECOVER) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise StoreError(f"a value cannot be stored: {safe_repr(str(error), 200)}", where=location.name) from error
