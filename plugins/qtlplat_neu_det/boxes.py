"""Convert annotated boxes to half-open boxes from 0; all boxes of a set decide how it counts pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from qtlplat import Box, Problem
from qtlplat_neu_det.annotation import Annotation, Marked


@dataclass(frozen=True)
class Counting:
    """How a set counts pixels. first: number of the first pixel; inclusive: whether the last pixel is in the box."""

    first: int
    inclusive: bool

    def text(self) -> str:
        """For people."""
        last = "the upper ends included" if self.inclusive else "the upper ends not included"
        return f"from {self.first}, {last}"


VOC = Counting(1, inclusive=True)


def counting(annotations: Iterable[tuple[Annotation, tuple[int, int]]]) -> Counting:
    """How a set counts: Pascal VOC's way, unless more boxes begin at 0 than at 1.

    From 0 the upper ends are included unless some reach the image's width or height.

    annotations: each with the (width, height) that its boxes refer to.
    """
    zeros = ones = reaching = 0
    for annotation, (width, height) in annotations:
        for xmin, xmax, ymin, ymax in (marked.ends for marked in annotation.objects):
            zeros += (xmin == 0) + (ymin == 0)
            ones += (xmin == 1) + (ymin == 1)
            reaching += (xmax == width) + (ymax == height)
    return VOC if zeros <= ones else Counting(0, inclusive=not reaching)


def fitted(marked: Marked, size: tuple[int, int], how: Counting, where: str) -> tuple[Box | None, list[Problem]]:
    """A box in an image of a size (width, height); fractions are rounded outwards, to the pixels that the box meets.

    where: name of the annotation, for messages.

    Returns:
        the box, None if it is wrong, and every problem found.
    """
    problems = []
    corners = []
    for axis, extent, (low, high) in zip("xy", size, (marked.ends[:2], marked.ends[2:]), strict=True):
        last = extent - 1 + how.first if how.inclusive else extent
        rounded = []
        for end, value, down in (("min", low, True), ("max", high, False)):
            whole = math.floor(value) if down else math.ceil(value)
            if value != whole:  # by less than a pixel outside is still the pixel at the border
                whole = min(max(whole, how.first), last) if how.first - 1 < value < last + 1 else whole
            if not how.first <= whole <= last:
                what = f"is out of range: {value:.12g} not in [{how.first}, {last}]"
                problems.append(Problem(where, f"{marked.at}/bndbox/{axis}{end}", what))
            rounded.append(whole)
        if high <= low:
            what = f"is empty or inverted: {axis}min {low:.12g}, {axis}max {high:.12g}"
            problems.append(Problem(where, f"{marked.at}/bndbox", what))
        corners.append((rounded[0] - how.first, rounded[1] - how.first + how.inclusive))
    if problems:
        return None, problems
    (left, right), (top, bottom) = corners
    return Box(marked.label, left, top, right, bottom), []


def has_fractions(marked: Marked) -> bool:
    """Whether an end of a box is no whole number."""
    return any(end != math.floor(end) for end in marked.ends)
