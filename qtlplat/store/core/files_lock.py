"""The lock around files that runs find by content: held shared from finding one to its row, alone to delete some.

The kernel frees it however its process ends. It is per machine's view of the store's files, as these are.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from qtlplat.errors import BusyError, StoreError
from qtlplat.store.core.file_lock import try_lock, unlock
from qtlplat.store.core.location import StoreLocation

PATIENCE = 60.0  # seconds that either waits for the other
_PAUSE = 0.05


@contextmanager
def taking_up(location: StoreLocation) -> Iterator[None]:
    """Prevent the deletion of files, from finding or writing a file until its row is stored.

    Raises BusyError if files are being deleted for longer than a minute, StoreError if the disk has no locks.
    """
    with _held(location, fcntl.LOCK_SH, "files of the store are being deleted"):
        yield


@contextmanager
def undisturbed(location: StoreLocation) -> Iterator[None]:
    """Prevent the reuse of files while they are deleted; raises BusyError, StoreError."""
    with _held(location, fcntl.LOCK_EX, "a run is taking up files of the store"):
        yield


@contextmanager
def _held(location: StoreLocation, how: int, otherwise: str) -> Iterator[None]:
    path = location.locks / "files"
    until = time.monotonic() + PATIENCE
    try:
        location.locks.mkdir(parents=True, exist_ok=True)
        while (file := try_lock(path, how)) is None:
            if time.monotonic() > until:
                raise BusyError(otherwise, where=str(path), fix="try again in a while")
            time.sleep(_PAUSE)
    except OSError as error:
        raise StoreError(
            f"cannot lock the store's files: {error.strerror}",
            where=str(path),
            fix=f"keep locks on a disk that supports them: {location.other_place}",
        ) from error
    try:
        yield
    finally:
        unlock(path, file)
