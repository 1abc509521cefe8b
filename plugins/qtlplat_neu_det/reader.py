"""NEU-DET from its files to an ImageSet, with every problem found on the way; writes nothing."""

from __future__ import annotations

import hashlib
import io
import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from qtlplat import (
    AnnotatedImage,
    ConfigError,
    DataError,
    ImageSet,
    Problem,
    UntrustedError,
    prepare,
    refused_data,
    shown,
)
from qtlplat_neu_det import ENVIRONMENT, NeuDetOptions
from qtlplat_neu_det.annotation import CLASSES, Annotation, parse
from qtlplat_neu_det.files import Files, UnreadableError, open_files

MAX_PIXELS = 2**24  # of one image; the real ones have 40,000
MODES = ("L", "RGB")  # gray, or three colours of which the brightness is taken
NAME = re.compile(rf"({'|'.join(map(re.escape, CLASSES))})_[0-9]+")
LOOK_AT_ALL = "mend these files or fetch the dataset again; `qtlplat data check neu-det` looks at all files"


@dataclass(frozen=True)
class Reading:
    """What was read: sound images by id, every problem, and counts as printable text by name."""

    images: tuple[AnnotatedImage, ...]
    problems: tuple[Problem, ...]
    notes: dict[str, str]


@dataclass(frozen=True)
class _Entry:
    label: str
    image: str
    annotation: str


def load(options: NeuDetOptions) -> ImageSet:
    """Read the classes that are kept, check them and prepare them.

    Raises
    ------
    ConfigError: there is nothing at `root`, or no root is known.
    DataError: every problem of the files read; or too few images or crops for `per_class`.
    UntrustedError: the same, where to read one of them on would do harm.
    """
    root = _root(options)
    reading = read(root, [c for c in CLASSES if c not in options.drop_classes])
    if reading.problems:
        n = len(reading.problems)
        what = f"NEU-DET is damaged: {n} problem{'s' if n > 1 else ''}"
        where = f"dataset neu-det, root {shown(str(root))}"
        raise refused_data(what, problems=reading.problems, where=where, fix=LOOK_AT_ALL)
    images = prepare(reading.images, options)
    drawn = f"a seeded draw of {options.per_class} anomalies stands for the paper's clean-up, whose rule is not given"
    return replace(images, notes={**images.notes, **reading.notes, "clean-up": drawn})


def check(options: NeuDetOptions) -> Sequence[Problem]:
    """Decode every image and read every annotation, dropped classes included, then try the preparation.

    Returns
    -------
    every problem found; none means that `load` works with these options.

    Raises
    ------
    ConfigError: there is nothing at `root`, or no root is known.
    """
    kept = [c for c in CLASSES if c not in options.drop_classes]
    try:
        reading = read(_root(options), CLASSES, needed=kept)
        if not reading.problems:
            prepare(reading.images, options)
    except (DataError, UntrustedError) as error:
        return error.problems or (Problem(error.where, "per_class", error.what),)
    return reading.problems


def read(root: Path, classes: Iterable[str], needed: Iterable[str] | None = None) -> Reading:
    """Read the images of some classes with their annotations.

    root: directory or zip archive; classes: what is read; needed: classes of which there must be an image, by
    default all that are read.

    Raises
    ------
    DataError, UntrustedError: `root` as a whole cannot be read as NEU-DET.
    """
    classes = list(classes)
    problems: list[Problem] = []
    with open_files(root) as files, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        entries = _paired(files, classes, problems)
        labels = Counter(e.label for e in entries.values())
        for label in classes if needed is None else needed:
            if not labels[label]:
                problems.append(Problem(str(root), label, "no image of this class"))
        images: list[AnnotatedImage] = []
        bare = 0
        same: dict[bytes, list[_Entry]] = defaultdict(list)
        for stem, entry in entries.items():
            if entry.label not in classes:
                continue
            digest, pixels = _image(files, entry, problems)
            annotation = _annotation(files, entry, problems)
            if digest:
                same[digest].append(entry)
            if annotation is not None and pixels is not None:
                height, width = pixels.shape
                if annotation.size != (width, height):
                    what = f"says {annotation.size[0]} x {annotation.size[1]}, the image has {width} x {height} pixels"
                    problems.append(Problem(entry.annotation, "size", what))
                bare += annotation.bare_filename
                images.append(AnnotatedImage(stem, pixels, entry.label, annotation.boxes))
    for first, *others in same.values():
        for other in others:
            if other.label != first.label:
                what = f"has the same pixels as {first.image}, which has another class"
                problems.append(Problem(other.image, "", what))
    left = {label: n for label, n in sorted(labels.items()) if label not in classes}
    parts = ", ".join(f"{label} {n}" for label, n in left.items())
    notes = {
        "boxes": str(sum(len(i.boxes) for i in images)),
        "sources dropped": f"{sum(left.values())}, not read: {parts}" if left else "0",
        "<filename> without extension": f"in {bare} annotations, harmless",
        "files ignored": str(files.ignored),
    }
    return Reading(tuple(images), tuple(problems), notes)


