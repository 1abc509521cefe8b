"""One Pascal VOC annotation, from untrusted bytes to what it says; knows no files and no images."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError  # the exception only; parsing goes through defusedxml

from qtlplat import Problem, safe_repr
from qtlplat_neu_det.naming import CLASSES, class_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_DEPTH = 16  # the real files have 4 levels
MAX_BOXES = 100  # of one image; the real ones have up to 9
NUMBER = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
TRUE, FALSE = ("1", "true", "yes"), ("", "0", "false", "no", "unspecified")


@dataclass(frozen=True)
class Marked:
    """A box as the annotation gives it: label, (xmin, xmax, ymin, ymax), and its flags that are set.

    flags: difficult, truncated, occluded; pose: it has one; spelling: the label is another word for its class.
    """

    at: str
    label: str
    ends: tuple[float, float, float, float]
    flags: frozenset[str]


@dataclass(frozen=True)
class Annotation:
    """What an annotation says. size: (width, height) in pixels, None if it gives none; depth: channels, as text."""

    filename: str
    size: tuple[int, int] | None
    depth: str
    objects: tuple[Marked, ...]


def parse(data: bytes, where: str) -> tuple[Annotation | None, list[Problem]]:
    """Read an annotation.

    data: the file; where: its name, for messages.

    Returns:
        the annotation (None where anything in it is wrong) and every problem found.
    """
    root, problems = _root(data, where)
    return (None, problems) if root is None else _read(root, where)


def named_image(data: bytes) -> str:
    """The image that an annotation names, '' where it names none or cannot be read."""
    root, _ = _root(data, "")
    return "" if root is None else (root.findtext("filename") or "").strip()


def _root(data: bytes, where: str) -> tuple[Element | None, list[Problem]]:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    depth, root = 0, None
    try:
        for event, element in iterparse(io.BytesIO(data), events=("start", "end"), forbid_dtd=True):
            root = element if root is None else root
            element.tag = element.tag.rpartition("}")[2]  # a namespace changes nothing here
            depth += 1 if event == "start" else -1
            if depth > MAX_DEPTH:
                return None, [Problem(where, "", f"is nested deeper than {MAX_DEPTH} levels", hostile=True)]
    except DefusedXmlException as error:
        what = f"is refused: it declares a document type or entities ({type(error).__name__})"
        return None, [Problem(where, "", what, hostile=True)]
    except (ParseError, ValueError, LookupError) as error:  # the latter two: an unknown or lying encoding
        return None, [Problem(where, "", f"is not well-formed XML: {error}")]
    if root is None or root.tag != "annotation":
        return None, [
            Problem(where, "", f"must be an <annotation>, is {safe_repr(None if root is None else root.tag)}")
        ]
    return root, []


def _read(root: Element, where: str) -> tuple[Annotation | None, list[Problem]]:
    problems: list[Problem] = []
    filename = (root.findtext("filename") or "").strip()
    objects = root.findall("object")
    if len(objects) > MAX_BOXES:  # looking for the space between them takes the cube of their number
        return None, [Problem(where, "object", f"{len(objects)} boxes, at most {MAX_BOXES} are read", hostile=True)]
    if not objects and not filename and root.find("size") is None:
        problems.append(Problem(where, "object", "is missing: no box says where the defect is"))
    sides = [_number(root, f"size/{side}", f"size/{side}", where, problems, "0") for side in ("width", "height")]
    size = None
    if all(sides):
        size = int(sides[0] or 0), int(sides[1] or 0)
        if any(side != int(side) or side < 0 for side in sides if side is not None):
            problems.append(Problem(where, "size", f"must be whole numbers, is {sides[0]:g} x {sides[1]:g}"))
    marked = tuple(_object(item, f"object[{i}]", where, problems) for i, item in enumerate(objects, start=1))
    depth = (root.findtext("size/depth") or "").strip()
    return (None if problems else Annotation(filename, size, depth, marked)), problems


def _object(item: Element, at: str, where: str, problems: list[Problem]) -> Marked:
    name = (item.findtext("name") or "").strip()
    if not class_of(name):
        what = f"unknown class {safe_repr(name)}, known: {', '.join(CLASSES)}"
        problems.append(Problem(where, f"{at}/name", what))
    without = item.find("bndbox") is None
    if without:
        problems.append(Problem(where, f"{at}/bndbox", "is missing: no box says where the defect is"))
    ends = (
        [None] * 4
        if without
        else [
            _number(item, f"bndbox/{axis}{end}", f"{at}/bndbox/{axis}{end}", where, problems)
            for axis in "xy"
            for end in ("min", "max")
        ]
    )
    flags = {flag for flag in ("difficult", "truncated", "occluded") if _flag(item, flag, at, where, problems)}
    pose = (item.findtext("pose") or "").strip()
    if pose.casefold() not in FALSE:
        flags.add("pose")
    if name != class_of(name):
        flags.add("spelling")
    xmin, xmax, ymin, ymax = (math.nan if end is None else end for end in ends)
    return Marked(at, class_of(name), (xmin, xmax, ymin, ymax), frozenset(flags))


def _flag(item: Element, flag: str, at: str, where: str, problems: list[Problem]) -> bool:
    text = (item.findtext(flag) or "").strip().casefold()
    if text not in (*TRUE, *FALSE):
        problems.append(Problem(where, f"{at}/{flag}", f"must be 0 or 1, is {safe_repr(text)}"))
    return text in TRUE


def _number(
    element: Element, path: str, shown_path: str, where: str, problems: list[Problem], missing: str = ""
) -> float | None:
    found = element.findtext(path)
    text = (found or missing).strip()
    several = sorted({(one.text or "").strip() for one in element.iterfind(path)})
    if len(several) > 1:
        problems.append(Problem(where, shown_path, f"has several values: {', '.join(map(safe_repr, several[:3]))}"))
        return None
    if NUMBER.fullmatch(text):
        return float(text)
    problems.append(
        Problem(where, shown_path, "is missing" if found is None else f"must be a number, is {safe_repr(text)}")
    )
    return None
