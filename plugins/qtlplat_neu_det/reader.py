"""NEU-DET from its files to an ImageSet, with every problem found on the way; writes nothing."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qtlplat import (
    AnnotatedImage,
    Box,
    ConfigError,
    DataError,
    DecodedImage,
    ImageSet,
    Problem,
    UnfitImageError,
    UntrustedError,
    decode_image,
    prepare,
    refused_data,
    safe_repr,
)
from qtlplat_neu_det.annotation import Annotation, parse
from qtlplat_neu_det.boxes import Counting, counting, fitted
from qtlplat_neu_det.files import Files, UnreadableError, open_files
from qtlplat_neu_det.naming import CLASSES
from qtlplat_neu_det.oddities import Oddities, expected_name, naming
from qtlplat_neu_det.options import ENVIRONMENT, NeuDetOptions
from qtlplat_neu_det.pairing import Entry, pair
from qtlplat_neu_det.summary import gathered

Pixels = npt.NDArray[np.uint8]
LOOK_AT_ALL = "fix these files or fetch the dataset again; `qtlplat data check neu-det` looks at all files"


@dataclass(frozen=True)
class Reading:
    """What was read: sound images by id, every problem, and counts as printable text by name."""

    images: tuple[AnnotatedImage, ...]
    problems: tuple[Problem, ...]
    notes: dict[str, str]


def load(options: NeuDetOptions) -> ImageSet:
    """Read the classes that are kept, check them and prepare them.

    Raises:
        ConfigError: there is nothing at `root`, or no root is known.
        DataError: every problem of the files read; or too few images or crops for `per_class`.
        UntrustedError: the same, where to read one of them on would do harm.
    """
    root = _root(options)
    reading = read(root, [c for c in CLASSES if c not in options.drop_classes], difficult=options.difficult)
    if reading.problems:
        n = len(reading.problems)
        what = f"NEU-DET is damaged: {n} problem{'s' if n > 1 else ''}"
        where = f"dataset neu-det, root {safe_repr(str(root))}"
        raise refused_data(what, problems=gathered(reading.problems), where=where, fix=LOOK_AT_ALL)
    images = prepare(reading.images, options)
    drawn = f"a seeded draw of {options.per_class} anomalies stands for the paper's clean-up, whose rule is not given"
    return replace(images, notes={**images.notes, **reading.notes, "clean-up": drawn})


def check(options: NeuDetOptions) -> Sequence[Problem]:
    """Decode every image and read every annotation, dropped classes included, then try the preparation.

    Returns:
        every problem found; none means that `load` works with these options.

    Raises:
        ConfigError: there is nothing at `root`, or no root is known.
    """
    kept = [c for c in CLASSES if c not in options.drop_classes]
    try:
        reading = read(_root(options), CLASSES, needed=kept, difficult=options.difficult)
        if not reading.problems:
            prepare(reading.images, options)
    except (DataError, UntrustedError) as error:
        return error.problems or (Problem(error.where, "per_class", error.what),)
    return reading.problems


def located(root: Path, sources: Iterable[str]) -> dict[str, str]:
    """Paths of the images that sources were made from, by source; `ARCHIVE.zip!NAME` in an archive. Decodes nothing.

    Raises as `pair` and `open_files`.
    """
    with open_files(root) as files:
        known = {source: entry.image for entry in pair(files).entries for source in (entry.source, entry.id)}
        return {source: f"{files.before}{known[source]}" for source in sources if source in known}


def read(root: Path, classes: Iterable[str], needed: Iterable[str] | None = None, difficult: str = "keep") -> Reading:
    """Read the images of some classes with their annotations.

    root: directory or zip archive; classes: what is read; needed: classes of which there must be an image, by
    default all that are read; difficult: keep or drop, see `NeuDetOptions`.

    Raises:
        DataError, UntrustedError: `root` as a whole cannot be read as NEU-DET.
    """
    classes = list(classes)
    with open_files(root) as files:
        pairing = pair(files)
        problems, passed_over = pairing.of(classes), pairing.passed_over()
        found: list[Problem] = []
        seen = [_annotated(files, entry) for entry in pairing.entries]
        chosen = [one for one in seen if one.entry.label in classes or not one.entry.label]
        decoded = {one.entry.id: _image(files, one.entry.image, found) for one in chosen}
    labels = Counter(one.entry.label for one in seen)
    for label in classes if needed is None else needed:
        if not labels[label]:
            problems.append(Problem(str(root), label, "no image of this class"))
    odd = Oddities()
    how = counting(_measured(seen, decoded))
    images: list[AnnotatedImage] = []
    for one in seen:
        if one.annotation is not None:
            odd.see_any(one.annotation)
    for one in chosen:
        found += one.problems
        image = _fitted(one, decoded[one.entry.id], how, odd, found)
        if image is not None:
            images += _without(image, one, difficult, odd)
    found += _contradictions(chosen, decoded)
    left = {label: n for label, n in sorted(labels.items()) if label and label not in classes}
    parts = ", ".join(f"{label} {n}" for label, n in left.items())
    notes = {
        "boxes": str(sum(len(i.boxes) for i in images)),
        "sources dropped": f"{sum(left.values())}, not read: {parts}" if left else "0",
        "<filename> without extension": f"in {odd.names['bare']} annotations, harmless",
        "files ignored": str(pairing.ignored),
        **passed_over,
        **odd.notes(how, difficult),
    }
    return Reading(tuple(images), tuple(problems + found), notes)


@dataclass(frozen=True)
class _Seen:
    """An entry whose class is known, as far as anything says it; its annotation, None if that is wrong."""

    entry: Entry
    annotation: Annotation | None
    problems: tuple[Problem, ...]
    from_boxes: bool


@dataclass(frozen=True, eq=False)
class _Decoded:
    image: DecodedImage
    equal_channels: bool
    digest: bytes


def _root(options: NeuDetOptions) -> Path:
    fix = f"set {ENVIRONMENT}=PATH or pass -S dataset.root=PATH (directory or zip archive)"
    if options.root is None:
        raise ConfigError("the path of NEU-DET is not set", where="dataset neu-det, option root", fix=fix)
    if not os.path.exists(options.root):  # noqa: PTH110 -- Path's own raises for names that are too long
        what = f"no such file or directory: {safe_repr(str(options.root))}"
        raise ConfigError(what, where="dataset neu-det, option root", fix=fix)
    return options.root


def _annotated(files: Files, entry: Entry) -> _Seen:
    """The annotation of an entry; where no name says the class, it is that of most boxes."""
    try:
        annotation, found = parse(files.read(entry.annotation), entry.annotation)
    except UnreadableError as error:
        annotation, found = None, [Problem(entry.annotation, "", str(error))]
    labels = Counter(marked.label for marked in annotation.objects) if annotation and not entry.label else Counter()
    if labels:
        entry = replace(entry, label=labels.most_common(1)[0][0])
    return _Seen(entry, annotation, tuple(found), bool(labels))


def _image(files: Files, name: str, found: list[Problem]) -> _Decoded | None:
    """An image file in gray, None if it cannot be read."""
    try:
        data = files.read(name)
        image = decode_image(io.BytesIO(data))
        equal = True
        if image.channels > 1:
            colours = decode_image(io.BytesIO(data), "RGB").pixels
            equal = bool((colours == colours[..., :1]).all())
    except UnreadableError as error:
        found.append(Problem(name, "", str(error)))
    except UnfitImageError as error:
        found.append(Problem(name, error.field, error.what, error.hostile))
    else:
        pixels = image.pixels
        return _Decoded(image, equal, hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest())
    return None


def _measured(
    seen: Iterable[_Seen], decoded: Mapping[str, _Decoded | None]
) -> Iterator[tuple[Annotation, tuple[int, int]]]:
    """Annotations with the size that their boxes refer to, as far as it is known."""
    for one in seen:
        image = decoded.get(one.entry.id)
        if one.annotation is not None and (one.annotation.size or image):
            yield one.annotation, one.annotation.size or _size(image.image.pixels if image else None)


def _size(pixels: Pixels | None) -> tuple[int, int]:
    return (0, 0) if pixels is None else (pixels.shape[1], pixels.shape[0])


def _fitted(
    one: _Seen, decoded: _Decoded | None, how: Counting, odd: Oddities, found: list[Problem]
) -> AnnotatedImage | None:
    """An image with its boxes, turned as its annotation means it; None if either is wrong."""
    annotation, entry = one.annotation, one.entry
    if annotation is None:
        return None
    if naming(annotation.filename, entry.image) == "wrong":
        found.append(Problem(entry.annotation, "filename", expected_name(entry.image, annotation.filename)))
    pixels = None if decoded is None else _turned(decoded.image, annotation, how, odd)
    size = annotation.size or _size(pixels)
    if pixels is not None and size != _size(pixels):
        width, height = _size(pixels)
        what = f"says {size[0]} x {size[1]}, the image has {width} x {height} pixels"
        found.append(Problem(entry.annotation, "size", what))
    boxes: list[Box] = []
    if size != (0, 0):
        for marked in annotation.objects:
            box, wrong = fitted(marked, size, how, entry.annotation)
            found += wrong
            boxes += [] if box is None else [box]
    if pixels is None or decoded is None or len(boxes) < len(annotation.objects):
        return None
    odd.see(annotation, entry.image)
    odd.images += 1
    odd.coloured += decoded.image.channels > 1
    odd.equal += decoded.image.channels > 1 and decoded.equal_channels
    odd.from_boxes += one.from_boxes
    return AnnotatedImage(entry.id, pixels, entry.label, tuple(boxes), source=entry.source)


def _turned(image: DecodedImage, annotation: Annotation, how: Counting, odd: Oddities) -> Pixels:
    """The pixels upright, as the EXIF orientation says, unless only the stored ones fit the annotation."""
    if image.orientation == 1:
        return image.pixels

    def fits(pixels: Pixels) -> bool:
        size = _size(pixels)
        if annotation.size not in (None, size):
            return False
        return not any(fitted(marked, size, how, "")[1] for marked in annotation.objects)

    stored = image.as_stored()
    if not fits(image.pixels) and fits(stored):
        odd.unturned += 1
        return stored
    odd.turned += 1
    return image.pixels


def _without(image: AnnotatedImage, one: _Seen, difficult: str, odd: Oddities) -> list[AnnotatedImage]:
    """The image without the boxes that do not count as defects; none if no other is left."""
    assert one.annotation is not None
    if difficult == "drop":
        marks = [marked.flags for marked in one.annotation.objects]
        kept, dropped = (
            tuple(box for box, flags in zip(image.boxes, marks, strict=True) if ("difficult" in flags) == wanted)
            for wanted in (False, True)
        )
        image = replace(image, boxes=kept, ignored=dropped)
    if image.boxes:
        return [image]
    odd.empty.append(image.id)
    return []


def _contradictions(chosen: Sequence[_Seen], decoded: Mapping[str, _Decoded | None]) -> Iterator[Problem]:
    """Images of equal pixels whose names give them different classes."""
    same: dict[bytes, list[Entry]] = defaultdict(list)
    for one in chosen:
        if image := decoded[one.entry.id]:
            same[image.digest].append(one.entry)
    for first, *others in same.values():
        for other in others:
            if other.label != first.label:
                yield Problem(other.image, "", f"has the same pixels as {first.image}, which has another class")
