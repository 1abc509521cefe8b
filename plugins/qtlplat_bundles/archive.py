"""Zip archives of known members: written with the same bytes for the same files, read as if they were hostile."""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from stat import S_IFMT, S_IFREG
from typing import TYPE_CHECKING, BinaryIO

from qtlplat.errors import DataError, Problem, QtlplatError, UntrustedError, describe_exception, refused_data, safe_repr
from qtlplat_bundles.manifest import MANIFEST, MOST_LETTERS, NEEDED, is_known

if TYPE_CHECKING:
    from qtlplat_bundles.manifest import Member

MAX_MEMBERS = 100_000
MAX_DIRECTORY = 2**25  # bytes of the list of members
MAX_MANIFEST = 2**25
MAX_TOTAL = 2**36  # bytes of all members, unpacked
MAX_RATIO = 100  # unpacked to packed, of what is not small; a writer stores what would shrink more
SMALL = 2**20  # bytes that do no harm, from however few they come
_START = (1980, 1, 1, 0, 0, 0)  # the first time that a zip archive can name
_END, _END_BYTES, _MOST_COMMENT = b"PK\x05\x06", 22, 2**16
_CHUNK = 1 << 20


def write(archive: Path, members: Mapping[str, Path]) -> None:
    """Write files under the names of members; order, times and permissions follow from the names alone."""
    with zipfile.ZipFile(archive, "w") as out:
        for name in sorted(members):
            source = members[name]
            info = zipfile.ZipInfo(name, _START)
            info.create_system, info.external_attr = 3, (S_IFREG | 0o644) << 16
            info.file_size = source.stat().st_size
            info.compress_type = _method(source)
            with source.open("rb") as read, out.open(info, "w") as written:
                while chunk := read.read(_CHUNK):
                    written.write(chunk)


def _method(source: Path) -> int:
    """Deflated where that is worth it, and not so much that a reader would take it for a bomb."""
    packer, packed, size = zlib.compressobj(), 0, source.stat().st_size
    with source.open("rb") as read:
        while chunk := read.read(_CHUNK):
            packed += len(packer.compress(chunk))
    packed += len(packer.flush())
    return zipfile.ZIP_DEFLATED if packed < size < packed * MAX_RATIO // 2 else zipfile.ZIP_STORED


def refused(path: Path, problems: list[Problem]) -> DataError | UntrustedError:
    """The error for an archive with these problems."""
    return refused_data(
        "this is no bundle that can be imported, and nothing of it was",
        problems=problems,
        where=safe_repr(str(path), 200),
        fix="ask for a new one: qtlplat export RUN -o bundle.zip",
    )


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive of which all members have known names and sizes within bounds; nothing is unpacked yet.

    Raises:
        DataError: if it is no archive, or a damaged one; `problems` holds every finding.
        UntrustedError: if a member would lead out of the archive, is a link, stands there twice, is none of a bundle's,
            or unpacks without bounds.
    """
    with ExitStack() as stack:
        with _stumbles(path):
            file = stack.enter_context(path.open("rb"))
            _check_end(path, file)
            archive = stack.enter_context(zipfile.ZipFile(file))
            _check_members(path, archive, path.stat().st_size)
        yield archive


@contextmanager
def _stumbles(path: Path) -> Iterator[None]:
    """What zipfile and zlib raise is the archive's fault: they raise whatever they stumble over."""
    try:
        yield
    except QtlplatError:
        raise
    except OSError as error:
        raise refused(
            path, [Problem("", "", f"cannot be read: {error.strerror or describe_exception(error)}")]
        ) from error
    except Exception as error:
        raise refused(path, [Problem("", "", f"is damaged, or not whole: {describe_exception(error)}")]) from error


