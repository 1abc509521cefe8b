"""What a power cut leaves: a file is on the disk before it has its name, and its name before anybody relies on it."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qtlplat.store.backends import copies
from qtlplat.store.backends.copies import backup
from qtlplat.store.core import files
from qtlplat.store.core.artifacts import copy_file
from qtlplat.store.core.files import write_atomically
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.write.writer import Writer

CONTENT = b"what must be there after a power cut"


def written(location: StoreLocation, target: Path) -> None:
    write_atomically(target, CONTENT)


def copied(location: StoreLocation, target: Path) -> None:
    source = target.with_name("source")
    source.write_bytes(CONTENT)
    copy_file(source, target, hashlib.sha256(CONTENT).hexdigest())


def backed_up(location: StoreLocation, target: Path) -> None:
    backup(location, target)


@pytest.mark.parametrize("make", [written, copied, backed_up])
def test_a_file_is_synced_before_it_gets_its_name_and_the_directory_after(
    make: Callable[[StoreLocation, Path], None],
    location: StoreLocation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Writer(location):
        pass
    target = tmp_path / "there" / "file"
    target.parent.mkdir()
    done: list[tuple[str, int]] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(file: int) -> None:
        real_fsync(file)
        done.append(("synced", os.fstat(file).st_ino))

    def replace(path: Path, to: Path) -> Path:
        done.append(("named", path.stat().st_ino))
        return real_replace(path, to)

    monkeypatch.setattr(os, "fsync", fsync)

    def rename_new(path: Path, to: Path) -> None:
        done.append(("named", path.stat().st_ino))
        files.rename_new(path, to)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(copies, "rename_new", rename_new)
    make(location, target)
    file, directory = target.stat().st_ino, target.parent.stat().st_ino
    assert done == [("synced", file), ("named", file), ("synced", directory)]
