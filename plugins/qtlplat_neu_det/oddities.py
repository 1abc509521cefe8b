"""What is unusual about a set but hinders nothing: counted while it is read, told as notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

from qtlplat import safe_repr
from qtlplat_neu_det.annotation import Annotation
from qtlplat_neu_det.boxes import VOC, Counting, has_fractions
from qtlplat_neu_det.files import IMAGES
from qtlplat_neu_det.naming import canonical, full_name, source_of

NAMED = 3  # images that a note names
FLAGS = {
    "difficult": "difficult boxes",
    "truncated": "truncated boxes",
    "occluded": "occluded boxes",
    "pose": "boxes with a pose",
    "spelling": "boxes whose label is another spelling of its class",
}


def naming(filename: str, image: str) -> str:
    """How `<filename>` names an image: exact, bare (without extension), loose (a path, another spelling) or wrong."""
    name = PurePosixPath(image)
    last = PureWindowsPath(filename).name
    suffix = PurePosixPath(last).suffix
    stem = last.removesuffix(suffix) if suffix.lower() in IMAGES else last
    if filename == name.name:
        return "exact"
    if filename == name.stem:
        return "bare"
    claims = {canonical(stem), canonical(source_of(stem))}
    known = {canonical(name.stem), canonical(source_of(name.stem)), full_name(image)}
    return "loose" if not filename or claims & known else "wrong"


@dataclass
class Oddities:
    """Counts over the images and annotations that were used.

    boxes, every: by flag, '' for all boxes; of the classes that are kept, and of all; names: of `<filename>`, by
    `naming`; depths: by `<depth>`; coloured, equal: image files with several channels, and those with equal ones.
    turned, unturned: images to which their EXIF orientation was, and was not, applied; empty: images without a box.
    """

    boxes: Counter[str] = field(default_factory=Counter)
    every: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    depths: Counter[str] = field(default_factory=Counter)
    coloured: int = 0
    equal: int = 0
    images: int = 0
    without_size: int = 0
    fractions: int = 0
    turned: int = 0
    unturned: int = 0
    from_boxes: int = 0
    empty: list[str] = field(default_factory=list)

    def see(self, annotation: Annotation, image: str) -> None:
        """Count an annotation that is used."""
        self.boxes.update(_flags(annotation))
        self.names[naming(annotation.filename, image)] += 1
        self.depths[annotation.depth] += 1
        self.without_size += annotation.size is None
        self.fractions += sum(map(has_fractions, annotation.objects))

    def see_any(self, annotation: Annotation) -> None:
        """Count an annotation of whatever class."""
        self.every.update(_flags(annotation))

    def notes(self, how: Counting, difficult: str) -> dict[str, str]:
        """The counts as text by name; what did not occur is left out."""
        done = {"difficult": ", kept" if difficult == "keep" else ", not counted as defects"}
        notes = {title: self._flagged(flag) + done.get(flag, "") for flag, title in FLAGS.items() if self.every[flag]}
        if self.coloured:
            equal = "equal in all of them" if self.equal == self.coloured else f"equal in {self.equal} of them"
            notes["colour channels"] = f"3 in {self.coloured} of {self.images} image files, {equal}{self._depth()}"
        counts = {
            "<filename> with a path, another extension or spelling": self.names["loose"],
            "annotations without <size>": self.without_size,
            "boxes with fractions, rounded outwards": self.fractions,
            "images turned by their EXIF orientation": self.turned,
            "images not turned by their EXIF orientation, as <size> says": self.unturned,
            "images whose class is that of most of their boxes": self.from_boxes,
        }
        notes |= {name: str(count) for name, count in counts.items() if count}
        if how != VOC:
            notes["pixels counted"] = how.text()
        if self.empty:
            more = ", ..." if len(self.empty) > NAMED else ""
            notes["images left out, without a defect box"] = f"{len(self.empty)}: {', '.join(self.empty[:NAMED])}{more}"
        return notes

    def _flagged(self, flag: str) -> str:
        kept = f"{self.boxes[flag]} of {self.boxes['']}"
        return kept if self.every == self.boxes else f"{kept} ({self.every[flag]} of {self.every['']} in all classes)"

    def _depth(self) -> str:
        said = self.depths["1"]
        return f"; <depth> says 1 in {said} of {self.depths.total()} annotations" if said else ""


def _flags(annotation: Annotation) -> Iterable[str]:
    for marked in annotation.objects:
        yield ""
        yield from marked.flags


def expected_name(image: str, filename: str) -> str:
    """The finding where `<filename>` names another image."""
    return f"must be {safe_repr(PurePosixPath(image).name)}, is {safe_repr(filename)}"
