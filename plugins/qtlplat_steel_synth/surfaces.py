"""Draws synthetic steel surfaces with boxed defects, in NEU-DET's sizes and classes; learns nothing from real images.

An image is a background plus defects. A defect is a field that is exactly zero outside its box, so that boxes
enclose defects by construction. All lengths are pixels, all brightnesses gray levels (0 to 255).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from qtlplat import AnnotatedImage, Box, ImageSet, prepare
from qtlplat_steel_synth.options import DefectKind, SteelSynthOptions

SIZE = 200
KINDS: tuple[str, ...] = get_args(DefectKind)
FOREIGN_SHARE = 0.06  # of the images also hold an inclusion, as in NEU-DET

Field = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A kind of defect: how many in an image, their height and width (lowest, highest), sign, contrast and pattern."""

    count: tuple[int, int]
    height: tuple[int, int]
    width: tuple[int, int]
    brighter: float  # probability that the defect is brighter than the steel
    contrast: tuple[float, float]
    pattern: Callable[[np.random.Generator, int, int], Field]


def load(options: SteelSynthOptions) -> ImageSet:
    """Draw the kinds that are kept and prepare them; deterministic in the options."""
    return prepare(surfaces(options, [k for k in KINDS if k not in options.drop_classes]), options)


def surfaces(options: SteelSynthOptions, kinds: list[str]) -> Iterator[AnnotatedImage]:
    """Draw `images_per_kind` images of each of `kinds`; an image depends on the seed, its kind and its number only."""
    for kind in kinds:
        for number in range(1, options.images_per_kind + 1):
            background, defects, boxes = surface(kind, number, options)
            pixels = np.clip(np.rint(background + defects), 0, 255).astype(np.uint8)
            yield AnnotatedImage(f"{kind}_{number}", pixels, kind, boxes)


def surface(kind: str, number: int, options: SteelSynthOptions) -> tuple[Field, Field, tuple[Box, ...]]:
    """Draw one image: background (200, 200), defects (200, 200; zero outside the boxes), boxes."""
    rng = np.random.default_rng([options.seed, KINDS.index(kind), number])
    background = _background(rng)
    defects = np.zeros((SIZE, SIZE))
    low, high = DEFECTS[kind].count
    kinds = [kind] * int(rng.integers(low, high + 1))
    if rng.random() < FOREIGN_SHARE and kind != "inclusion":
        kinds.append("inclusion")
    boxes = tuple(_add_defect(rng, each, defects, options.contrast) for each in kinds)
    return background, defects, boxes


def write_neu_det_layout(directory: Path, options: SteelSynthOptions) -> Path:
    """Write all six kinds as NEU-DET's files: JPEG images in IMAGES, Pascal-VOC boxes in ANNOTATIONS.

    directory: gets a folder ``NEU-DET``, which must not exist yet.

    Returns:
        the new folder.

    Raises:
        FileExistsError: the folder exists.
    """
    from PIL import Image

    root = directory / "NEU-DET"
    root.mkdir(parents=True)
    (root / "IMAGES").mkdir()
    (root / "ANNOTATIONS").mkdir()
    for source in surfaces(options, list(KINDS)):
        gray = Image.fromarray(source.pixels)
        gray.convert("RGB").save(root / "IMAGES" / f"{source.id}.jpg", quality=95, subsampling=0)
        (root / "ANNOTATIONS" / f"{source.id}.xml").write_text(_voc(source), encoding="utf-8")
    return root


def _voc(source: AnnotatedImage) -> str:
    objects = "".join(
        f"\t<object>\n\t\t<name>{box.label}</name>\n\t\t<bndbox>\n"
        f"\t\t\t<xmin>{box.xmin + 1}</xmin>\n\t\t\t<ymin>{box.ymin + 1}</ymin>\n"
        f"\t\t\t<xmax>{box.xmax}</xmax>\n\t\t\t<ymax>{box.ymax}</ymax>\n\t\t</bndbox>\n\t</object>\n"
        for box in source.boxes
    )
    return (
        f"<annotation>\n\t<folder>{source.label}</folder>\n\t<filename>{source.id}.jpg</filename>\n"
        f"\t<size>\n\t\t<width>{SIZE}</width>\n\t\t<height>{SIZE}</height>\n\t\t<depth>1</depth>\n\t</size>\n"
        f"{objects}</annotation>\n"
    )


