"""Groups that splits keep together."""

import json

import numpy as np
import pytest

from qtlplat.backbones import groups
from qtlplat.backbones.groups import source_groups
from qtlplat.contracts import ImageSet


@pytest.fixture
def images():
    """Four noisy pictures; the last one is the first one again, under another source."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, size=(4, 1, 48, 48)).astype(np.uint8)
    pixels[3] = pixels[0]
    ids = ("a", "b", "c", "d")
    return ImageSet(pixels, np.array([0, 1, 0, 1]), ids, ("s1", "s2", "s2", "s3"), ("x", "y"))


def test_sources_of_duplicates_are_one_group(images):
    first, second, third, last = source_groups(images)
    assert first == last
    assert second == third != first


def test_they_are_found_once_and_read_afterwards(images, tmp_path, monkeypatch):
    found = source_groups(images, tmp_path)
    (file,) = tmp_path.iterdir()

    def refuse(_images):
        raise AssertionError("looked for duplicates again")

    monkeypatch.setattr(groups.duplicates, "joined_groups", refuse)
    assert source_groups(images, tmp_path) == found
    for damaged in ("", "[", json.dumps(["s1"]), json.dumps([1, 2, 3, 4])):
        file.write_text(damaged)
        with pytest.raises(AssertionError, match="again"):
            source_groups(images, tmp_path)
