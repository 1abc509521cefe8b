"""One image file, from untrusted bytes to upright pixels; whatever could be read in two ways is refused."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from qtlplat.errors import describe_exception, safe_repr

MAX_PIXELS = 2**24  # of one image
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
# colour channels of what has 8 bits for each, or fewer, and no inks
MODES = {"1": 1, "L": 1, "LA": 1, "P": 3, "PA": 3, "RGB": 3, "RGBA": 3}
MANY_PAGES = 100  # counted so far
ORIENTATION, BITS = 0x0112, 258  # tags of EXIF and TIFF

# How to turn the stored pixels upright, and back, by EXIF orientation.
_TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_LEFT_RIGHT),
    3: (Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_180),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_TOP_BOTTOM),
    5: (Image.Transpose.TRANSPOSE, Image.Transpose.TRANSPOSE),
    6: (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_90),
    7: (Image.Transpose.TRANSVERSE, Image.Transpose.TRANSVERSE),
    8: (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270),
}


class UnfitImageError(Exception):
    """An image file that cannot be used.

    Attributes:
        field: The part of the file that is wrong: '', format, pixels, pages or mode.
        what: What is wrong, for a message.
        hostile: Whether decoding it would do harm.
    """

    def __init__(self, field: str, what: str, *, hostile: bool = False) -> None:
        super().__init__(what)
        self.field, self.what, self.hostile = field, what, hostile


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """The pixels of an image file.

    Attributes:
        pixels: uint8 (H, W) in mode L, (H, W, 3) in mode RGB; upright, with the EXIF orientation applied.
        orientation: The EXIF orientation, 1 to 8; 1 if the file does not give a valid one.
        channels: Number of colour channels that the file stores, 1 or 3; a palette counts as 3.
    """

    pixels: npt.NDArray[np.uint8]
    orientation: int
    channels: int

    def as_stored(self) -> npt.NDArray[np.uint8]:
        """The pixels as the file stores them, without the EXIF orientation."""
        if self.orientation == 1:
            return self.pixels
        return np.asarray(Image.fromarray(self.pixels).transpose(_TURNS[self.orientation][1]))


def decode_image(stream: BinaryIO, mode: Literal["L", "RGB"] = "L") -> DecodedImage:
    """Decode an image file.

    A gray image of a colour file is its brightness. Palettes are resolved, an alpha channel without transparent
    pixels is left out, and the EXIF orientation is applied. Embedded colour profiles are not applied: pixels have the
    values that the file stores.

    Args:
        stream: The file, at its beginning.
        mode: L for gray pixels, RGB for three colours.

    Returns:
        The pixels.

    Raises:
        UnfitImageError: The file is damaged, has another format, more than `MAX_PIXELS` pixels, several pages or
            frames, more than 8 bits per channel, transparent pixels, or colours other than gray and RGB.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of EXIF data that is damaged, and the like
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            deep = _png_depth(stream) > 8
            with Image.open(stream, formats=FORMATS) as image:
                return _decoded(image, mode, deep=deep)
    except UnidentifiedImageError:
        stream.seek(0)
        what = f"is none of {', '.join(FORMATS)}: starts with {safe_repr(stream.read(8))}"
        raise UnfitImageError("format", what) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        what = f"has too many pixels, at most {MAX_PIXELS} are decoded"
        raise UnfitImageError("pixels", what, hostile=True) from None
    except UnfitImageError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise UnfitImageError("pixels", f"cannot be decoded: {describe_exception(error, 80)}") from None
    except Exception as error:  # noqa: BLE001 -- Pillow's decoders raise what they stumble over
        raise UnfitImageError("pixels", f"cannot be decoded: {describe_exception(error, 80)}") from None


def _decoded(image: Image.Image, mode: Literal["L", "RGB"], *, deep: bool) -> DecodedImage:
    if image.width * image.height > MAX_PIXELS:
        what = f"has too many pixels: {image.width} x {image.height}, at most {MAX_PIXELS} are decoded"
        raise UnfitImageError("pixels", what, hostile=True)
    pages = _pages(image)
    if pages > 1:
        number = f"{MANY_PAGES} or more" if pages >= MANY_PAGES else str(pages)
        what = f"holds {number} pages or frames, must hold one: save the one you mean as a file of its own"
        raise UnfitImageError("pages", what)
    if image.mode not in MODES:
        what = f"is {safe_repr(image.mode)}, must be gray or red, green and blue with 8 bits each"
        raise UnfitImageError("mode", what)
    if deep or max(_tiff_depths(image)) > 8:
        raise UnfitImageError("mode", "has 16 bits per channel or more, must have 8: convert it to 8 bits first")
    orientation, channels = _orientation(image), MODES[image.mode]
    turned = image.format == "TIFF"  # Pillow itself turns these
    clear = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    if clear and np.asarray(image.convert("RGBA").getchannel("A")).min() < 255:
        what = "has transparent pixels: save it without transparency, on the background that is meant"
        raise UnfitImageError("mode", what)
    image.draft(mode, image.size)  # a JPEG then decodes its brightness alone
    picture = image.convert(mode)
    if orientation in _TURNS and not turned:
        picture = picture.transpose(_TURNS[orientation][0])
    return DecodedImage(np.asarray(picture), orientation, channels)


def _pages(image: Image.Image) -> int:
    """Number of pages or frames; counting stops at `MANY_PAGES`."""
    if image.format != "TIFF":
        return int(getattr(image, "n_frames", 1))
    count = 1
    with suppress(EOFError):
        while count < MANY_PAGES:
            image.seek(count)
            count += 1
    image.seek(0)
    return count


def _png_depth(stream: BinaryIO) -> int:
    """Bits per channel of a PNG, which Pillow cuts to 8 without a word; 0 for other files."""
    head = stream.read(25)
    stream.seek(0)
    return head[24] if head.startswith(b"\x89PNG") and len(head) == 25 else 0


def _tiff_depths(image: Image.Image) -> tuple[int, ...]:
    """Bits per channel of a TIFF, which Pillow cuts to 8 without a word; (0,) for other files."""
    depths = image.tag_v2.get(BITS, 1) if image.format == "TIFF" else 0  # type: ignore[attr-defined]
    return depths if isinstance(depths, tuple) else (depths,)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001 -- a damaged EXIF block says nothing about the pixels
        return 1
    return value if value in _TURNS else 1
