"""A lock on a file that the kernel holds for a process, and frees however that process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def try_lock(path: Path, how: int) -> int | None:
    """Lock a file without waiting; returns its descriptor, or None if another process holds it.

    The file is created if it is missing. Its last holder may remove it: a lock on a removed file is taken again.

    Args:
        path: The file; its directory exists.
        how: `fcntl.LOCK_EX` or `fcntl.LOCK_SH`.

    Raises:
        OSError: The file cannot be opened, or its file system has no locks.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file), path.stat()):
                return file
        except BlockingIOError:
            os.close(file)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def unlock(path: Path, file: int) -> None:
    """Free a lock, and remove its file unless others hold it too."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a shared one becomes exclusive, if it is the last
        path.unlink(missing_ok=True)
    except OSError:
        pass
    finally:
        os.close(file)
