"""Arrays of images in another layout, type or range are refused with what was found; memory order is put right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from qtlplat import DataError, ImageSet
from qtlplat.images import channels_last

RNG = np.random.default_rng(0)


def made(images: Any, labels: Any = None) -> ImageSet:
    n = len(images)
    names = tuple(f"s{i}" for i in range(n))
    return ImageSet(images, np.arange(n) % 2 if labels is None else labels, names, names, ("a", "b"))


def pixels(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (pixels(4, 28, 28, 1), "is uint8 (4, 28, 28, 1); these look like 4 images (N, H, W, C) of 28 x 28 pixels"),
        (pixels(4, 5, 5, 3), "with 3 channel(s): pass images.transpose(0, 3, 1, 2)"),
        (pixels(4, 256, 1600, 3), "of 256 x 1600 pixels with 3 channel(s)"),
        (pixels(4, 64, 48, 4), "of 64 x 48 pixels with 4 channel(s)"),
        (pixels(4, 28, 28), "gray images need an axis for their channel, as images[:, None]"),
        (pixels(4, 28 * 28), "must be uint8 (N, C, H, W), is uint8 (4, 784)"),
        (pixels(4, 1, 8, 8) / 255, "pass (255 * images).round().astype(numpy.uint8)"),
        (pixels(4, 1, 8, 8) * 1.0, "to 255.0: pass images.round().astype(numpy.uint8)"),
        (pixels(4, 1, 8, 8).astype(np.int64), "is int64 (4, 1, 8, 8) with values from"),
        (pixels(4, 1, 8, 8).astype(np.int16) - 128, "map them to 0 to 255 first"),
        (pixels(4, 1, 8, 8).astype(np.uint16) * 257, "to 65535: map them to 0 to 255 first"),
        (np.full((4, 1, 8, 8), np.nan), "replace those that are not finite"),
        (pixels(4, 1, 8, 8) > 99, "is bool (4, 1, 8, 8) with values from False to True: pass (255 * images)"),
        (pixels(4, 8, 8, 3) / 255.0, "pass images.transpose(0, 3, 1, 2)"),
        (np.ma.masked_greater(pixels(4, 1, 8, 8), 9), "with a mask: fill what is masked"),
        (torch.zeros(4, 1, 8, 8), "is Tensor of torch.float32 (4, 1, 8, 8)"),
    ],
)
def test_what_was_found_and_what_is_expected(images: Any, words: str) -> None:
    with pytest.raises(DataError) as caught:
        made(images)
    (problem,) = caught.value.problems
    assert problem.field == "images"
    assert problem.what.startswith("must be uint8 (N, C, H, W), is ")
    assert words in problem.what


@pytest.mark.parametrize("last", [1, 3, 4])
def test_images_are_told_apart_from_feature_maps(last: int) -> None:
    for side in (*range(5, 40), 64, 200, 224, 640):
        assert channels_last((2, side, side, last))
        assert channels_last((2, side, 2 * side, last))
        for channels in (1, 2, 3, 4):
            assert not channels_last((2, channels, side, side))
    for channels in (8, 16, 64, 512):
        for side in (1, 2, 3, 4):
            assert not channels_last((2, channels, side, last))  # small maps of many channels
        assert not channels_last((2, channels, 7, 7))
        assert not channels_last((2, channels, 16 * channels, last))  # signals


@pytest.mark.parametrize("order", ["transposed", "reversed", "strided"])
def test_memory_is_put_in_order_and_values_stay(order: str) -> None:
    images = {
        "transposed": pixels(4, 8, 8, 3).transpose(0, 3, 1, 2),
        "reversed": pixels(4, 1, 8, 8)[::-1, :, ::-1],
        "strided": pixels(8, 1, 16, 16)[::2, :, ::2, ::2],
    }[order]
    data = made(images, np.array([0, 1, 1, 0])[::-1])
    assert data.images.flags.c_contiguous
    assert np.array_equal(data.images, images)
    assert torch.from_numpy(data.labels.copy()).tolist() == data.labels.tolist() == [0, 1, 1, 0]
    assert data.labels.flags.c_contiguous
    assert data.digest == made(images.copy(), np.array([0, 1, 1, 0])).digest
    assert images.flags.writeable


def test_remarks_say_what_is_allowed_but_mostly_a_mistake() -> None:
    assert made(pixels(4, 3, 8, 8)).remarks() == []
    assert made(np.zeros((4, 1, 8, 8), np.uint8)).remarks() == ["all pixels of all images have the value 0"]
    binary = made(pixels(4, 64, 3, 3) % 2)
    assert binary.remarks() == [
        "images have 64 channels of 3 x 3 pixels (height x width); arrays are read as (N, C, H, W)",
        "pixels have no values but 0 and 1; uint8 images mostly use 0 to 255",
    ]
