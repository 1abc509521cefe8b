"""Contact sheets: rows of small pictures with captions, as some samples of every class, or those often mistaken."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qtlplat.contracts import ImageSet

if TYPE_CHECKING:
    from PIL.Image import Image

TILE, GAP, LINE = 120, 8, 16  # pixels


@dataclass(frozen=True)
class Tile:
    """A picture, uint8 (C, H, W), and the lines below it."""

    pixels: npt.NDArray[np.uint8]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class SheetRow:
    """A row of tiles; title: above them, '' for none."""

    title: str
    tiles: Sequence[Tile]


def contact_sheet(images: ImageSet, per_class: int, seed: int = 0) -> Image:
    """A picture with a row of up to `per_class` samples, drawn by `seed`, for each class, ids below each tile."""
    rng = np.random.default_rng(seed)
    rows = []
    for label, name in enumerate(images.class_names):
        found = np.flatnonzero(images.labels == label)
        picked = np.sort(rng.permutation(found)[:per_class])
        tiles = [Tile(images.images[i], (images.sample_ids[i],)) for i in picked]
        rows.append(SheetRow(f"{name}: {len(picked)} of {len(found)}", tiles))
    return sheet(rows)


def sheet(rows: Sequence[SheetRow]) -> Image:
    """The rows below each other; captions that are too long lose their beginning."""
    from PIL import Image, ImageDraw

    columns = max(len(row.tiles) for row in rows)
    heights = [_height(row) for row in rows]
    picture = Image.new("RGB", (GAP + columns * (TILE + GAP), GAP + sum(heights)), "white")
    draw = ImageDraw.Draw(picture)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        below = top + (LINE if row.title else 0)
        draw.text((GAP, top), row.title, fill="black")
        for column, one in enumerate(row.tiles):
            left = GAP + column * (TILE + GAP)
            pixels = one.pixels.transpose(1, 2, 0)
            tile = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] != 3 else pixels).convert("RGB")
            picture.paste(tile.resize((TILE, TILE), Image.Resampling.BILINEAR), (left, below))
            for i, caption in enumerate(one.captions):
                draw.text((left, below + TILE + i * LINE), _fitted(caption, draw), fill="black")
        top += height
    return picture


def png(picture: Image) -> bytes:
    """The picture as a PNG file."""
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()


def _height(row: SheetRow) -> int:
    return (LINE if row.title else 0) + TILE + LINE * max((len(tile.captions) for tile in row.tiles), default=1) + GAP


def _fitted(text: str, draw: object) -> str:
    measure = draw.textlength  # type: ignore[attr-defined]
    if measure(text) <= TILE:
        return text
    while text and measure(text + "...") > TILE:
        text = text[1:]
    return "..." + text
