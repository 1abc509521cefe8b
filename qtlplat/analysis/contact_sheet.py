"""A contact sheet: some samples of every class on one picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from qtlplat.contracts import ImageSet

if TYPE_CHECKING:
    from PIL.Image import Image

TILE, GAP, CAPTION = 120, 8, 16  # pixels


def contact_sheet(images: ImageSet, per_class: int, seed: int = 0) -> Image:
    """A picture with a row of up to `per_class` samples, drawn by `seed`, for each class, ids below each tile."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(images.labels == label) for label in range(len(images.class_names))]
    picked = [np.sort(rng.permutation(row)[:per_class]) for row in rows]
    columns = max(len(row) for row in picked)
    height = CAPTION + TILE + CAPTION + GAP
    sheet = Image.new("RGB", (GAP + columns * (TILE + GAP), GAP + len(rows) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for label, row in enumerate(picked):
        top = GAP + label * height
        count = len(rows[label])
        draw.text((GAP, top), f"{images.class_names[label]}: {len(row)} of {count}", fill="black")
        for column, index in enumerate(row):
            left = GAP + column * (TILE + GAP)
            pixels = images.images[index].transpose(1, 2, 0)
            tile = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] != 3 else pixels).convert("RGB")
            sheet.paste(tile.resize((TILE, TILE), Image.Resampling.BILINEAR), (left, top + CAPTION))
            draw.text((left, top + CAPTION + TILE), _fitted(images.sample_ids[index], draw), fill="black")
    return sheet


def png(sheet: Image) -> bytes:
    """The picture as a PNG file."""
    out = io.BytesIO()
    sheet.save(out, format="PNG")
    return out.getvalue()


def _fitted(text: str, draw: object) -> str:
    measure = draw.textlength  # type: ignore[attr-defined]
    if measure(text) <= TILE:
        return text
    while text and measure(text + "...") > TILE:
        text = text[1:]
    return "..." + text