def _background(rng: np.random.Generator) -> Field:
    """Steel without defects: uneven light, streaks along the rolling direction, grain of any sharpness."""
    down, across = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = rng.uniform(0, 12) * (np.cos(angle) * across + np.sin(angle) * down)
    light -= rng.uniform(0, 6) * (across**2 + down**2)
    streaks = _noise(rng, SIZE, SIZE, along=rng.uniform(5, 30), across=_between(rng, 0.8, 4))
    # as wide a range as enlarging the crops spans, so that blur alone tells little about the class
    sharpness = _between(rng, 0.6, 3)
    grain = _noise(rng, SIZE, SIZE, along=sharpness, across=sharpness)
    level: float = rng.uniform(115, 145)
    steel: Field = level + light + rng.uniform(3, 12) * streaks + rng.uniform(3, 10) * grain
    return steel


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Log-uniform in [low, high)."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _noise(rng: np.random.Generator, height: int, width: int, *, along: float, across: float) -> Field:
    """Gaussian noise (height, width), mean 0, standard deviation 1, smoothed over `along` pixels down, `across` right.

    Smoothing is done in Fourier space: a Gaussian of width s pixels has the transform exp(-2 (pi s f)^2). In double
    precision, so that rounding to gray levels gives the same image on other machines.
    """
    down = np.exp(-2 * (np.pi * along * np.fft.fftfreq(height)) ** 2)
    right = np.exp(-2 * (np.pi * across * np.fft.rfftfreq(width)) ** 2)
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    spectrum *= down[:, None] * right[None, :]
    spectrum[0, 0] = 0
    smooth = np.fft.irfft2(spectrum, s=(height, width))
    field: Field = smooth / smooth.std()
    return field


def _add_defect(rng: np.random.Generator, name: str, defects: Field, contrast: float) -> Box:
    """Add a defect to the field in place; its box is as tight as can be."""
    kind = DEFECTS[name]
    height, width = (int(rng.integers(low, high + 1)) for low, high in (kind.height, kind.width))
    top, left = int(rng.integers(0, SIZE - height + 1)), int(rng.integers(0, SIZE - width + 1))
    sign = 1 if rng.random() < kind.brighter else -1
    shape = kind.pattern(rng, height, width)
    defects[top : top + height, left : left + width] += sign * contrast * _between(rng, *kind.contrast) * shape
    rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
    return Box(name, left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1)


def _ellipse(height: int, width: int) -> Field:
    """Squared distance from the centre, 1 on the ellipse that touches the window's sides."""
    down, right = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    distance: Field = down**2 + right**2
    return distance


def _blob(rng: np.random.Generator, height: int, width: int) -> Field:
    """One elongated spot with a ragged edge."""
    ragged = _ellipse(height, width) + 0.25 * _noise(rng, height, width, along=4, across=2)
    return np.where(ragged < max(0.7, float(ragged.min()) + 0.1), 1.0, 0.0)


def _patch(rng: np.random.Generator, height: int, width: int) -> Field:
    """A large stain with holes."""
    stain = _noise(rng, height, width, along=6, across=6) - 1.5 * _ellipse(height, width)
    depth = stain - np.quantile(stain, 0.5)
    return np.where(depth > 0, np.minimum(1, 0.4 + depth), 0.0)


def _flecks(rng: np.random.Generator, height: int, width: int) -> Field:
    """Scattered pieces of scale."""
    scale = _noise(rng, height, width, along=3, across=1.5) - 0.8 * _ellipse(height, width)
    return np.where(scale > np.quantile(scale, 0.8), 1.0, 0.0)


def _scratch(rng: np.random.Generator, height: int, width: int) -> Field:
    """A thin line from the window's top to its bottom, of changing strength."""
    start, end = rng.uniform(1, max(width - 2, 2), size=2)
    line = np.linspace(start, end, height)[:, None]
    profile = 1 - np.abs(np.arange(width)[None, :] - line) / rng.uniform(1.2, 2.2)
    strength = 0.7 + 0.3 * np.tanh(_noise(rng, height, 1, along=12, across=1))
    return np.maximum(profile, 0) * strength


def _cracks(rng: np.random.Generator, height: int, width: int) -> Field:
    """A net of fine cracks: where a smooth field passes through zero."""
    nearness = np.abs(_noise(rng, height, width, along=3, across=7)) + 0.1 * _ellipse(height, width)
    return np.where(nearness < np.quantile(nearness, 0.15), 1.0, 0.0)


def _pits(rng: np.random.Generator, height: int, width: int) -> Field:
    """Many small holes."""
    holes = _noise(rng, height, width, along=1.5, across=1.5) - 0.4 * _ellipse(height, width)
    return np.where(holes > np.quantile(holes, 0.93), 1.0, 0.0)


DEFECTS = {
    "crazing": Kind((1, 2), (60, 110), (60, 110), 0.1, (24, 80), _cracks),
    "inclusion": Kind((1, 3), (25, 80), (8, 20), 0.1, (24, 90), _blob),
    "patches": Kind((1, 2), (45, 100), (40, 80), 0.2, (20, 80), _patch),
    "pitted_surface": Kind((1, 2), (60, 130), (50, 110), 0.1, (24, 90), _pits),
    "rolled-in_scale": Kind((1, 2), (45, 90), (40, 80), 0.3, (24, 90), _flecks),
    "scratches": Kind((1, 3), (70, 190), (4, 14), 0.9, (30, 120), _scratch),
}
