"""Read-only access to the files of NEU-DET, in a directory or in a zip archive; extracts and writes nothing.

What would do harm if it were read on (a file that unpacks without bounds, a name that leads out of the archive, a link)
makes the whole set untrusted; what is merely wrong is a problem with a file.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

from qtlplat import DataError, Problem, UntrustedError, refused_data, shown

BASES = ("", "NEU-DET/")  # the root is the folder itself or its parent
SPLITS = ("train", "validation")
MAX_FILES = 100_000
MAX_TOTAL = 2**30  # bytes of all files together, unpacked; the real set has 28 million
MAX_IMAGE = 2**23  # bytes of one image file; the real ones have up to 24,000
MAX_XML = 2**17  # bytes of one annotation; the real ones have up to 2,303


class UnreadableError(Exception):
    """A single file that cannot be read; its text says why."""


class _Source(Protocol):
    def sizes(self) -> dict[str, int]: ...

    def read(self, name: str) -> bytes: ...


@dataclass(frozen=True)
class Files:
    """Where images and annotations lie.

    base: '' or 'NEU-DET/'; images: class folder by file name ('' where the layout has none); annotations: file
    names; ignored: number of other files beside them. File names are relative to the root, with '/'.
    """

    root: Path
    base: str
    images: Mapping[str, str]
    annotations: tuple[str, ...]
    ignored: int
    _source: _Source

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises
        ------
        UnreadableError: it is missing, damaged, not a plain file or larger than such a file may be.
        """
        return self._source.read(name)


@contextmanager
def open_files(root: Path) -> Iterator[Files]:
    """List NEU-DET at `root` (a directory or a zip archive, which stays open meanwhile).

    Raises
    ------
    DataError: with `problems`: nothing of a known layout, or two of them, an archive that is damaged or encrypted.
    UntrustedError: what is absurdly large, or leads out of the archive.
    """
    if os.path.isdir(root):  # noqa: PTH112 -- Path's own raises for names that are too long
        yield _listed(root, _Folder(root))
        return
    if not os.path.isfile(root):  # noqa: PTH113
        raise _refused(root, [Problem(str(root), "", "is neither a directory nor a zip archive")])
    try:
        archive = zipfile.ZipFile(root)
    except Exception as error:  # zipfile raises what it stumbles over
        raise _refused(root, [Problem(str(root), "", f"is not a readable zip archive: {error}")]) from error
    with archive:
        yield _listed(root, _Archive(root, archive))


def located(root: Path, sources: Iterable[str]) -> dict[str, str]:
    """Paths of the images that are called so, by their names without extension; `ARCHIVE.zip!NAME` in an archive.

    Raises as `open_files`.
    """
    with open_files(root) as files:
        known = {PurePosixPath(name).stem: name for name in files.images}
        between = "/" if isinstance(files._source, _Folder) else "!"
        return {source: f"{files.root}{between}{known[source]}" for source in sources if source in known}


def _listed(root: Path, source: _Source) -> Files:
    sizes = source.sizes()
    found = [_files(root, base, sorted(name for name in sizes if name.startswith(base)), source) for base in BASES]
    filled = [files for files in found if files.images or files.annotations]
    if filled:
        files = filled[0]
        names = (*files.images, *files.annotations)
        _check_layout(root, [one.base for one in filled], [name.removeprefix(files.base) for name in names])
        _check_sizes(root, {name: sizes[name] for name in names})
        return files
    what = "holds no .jpg and .xml files in IMAGES/ and ANNOTATIONS/ or {train,validation}/{images,annotations}/"
    raise _refused(root, [Problem(str(root), "", what)])


def _files(root: Path, base: str, names: list[str], source: _Source) -> Files:
    images: dict[str, str] = {}
    annotations: list[str] = []
    ignored = 0
    for name in names:
        kind, folder = _place(name.removeprefix(base))
        if kind == "image":
            images[name] = folder
        elif kind == "annotation":
            annotations.append(name)
        elif kind == "other":
            ignored += 1
    return Files(root, base, images, tuple(annotations), ignored, source)


def _check_layout(root: Path, bases: list[str], names: list[str]) -> None:
    """Two layouts at once are two datasets, or one that was unpacked over another: nobody can tell which is meant."""
    problems = []
    if len(bases) > 1:
        problems.append(Problem(str(root), "", f"holds NEU-DET twice: here and in {bases[1]}"))
    divided = sum(name.split("/")[0].lower() in SPLITS for name in names)
    if 0 < divided < len(names):
        rest = f"{len(names) - divided} in IMAGES/ and ANNOTATIONS/, {divided} in {{train,validation}}/"
        problems.append(Problem(str(root), "", f"mixes both layouts: {rest}"))
    if problems:
        raise _refused(root, problems)


