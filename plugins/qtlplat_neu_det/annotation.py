"""One Pascal-VOC annotation, from untrusted bytes to checked boxes; knows no files and no images."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args
from xml.etree.ElementTree import ParseError  # the exception only; parsing goes through defusedxml

from qtlplat import Box, Problem, shown
from qtlplat_neu_det import DefectClass

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CLASSES: tuple[str, ...] = get_args(DefectClass)
MAX_DEPTH = 16  # the real files have 4 levels
MAX_BOXES = 100  # of one image; the real ones have up to 9
INTEGER = re.compile(r"[+-]?[0-9]{1,9}")


@dataclass(frozen=True)
class Annotation:
    """What an annotation says: (width, height) in pixels, boxes, and whether `<filename>` lacks its extension."""

    size: tuple[int, int]
    boxes: tuple[Box, ...]
    bare_filename: bool


def parse(data: bytes, where: str, image_file: str) -> tuple[Annotation | None, list[Problem]]:
    """Read an annotation and check all of it.

    data: the file; where: its name, for messages; image_file: the name of its image, without folders.

    Returns
    -------
    the annotation (None where anything in it is wrong) and every problem found.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    depth, root = 0, None
    try:
        for event, element in iterparse(io.BytesIO(data), events=("start", "end"), forbid_dtd=True):
            root = element if root is None else root
            depth += 1 if event == "start" else -1
            if depth > MAX_DEPTH:
                return None, [Problem(where, "", f"is nested deeper than {MAX_DEPTH} levels", hostile=True)]
    except DefusedXmlException as error:
        what = f"is refused: it declares a document type or entities ({type(error).__name__})"
        return None, [Problem(where, "", what, hostile=True)]
    except (ParseError, ValueError, LookupError) as error:  # the latter two: an unknown or lying encoding
        return None, [Problem(where, "", f"is not well-formed XML: {error}")]
    if root is None or root.tag != "annotation":
        return None, [Problem(where, "", f"must be an <annotation>, is {shown(None if root is None else root.tag)}")]
    return _read(root, where, image_file)


def _read(root: Element, where: str, image_file: str) -> tuple[Annotation | None, list[Problem]]:
    problems: list[Problem] = []

    def integer(element: Element, path: str, shown_path: str) -> int | None:
        text = (element.findtext(path) or "").strip()
        if INTEGER.fullmatch(text):
            return int(text)
        problems.append(Problem(where, shown_path, f"must be a whole number, is {shown(text)}"))
        return None

    filename = (root.findtext("filename") or "").strip()
    stem = image_file.rpartition(".")[0]
    if filename not in (image_file, stem):
        problems.append(Problem(where, "filename", f"must be {shown(image_file)}, is {shown(filename)}"))
    width, height = (integer(root, f"size/{side}", f"size/{side}") for side in ("width", "height"))
    boxes: list[Box] = []
    objects = root.findall("object")
    if len(objects) > MAX_BOXES:  # looking for the space between them takes the cube of their number
        return None, [Problem(where, "object", f"{len(objects)} boxes, at most {MAX_BOXES} are read", hostile=True)]
    if not objects:
        problems.append(Problem(where, "object", "is missing: no box says where the defect is"))
    for number, item in enumerate(objects, start=1):
        at = f"object[{number}]"
        label = (item.findtext("name") or "").strip()
        if label not in CLASSES:
            what = f"unknown class {shown(label)}, known: {', '.join(CLASSES)}"
            problems.append(Problem(where, f"{at}/name", what))
        ends: list[tuple[int, int]] = []
        for axis, extent in (("x", width), ("y", height)):
            low, high = (integer(item, f"bndbox/{axis}{e}", f"{at}/bndbox/{axis}{e}") for e in ("min", "max"))
            if low is None or high is None:
                continue
            ends.append((low, high))
            for end, value in (("min", low), ("max", high)):
                if extent is not None and not 1 <= value <= extent:
                    what = f"is out of range: {value} not in [1, {extent}]"
                    problems.append(Problem(where, f"{at}/bndbox/{axis}{end}", what))
            if high <= low:
                what = f"is empty or inverted: {axis}min {low}, {axis}max {high}"
                problems.append(Problem(where, f"{at}/bndbox", what))
        if len(ends) == 2:
            (xmin, xmax), (ymin, ymax) = ends
            boxes.append(Box(label, xmin - 1, ymin - 1, xmax, ymax))
    if problems or width is None or height is None:
        return None, problems
    return Annotation((width, height), tuple(boxes), bare_filename=filename == stem), []
