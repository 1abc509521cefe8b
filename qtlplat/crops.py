"""Rectangles on an image: defect-free crops, and crops around a defect; reads no pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from qtlplat.contracts import Options

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom: the pixels [left, right) x [top, bottom)


@dataclass(frozen=True)
class Box:
    """A defect's bounding box: the pixels [xmin, xmax) x [ymin, ymax).

    Pascal VOC counts from 1 and includes both ends, so that its (xmin, ymin, xmax, ymax) is
    ``Box(label, xmin - 1, ymin - 1, xmax, ymax)`` here.

    Attributes:
        label: Class of the defect.
        xmin: First column, counted from 0.
        ymin: First row, counted from 0.
        xmax: The column after the last one.
        ymax: The row after the last one.
    """

    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


class CropOptions(Options):
    """Which crops of an image are taken as free of defects."""

    min_side: int = Field(64, ge=8, le=1024, description="shortest side of a defect-free crop before resizing, pixels")
    max_aspect: float = Field(1.0, ge=1, le=4, description="longest side of a crop over its shortest; 1: only squares")
    max_overlap: float = Field(
        0.0, ge=0, lt=1, description="largest share of the smaller of two crops of an image that may lie in the other"
    )
    margin: int = Field(0, ge=0, le=100, description="pixels around every box that count as defect, too")


def defect_free(shape: tuple[int, ...], boxes: Sequence[Box], options: CropOptions) -> list[Rectangle]:
    """Choose the crops of an image that meet none of its boxes, largest first; deterministic.

    Every maximal empty rectangle is cut along its longer side into as many pieces as its shorter side fits in,
    evenly spread, each at most `max_aspect` times as long as wide. Pieces are taken by falling area (then from the
    top, then from the left) unless they overlap a taken one by more than `max_overlap`. An image without boxes
    yields none: the place of its defect is unknown.

    Args:
        shape: (H, W) of the image, pixels.
        boxes: Its defects.
        options: The least side, the proportions, the overlap and the margin.

    Returns:
        The crops.
    """
    if not boxes:
        return []
    height, width = shape[:2]
    pieces = {p for r in _empty_rectangles(width, height, boxes, options) for p in _pieces(r, options.max_aspect)}
    chosen: list[Rectangle] = []
    for piece in sorted(pieces, key=lambda r: (-area(r), r[1], r[0], r)):
        if all(area(common(piece, c)) <= options.max_overlap * min(area(piece), area(c)) for c in chosen):
            chosen.append(piece)
    return chosen


def around_defect(
    shape: tuple[int, ...], boxes: Sequence[Box], size: tuple[int, int], rng: np.random.Generator
) -> tuple[Rectangle, float]:
    """Draw a crop of a given size that holds a whole defect, or as much of one as goes in.

    The box is drawn among those that fit whole; where none does, it is the one of which the largest share of the
    area can be held. Along a side where the box fits, every position that holds it is equally likely; where it does
    not, every position inside the box.

    Args:
        shape: (H, W) of the image, pixels.
        boxes: At least one.
        size: (width, height) of the crop, pixels, cut to the image if it is larger.
        rng: Draws box and position.

    Returns:
        The crop, and the share of the box's area in it, (0, 1].
    """
    height, width = shape[:2]
    wide, high = min(size[0], width), min(size[1], height)
    shares = [min(1.0, wide / (b.xmax - b.xmin)) * min(1.0, high / (b.ymax - b.ymin)) for b in boxes]
    best = max(shares)
    box = boxes[rng.choice([i for i, share in enumerate(shares) if share == best])]
    left = _position(box.xmin, box.xmax, wide, width, rng)
    top = _position(box.ymin, box.ymax, high, height, rng)
    return (left, top, left + wide, top + high), best


def _position(low: int, high: int, side: int, length: int, rng: np.random.Generator) -> int:
    """Where a crop begins that covers [low, high) or lies in it, on an axis of `length` pixels."""
    first, last = (max(0, high - side), min(low, length - side)) if high - low <= side else (low, high - side)
    return int(rng.integers(first, last + 1))


def _empty_rectangles(width: int, height: int, boxes: Sequence[Box], options: CropOptions) -> list[Rectangle]:
    """All rectangles with sides of at least `min_side` that meet no box and fit into no larger such rectangle."""
    m, least = options.margin, options.min_side
    taken = sorted((b.ymin - m, b.ymax + m, b.xmin - m, b.xmax + m) for b in boxes)
    found: set[Rectangle] = set()
    # the sides of a maximal rectangle lie on the image's border or on a box
    for left in {0} | {xmax for *_, xmax in taken}:
        for right in {width} | {xmin for *_, xmin, _ in taken}:
            if right - left < least:
                continue
            top = 0
            for ymin, ymax, xmin, xmax in taken:
                if xmin < right and left < xmax:
                    if ymin - top >= least:
                        found.add((left, top, right, ymin))
                    top = max(top, ymax)
            if height - top >= least:
                found.add((left, top, right, height))
    return [r for r in found if not any(r != other and common(r, other) == r for other in found)]


def _pieces(rectangle: Rectangle, max_aspect: float) -> Iterator[Rectangle]:
    left, top, right, bottom = rectangle
    long, short = max(right - left, bottom - top), min(right - left, bottom - top)
    count = long // short
    length = min(long // count, int(max_aspect * short))
    for i in range(count):
        start = (long - length) * i // (count - 1) if count > 1 else (long - length) // 2
        if right - left == long:
            yield left + start, top, left + start + length, bottom
        else:
            yield left, top + start, right, top + start + length


def common(a: Rectangle, b: Rectangle) -> Rectangle:
    """The rectangle in both; of area 0 if they do not meet."""
    left, top = max(a[0], b[0]), max(a[1], b[1])
    return left, top, max(left, min(a[2], b[2])), max(top, min(a[3], b[3]))


def area(r: Rectangle) -> int:
    """Its number of pixels."""
    return (r[2] - r[0]) * (r[3] - r[1])
