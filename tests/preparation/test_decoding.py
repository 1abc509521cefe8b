"""Image files become the pixels that a viewer shows, or are refused with the reason; never something in between."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from qtlplat import UnfitImageError, decode_image

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
COLOURS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str, **changes: Any) -> io.BytesIO:
    out = io.BytesIO()
    image.save(out, kind, **changes)
    out.seek(0)
    return out


def refusal(stream: io.BytesIO) -> UnfitImageError:
    with pytest.raises(UnfitImageError) as caught:
        decode_image(stream)
    return caught.value


def with_alpha(value: int) -> Image.Image:
    return Image.fromarray(np.dstack([COLOURS, np.full((5, 7), value, np.uint8)]))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_gray_files_keep_their_pixels(kind: str) -> None:
    assert np.array_equal(decode_image(saved(Image.fromarray(GRAY), kind)).pixels, GRAY)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_colours_are_kept_or_become_their_brightness(kind: str) -> None:
    stream = saved(Image.fromarray(COLOURS), kind)
    assert np.array_equal(decode_image(stream, "RGB").pixels, COLOURS)
    stream.seek(0)
    brightness = COLOURS @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert np.abs(decode_image(stream).pixels - brightness).max() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_the_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = np.add.outer(np.arange(16), 10 * np.arange(24)).astype(np.uint8)
    stream = saved(Image.fromarray(smooth), kind, exif=exif, **({"quality": 100} if kind == "JPEG" else {}))
    decoded = decode_image(stream)
    tagged = Image.fromarray(smooth)
    tagged.getexif()[0x0112] = orientation
    assert decoded.orientation == orientation
    assert np.abs(decoded.pixels.astype(int) - np.asarray(ImageOps.exif_transpose(tagged))).max() <= 2
    assert np.abs(decoded.as_stored().astype(int) - smooth).max() <= 2


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0"]
)
def test_an_orientation_that_says_nothing_turns_nothing(exif: bytes) -> None:
    assert decode_image(saved(Image.fromarray(GRAY), "JPEG", exif=exif)).orientation == 1


@pytest.mark.parametrize(
    ("kind", "changes", "pages"),
    [
        ("TIFF", {}, 3),
        ("GIF", {}, 3),
        ("WEBP", {"lossless": True}, 3),
        ("PNG", {}, 3),
        ("MPO", {}, 3),
        ("TIFF", {}, 130),
    ],
)
def test_more_than_one_page_is_refused_with_their_number(kind: str, changes: dict[str, Any], pages: int) -> None:
    each = [Image.fromarray(np.full((5, 7), 10 + i, np.uint8)) for i in range(pages)]
    error = refusal(saved(each[0], kind, save_all=True, append_images=each[1:], **changes))
    number = "100 or more" if pages > 100 else str(pages)
    assert (error.field, error.hostile) == ("pages", False)
    assert error.what.startswith(f"holds {number} pages or frames, must hold one")


def test_palettes_are_resolved() -> None:
    picture = Image.fromarray(GRAY).quantize(256)
    assert picture.mode == "P"
    assert np.array_equal(decode_image(saved(picture, "PNG")).pixels, np.asarray(picture.convert("L")))


def test_an_opaque_alpha_channel_is_left_out() -> None:
    assert np.array_equal(decode_image(saved(with_alpha(255), "PNG"), "RGB").pixels, COLOURS)
    gray = Image.merge("LA", [Image.fromarray(GRAY), Image.new("L", (7, 5), 255)])
    assert np.array_equal(decode_image(saved(gray, "PNG")).pixels, GRAY)


def deep_png(colour: int, channels: int) -> io.BytesIO:
    """A PNG of 4 x 4 pixels with 16 bits per channel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + RNG.bytes(4 * 2 * channels) for _ in range(4))
    head = struct.pack(">IIBBBBB", 4, 4, 16, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def deep_tiff() -> io.BytesIO:
    """A TIFF of one pixel, three channels of 16 bits."""
    tags = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 3, 134), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, 140), (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 6), (284, 3, 1, 1)]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return io.BytesIO(head + bytes(4) + struct.pack("<HHH", 16, 16, 16) + RNG.bytes(6))


def test_what_has_more_than_8_bits_is_refused() -> None:
    assert Image.open(deep_png(2, 3), formats=("PNG",)).mode == "RGB"  # cut to 8 bits, silently
    for stream in (deep_png(2, 3), deep_png(4, 2), deep_png(6, 4), deep_tiff()):
        assert refusal(stream).what.startswith("has 16 bits per channel or more")
    for stream in (deep_png(0, 1), saved(Image.fromarray(GRAY.astype(np.uint16)), "TIFF")):
        assert refusal(stream).what.startswith("is 'I;16")


def test_transparent_pixels_are_refused() -> None:
    keyed = saved(Image.fromarray(COLOURS), "PNG", transparency=tuple(int(c) for c in COLOURS[0, 0]))
    palette = Image.fromarray(GRAY).quantize(8)
    indexed = saved(palette, "PNG", transparency=palette.getpixel((0, 0)))
    for stream in (saved(with_alpha(254), "PNG"), saved(with_alpha(0), "WEBP", lossless=True), keyed, indexed):
        error = refusal(stream)
        assert (error.field, error.what[:22]) == ("mode", "has transparent pixels")


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("F", "TIFF"), ("LAB", "TIFF")])
def test_colours_that_need_a_profile_or_a_range_are_refused(mode: str, kind: str) -> None:
    error = refusal(saved(Image.new(mode, (4, 4)), kind))
    assert (error.field, error.what.startswith(f"is '{mode}', must be gray")) == ("mode", True)


def test_a_colour_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    plain, tagged = (saved(Image.fromarray(COLOURS), "PNG", **k) for k in ({}, {"icc_profile": profile}))
    assert np.array_equal(decode_image(plain).pixels, decode_image(tagged).pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_a_file_that_was_cut_short_is_refused(kind: str) -> None:
    whole = saved(Image.fromarray(RNG.integers(0, 256, (64, 64), dtype=np.uint8)), kind).getvalue()
    for share in (0.3, 0.6, 0.9):
        assert refusal(io.BytesIO(whole[: int(len(whole) * share)])).field in ("pixels", "format")


@pytest.mark.parametrize("data", [b"", b"text", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"II*\0", b"RIFF____WEBP"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    assert refusal(io.BytesIO(data)).field in ("format", "pixels")


def test_an_absurd_number_of_pixels_is_hostile() -> None:
    for kind in ("PNG", "TIFF", "GIF"):
        error = refusal(saved(Image.new("1", (20_000, 2_000)), kind))
        assert (error.field, error.hostile) == ("pixels", True)
