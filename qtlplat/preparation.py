"""The paper's data preparation: anomalous images and defect-free crops of them; reads no files, trains nothing.

Public core code, because datasets that share it may not import each other. The steps are those of Bhowmik &
Thapliyal, Section V-A; what the paper leaves open is an option.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from qtlplat.contracts import ImageSet, Options
from qtlplat.errors import DataError, Problem, shown

CLASS_NAMES = ("normal", "anomalous")
WHERE = "dataset preparation"

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom: the pixels [left, right) x [top, bottom)


@dataclass(frozen=True)
class Box:
    """A defect's bounding box: the pixels [xmin, xmax) x [ymin, ymax), counted from 0.

    Pascal VOC counts from 1 and includes both ends, so that its (xmin, ymin, xmax, ymax) is
    ``Box(label, xmin - 1, ymin - 1, xmax, ymax)`` here.
    """

    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """A source image with its defects.

    id: unique among the sources; pixels: uint8 (H, W), gray; label: class of the image; boxes: all its defects,
    of whatever class.
    """

    id: str
    pixels: npt.NDArray[np.uint8]
    label: str
    boxes: tuple[Box, ...]


class PreparationOptions(Options):
    """How a dataset of defects becomes normal and anomalous samples; the paper's preparation is the default."""

    drop_classes: tuple[str, ...] = Field(
        ("crazing", "pitted_surface"), description="classes left out: the paper saw defects outside their boxes"
    )
    per_class: int = Field(1103, ge=1, le=100_000, description="samples drawn at random of each of the two classes")
    size: int = Field(200, ge=16, le=1024, description="height and width of every sample, pixels")
    min_side: int = Field(64, ge=8, le=1024, description="shortest side of a defect-free crop before resizing, pixels")
    max_aspect: float = Field(1.0, ge=1, le=4, description="longest side of a crop over its shortest; 1: only squares")
    max_overlap: float = Field(
        0.0, ge=0, lt=1, description="largest share of the smaller of two crops of an image that may lie in the other"
    )
    margin: int = Field(0, ge=0, le=100, description="pixels around every box that count as defect, too")
    resample: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear", description="how crops are resized (Pillow)"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="of the random draw of samples")


def prepare(sources: Iterable[AnnotatedImage], options: PreparationOptions) -> ImageSet:
    """Draw whole images as anomalies and defect-free crops of the same images as normals, as many of each.

    Images of identical pixels share a group and are cropped once, outside the boxes of all of them.

    sources: in any order, the result does not depend on it; options: every choice, with the seed of the draw.

    Returns
    -------
    uint8 (2 * per_class, 1, size, size); anomalies first, each part by source id. Labels: 0 normal, 1 anomalous;
    groups: the source image's id.

    Raises
    ------
    DataError: sources that contradict themselves (all findings), or fewer images or crops than `per_class`.
    """
    everything = sorted(sources, key=lambda source: source.id)
    _check(everything)
    kept = [source for source in everything if source.label not in options.drop_classes]
    first = _first_of_same_pixels(kept)
    boxes: dict[str, list[Box]] = defaultdict(list)
    for source in kept:
        boxes[first[source.id]] += source.boxes
    crops = [
        (source, number, crop)
        for source in kept
        if first[source.id] == source.id
        for number, crop in enumerate(defect_free(source.pixels.shape, boxes[source.id], options))
    ]
    for count, what in ((len(kept), "images with a defect"), (len(crops), "defect-free crops")):
        if count < options.per_class:
            raise DataError(
                f"{count} {what} found, {options.per_class} per class asked for",
                where=f"{WHERE}, {len(kept)} images kept, crops of at least {options.min_side} pixels",
                fix=f"pass -S dataset.per_class=N with N at most {min(len(kept), len(crops))}"
                + (f", or -S dataset.min_side=N with N below {options.min_side}" if len(crops) < len(kept) else ""),
            )
    anomalies = [kept[i] for i in _draw(len(kept), options, stream=0)]
    normals = [crops[i] for i in _draw(len(crops), options, stream=1)]
    images = np.empty((len(anomalies) + len(normals), 1, options.size, options.size), np.uint8)
    for at, source in enumerate(anomalies):
        images[at, 0] = _resized(source.pixels, options)
    for at, (source, _, (left, top, right, bottom)) in enumerate(normals, start=len(anomalies)):
        images[at, 0] = _resized(source.pixels[top:bottom, left:right], options)
    return ImageSet(
        images=images,
        labels=np.repeat(np.array([1, 0], np.int64), options.per_class),
        sample_ids=(*(s.id for s in anomalies), *(f"{s.id}#normal-{number}" for s, number, _ in normals)),
        groups=tuple(first[s.id] for s in (*anomalies, *(s for s, _, _ in normals))),
        class_names=CLASS_NAMES,
        notes=_notes(everything, kept, crops, first, options),
    )


