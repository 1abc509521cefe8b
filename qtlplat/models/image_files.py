"""Image files as what a trained model takes: decoded as datasets decode theirs, all problems at once."""

from __future__ import annotations

import stat
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from qtlplat.conventions import counted
from qtlplat.decoding import UnfitImageError, decode_image
from qtlplat.errors import ConfigError, Problem, describe_exception, refused_data, safe_repr

NAMED = 3  # images in a note on many
Resample = Literal["nearest", "bilinear", "bicubic", "lanczos"]


def read_pictures(
    files: Sequence[Path], shape: tuple[int, int, int], resize: Resample | None = None
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Images uint8 (N, C, H, W) of these files, and notes on what was done to them.

    shape: (C, H, W): of one channel, colours become their brightness; of three, gray becomes three equal ones. resize:
    how images of another size are resized, None to refuse them.

    Raises:
        DataError: files that are missing, no images, or of another size; every one of them.
        UntrustedError: the same, where one would unpack without bounds.
        ConfigError: the model takes neither one nor three channels.
    """
    if shape[0] not in (1, 3):
        what = f"image files have 1 or 3 channels, the model takes {shape[0]}"
        raise ConfigError(what, fix="classify such images with the model in Python, or export it")
    problems: list[Problem] = []
    done: dict[str, list[str]] = defaultdict(list)  # what was done to images, with their names
    images = np.zeros((len(files), *shape), np.uint8)
    for number, file in enumerate(files):
        try:
            pixels = _decoded(file, shape, resize, done)
        except _UnfitError as error:
            problems.append(error.problem)
        else:
            images[number] = pixels
    if problems:
        n = len(problems)
        channels, height, width = shape
        raise refused_data(
            f"{n} of {len(files)} images cannot be classified",
            problems=problems,
            where=f"the model takes images of {width} x {height} pixels, {channels} channel(s)",
            fix="give other files; --resize resizes those of another size",
        )
    return images, [
        f"{words}: {counted(len(names), 'image')} ({', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''})"
        for words, names in sorted(done.items(), reverse=True)  # turned, then resized
    ]


class _UnfitError(Exception):
    def __init__(self, file: Path, field: str, what: str, *, hostile: bool = False) -> None:
        super().__init__(what)
        self.problem = Problem(str(file), field, what, hostile)


def _decoded(
    file: Path, shape: tuple[int, int, int], resize: Resample | None, done: dict[str, list[str]]
) -> npt.NDArray[np.uint8]:
    """Pixels uint8 (C, H, W) of a file."""
    channels, height, width = shape
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise _UnfitError(file, "", "is not a plain file")
        with file.open("rb") as stream:
            decoded = decode_image(stream, "L" if channels == 1 else "RGB")
    except UnfitImageError as error:
        raise _UnfitError(file, error.field, error.what, hostile=error.hostile) from None
    except OSError as error:
        raise _UnfitError(file, "", f"cannot be read: {error.strerror or describe_exception(error, 80)}") from None
    pixels = decoded.pixels
    if decoded.orientation != 1:
        done["turned upright, as their EXIF orientation says"].append(safe_repr(str(file)))
    size = pixels.shape[1], pixels.shape[0]
    if size != (width, height):
        if resize is None:
            raise _UnfitError(file, "size", f"has {size[0]} x {size[1]} pixels")
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling[resize.upper()])
        pixels = np.asarray(picture)
        words = f"resized from {size[0]} x {size[1]} to {width} x {height} ({resize})"
        done[words].append(safe_repr(str(file)))
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
