"""A file where a directory should be, a link to nowhere or in a circle: named, with the command that moves it away."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_runs import new_run, whole_run

from qtlplat.errors import StoreError
from qtlplat.store.core.files import write_atomically
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import RunLock, lock_path
from qtlplat.store.write.writer import Writer

KINDS: dict[str, Callable[[Path], object]] = {
    "a file is in the place of a directory": lambda path: path.write_text("mine"),
    "which is not there": lambda path: path.symlink_to(path.with_name("nowhere") / "at" / "all"),
    "a link leads in a circle": lambda path: path.symlink_to(path),
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("words", KINDS)
@pytest.mark.parametrize("name", ["", "locks", "weights", "features", "checkpoints"])
def test_what_is_in_the_place_of_a_directory_is_named_before_anything_is_done(
    location: StoreLocation, name: str, words: str
) -> None:
    with Writer(location) as writer:
        whole_run(writer, location)
    place = location.files / name
    shutil.rmtree(place, ignore_errors=True)
    KINDS[words](place)
    with pytest.raises(StoreError, match=words) as caught:
        Writer(location)
    assert caught.value.where == str(place)
    command = caught.value.fix.rpartition(": ")[2]
    assert command.startswith(("rm ", "mv "))
    assert os.system(command) == 0
    with Writer(location) as writer:
        whole_run(writer, location, b"other")


@pytest.mark.parametrize("words", KINDS)
def test_a_file_below_it_cannot_be_written(tmp_path: Path, words: str) -> None:
    KINDS[words](tmp_path / "at")
    with pytest.raises(StoreError, match=words) as caught:
        write_atomically(tmp_path / "at" / "deep" / "file", b"")
    assert caught.value.where == str(tmp_path / "at")


def test_a_directory_in_the_place_of_a_file_is_named(location: StoreLocation, tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(StoreError, match="a directory is in the place of a file"):
        write_atomically(tmp_path / "file", b"")
    with Writer(location) as writer:
        run = writer.start_run(new_run())
    lock_path(location, run).unlink()
    lock_path(location, run).mkdir()
    with pytest.raises(StoreError, match="cannot lock a run: a directory is in the place of a file"):
        RunLock(location, run)