def defect_free(shape: tuple[int, ...], boxes: Sequence[Box], options: PreparationOptions) -> list[Rectangle]:
    """Choose the crops of an image that meet none of its boxes, largest first; deterministic.

    Every maximal empty rectangle is cut along its longer side into as many pieces as its shorter side fits in,
    evenly spread, each at most `max_aspect` times as long as wide. Pieces are taken by falling area (then from the
    top, then from the left) unless they overlap a taken one by more than `max_overlap`. An image without boxes
    yields none: nobody has said where its defect is.

    shape: (H, W) of the image, pixels.
    """
    if not boxes:
        return []
    height, width = shape[:2]
    pieces = {p for r in _empty_rectangles(width, height, boxes, options) for p in _pieces(r, options.max_aspect)}
    chosen: list[Rectangle] = []
    for piece in sorted(pieces, key=lambda r: (-_area(r), r[1], r[0], r)):
        if all(_area(_common(piece, c)) <= options.max_overlap * min(_area(piece), _area(c)) for c in chosen):
            chosen.append(piece)
    return chosen


def _empty_rectangles(width: int, height: int, boxes: Sequence[Box], options: PreparationOptions) -> list[Rectangle]:
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
    return [r for r in found if not any(r != other and _common(r, other) == r for other in found)]


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


def _common(a: Rectangle, b: Rectangle) -> Rectangle:
    left, top = max(a[0], b[0]), max(a[1], b[1])
    return left, top, max(left, min(a[2], b[2])), max(top, min(a[3], b[3]))


def _area(r: Rectangle) -> int:
    return (r[2] - r[0]) * (r[3] - r[1])


def _draw(n: int, options: PreparationOptions, *, stream: int) -> list[int]:
    # a stream each, so that the drawn anomalies do not depend on how normals are cropped
    chosen = np.random.default_rng([options.seed, stream]).permutation(n)[: options.per_class]
    return [int(i) for i in np.sort(chosen)]


def _resized(pixels: npt.NDArray[np.uint8], options: PreparationOptions) -> npt.NDArray[np.uint8]:
    if pixels.shape == (options.size, options.size):
        return pixels
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((options.size, options.size), Image.Resampling[options.resample.upper()]))


def _first_of_same_pixels(sources: Sequence[AnnotatedImage]) -> dict[str, str]:
    """For each image the id of the first one with identical pixels: mostly its own."""
    seen: dict[tuple[tuple[int, ...], bytes], str] = {}
    digests = ((s, hashlib.sha256(np.ascontiguousarray(s.pixels).data).digest()) for s in sources)
    return {s.id: seen.setdefault((s.pixels.shape, digest), s.id) for s, digest in digests}


def _check(sources: Sequence[AnnotatedImage]) -> None:
    problems: list[Problem] = []
    for id_, count in Counter(s.id for s in sources).items():
        if count > 1:
            problems.append(Problem(id_, "id", f"stands {count} times"))
    for source in sources:
        pixels: object = source.pixels
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or 0 in pixels.shape:
            problems.append(Problem(source.id, "pixels", "must be a filled uint8 array (H, W)"))
            continue
        height, width = pixels.shape
        for i, box in enumerate(source.boxes):
            if not (0 <= box.xmin < box.xmax <= width and 0 <= box.ymin < box.ymax <= height):
                what = f"{shown(box)} is empty or leaves the image of {width} x {height} pixels"
                problems.append(Problem(source.id, f"boxes[{i}]", what))
    if problems:
        raise DataError("the source images contradict themselves", problems=problems, where=WHERE)


def _notes(
    everything: Sequence[AnnotatedImage],
    kept: Sequence[AnnotatedImage],
    crops: Sequence[tuple[AnnotatedImage, int, Rectangle]],
    first: Mapping[str, str],
    options: PreparationOptions,
) -> dict[str, str]:
    kept_ids = {s.id for s in kept}
    dropped = Counter(s.label for s in everything if s.id not in kept_ids)
    same: dict[str, list[str]] = defaultdict(list)
    for id_, leader in first.items():
        same[leader].append(id_)
    crop_classes = _counts_text(Counter(s.label for s, *_ in crops))
    pairs = ["=".join(ids) for ids in same.values() if len(ids) > 1]
    sides = sorted(min(r - left, b - top) for _, _, (left, top, r, b) in crops)
    foreign = sum(any(box.label != s.label for box in s.boxes) for s in kept)
    return {
        "sources kept": _counts_text(Counter(s.label for s in kept)),
        "sources dropped": _counts_text(dropped),
        "anomalies": f"{options.per_class} of {len(kept)} images, drawn with seed {options.seed}",
        "normals": f"{options.per_class} of {len(crops)} defect-free crops, drawn with seed {options.seed}",
        "crops": f"{crop_classes}; from {len({s.id for s, *_ in crops})} images",
        "crop sides": f"{sides[0]} to {sides[-1]} pixels, median {sides[len(sides) // 2]}, resized to {options.size}",
        "boxes of another class": f"in {foreign} of {len(kept)} images",
        "images without a box": str(sum(not s.boxes for s in kept)),
        "identical images": ", ".join(pairs) or "none",
    }


def _counts_text(counts: Mapping[str, int]) -> str:
    """Counts by name as one line: the sum, then the parts."""
    parts = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
    return f"{sum(counts.values())}: {parts}" if parts else "0"