def _place(name: str) -> tuple[str, str]:
    """(image | annotation | other | '' for outside the layout, class folder) of a path below the base."""
    *folders, file = name.split("/")
    if folders and folders[0].lower() in SPLITS:
        folders = folders[1:]
    if not folders or folders[0].lower() not in ("images", "annotations"):
        return "", ""
    suffix = Path(file).suffix.lower()
    if file.startswith(".") or len(folders) > 2:
        return "other", ""
    if folders[0].lower() == "images" and suffix in (".jpg", ".jpeg"):
        return "image", folders[1] if len(folders) == 2 else ""
    if folders[0].lower() == "annotations" and suffix == ".xml" and len(folders) == 1:
        return "annotation", ""
    return "other", ""


def _limit(name: str) -> int:
    return MAX_XML if name.lower().endswith(".xml") else MAX_IMAGE


def _check_sizes(root: Path, sizes: Mapping[str, int]) -> None:
    problems = [
        Problem(name, "", f"is too large: {size} bytes, at most {_limit(name)} are read", hostile=True)
        for name, size in sizes.items()
        if size > _limit(name)
    ]
    if sum(sizes.values()) > MAX_TOTAL:
        problems.append(Problem(str(root), "", f"is too large: more than {MAX_TOTAL} bytes in all", hostile=True))
    if problems:
        raise _refused(root, problems)


def _refused(root: Path, problems: list[Problem]) -> DataError | UntrustedError:
    return refused_data(
        "this is not a NEU-DET that can be read",
        problems=problems,
        where=f"dataset neu-det, root {shown(str(root))}",
        fix="point QTLPLAT_NEU_DET or -S dataset.root=PATH at the directory or zip archive that holds NEU-DET",
    )


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        unreadable: list[Problem] = []

        def failed(error: OSError) -> None:
            unreadable.append(Problem(str(error.filename), "", f"cannot be listed: {error.strerror}"))

        for base in (b for b in BASES if os.path.isdir(self._root / b)):  # noqa: PTH112
            # the root may hold much else: only the folders of the layout are walked
            for parent, folders, files in os.walk(self._root / base, onerror=failed):
                if Path(parent) == self._root / base:
                    folders[:] = [f for f in folders if f.lower() in ("images", "annotations", *SPLITS)]
                    continue
                for file in files:
                    path = Path(parent, file)
                    found[path.relative_to(self._root).as_posix()] = _size(path)
                if len(found) > MAX_FILES:
                    raise _refused(self._root, [_too_many(self._root)])
        if unreadable:
            raise _refused(self._root, unreadable)
        return found

    def read(self, name: str) -> bytes:
        path = self._root / name
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise UnreadableError("is not a plain file")
            with path.open("rb") as stream:
                data = stream.read(_limit(name) + 1)
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror}") from error
        if len(data) > _limit(name):
            raise UnreadableError("is too large")
        return data


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # reading it will say what is wrong


def _too_many(root: Path) -> Problem:
    return Problem(str(root), "", f"more than {MAX_FILES} files", hostile=True)


def _faults(member: zipfile.ZipInfo) -> Iterator[tuple[str, bool]]:
    """What is wrong with a member of an archive before it is opened, and whether it is hostile."""
    name = member.orig_filename  # `filename` is cut at a zero byte
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if "\0" in name or ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive:
        yield "leads out of the archive", True
    mode = member.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        yield "is not a plain file but a link or a device", True
    if member.flag_bits & 1:
        yield "is encrypted", False
    elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield f"is compressed in a way that is not read (method {member.compress_type})", False


class _Archive:
    def __init__(self, root: Path, archive: zipfile.ZipFile) -> None:
        self._root, self._archive = root, archive

    def sizes(self) -> dict[str, int]:
        members = [info for info in self._archive.infolist() if not info.is_dir()]
        if len(members) > MAX_FILES:
            raise _refused(self._root, [_too_many(self._root)])
        problems = [Problem(i.filename, "", what, hostile) for i in members for what, hostile in _faults(i)]
        twice = (name for name, count in Counter(i.filename for i in members).items() if count > 1)
        problems += [Problem(name, "", "stands more than once in the archive") for name in twice]
        if problems:
            raise _refused(self._root, problems)
        return {info.filename: info.file_size for info in members}

    def read(self, name: str) -> bytes:
        try:
            with self._archive.open(name) as stream:
                # the size in the archive's directory was checked, and zipfile yields no byte more than that
                return stream.read()
        except Exception as error:  # zipfile and its decompressors raise what they stumble over
            raise UnreadableError(f"cannot be read from the archive: {error}") from error
