"""What errors of SQLite mean."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import exc

from qtlplat.errors import LockedError, StoreError, safe_repr
from qtlplat.store.backends import lock_holders

RECOVER = "restore a backup, or save what can be read: qtlplat store recover --to NEW.db"


def error_name(error: BaseException) -> str:
    """SQLite's name of an error, as in ``SQLITE_BUSY``; '' if there is none."""
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    return str(getattr(original, "sqlite_errorname", ""))


# what SQLite says -> what is wrong, the fix; the first prefix that fits
_MEANINGS = (
    ("SQLITE_FULL", "the disk is full", "free some space; what was stored before is safe"),
    (
        "SQLITE_READONLY_ROLLBACK",
        "a write was cut off half way, and is not undone yet",
        "qtlplat runs, or any other command that reads the store: it undoes it",
    ),
    ("SQLITE_READONLY", "the store is read-only", "fix its permissions, or name another file with --store"),
    ("SQLITE_CANTOPEN", "the store cannot be opened", "fix its permissions, or name another file with --store"),
    ("SQLITE_PERM", "the store may not be accessed", "fix its permissions, or name another file with --store"),
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


def explained(error: BaseException, path: Path) -> StoreError:
    """An error of SQLAlchemy or SQLite as ours, with the file and a fix."""
    original = getattr(error, "orig", None) or error
    name, where = error_name(error), str(path)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        who = lock_holders.of_file(path)
        return LockedError(
            f"the store is locked by another process, and stayed so while it was waited for ({name}): {who}",
            where=where,
            fix="wait until it has ended, or end it; then try again",
        )
    for prefix, what, fix in _MEANINGS:
        if name.startswith(prefix):
            return StoreError(f"{what} ({name}: {original})", where=where, fix=fix)
    if str(original).startswith(("no such table", "no such column")):  # of ours: others' queries are told apart
        what = f"the store is damaged: {safe_repr(str(original), 200)[1:-1]}"
        return StoreError(what, where=where, fix=RECOVER)
    what = f"the store cannot do that: {type(original).__name__}: {safe_repr(str(original), 200)}"
    return StoreError(what, where=where)
