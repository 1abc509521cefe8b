"""NEU-DET as people have it: one small set of pictures and boxes, written in the layouts and with the oddities seen."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
SHORT = dict(zip(CLASSES, ("Cr", "In", "Pa", "PS", "RS", "Sc"), strict=True))
SIDE = 96


@dataclass(frozen=True)
class Layout:
    """How images and annotations are named and written.

    image, annotation: paths, made of the class {c}, its abbreviation {s}, the number {i} and a hash {h}; filename,
    label: what stands in the annotation; box: (xmin, ymin, xmax, ymax) as text, by number; size: (width, height), None
    for the image's own; more: further lines of an object; encode: pixels -> bytes of the image file.
    """

    image: str = "IMAGES/{c}_{i}.jpg"
    annotation: str = "ANNOTATIONS/{c}_{i}.xml"
    filename: str = "{c}_{i}.jpg"
    label: Callable[[str], str] = str
    box: Callable[[int], tuple[object, ...]] = lambda i: (10 + i, 21, 40 + i, 50)
    size: tuple[int, int] | None = (SIDE, SIDE)
    more: str = ""
    encode: Callable[[np.ndarray[Any, Any]], bytes] = lambda pixels: encoded(pixels, "PNG")


def encoded(pixels: np.ndarray[Any, Any], kind: str, mode: str = "L", **changes: Any) -> bytes:
    """An image file; lossless except for JPEG."""
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind, **changes)
    return out.getvalue()


def turned(orientation: int) -> Callable[[np.ndarray[Any, Any]], bytes]:
    """Image files that a viewer has to turn."""

    def encode(pixels: np.ndarray[Any, Any]) -> bytes:
        exif = Image.Exif()
        exif[0x0112] = orientation
        return encoded(pixels, "PNG", exif=exif)

    return encode


def pictures(count: int = 3, shape: tuple[int, int] = (SIDE, SIDE)) -> Iterator[tuple[str, int, np.ndarray[Any, Any]]]:
    """Class, number from 1, pixels."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        for number in range(1, count + 1):
            yield name, number, rng.integers(0, 256, shape, dtype=np.uint8)


def annotation_text(layout: Layout, words: dict[str, Any], shape: tuple[int, ...]) -> str:
    """The annotation of one image."""
    width, height = layout.size or (shape[1], shape[0])
    ends = zip(("xmin", "ymin", "xmax", "ymax"), layout.box(words["i"]), strict=True)
    box = "".join(f"<{end}>{value}</{end}>" for end, value in ends)
    return (
        f"<annotation><filename>{layout.filename.format(**words)}</filename>"
        f"<size><width>{width}</width><height>{height}</height><depth>1</depth></size>"
        f"<object><name>{layout.label(words['c'])}</name>{layout.more}<bndbox>{box}</bndbox></object></annotation>"
    )


