"""Files beside the store: written so that a crash leaves the old state or the new one."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from qtlplat.errors import StoreError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename, fsync of the directory.

    Raises StoreError naming the file where the disk is full, read-only or broken.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        fix = "free some space" if error.errno == errno.ENOSPC else "check the disk and the directory's permissions"
        raise StoreError(f"cannot write: {error.strerror}", where=str(path), fix=fix) from error
