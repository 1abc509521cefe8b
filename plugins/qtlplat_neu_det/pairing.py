"""Which annotation belongs to which image, from their names alone wherever images and annotations lie."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

from qtlplat import Problem, safe_repr
from qtlplat_neu_det.annotation import named_image
from qtlplat_neu_det.files import Files, UnreadableError, refused
from qtlplat_neu_det.naming import (
    ROLES,
    canonical,
    class_in_stem,
    class_of,
    class_of_folder,
    full_name,
    in_masks,
    masked_by,
    source_of,
)
from qtlplat_neu_det.summary import EXPECTED, counted_files, nested_archives


@dataclass(frozen=True)
class Entry:
    """An image and its annotation.

    id: unique, the file name without extension where that is unique; source: of which picture it was made, where
    several images share one; label: the class that its name or folder says, '' if only the boxes can.
    """

    id: str
    source: str
    label: str
    image: str
    annotation: str


@dataclass
class Pairing:
    """Entries by image name, and what did not fit.

    problems: with the class of their file, '' if unknown; strays: images of no class, in folders without annotated
    images; masks: images that mark the pixels of others; ignored: number of other files that were not used.
    """

    entries: list[Entry] = field(default_factory=list)
    problems: list[tuple[str, Problem]] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    ignored: int = 0

    def of(self, classes: Iterable[str]) -> list[Problem]:
        """Problems of files of these classes and of no known class."""
        wanted = {"", *classes}
        return [problem for label, problem in self.problems if label in wanted]

    def passed_over(self) -> dict[str, str]:
        """Images that were passed over, as notes by title."""
        titled = {"images ignored, without annotation and class": self.strays, "masks ignored": self.masks}
        return {title: counted_files("image", names) for title, names in titled.items() if names}


def pair(files: Files) -> Pairing:
    """Pair all images and annotations below the root.

    Raises:
        DataError: there are none of either, or none fits another; with what was found and what was expected.
    """
    images, annotations = files.images, files.annotations
    result = Pairing(ignored=files.ignored + len(files.others))
    if not images or not annotations:
        raise refused(files.root, [Problem(str(files.root), "", _nothing(files))])
    partner = _partners(files)
    taken = set(partner.values())
    left = [name for name in annotations if name not in taken]
    if not partner:
        what = f"{_no_partner(images, annotations)}: found {counted_files('image', images)}"
        what += f", and {counted_files('annotation', annotations)}; {EXPECTED}"
        raise refused(files.root, [Problem(str(files.root), "", what)])
    ids, contents = _ids(partner), _Contents(files)
    result.entries = [_entry(name, partner, ids) for name in sorted(partner)]
    _check_copies(contents, result)
    _check_images(contents, partner, left, result)
    _check_annotations(contents, partner, left, result)
    for entry in result.entries:
        folder = class_of_folder(entry.image)
        if folder and folder != entry.label:
            what = f"{safe_repr(PurePosixPath(entry.image).parent.name)} contradicts the file name's class"
            result.problems.append((entry.label, Problem(entry.image, "folder", what)))
        if not entry.image.isascii() and entry.image != entry.image.encode(errors="ignore").decode():
            result.problems.append((entry.label, Problem(entry.image, "file name", "must be UTF-8")))
    return result


def _nothing(files: Files) -> str:
    found = ", ".join(
        counted_files(kind, names)
        for kind, names in (("image", files.images), ("annotation", files.annotations), ("other file", files.others))
    )
    hidden = f"; {files.ignored} hidden or left by systems are ignored" if files.ignored else ""
    return f"found {found}{hidden}; {EXPECTED}{nested_archives(files.others)}"


def _no_partner(images: Sequence[str], annotations: Sequence[str]) -> str:
    known = _by_full_name(images)
    for annotation in annotations:
        if fit := known.get(full_name(annotation)):
            some = ", ".join(map(safe_repr, fit[:2]))
            return f"{safe_repr(annotation)} may belong to any of {len(fit)} images, as {some}"
    return "no image fits an annotation"


def _partners(files: Files) -> dict[str, str]:
    """Annotation by image, from the surest kind of name to the least."""
    partner: dict[str, str] = {}
    images, annotations = list(files.images), list(files.annotations)

    def match(image_key: Callable[[str], str], annotation_key: Callable[[str], str]) -> None:
        nonlocal images, annotations
        groups: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
        for side, names, key_of in ((0, images, image_key), (1, annotations, annotation_key)):
            for name in names:
                groups[key_of(name)][side].append(name)
        for key, (some, others) in groups.items():
            if key and some and others:
                partner.update(_in_place(some, others))
        taken = set(partner.values())
        images = [name for name in images if name not in partner]
        annotations = [name for name in annotations if name not in taken]

    match(_stem, _stem)
    match(full_name, full_name)
    match(lambda name: canonical(_stem(name)), lambda name: canonical(_stem(name)))
    if images and annotations:
        claims = {name: _claim(files, name) for name in annotations}
        match(_file_name, lambda name: _file_name(claims[name]))
        match(full_name, lambda name: full_name(claims[name]))
        match(lambda name: canonical(source_of(_stem(name))), lambda name: canonical(_stem(claims[name])))
    return partner


def _in_place(images: Sequence[str], annotations: Sequence[str]) -> dict[str, str]:
    """Pairs among files of one name: those at the same place, first with and then without folders of classes.

    A single image and a single annotation that are left belong together unless their classes differ.
    """
    found: dict[str, str] = {}
    some, others = list(images), list(annotations)
    for with_classes in (True, False):
        places: dict[tuple[str, ...], tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
        for side, names in ((0, some), (1, others)):
            for name in names:
                places[_place(name, with_classes)][side].append(name)
        found |= {here[0]: there[0] for here, there in places.values() if len(here) == len(there) == 1}
        taken = set(found.values())
        some = [name for name in some if name not in found]
        others = [name for name in others if name not in taken]
    if len(some) == len(others) == 1 and len({_label(some[0]), _label(others[0])} - {""}) < 2:
        found[some[0]] = others[0]
    return found


def _place(name: str, with_classes: bool) -> tuple[str, ...]:
    """The folders of a file, without those that only say what lies in them."""
    parts = ROLES - {"train", "training", "val", "valid", "validation", "test", "testing"}
    folders = PurePosixPath(name).parts[:-1]
    return tuple(canonical(f) for f in folders if canonical(f) not in parts and (with_classes or not class_of(f)))


def _claim(files: Files, annotation: str) -> str:
    """The image that an annotation names, as a path with '/'; '' where it names none."""
    try:
        name = named_image(files.read(annotation))
    except UnreadableError:
        return ""
    return PureWindowsPath(name).as_posix()


def _file_name(name: str) -> str:
    return PurePosixPath(name).name.casefold()


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _label(name: str) -> str:
    return class_in_stem(_stem(name)) or class_of_folder(name)


def _ids(names: Iterable[str]) -> dict[str, str]:
    """A unique id for each image: the shortest that no other has."""
    names = list(names)
    stems, full = Counter(map(_stem, names)), Counter(map(full_name, names))
    return {
        name: _stem(name)
        if stems[_stem(name)] == 1 and full[full_name(name)] == 1
        else full_name(name)
        if full[full_name(name)] == 1
        else name
        for name in names
    }


def _entry(image: str, partner: Mapping[str, str], ids: Mapping[str, str]) -> Entry:
    return Entry(ids[image], source_of(ids[image]), _label(image), image, partner[image])


class _Contents:
    """What files hold, read once and compared by digest."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._known: dict[str, str] = {}

    def of(self, name: str) -> str:
        """A digest; of a file that cannot be read, one of its own."""
        if name not in self._known:
            try:
                self._known[name] = hashlib.sha256(self.files.read(name)).hexdigest()
            except UnreadableError:
                self._known[name] = f"unreadable {name}"
        return self._known[name]


