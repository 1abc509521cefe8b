"""The paper's data preparation: anomalous images and defect-free crops of them; reads no files, trains nothing.

Public core code, because datasets that share it may not import each other. The steps are those of Bhowmik &
Thapliyal, Section V-A; what the paper leaves open is an option.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from qtlplat.contracts import ImageSet
from qtlplat.crops import Box, CropOptions, Rectangle, area, around_defect, defect_free
from qtlplat.errors import DataError, Problem, safe_repr

CLASS_NAMES = ("normal", "anomalous")
WHERE = "dataset preparation"
FIX = "correct these images in the code that reads the dataset, or leave them out"


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """A source image with its defects.

    Attributes:
        id: Unique among the sources.
        pixels: uint8 (H, W), gray.
        label: Class of the image.
        boxes: All its defects, of whatever class, in pixels.
        ignored: Regions that are neither taken as a defect nor as free of one.
        source: The picture that it was made from, if several images share one.
    """

    id: str
    pixels: npt.NDArray[np.uint8]
    label: str
    boxes: tuple[Box, ...]
    ignored: tuple[Box, ...] = ()
    source: str = ""


class PreparationOptions(CropOptions):
    """How a dataset of defects becomes normal and anomalous samples; the paper's preparation is the default."""

    drop_classes: tuple[str, ...] = Field(
        ("crazing", "pitted_surface"), description="classes left out: the paper saw defects outside their boxes"
    )
    per_class: int = Field(1103, ge=1, le=100_000, description="samples drawn at random of each of the two classes")
    size: int = Field(200, ge=16, le=1024, description="height and width of every sample, pixels")
    resample: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear", description="how crops are resized (Pillow)"
    )
    normals: Literal["enlarged", "matched"] = Field(
        "enlarged",
        description="enlarged: normals are enlarged crops and anomalies whole images, as in the paper; matched: "
        "anomalies are crops around a defect, of the same sizes as the normals",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="of the random draw of samples")


def prepare(sources: Iterable[AnnotatedImage], options: PreparationOptions) -> ImageSet:
    """Draw whole images as anomalies and defect-free crops of the same images as normals, as many of each.

    Images of identical pixels share a group and are cropped once, outside the boxes of all of them. With
    ``normals="matched"`` the anomalies are not whole images but crops of them around a defect: each crop has the size
    of one of the normals, in random order, so that all sizes are as frequent among anomalies as among normals.

    The steps are those of Bhowmik & Thapliyal, Section V-A; ``normals="matched"`` is not in the paper.

    Args:
        sources: The images with their defects, in any order: the result does not depend on it.
        options: Every choice, with the seed of the draw.

    Returns:
        Images uint8 (2 * per_class, 1, size, size), anomalies first, each part by source id. Labels are 0 for normal
        and 1 for anomalous; groups are the source image's id, or the picture that it was made from. The fact
        `resize_factor` is the side of the sample over the side of what it was made of (geometric mean over both axes),
        1 for an image that was not resized.

    Raises:
        DataError: Sources contradict themselves (all findings), or there are fewer images or crops than `per_class`.
    """
    everything = list(sources)
    _check(everything)
    everything.sort(key=lambda source: source.id)
    kept = [source for source in everything if source.label not in options.drop_classes]
    first = _first_of_same_pixels(kept)
    boxes: dict[str, list[Box]] = defaultdict(list)
    ignored: dict[str, list[Box]] = defaultdict(list)
    for source in kept:
        boxes[first[source.id]] += source.boxes
        ignored[first[source.id]] += source.ignored
    groups = _groups(kept, first)
    crops = [
        (source, number, crop)
        for source in kept
        if first[source.id] == source.id and boxes[source.id]
        for number, crop in enumerate(defect_free(source.pixels.shape, boxes[source.id] + ignored[source.id], options))
    ]
    # of an image without boxes nobody has said where its defect is
    matched = options.normals == "matched"
    candidates = [source for source in kept if not matched or boxes[first[source.id]]]
    for count, what in ((len(candidates), "images with a defect"), (len(crops), "defect-free crops")):
        if count < options.per_class:
            raise DataError(
                f"{count} {what} found, {options.per_class} per class asked for",
                where=f"{WHERE}, {len(kept)} images kept, crops of at least {options.min_side} pixels",
                fix=_smaller(options, len(kept), min(len(candidates), len(crops)), few_crops=len(crops) < len(kept)),
            )
    anomalies = [candidates[i] for i in _draw(len(candidates), options, stream=0)]
    normals = [crops[i] for i in _draw(len(crops), options, stream=1)]
    regions = [(0, 0, source.pixels.shape[1], source.pixels.shape[0]) for source in anomalies]
    shares: list[float] = []
    if matched:
        regions, shares = _matched(anomalies, [boxes[first[s.id]] for s in anomalies], normals, options)
    pictures = [*zip(anomalies, regions, strict=True), *((source, crop) for source, _, crop in normals)]
    images = np.empty((len(pictures), 1, options.size, options.size), np.uint8)
    for at, (source, (left, top, right, bottom)) in enumerate(pictures):
        images[at, 0] = _resized(source.pixels[top:bottom, left:right], options)
    suffix = "#anomalous" if matched else ""
    return ImageSet(
        images=images,
        labels=np.repeat(np.array([1, 0], np.int64), options.per_class),
        sample_ids=(*(s.id + suffix for s in anomalies), *(f"{s.id}#normal-{number}" for s, number, _ in normals)),
        groups=tuple(groups[source.id] for source, _ in pictures),
        class_names=CLASS_NAMES,
        notes=_notes(everything, kept, crops, first, options) | _matched_notes(shares),
        facts={"resize_factor": np.array([options.size / np.sqrt(area(region)) for _, region in pictures])},
    )


