"""Changed copies of pictures, as they occur in datasets: encoded again, resized, lit otherwise, cropped, turned."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Pixels = npt.NDArray[np.uint8]  # (C, H, W)
Change = Callable[[Pixels, np.random.Generator], Pixels]


def _rounded(values: npt.NDArray[np.floating]) -> Pixels:
    rounded: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def _by_pillow(change: Callable[[Image.Image], Image.Image]) -> Change:
    """A change of a picture of Pillow; of other than 3 channels each is a gray picture."""

    def changed(pixels: Pixels, _: np.random.Generator) -> Pixels:
        if len(pixels) == 3:
            return np.asarray(change(Image.fromarray(pixels.transpose(1, 2, 0)))).transpose(2, 0, 1)
        return np.stack([np.asarray(change(Image.fromarray(channel))) for channel in pixels])

    return changed


def _encoded(quality: int) -> Change:
    def encode(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(file, formats=("JPEG",))

    return _by_pillow(encode)


def _resized(factor: float) -> Change:
    def resize(picture: Image.Image) -> Image.Image:
        size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
        return picture.resize(size, Image.Resampling.BILINEAR).resize(picture.size, Image.Resampling.BILINEAR)

    return _by_pillow(resize)


def _cropped(share: float) -> Change:
    def crop(picture: Image.Image) -> Image.Image:
        x, y = picture.width * (1 - share) / 2, picture.height * (1 - share) / 2
        box = (x, y, picture.width - x, picture.height - y)
        return picture.resize(picture.size, Image.Resampling.BILINEAR, box=box)

    return _by_pillow(crop)


def _noisy(sd: float) -> Change:
    return lambda pixels, rng: _rounded(pixels + rng.normal(0, sd, pixels.shape))


def _shifted(by: int) -> Change:
    def shift(pixels: Pixels, _: np.random.Generator) -> Pixels:
        padded = np.pad(pixels, ((0, 0), (by, 0), (by, 0)), mode="edge")
        return padded[:, : pixels.shape[1], : pixels.shape[2]]

    return shift


CHANGES: dict[str, Change] = {
    "none": lambda pixels, _: pixels,
    "JPEG, quality 75": _encoded(75),
    "JPEG, quality 50": _encoded(50),
    "JPEG, quality 25": _encoded(25),
    "noise of 3 gray levels": _noisy(3),
    "noise of 8 gray levels": _noisy(8),
    "half the size and back": _resized(0.5),
    "1.5 times the size and back": _resized(1.5),
    "darker, factor 0.8": lambda pixels, _: _rounded(pixels * 0.8),
    "brighter, factor 1.25": lambda pixels, _: _rounded(pixels * 1.25),
    "half the contrast": lambda pixels, _: _rounded(pixels * 0.5 + 64),
    "gamma 0.7": lambda pixels, _: _rounded(255 * (pixels / 255.0) ** 0.7),
    "blurred, 1 pixel": _by_pillow(lambda picture: picture.filter(ImageFilter.GaussianBlur(1))),
    "mirrored left to right": lambda pixels, _: pixels[:, :, ::-1],
    "turned by 180 degrees": lambda pixels, _: pixels[:, ::-1, ::-1],
    "shifted by 1 pixel": _shifted(1),
    "shifted by 3 pixels": _shifted(3),
    "95 % of each side, enlarged": _cropped(0.95),
}