def _check_end(path: Path, file: BinaryIO) -> None:
    """Look at how large the list of members is before it is read into memory."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _MOST_COMMENT))
    end = file.read()
    place = end.rfind(_END)
    file.seek(0)
    if file.read(4) != b"PK\x03\x04" or place < 0 or len(end) - place < _END_BYTES:
        raise refused(path, [Problem("", "", "is no zip archive, or not whole")])
    (directory,) = struct.unpack("<L", end[place + 12 : place + 16])
    if directory > MAX_DIRECTORY:
        raise refused(path, [Problem("", "", f"lists its members in {directory} bytes", hostile=True)])
    file.seek(0)


def _check_members(path: Path, archive: zipfile.ZipFile, size: int) -> None:
    members = archive.infolist()
    problems = [Problem(_cut(m.orig_filename), "", what, hostile=True) for m in members for what in _faults(m)]
    folded = Counter(member.orig_filename.casefold() for member in members)
    twice = [name for name, number in folded.items() if number > 1]
    problems += [Problem(_cut(name), "", "stands there more than once", hostile=True) for name in twice]
    known = [member.orig_filename for member in members if is_known(member.orig_filename)]
    folders = {str(parent) for name in known for parent in PurePosixPath(name.casefold()).parents}
    problems += [Problem(n, "", "is a file and a folder", hostile=True) for n in sorted(folders & set(folded))]
    if len(members) > MAX_MEMBERS:
        problems.append(Problem("", "", f"has {len(members)} members, at most {MAX_MEMBERS} are read", hostile=True))
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL:
        problems.append(Problem("", "", f"unpacks to {total} bytes, at most {MAX_TOTAL} are read", hostile=True))
    if sum(member.compress_size for member in members) > size:
        problems.append(Problem("", "", "has members that lie over each other", hostile=True))
    names = {member.orig_filename for member in members}
    if not problems:
        problems = [Problem(name, "", "is missing") for name in NEEDED if name not in names]
    if problems:
        raise refused(path, problems)


def _cut(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def _faults(member: zipfile.ZipInfo) -> Iterator[str]:
    """What is wrong with a member before it is opened; `filename` would be cut at a zero byte."""
    if not is_known(member.orig_filename):
        yield "is no file of a bundle"
    if S_IFMT(member.external_attr >> 16) not in (0, S_IFREG):
        yield "is not a plain file but a link or a device"
    if member.flag_bits & 1:
        yield "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield f"is compressed in a way that no bundle is (method {member.compress_type})"
    if member.file_size > max(SMALL, MAX_RATIO * member.compress_size):
        yield f"unpacks to {member.file_size} bytes from {member.compress_size}"


def manifest_bytes(path: Path, archive: zipfile.ZipFile) -> bytes:
    """The manifest as it stands there, at most `MAX_MANIFEST` bytes of it. Raises DataError if it is damaged."""
    with _stumbles(path), archive.open(MANIFEST) as file:
        return file.read(MAX_MANIFEST)


def unpack(path: Path, archive: zipfile.ZipFile, listed: Mapping[str, Member], folder: Path) -> None:
    """Write the members that the manifest lists below a folder, comparing size and sha256 on the way.

    Raises DataError if one is not what is listed, UntrustedError if there are others.
    """
    there = {member.filename for member in archive.infolist()} - {MANIFEST}
    problems = [Problem(name, "", "is not in the manifest", hostile=True) for name in sorted(there - set(listed))]
    problems += [Problem(name, "", "is missing") for name in sorted(set(listed) - there)]
    if problems:
        raise refused(path, problems)
    for name, member in listed.items():
        if not _unpacked(path, archive, name, member, folder / name):
            problems.append(Problem(name, "", "is not what the manifest lists (size or sha256)"))
    if problems:
        raise refused(path, problems)


def _unpacked(path: Path, archive: zipfile.ZipFile, name: str, member: Member, target: Path) -> bool:
    """Write one member; whether it is what was listed. OSError of the disk that it is written to is left alone."""
    found, size = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _stumbles(path):
            read = stack.enter_context(archive.open(name))
        written = stack.enter_context(target.open("xb"))
        while True:
            with _stumbles(path):
                chunk = read.read(_CHUNK)
            size += len(chunk)
            if not chunk or size > member.bytes:
                break
            found.update(chunk)
            written.write(chunk)
    return size == member.bytes and found.hexdigest() == member.sha256