def write(root: Path, layout: Layout, **changes: Any) -> Path:
    """Write the set below `root`; changes: arguments of `pictures`."""
    for name, number, pixels in pictures(**changes):
        words = {"c": name, "s": SHORT[name], "i": number, "h": f"{hash_of(name, number):012x}"}
        for path, data in (
            (layout.image.format(**words), layout.encode(pixels)),
            (layout.annotation.format(**words), annotation_text(layout, words, pixels.shape).encode()),
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
    return root


def hash_of(name: str, number: int) -> int:
    return (CLASSES.index(name) * 1000 + number) * 2654435761


def pack(folder: Path, archive: Path, before: str = "", between: str = "/", junk: bool = False) -> Path:
    """The files of a folder in a zip archive, with what a Mac adds to it."""
    with zipfile.ZipFile(archive, "w") as target:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo("x")
            info.filename = (before + path.relative_to(folder).as_posix()).replace("/", between)
            target.writestr(info, path.read_bytes())
            if junk:
                target.writestr(f"__MACOSX/{before}{path.parent.name}/._{path.name}", b"\0\5\x16\7")
        if junk:
            target.writestr(f"{before}.DS_Store", b"x")
            target.writestr(f"{before}IMAGES/Thumbs.db", b"x")
    return archive


# Layouts that hold the same pictures under the same names.
SAME = {
    "two folders": Layout(),
    "other words for them": Layout("img/{c}_{i}.jpg", "xml/{c}_{i}.xml"),
    "capitals": Layout("Images/{c}_{i}.JPG", "Annotations/{c}_{i}.XML"),
    "deep below the root": Layout("data/raw/NEU-DET/IMAGES/{c}_{i}.jpg", "data/raw/NEU-DET/ANNOTATIONS/{c}_{i}.xml"),
    "side by side": Layout("{c}_{i}.jpg", "{c}_{i}.xml"),
    "Kaggle": Layout("NEU-DET/train/images/{c}/{c}_{i}.jpg", "NEU-DET/train/annotations/{c}_{i}.xml"),
    "one part": Layout("valid/images/{c}/{c}_{i}.jpg", "valid/annotations/{c}_{i}.xml"),
    "a part for each number": Layout("part{i}/{c}_{i}.jpg", "part{i}/{c}_{i}.xml"),
    "VOCdevkit": Layout("VOCdevkit/VOC2007/JPEGImages/{c}_{i}.jpg", "VOCdevkit/VOC2007/Annotations/{c}_{i}.xml"),
    "folders of classes": Layout("{c}/{c}_{i}.jpg", "{c}/{c}_{i}.xml"),
    "folders of classes, names without": Layout("test/images/{c}/{i}.jpg", "test/annotations/{c}_{i}.xml", "{i}.jpg"),
    "annotations in the other folder": Layout("train/images/{c}_{i}.jpg", "test/labels/{c}_{i}.xml"),
    "a name that only <filename> knows": Layout(annotation="ANNOTATIONS/{h}.xml"),
    "BMP files": Layout("IMAGES/{c}_{i}.bmp", encode=lambda pixels: encoded(pixels, "BMP")),
    "opaque alpha": Layout(encode=lambda pixels: encoded(pixels, "PNG", "RGBA")),
    "<filename> without extension": Layout(filename="{c}_{i}"),
    "<filename> with another": Layout(filename="{c}_{i}.png"),
    "<filename> as a Windows path": Layout(filename="C:\\Users\\me\\NEU-DET\\{c}_{i}.jpg"),
    "<filename> as a path": Layout(filename="../images/{c}/{c}_{i}.jpg"),
    "no <filename>": Layout(filename=""),
    "hyphens": Layout(label=lambda name: name.replace("_", "-")),
    "spaces and capitals": Layout(label=lambda name: name.replace("_", " ").title()),
    "abbreviated labels": Layout(label=SHORT.__getitem__),
    "sizes of zero": Layout(size=(0, 0)),
    "numbers with a point": Layout(box=lambda i: (f"{10 + i}.0", "21.000", f"{40 + i}.", "5.0e+01")),
    "fractions": Layout(box=lambda i: (10.5 + i, 21.999, 39.25 + i, 49.001)),
}
KAGGLE = SAME["Kaggle"]
ROBOFLOW = Layout("train/{c}_{i}_jpg.rf.{h}.jpg", "train/{c}_{i}_jpg.rf.{h}.xml", "{c}_{i}_jpg.rf.{h}.jpg")
NEU_CLS = Layout("NEU-CLS/{s}_{i}.bmp", "xml/{s}_{i}.xml", "{s}_{i}.bmp", encode=lambda pixels: encoded(pixels, "BMP"))
NUMBERED = Layout("JPEGImages/{h}.jpg", "Annotations/{h}.xml", "{h}.jpg")
ZERO_BASED = replace(Layout(), box=lambda i: (0, 20, 39 + i, 49))
