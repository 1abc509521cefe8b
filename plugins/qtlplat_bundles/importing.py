"""Import bundles into a store: verify, unpack next to it, check, then merge. A refused bundle changes nothing."""

from __future__ import annotations

import fcntl
import glob
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qtlplat.errors import ConfigError, Problem, QtlplatError, StoreError, UntrustedError, describe_exception, safe_repr
from qtlplat.store.backends import bootstrap
from qtlplat.store.backends.sqlite import in_file
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.schema import REVISIONS
from qtlplat.store.maintenance import merge
from qtlplat.store.read.queries import Reader
from qtlplat_bundles import archive, foreign
from qtlplat_bundles.manifest import DATABASE, FILES, VERSION, Manifest

_SPARE = 2**24  # bytes to be left on the disk


@dataclass(frozen=True)
class Imported:
    """What an import did, or would do. manifest: of the bundle; done: what was merged."""

    manifest: Manifest
    done: merge.Merged


def import_bundle(
    location: StoreLocation,
    path: Path,
    look: Callable[[Reader], object],
    *,
    partly: bool = False,
    dry_run: bool = False,
) -> Imported:
    """Import the runs of a bundle into a store; identical runs are skipped.

    Args:
        location: of the store that takes the runs up.
        path: of the bundle.
        look: called with a reader of the bundle's runs before the import; refuses the bundle by raising.
        partly: leave out conflicting runs, and runs that build on them.
        dry_run: return what would be imported; write only a temporary directory.

    Raises:
        DataError: the file is no bundle, damaged or incomplete.
        ConfigError: it is of a newer version.
        UntrustedError: qtlplat does not write such bundles.
        StoreError: a run conflicts with one of the store (unless `partly`), or the disk is full.
    """
    with ExitStack() as stack:
        packed = stack.enter_context(archive.opened(path))
        manifest = _manifest(path, archive.manifest_bytes(path, packed))
        folder = stack.enter_context(_folder_beside(location, dry_run=dry_run))
        _refuse_full(folder, sum(member.bytes for member in manifest.members.values()))
        archive.unpack(path, packed, manifest.members, folder)
        theirs = in_file(folder / DATABASE, folder / FILES, "a bundle")
        name = str(path)
        foreign.adopt(theirs, name)
        _refuse_other_content(path, theirs, manifest)
        _look(path, theirs, look)
        ours = location
        if dry_run and not location.exists:
            ours = in_file(folder / "empty.db", folder / "empty.files", location.why)
            bootstrap.prepare(ours)
        return Imported(manifest, merge.merge(ours, theirs, partly=partly, dry_run=dry_run, name=name))


def _manifest(path: Path, data: bytes) -> Manifest:
    """Read a manifest. Raises DataError if it is none, ConfigError if a newer version made it."""
    try:
        found: Any = json.loads(data)
        if isinstance(found, dict) and isinstance(found.get("version"), int) and found["version"] > VERSION:
            raise _newer(path, f"format {found['version']}")
        manifest = Manifest.model_validate(found)
    except (ValueError, RecursionError) as error:  # pydantic's ValidationError is a ValueError
        found_by_pydantic = error.errors() if isinstance(error, ValidationError) else []
        problems = [Problem("manifest.json", ".".join(map(str, e["loc"])), e["msg"]) for e in found_by_pydantic]
        raise archive.refused(path, problems or [Problem("manifest.json", "", describe_exception(error))]) from error
    if manifest.revision not in REVISIONS:
        raise _newer(path, f"schema {safe_repr(manifest.revision)}")
    return manifest


def _newer(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"the bundle was made by a newer version of qtlplat, with {what}",
        where=safe_repr(str(path), 200),
        fix="pip install --upgrade qtlplat",
    )


@contextmanager
def _folder_beside(location: StoreLocation, *, dry_run: bool) -> Iterator[Path]:
    """A temporary directory on the store's disk; deletes those of killed imports.

    Its lock is released when this process ends, so that the next import recognises it as unused.
    """
    beside = location.path.parent
    if dry_run and not beside.is_dir():
        with tempfile.TemporaryDirectory(prefix="qtlplat-import-") as elsewhere:
            yield Path(elsewhere)
        return
    is_new = not beside.is_dir()
    try:
        beside.mkdir(parents=True, exist_ok=True)
        folder, lock = _locked_folder(beside, f".{location.path.stem}.import")
    except OSError as error:
        fix = "correct its permissions, or free some space"
        raise StoreError(f"nothing can be unpacked: {error.strerror}", where=str(beside), fix=fix) from error
    try:
        yield folder
    except OSError as error:
        fix = "free some space, or check the disk"
        raise StoreError(
            f"cannot unpack: {error.strerror or describe_exception(error)}", where=str(beside), fix=fix
        ) from error
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)
        if is_new:
            with suppress(OSError):  # there is a store in it now
                beside.rmdir()


def _locked_folder(beside: Path, prefix: str) -> tuple[Path, int]:
    """A new directory, and the open file that holds its lock; what killed imports left is deleted."""
    for left in beside.glob(f"{glob.escape(prefix)}.*"):
        _delete_left(left)
    while True:
        folder = beside / f"{prefix}.{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        lock = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # a file system without locks keeps what is left over
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder, lock
        os.close(lock)  # deleted as left over between our making it and our locking it


def _delete_left(folder: Path) -> None:
    """Delete what a killed import left; where one is still at work, leave it alone."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return
    finally:
        os.close(lock)


def _refuse_full(folder: Path, size: int) -> None:
    """Unpacked, and once more in the store. Raises StoreError if there is no room for that."""
    free = shutil.disk_usage(folder).free
    if free < 2 * size + _SPARE:
        raise StoreError(
            f"the bundle unpacks to {size} bytes, and is then copied into the store; the disk has {free} bytes free",
            where=str(folder.parent),
            fix="free some space, or import into a store elsewhere: --store PATH",
        )


def _refuse_other_content(path: Path, theirs: StoreLocation, manifest: Manifest) -> None:
    """Raise UntrustedError if runs or files are others than the manifest and the store say."""
    reader = Reader(theirs)
    runs = {run.id for run in reader.runs()}
    files = {FILES + row.path for run in runs for row in reader.artifacts(run)}
    listed = {name for name in manifest.members if name.startswith(FILES)}
    problems = [
        Problem(run, "", "is in the manifest or the store, but not in both", hostile=True)
        for run in sorted(runs ^ {*manifest.runs, *manifest.built_upon})
    ]
    problems += [Problem(name, "", "belongs to no run", hostile=True) for name in sorted(listed - files)]
    if problems:
        raise archive.refused(path, problems)


def _look(path: Path, theirs: StoreLocation, look: Callable[[Reader], object]) -> None:
    """Try whether the runs can be shown: what cannot would get in the way of every listing."""
    try:
        look(Reader(theirs))
    except Exception as error:  # whatever rows may do to code that believes them
        what = error.what if isinstance(error, QtlplatError) else describe_exception(error)
        raise UntrustedError(
            f"the bundle holds a run that cannot be shown, and nothing of it was imported: {what}",
            where=safe_repr(str(path), 200),
            fix="ask for a new one: qtlplat export RUN -o bundle.zip",
        ) from error
