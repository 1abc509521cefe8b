"""Files beside the store: written so that a crash leaves the old state or the new one, and nothing else for long."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import secrets
from pathlib import Path
from typing import BinaryIO

from qtlplat.errors import StoreError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename, fsync of the directory.

    What processes that were killed at this have left of the same file is deleted. Raises StoreError naming the file
    where the disk is full, read-only or broken.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        delete_unfinished(path)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with _opened(unfinished) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        sync(path.parent)
    except OSError as error:
        fix = "free some space" if error.errno == errno.ENOSPC else "check the disk and the directory's permissions"
        raise StoreError(f"cannot write: {error.strerror}", where=str(path), fix=fix) from error


def sync(path: Path) -> None:
    """Have the disk keep what a file holds, or which names a directory has. Raises OSError."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _opened(path: Path) -> BinaryIO:
    """A new file under a lock that is freed when this process dies: nobody is at work on it then."""
    while True:
        file = path.open("xb")
        with contextlib.suppress(OSError):  # a file system without locks keeps what is left over
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # deleted as left over between our making it and our locking it


def delete_unfinished(path: Path) -> None:
    """Delete temporary files of a path whose process is gone; one that is still being written is left alone."""
    for one in path.parent.glob(f".{glob.escape(path.name)}.*"):
        try:
            file = os.open(one, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            one.unlink(missing_ok=True)
        except OSError:
            continue
        finally:
            os.close(file)
