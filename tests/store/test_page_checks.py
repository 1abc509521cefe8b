"""All pages of a file are looked at before it is written to; those of a large one once an hour."""

import os
import shutil
import time

import pytest
from sample_runs import new_run

from qtlplat.errors import StoreError
from qtlplat.store.backends import page_checks
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.write.writer import Writer


@pytest.fixture
def looks(location: StoreLocation, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A store of one run; what is looked at from then on."""
    with Writer(location) as writer:
        writer.start_run(new_run())
    found: list[str] = []
    whole = page_checks.database.check_pages

    def look(place: StoreLocation) -> None:
        found.append(place.name)
        whole(place)

    monkeypatch.setattr(page_checks.database, "check_pages", look)
    return found


def test_a_small_file_is_looked_at_every_time(location: StoreLocation, looks: list[str]) -> None:
    for _ in range(3):
        Writer(location).close()
    assert len(looks) == 3


def test_a_large_file_is_looked_at_once_an_hour(
    location: StoreLocation, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_checks, "LARGE", 1000)
    for _ in range(3):
        Writer(location).close()
    assert len(looks) == 1
    (mark,) = location.locks.glob("pages-checked")
    for moment, expected in ((time.time() - page_checks.HOLDS - 1, 2), (time.time() + 1000, 3)):  # a clock went back
        os.utime(mark, (moment, moment))
        Writer(location).close()
        Writer(location).close()
        assert len(looks) == expected
    # another file in its place
    copy = location.path.with_name("copy.db")
    shutil.copy(location.path, copy)
    copy.replace(location.path)
    Writer(location).close()
    assert len(looks) == 4


def test_damage_of_a_large_file_is_named_and_not_forgotten(
    location: StoreLocation, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_checks, "LARGE", 1000)
    content = bytearray(location.path.read_bytes())
    content[2 * 4096 : 3 * 4096] = b"\xff" * 4096
    location.path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreError, match="damaged"):
            Writer(location)
    assert len(looks) == 2
