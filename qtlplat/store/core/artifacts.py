"""Files of runs below a store's file directory: found without leaving it, checked and copied by content."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from qtlplat.errors import StoreError, safe_repr
from qtlplat.store.core.files import KINDS, in_the_way, rename_new, sync
from qtlplat.store.core.location import StoreLocation

_CHUNK = 1 << 20
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{8}|\..+\.part")  # as `files.write_atomically` and `copies` name them


def path_below(location: StoreLocation, relative: str) -> Path | None:
    """The file that a row of `artifacts` names; None for a name that leads out of the store's file directory."""
    pure = PurePosixPath(relative)
    if not relative or "\0" in relative or pure.is_absolute() or ".." in pure.parts:
        return None
    path = location.files / pure
    real = Path(os.path.realpath(path))  # a link may lead out too
    return path if real.is_relative_to(os.path.realpath(location.files)) else None


def what_is_wrong(location: StoreLocation, relative: str, sha256: str, size: int) -> str:
    """In words, '' where the file is there and is the one that was stored."""
    path = path_below(location, relative)
    if path is None:
        return f"the file {safe_repr(relative)} lies outside of the store's files"
    try:
        found = path.stat().st_size
        if found != size:
            return f"the file has {found} bytes instead of {size}"
        if sha256_of(path) != sha256:
            return "the file's content is not what was stored (sha256)"
    except FileNotFoundError:
        return "the file is missing"
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    return ""


def sha256_of(path: Path) -> str:
    """sha256 of a file's content. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def paths_by_content(files: Mapping[str, str]) -> dict[str, str]:
    """Where files of another store are put: in directories of the same name, called by their content.

    Files whose name says something else (cached features) could otherwise meet one of that name and other content.
    files: sha256 by path, those of one run.
    """
    moved: dict[str, str] = {}
    for relative, sha256 in files.items():
        pure, name = PurePosixPath(relative), sha256
        while (path := pure.with_name(f"{name}{pure.suffix}").as_posix()) in moved.values():
            name += "-again"  # one run, twice the same content
        moved[relative] = path
    return moved


def copy_file(source: Path, target: Path, sha256: str, *, new: bool = False) -> None:
    """Copy a file so that a crash leaves it whole or not at all; what is there with the same content stays.

    new: never overwrite a file. Raises StoreError if it cannot be read or written, or is not what was stored;
    FileExistsError, with `new`, where the file is there.
    """
    if not new and target.is_file() and sha256_of(target) == sha256:
        return
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        found = hashlib.sha256()
        with source.open("rb") as read, unfinished.open("xb") as written:
            while chunk := read.read(_CHUNK):
                found.update(chunk)
                written.write(chunk)
            written.flush()
            os.fsync(written.fileno())
        if found.hexdigest() != sha256:
            what = "the file's content is not what was stored (sha256)"
            raise StoreError(what, where=str(source), fix="see what else is: qtlplat store check")
        if new:
            rename_new(unfinished, target)
        else:
            unfinished.replace(target)
        sync(target.parent)
    except OSError as error:
        if new and isinstance(error, FileExistsError):
            raise
        if error.errno in KINDS and source.is_file():
            raise in_the_way("a file cannot be copied", target, error) from error
        raise StoreError(
            f"a file cannot be copied: {error.strerror}",
            where=f"{source} -> {target}",
            fix="free some space, or fix the permissions of both",
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def all_files(location: StoreLocation) -> Iterator[Path]:
    """Every file below the store's file directory, except locks."""
    for folder, names, files in os.walk(location.files):
        names[:] = sorted(name for name in names if Path(folder, name) != location.locks)
        yield from (Path(folder, name) for name in sorted(files))


def is_unfinished(path: Path) -> bool:
    """Whether a file is called as what is being written is, before it gets its name."""
    return bool(_UNFINISHED.fullmatch(path.name))
