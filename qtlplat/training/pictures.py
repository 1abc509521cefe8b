"""Image files as what a trained model takes: decoded as datasets decode theirs, all problems at once."""

from __future__ import annotations

import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from qtlplat.errors import ConfigError, Problem, refused_data, shown, told

MAX_PIXELS = 2**24  # of one image
FORMATS = ("JPEG", "PNG", "BMP", "TIFF")
MODES = ("L", "RGB")  # gray, or three colours, with 8 bits each
Resample = Literal["nearest", "bilinear", "bicubic", "lanczos"]


def read_pictures(
    files: Sequence[Path], shape: tuple[int, int, int], resize: Resample | None = None
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Images uint8 (N, C, H, W) of these files, and notes on what was done to them.

    shape: (C, H, W): of one channel, colours become their brightness; of three, gray becomes three equal ones. resize:
    how images of another size are resized, None to refuse them.

    Raises
    ------
    DataError: files that are missing, no images, or of another size; every one of them.
    UntrustedError: the same, where one would unpack without bounds.
    ConfigError: the model takes neither one nor three channels.
    """
    if shape[0] not in (1, 3):
        what = f"image files have 1 or 3 channels, the model takes {shape[0]}"
        raise ConfigError(what, fix="classify such images with the model in Python, or export it")
    problems: list[Problem] = []
    notes: list[str] = []
    images = np.zeros((len(files), *shape), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for number, file in enumerate(files):
            try:
                pixels = _decoded(file, shape, resize, notes)
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
    return images, notes


class _UnfitError(Exception):
    def __init__(self, file: Path, field: str, what: str, *, hostile: bool = False) -> None:
        super().__init__(what)
        self.problem = Problem(str(file), field, what, hostile)


def _decoded(
    file: Path, shape: tuple[int, int, int], resize: Resample | None, notes: list[str]
) -> npt.NDArray[np.uint8]:
    """Pixels uint8 (C, H, W) of a file."""
    channels, height, width = shape
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise _UnfitError(file, "", "is not a plain file")
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                what = f"has too many pixels: {image.width} x {image.height}, at most {MAX_PIXELS} are decoded"
                raise _UnfitError(file, "pixels", what, hostile=True)
            if image.mode not in MODES:
                what = f"is {shown(image.mode)}, must be gray or red, green and blue with 8 bits each"
                raise _UnfitError(file, "mode", what)
            size = image.size
            if size != (width, height) and resize is None:
                raise _UnfitError(file, "size", f"has {image.width} x {image.height} pixels")
            mode = "L" if channels == 1 else "RGB"
            if size == (width, height):
                image.draft(mode, size)  # decodes the brightness alone, as datasets of gray images do
            picture = image.convert(mode)
    except UnidentifiedImageError:
        raise _UnfitError(file, "format", f"is none of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        what = f"has too many pixels, at most {MAX_PIXELS} are decoded"
        raise _UnfitError(file, "pixels", what, hostile=True) from None
    except _UnfitError:
        raise
    except OSError as error:
        raise _UnfitError(file, "", f"cannot be read: {error.strerror or told(error, 80)}") from None
    except Exception as error:  # noqa: BLE001 -- Pillow's decoders raise what they stumble over
        raise _UnfitError(file, "pixels", f"cannot be decoded: {told(error, 80)}") from None
    if resize is not None and size != (width, height):
        picture = picture.resize((width, height), Image.Resampling[resize.upper()])
        notes.append(f"{shown(str(file))} was resized from {size[0]} x {size[1]} to {width} x {height} ({resize})")
    pixels: npt.NDArray[np.uint8] = np.asarray(picture)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
