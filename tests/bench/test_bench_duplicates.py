"""Planted copies are what they are called, and the counts of the calibration are those of a recount."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from qtlplat.analysis.duplicates import find_duplicates
from qtlplat.cli.app import _run
from qtlplat.contracts import ImageSet
from qtlplat.errors import DataError
from qtlplat_bench.duplicates import THRESHOLDS, bench_duplicates
from qtlplat_bench.planted_copies import CHANGES

N = 14
SMALL = "steel-synth[per_class=12,images_per_kind=6]"


def texture(seed: int, channels: int = 1, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grain = sum(gaussian_filter(rng.normal(size=(channels, side, side)), (0, s, s)) * s for s in (1, 3, 8))
    return np.clip(128 + 40 * grain / grain.std(), 0, 255).astype(np.uint8)


def image_set(pictures: list[np.ndarray], groups: tuple[str, ...] | None = None) -> ImageSet:
    n = len(pictures)
    names = tuple(f"s{i}" for i in range(n))
    labels = np.arange(n, dtype=np.int64) % 2
    return ImageSet(np.stack(pictures), labels, names, groups or names, ("normal", "anomalous"))


@pytest.fixture(scope="module")
def images() -> ImageSet:
    """Different pictures, but for one that two sources share, slightly changed, and one twice in a source."""
    pictures = [texture(i) for i in range(N)]
    pictures[1] = np.clip(pictures[0] * 0.9, 0, 255).astype(np.uint8)
    pictures[3] = pictures[2]
    return image_set(pictures, tuple("s2" if i == 3 else f"s{i}" for i in range(N)))


@pytest.fixture(scope="module")
def found(images: ImageSet) -> dict:
    return bench_duplicates(images, N, 0, lambda _: None)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_copies_have_the_shape_and_nearly_the_pixels_of_their_original(channels: int) -> None:
    picture, before = texture(5, channels), texture(5, channels)
    for name, change in CHANGES.items():
        copy = change(picture, np.random.default_rng(1))
        assert (copy.shape, copy.dtype) == (picture.shape, np.uint8), name
        assert np.array_equal(picture, before), name
        assert np.array_equal(copy, picture) == (name == "none")
        if name.startswith(("JPEG", "noise of 3", "half the size", "1.5", "blurred")):
            assert np.corrcoef(copy.ravel(), picture.ravel())[0, 1] > 0.8, name


def test_changes_are_those_that_they_are_called() -> None:
    picture, rng = texture(6, side=40), np.random.default_rng(2)
    file = io.BytesIO()
    Image.fromarray(picture[0]).save(file, "JPEG", quality=50)
    assert np.array_equal(CHANGES["JPEG, quality 50"](picture, rng)[0], np.asarray(Image.open(file)))
    assert np.array_equal(CHANGES["mirrored left to right"](picture, rng), np.flip(picture, 2))
    assert np.array_equal(CHANGES["turned by 180 degrees"](picture, rng)[0], np.rot90(picture[0], 2))
    assert np.array_equal(CHANGES["shifted by 3 pixels"](picture, rng)[:, 3:, 3:], picture[:, :-3, :-3])
    assert np.abs(CHANGES["darker, factor 0.8"](picture, rng) - 0.8 * picture).max() <= 0.5
    noise = CHANGES["noise of 8 gray levels"](np.full((1, 200, 200), 128, np.uint8), rng).astype(float) - 128
    assert (noise.mean(), noise.std()) == (pytest.approx(0, abs=0.2), pytest.approx(8, rel=0.02))


def test_every_copy_is_counted_once(found: dict) -> None:
    assert (found["samples"], found["copies"]) == (N, N)
    assert [row["change"] for row in found["changes"]] == list(CHANGES)
    for row in found["changes"]:
        assert row["identical"] + row["copy"] + row["near"] + row["missed"] == N, row
        assert row["found"] == sorted(row["found"], reverse=True)
        assert row["found"][THRESHOLDS.index(0.6)] == N - row["missed"]
        assert row["found"][-1] == row["identical"] + row["copy"]
    rows = {row["change"]: row for row in found["changes"]}
    assert rows["none"]["identical"] == N
    assert rows["JPEG, quality 75"]["missed"] == rows["mirrored left to right"]["missed"] == 0
    assert rows["shifted by 3 pixels"]["missed"] > 0


def test_pairs_of_the_dataset_are_those_of_different_sources(found: dict) -> None:
    own = found["own"]
    assert own["pairs"] == N * (N - 1) // 2 - 1
    assert (own["identical"], own["copy"], own["near"]) == (0, 1, 0)  # 0 and 1; 2 and 3 have one source
    assert own["different_classes"] == 1


def test_false_pairs_are_those_of_other_pictures(images: ImageSet, found: dict) -> None:
    # a copy of 0 may be paired with 1 and the reverse, 2 and 3 have one source; all others would be false
    assert found["false"]["pairs"] == len(CHANGES) * (N * (N - 1) - 4)
    assert found["false"]["found"] == [0] * len(THRESHOLDS)
    # blank but for a dot, as handwritten characters are: copies resemble others
    dots = [np.full((1, 64, 64), 20, np.uint8) for _ in range(6)]
    for i, dot in enumerate(dots):
        dot[0, 8 : 60 - i, 8:56] = texture(99, side=64)[0, 8 : 60 - i, 8:56]
    alike = image_set(dots)
    counted = bench_duplicates(alike, 6, 0, lambda _: None)["false"]["found"][0]
    expected = 0
    own = {(p.first, p.second) for p in find_duplicates(alike, THRESHOLDS[0]).near}
    for number, change in enumerate(CHANGES.values()):
        rng = np.random.default_rng([0, number])
        both = image_set([*dots, *(change(dot, rng) for dot in dots)])
        result = find_duplicates(both, THRESHOLDS[0])
        same = {i: min(group) for group in result.exact for i in group}
        pairs = {(p.first, p.second) for p in result.near}
        for i in range(6):
            for j in range(6):
                one, other = sorted((same.get(i + 6, i + 6), same.get(j, j)))
                known = i == j or (min(i, j), max(i, j)) in own
                expected += not known and (one == other or (one, other) in pairs)
    assert counted == expected


def test_small_images_are_refused() -> None:
    with pytest.raises(DataError, match="equal pixels only"):
        bench_duplicates(image_set([texture(i, side=20) for i in range(3)]), 2, 0, lambda _: None)


def test_the_command_prints_tables_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "duplicates", SMALL, "--copies", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dataset"]["component"] == "steel-synth"
    assert (found["copies"], found["seed"], found["thresholds"]) == (3, 0, list(THRESHOLDS))
    assert _run(["bench", "duplicates", SMALL, "--copies", "3", "-q"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0] == "copies that are found, of 3"
    assert lines[1].split("\t") == [
        "change", "≥ 0.5", "0.6", "0.7", "0.8", "0.9", "identical", "copy", "near", "missed", "median"
    ]  # fmt: skip
    assert lines[2].split("\t")[:7] == ["none", "3", "3", "3", "3", "3", "3"]
    (false,) = [line for line in lines if line.startswith("changed copies and other pictures: false")]
    assert false.split("\t")[1] == str(found["false"]["pairs"])
    first = json.dumps(found["changes"])
    assert _run(["bench", "duplicates", SMALL, "--copies", "3", "--seed", "1", "--json"]) == 0
    assert json.dumps(json.loads(capsys.readouterr().out)["changes"]) != first