def _smaller(options: PreparationOptions, kept: int, possible: int, *, few_crops: bool) -> str:
    """How to get by with the images that there are."""
    if not kept:
        return "keep more classes: -S dataset.drop_classes=[]"
    ways = [f"-S dataset.per_class=N with N at most {possible}"] if possible else []
    ways += [f"-S dataset.min_side=N with N below {options.min_side}"] if few_crops else []
    return f"pass {', or '.join(ways)}" if ways else "mark the defects of these images with boxes"


def _matched(
    anomalies: Sequence[AnnotatedImage],
    boxes: Sequence[Sequence[Box]],
    normals: Sequence[tuple[AnnotatedImage, int, Rectangle]],
    options: PreparationOptions,
) -> tuple[list[Rectangle], list[float]]:
    """For each anomaly a crop around one of its boxes, of the size of a normal, and the share of the box in it."""
    rng = np.random.default_rng([options.seed, 2])
    sizes = [(right - left, bottom - top) for _, _, (left, top, right, bottom) in normals]
    crops = [
        around_defect(source.pixels.shape, own, sizes[i], rng)
        for source, own, i in zip(anomalies, boxes, rng.permutation(len(sizes)), strict=True)
    ]
    return [crop for crop, _ in crops], [share for _, share in crops]


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


def _groups(sources: Sequence[AnnotatedImage], first: Mapping[str, str]) -> dict[str, str]:
    """For each image the first of all pictures that it is linked to, by its source and by identical pixels."""
    picture = {source.id: source.source or source.id for source in sources}
    leader = {name: name for name in picture.values()}

    def lead(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for source in sources:
        one, other = sorted((lead(picture[source.id]), lead(picture[first[source.id]])))
        leader[other] = one
    return {id_: lead(name) for id_, name in picture.items()}


def _check(sources: Sequence[AnnotatedImage]) -> None:
    problems: list[Problem] = []
    for source in sources:
        for field, text in (("id", source.id), ("label", source.label)):
            if not isinstance(text, str) or not text:
                problems.append(Problem(safe_repr(source.id), field, f"must be text, is {safe_repr(text)}"))
    if problems:
        raise DataError("the source images contradict themselves", problems=problems, where=WHERE, fix=FIX)
    for id_, count in Counter(s.id for s in sources).items():
        if count > 1:
            problems.append(Problem(id_, "id", f"occurs {count} times"))
    for source in sources:
        pixels: object = source.pixels
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or 0 in pixels.shape:
            problems.append(Problem(source.id, "pixels", "must be a filled uint8 array (H, W)"))
            continue
        height, width = pixels.shape
        for i, box in enumerate((*source.boxes, *source.ignored)):
            ends = (box.xmin, box.xmax, box.ymin, box.ymax)
            if not all(isinstance(end, int | np.integer) for end in ends):
                problems.append(
                    Problem(source.id, f"boxes[{i}]", f"{safe_repr(box)} must have whole numbers for its ends")
                )
            elif not (0 <= box.xmin < box.xmax <= width and 0 <= box.ymin < box.ymax <= height):
                what = f"{safe_repr(box)} is empty or leaves the image of {width} x {height} pixels"
                problems.append(Problem(source.id, f"boxes[{i}]", what))
    if problems:
        raise DataError("the source images contradict themselves", problems=problems, where=WHERE, fix=FIX)


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


def _matched_notes(shares: Sequence[float]) -> dict[str, str]:
    if not shares:
        return {}
    cut = sorted(share for share in shares if share < 1)
    rest = f"; {cut[len(cut) // 2]:.0%} of a box in the median of the others, {cut[0]:.0%} at least" if cut else ""
    return {"anomalous crops": f"{len(shares) - len(cut)} of {len(shares)} hold a whole box{rest}"}


def _counts_text(counts: Mapping[str, int]) -> str:
    """Counts by name as one line: the sum, then the parts."""
    parts = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
    return f"{sum(counts.values())}: {parts}" if parts else "0"
