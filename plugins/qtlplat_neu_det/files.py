"""Read-only access to the files of NEU-DET, in a directory or in a zip archive; extracts and writes nothing.

What would do harm if it were read on (a file that unpacks without bounds, a name that leads out of the archive, a link)
makes the whole set untrusted; what is merely wrong is a problem with a file.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

from qtlplat import DataError, Problem, UntrustedError, refused_data, safe_repr

IMAGES = frozenset(".jpg .jpeg .jpe .jfif .png .bmp .dib .tif .tiff .webp .gif".split())
ANNOTATIONS = frozenset([".xml"])
# what systems and programs leave behind
JUNK_FOLDERS = frozenset(["__macosx", "$recycle.bin"])
JUNK_FILES = frozenset(["thumbs.db", "desktop.ini"])
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
    """What lies anywhere below the root.

    names: of all files, relative to the root, with '/', sorted; ignored: number of further files that systems and
    programs leave behind. before: what stands before a name to say where a file lies.
    """

    root: Path
    names: tuple[str, ...]
    ignored: int
    before: str
    _source: _Source

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Names of image files."""
        return tuple(name for name in self.names if _suffix(name) in IMAGES)

    @cached_property
    def annotations(self) -> tuple[str, ...]:
        """Names of XML files."""
        return tuple(name for name in self.names if _suffix(name) in ANNOTATIONS)

    @cached_property
    def others(self) -> tuple[str, ...]:
        """Names of all other files."""
        return tuple(name for name in self.names if _suffix(name) not in IMAGES | ANNOTATIONS)

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            UnreadableError: it is missing, damaged, not a plain file or larger than such a file may be.
        """
        return self._source.read(name)


@contextmanager
def open_files(root: Path) -> Iterator[Files]:
    """List the files at `root` (a directory or a zip archive, which stays open meanwhile).

    Raises:
        DataError: with `problems`: an archive that is damaged or encrypted, a directory that cannot be listed.
        UntrustedError: what is absurdly large, or leads out of the archive.
    """
    if os.path.isdir(root):  # noqa: PTH112 -- Path's own raises for names that are too long
        yield _listed(root, _Folder(root), f"{root}/")
        return
    if not os.path.isfile(root):  # noqa: PTH113
        raise refused(root, [Problem(str(root), "", "is neither a directory nor a zip archive")])
    try:
        archive = zipfile.ZipFile(root)
    except Exception as error:  # zipfile raises what it stumbles over
        raise refused(root, [Problem(str(root), "", f"is not a readable zip archive: {error}")]) from error
    with archive:
        yield _listed(root, _Archive(root, archive), f"{root}!")


def _listed(root: Path, source: _Source, before: str) -> Files:
    sizes = source.sizes()
    names = [name for name in sorted(sizes) if not _is_junk(name)]
    files = Files(root, tuple(names), len(sizes) - len(names), before, source)
    _check_sizes(root, {name: sizes[name] for name in (*files.images, *files.annotations)})
    return files


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_junk(name: str) -> bool:
    *folders, file = name.split("/")
    return file.startswith(".") or file.lower() in JUNK_FILES or any(map(_is_junk_folder, folders))


def _is_junk_folder(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK_FOLDERS


def _limit(name: str) -> int:
    return MAX_XML if _suffix(name) in ANNOTATIONS else MAX_IMAGE


def _check_sizes(root: Path, sizes: Mapping[str, int]) -> None:
    problems = [
        Problem(name, "", f"is too large: {size} bytes, at most {_limit(name)} are read", hostile=True)
        for name, size in sizes.items()
        if size > _limit(name)
    ]
    if sum(sizes.values()) > MAX_TOTAL:
        problems.append(Problem(str(root), "", f"is too large: more than {MAX_TOTAL} bytes in all", hostile=True))
    if problems:
        raise refused(root, problems)


def refused(root: Path, problems: list[Problem]) -> DataError | UntrustedError:
    """The error for a root that cannot be read as a whole."""
    return refused_data(
        "no readable NEU-DET was found",
        problems=problems,
        where=f"dataset neu-det, root {safe_repr(str(root))}",
        fix="point QTLPLAT_NEU_DET or -S dataset.root=PATH at the directory or zip archive that holds NEU-DET",
    )


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        unreadable: list[Problem] = []
        seen: set[tuple[int, int]] = set()  # folders, so that links in a circle end
        _is_new(self._root, seen)

        def failed(error: OSError) -> None:
            unreadable.append(Problem(str(error.filename), "", f"cannot be listed: {error.strerror}"))

        for parent, folders, files in os.walk(self._root, onerror=failed, followlinks=True):
            folders[:] = [f for f in sorted(folders) if not _is_junk_folder(f) and _is_new(Path(parent, f), seen)]
            for file in files:
                path = Path(parent, file)
                found[path.relative_to(self._root).as_posix()] = _size(path)
            if len(found) > MAX_FILES:
                raise refused(self._root, [_too_many(self._root)])
        if unreadable:
            raise refused(self._root, unreadable)
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


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    try:
        found = folder.stat()
    except OSError:
        return True  # listing it will say what is wrong
    identity = found.st_dev, found.st_ino
    new = identity not in seen
    seen.add(identity)
    return new


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
    path = PurePosixPath(name.replace("\\", "/"))
    if "\0" in name or ".." in path.parts or path.is_absolute() or PureWindowsPath(name).drive:
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
        self._members: dict[str, zipfile.ZipInfo] = {}

    def sizes(self) -> dict[str, int]:
        # some Windows programs separate folders by backslashes
        named = [(info.filename.replace("\\", "/"), info) for info in self._archive.infolist()]
        # some begin every name with "./"
        members = [(str(PurePosixPath(name)), info) for name, info in named if not name.endswith("/")]
        if len(members) > MAX_FILES:
            raise refused(self._root, [_too_many(self._root)])
        problems = [Problem(name, "", what, hostile) for name, info in members for what, hostile in _faults(info)]
        twice = (name for name, count in Counter(name for name, _ in members).items() if count > 1)
        problems += [Problem(name, "", "is a duplicate name in the archive") for name in twice]
        if problems:
            raise refused(self._root, problems)
        self._members = dict(members)
        return {name: info.file_size for name, info in members}

    def read(self, name: str) -> bytes:
        try:
            with self._archive.open(self._members[name]) as stream:
                # the size in the archive's directory was checked, and zipfile yields no byte more than that
                return stream.read()
        except Exception as error:  # zipfile and its decompressors raise what they stumble over
            raise UnreadableError(f"cannot be read from the archive: {error}") from error
