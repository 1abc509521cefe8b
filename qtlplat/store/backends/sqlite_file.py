"""What is known of an SQLite file, and of SQLite's own files next to it, before the database is opened."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from weakref import WeakKeyDictionary

from qtlplat.errors import StoreError
from qtlplat.store.core.location import StoreLocation

MAGIC = b"SQLite format 3\x00"
HEADER_BYTES = 100
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
WAL = 2  # bytes 18 and 19 of the header of a file in that journal mode


class OpenFile(sqlite3.Connection):
    """A connection of which it is known that it is open."""

    def close(self) -> None:
        """As every connection's."""
        super().close()
        OPEN.pop(self, None)


OPEN: WeakKeyDictionary[OpenFile, tuple[int, int]] = WeakKeyDictionary()  # device and inode of the file


def journal_mode(version: tuple[int, ...]) -> str:
    """`wal` where that version of SQLite is free of the WAL-reset bug (https://sqlite.org/wal.html), else `delete`."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "wal" if fixed else "delete"


def file_of_a_run(location: StoreLocation) -> Path | None:
    """One of the weights or checkpoints of a database, if there are any."""
    if not location.exists:
        return None
    kept = (location.files / name for name in ("weights", "checkpoints"))
    return next((path for folder in kept if folder.is_dir() for path in folder.iterdir()), None)


def was_empty(location: StoreLocation) -> bool:
    """Whether a journal says that the file was empty before a write that was interrupted or is in progress."""
    try:
        with beside(location, "-journal").open("rb") as file:
            head = file.read(len(JOURNAL_MAGIC) + 12)
    except OSError:
        return False
    return head.startswith(JOURNAL_MAGIC) and head[16:20] == bytes(4)  # pages that the file had


def identity(location: StoreLocation) -> tuple[int, int] | None:
    """Device and inode of the file, None if there is none."""
    try:
        found = location.path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_open(location: StoreLocation) -> bool:
    """Whether this process has the file open."""
    return identity(location) in list(OPEN.values())


def header(location: StoreLocation) -> bytes:
    """The first 100 bytes of the file, fewer where it is shorter, none if there is no file.

    Not to be called where this process may have the file open.
    Raises StoreError if it cannot be read, or is no ordinary file.
    """
    try:
        if not stat.S_ISREG(location.path.stat().st_mode):  # a pipe would keep us waiting for ever
            raise not_ours(location, "it is not an ordinary file")
        with location.path.open("rb") as file:
            return file.read(HEADER_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StoreError(
            f"cannot read the store: {error.strerror}",
            where=str(location.path),
            fix="fix its permissions, or name another file with --store",
        ) from error


def beside(location: StoreLocation, suffix: str) -> Path:
    """One of SQLite's own files next to the database, as '-journal'."""
    return location.path.with_name(location.path.name + suffix)


def in_wal_at_rest(location: StoreLocation) -> bool:
    """Whether the file is in WAL mode without a present or killed writer."""
    if is_open(location):
        return False
    try:
        return header(location)[18:20] == bytes([WAL, WAL]) and not beside(location, "-wal").exists()
    except (StoreError, OSError):
        return False


def not_ours(location: StoreLocation, what: str) -> StoreError:
    """The error for a file that is no store."""
    return StoreError(
        f"{what}; it has not been touched",
        where=f"{location.path} ({location.why})",
        fix="name another file: --store results.db",
    )