def _root(options: NeuDetOptions) -> Path:
    fix = f"set {ENVIRONMENT}=PATH or pass -S dataset.root=PATH (directory or zip archive)"
    if options.root is None:
        raise ConfigError("it is not said where NEU-DET lies", where="dataset neu-det, option root", fix=fix)
    if not os.path.exists(options.root):  # noqa: PTH110 -- Path's own raises for names that are too long
        what = f"there is nothing at {shown(str(options.root))}"
        raise ConfigError(what, where="dataset neu-det, option root", fix=fix)
    return options.root


def _paired(files: Files, classes: Sequence[str], problems: list[Problem]) -> dict[str, _Entry]:
    """Entries by id (file name without extension), for all classes; problems are told for `classes` only."""
    found: list[Problem] = []
    annotations: dict[str, str] = {}
    for name in files.annotations:
        stem = PurePosixPath(name).stem
        if stem in annotations:
            found.append(Problem(name, "", f"stands twice, also as {annotations[stem]}"))
        elif not _class_of(stem) or _class_of(stem) in classes:
            annotations[stem] = name
    entries: dict[str, _Entry] = {}
    for name, folder in files.images.items():
        stem = PurePosixPath(name).stem
        label = _class_of(stem)
        annotation = annotations.pop(stem, "")
        if not label:
            what = f"{shown(stem)} must be CLASS_NUMBER, with one of the classes {', '.join(CLASSES)}"
            found.append(Problem(name, "file name", what))
        elif stem in entries:
            found.append(Problem(name, "", f"stands twice, also as {entries[stem].image}"))
        else:
            entries[stem] = _Entry(label, name, annotation)
            if folder and folder != label:
                found.append(Problem(name, "folder", f"{shown(folder)} contradicts the file name's class"))
            if not annotation and label in classes:
                found.append(Problem(name, "annotation", f"is missing: no {stem}.xml"))
    found += [Problem(name, "image", f"is missing: no {stem}.jpg") for stem, name in annotations.items()]
    problems += found
    return entries


def _class_of(stem: str) -> str:
    match = NAME.fullmatch(stem)
    return match[1] if match else ""


def _image(files: Files, entry: _Entry, problems: list[Problem]) -> tuple[bytes | None, npt.NDArray[np.uint8] | None]:
    """sha256 of its gray pixels and the pixels (H, W), both None where they could not be had."""
    try:
        data = files.read(entry.image)
    except UnreadableError as error:
        problems.append(Problem(entry.image, "", str(error)))
        return None, None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                what = f"has too many pixels: {width} x {height}, at most {MAX_PIXELS} are decoded"
                problems.append(Problem(entry.image, "pixels", what, hostile=True))
                return None, None
            if image.mode not in MODES:
                what = f"is {shown(image.mode)}, must be gray or red, green and blue with 8 bits each"
                problems.append(Problem(entry.image, "mode", what))
                return None, None
            image.draft("L", image.size)  # decodes the brightness alone
            pixels = np.asarray(image.convert("L"))
            return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest(), pixels
    except UnidentifiedImageError:
        problems.append(Problem(entry.image, "format", f"is not a JPEG image: starts with {shown(data[:8])}"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        what = f"has too many pixels, at most {MAX_PIXELS} are decoded"
        problems.append(Problem(entry.image, "pixels", what, hostile=True))
    except Exception as error:  # noqa: BLE001 -- Pillow's decoders raise what they stumble over
        problems.append(Problem(entry.image, "pixels", f"cannot be decoded: {error}"))
    return None, None


def _annotation(files: Files, entry: _Entry, problems: list[Problem]) -> Annotation | None:
    if not entry.annotation:
        return None
    try:
        data = files.read(entry.annotation)
    except UnreadableError as error:
        problems.append(Problem(entry.annotation, "", str(error)))
        return None
    annotation, found = parse(data, entry.annotation, PurePosixPath(entry.image).name)
    problems += found
    return annotation
