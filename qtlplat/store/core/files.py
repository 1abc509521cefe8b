"""The store's files: after a crash, either the old or the new content is there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import secrets
import shlex
import stat
from pathlib import Path
from typing import BinaryIO

from qtlplat.errors import StoreError, safe_repr


def write_atomically(path: Path, data: bytes, *, new: bool = False) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename, fsync of the directory.

    What processes that were killed at this have left of the same file is deleted. new: never overwrite a file, not even
    one that another process makes meanwhile.

    Raises:
        StoreError: naming the file, if the disk is full, read-only or broken.
        FileExistsError: with `new`, if it is there.
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
                if new:
                    rename_new(unfinished, path)
                else:
                    unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        sync(path.parent)
    except OSError as error:
        if new and isinstance(error, FileExistsError):
            raise
        raise in_the_way("cannot write", path, error) from error


KINDS = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOENT)  # something else than what is needed


def in_the_way(what: str, path: Path, error: OSError) -> StoreError:
    """The error for a file or directory that cannot be created or used, with its location and a fix.

    what: the failed action, as in 'cannot write'.
    """
    for place in (*reversed(path.parents), path):
        if why := _strange(place, error, is_last=place == path):
            old = shlex.quote(str(place))
            fix = f"rm {old}" if place.is_symlink() else f"mv {old} {old}.old"
            return StoreError(f"{what}: {why}", where=str(place), fix=f"move it out of the way: {fix}")
    fix = (
        "free some space"
        if error.errno in (errno.ENOSPC, errno.EDQUOT)
        else "check the disk and the directory's permissions"
    )
    return StoreError(f"{what}: {error.strerror or type(error).__name__}", where=str(path), fix=fix)


def _strange(place: Path, error: OSError, *, is_last: bool) -> str:
    """What a part of a path is, where that makes the path useless, else ''."""
    try:
        is_directory = stat.S_ISDIR(place.stat().st_mode)
    except OSError as found:
        if not place.is_symlink() or found.errno not in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR):
            return ""
        circle = found.errno == errno.ELOOP
        return (
            "a link leads in a circle"
            if circle
            else f"a link leads to {safe_repr(str(place.readlink()))}, which is not there"
        )
    if is_directory:
        return "a directory is in the place of a file" if is_last and error.errno == errno.EISDIR else ""
    wrong = not is_last or error.errno in (errno.EEXIST, errno.ENOTDIR)
    return "a file is in the place of a directory" if wrong else ""


_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def rename_new(old: Path, new: Path) -> None:
    """Give a file a name that nothing has yet, in one step. Raises FileExistsError if something has it, OSError."""
    import ctypes  # which few commands need

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # Linux
    code = errno.ENOSYS
    if rename is not None:
        if rename(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
    if code not in _NOT_SUPPORTED:
        raise OSError(code, os.strerror(code), str(new))
    new.hardlink_to(old)  # on other systems, and on file systems that cannot do that
    old.unlink()


def sync(path: Path) -> None:
    """Have the disk keep what a file holds, or which names a directory has. Raises OSError."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _opened(path: Path) -> BinaryIO:
    """A new file under a lock that is released when this process ends, so that remains can be recognised."""
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