def _by_full_name(names: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[full_name(name)].append(name)
    return groups


def _check_copies(contents: _Contents, result: Pairing) -> None:
    """Images with one name and the same bytes are ambiguous: parts of a split overlap."""
    for names in _by_full_name(entry.image for entry in result.entries).values():
        first: dict[str, str] = {}
        for name in names if len(names) > 1 else ():
            twin = first.setdefault(contents.of(name), name)
            if twin != name:
                result.problems.append((_label(name), Problem(name, "", f"duplicate of {twin}")))


def _check_images(contents: _Contents, partner: Mapping[str, str], left: Sequence[str], result: Pairing) -> None:
    """Images without annotation; masks, and those of no class in folders without annotated images, are passed over."""
    annotated = {PurePosixPath(name).parent for name in partner}
    bare = {str(PurePosixPath(name).with_suffix("")) for name in partner}
    known, free = _by_full_name(partner), _by_full_name(left)
    for name in (name for name in contents.files.images if name not in partner):
        label, others, candidates = _label(name), known.get(full_name(name), []), free.get(full_name(name), [])
        twins = {contents.of(other): other for other in others}
        if (in_masks(name) and PurePosixPath(name).parent not in annotated) or masked_by(name) in bare:
            result.masks.append(name)
            continue
        if others and contents.of(name) in twins:
            result.problems.append((label, Problem(name, "", f"duplicate of {twins[contents.of(name)]}")))
        elif candidates:
            what = f"may be any of {len(candidates)}: {', '.join(map(safe_repr, candidates[:3]))}"
            result.problems.append((label, Problem(name, "annotation", what)))
        elif label or PurePosixPath(name).parent in annotated:
            why = (
                f"{safe_repr(partner[others[0]])} belongs to {safe_repr(others[0])}"
                if others
                else f"no {_stem(name)}.xml"
            )
            result.problems.append((label, Problem(name, "annotation", f"is missing: {why}")))
        else:
            result.strays.append(name)


def _check_annotations(contents: _Contents, partner: Mapping[str, str], left: Sequence[str], result: Pairing) -> None:
    """Annotations without image; copies of one that has its image, and XML of other kinds, are passed over."""
    known, images = _by_full_name(partner.values()), _by_full_name(contents.files.images)
    for name in left:
        twins = known.get(full_name(name), [])
        if any(contents.of(twin) == contents.of(name) for twin in twins) or not _is_annotation(contents.files, name):
            result.ignored += 1
        elif twins:
            result.problems.append((_label(name), Problem(name, "", f"duplicate name, also of {twins[0]}")))
        elif full_name(name) in images:
            fit = images[full_name(name)]
            what = f"may be any of {len(fit)}: {', '.join(map(safe_repr, fit[:3]))}"
            result.problems.append((_label(name), Problem(name, "image", what)))
        else:
            result.problems.append((_label(name), Problem(name, "image", f"is missing: no {_stem(name)}.jpg")))


def _is_annotation(files: Files, name: str) -> bool:
    """Whether it may be an annotation of this set: it is called after a class, or says so, or cannot be read."""
    try:
        return bool(class_in_stem(_stem(name))) or b"<annotation" in files.read(name)
    except UnreadableError:
        return True
