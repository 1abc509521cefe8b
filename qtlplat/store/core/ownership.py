"""Who owns a running run: a lock held by the kernel for the owner's process, and freed by it however that one ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path

from qtlplat.errors import BusyError, StoreError
from qtlplat.store.core.file_lock import try_lock
from qtlplat.store.core.files import KINDS, in_the_way
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.mounts import on_local_disk


class RunLock:
    """The lock of one run, taken on construction.

    Raises:
        BusyError: if another process holds it.
        StoreError: if the file system cannot lock.
    """

    def __init__(self, location: StoreLocation, run_id: str) -> None:
        self._path = lock_path(location, run_id)
        try:
            file = try_lock(self._path, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno in KINDS:
                raise in_the_way("cannot lock a run", self._path, error) from error
            raise StoreError(
                f"cannot lock a run: {error.strerror}",
                where=str(self._path),
                fix=f"keep locks on a disk that supports them: {location.other_place}",
            ) from error
        if file is None:
            what = f"run {run_id} is owned by another process"
            raise BusyError(what, where=str(self._path), fix="wait until it has ended")
        self._file = file

    def release(self, *, remove: bool) -> None:
        """Give the lock back; `remove` its file too, for a run that has ended."""
        if remove:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def remove_free_lock(location: StoreLocation, run_id: str) -> None:
    """Remove the lock file of a run that has ended, unless a process holds it."""
    with contextlib.suppress(BusyError, StoreError):
        RunLock(location, run_id).release(remove=True)


def lock_path(location: StoreLocation, run_id: str) -> Path:
    """The lock's file; it is removed when the run ends."""
    return location.locks / f"{run_id}.lock"


def this_host() -> str:
    """The name under which runs of this machine are stored."""
    return socket.gethostname()


def is_abandoned(location: StoreLocation, run_id: str, host: str) -> bool:
    """Whether the lock of a run started on `host` is free; only the kernel of that machine knows.

    On a disk of this machine alone, another host name is also this machine: a container has a new name at every start.
    For a store on a server, a run belongs to this machine if its lock file is here.
    """
    if location.backend.shared:
        return lock_path(location, run_id).exists() and _is_free(location, run_id)
    if host != this_host() and not on_local_disk(location.locks):
        return False
    return _is_free(location, run_id)


def _is_free(location: StoreLocation, run_id: str) -> bool:
    try:
        file = os.open(lock_path(location, run_id), os.O_RDONLY)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # it cannot be looked at, so nothing is known against the stored status
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True
