"""Writes that could not be sent to a server, in order, on this machine's disk: a file for each owner of a run.

A line is a digest and an operation as strict JSON. It is there for good when `append` returns; a last line that was cut
off by a crash was never told to be there, and is dropped.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtlplat.errors import StoreError
from qtlplat.store.core.files import sync
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.write.operations import Operation

_NAME = re.compile(r"([0-9a-f]{16})\.([1-9]\d{0,8})\.jsonl")
_NUMBER = "$number"  # a float that JSON has no word for is {"$number": "NaN"}


@dataclass(frozen=True)
class Spool:
    """What one owner of a run could not send."""

    path: Path

    @property
    def run(self) -> str:
        """Id of the run."""
        return self.path.name.partition(".")[0]

    @property
    def owner(self) -> int:
        """Number of the run's owner."""
        return int(self.path.name.split(".")[1])

    def append(self, operation: Operation) -> None:
        """Keep an operation. Raises StoreError where the disk does not take it, and then nothing of it is kept."""
        line = to_line(operation)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists()
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                size = os.fstat(file).st_size
                try:
                    if os.write(file, line) != len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(file)
                except OSError:
                    os.ftruncate(file, size)
                    raise
            finally:
                os.close(file)
            if new:
                sync(self.path.parent)
        except OSError as error:
            raise StoreError(
                f"the server is away, and what waits for it cannot be kept: {error.strerror}",
                where=str(self.path),
                fix="free some space, or mend the directory's permissions",
            ) from error

    def read(self) -> tuple[list[Operation], bool]:
        """All operations in order, and whether a last line was cut off. Raises StoreError where one is damaged."""
        try:
            *lines, rest = self.path.read_bytes().split(b"\n")
        except OSError as error:
            what = f"what waits to be sent cannot be read: {error.strerror}"
            raise StoreError(
                what, where=str(self.path), fix="mend its permissions, then: qtlplat store sync"
            ) from error
        found, torn = [], bool(rest)
        for number, line in enumerate(lines, start=1):
            operation = from_line(line)
            if operation is None:
                if number == len(lines) and not rest:
                    torn = True
                    break
                what = "a write that waits to be sent is damaged"
                raise StoreError(what, where=f"{self.path}:{number}", fix="restore the file from a copy")
            found.append(operation)
        return found, torn

    def remove(self) -> None:
        """Delete it, once everything has been sent."""
        self.path.unlink(missing_ok=True)


def spool_of(location: StoreLocation, run_id: str, owner: int) -> Spool:
    """That of an owner, whether there is one or not."""
    return Spool(location.spool / f"{run_id}.{owner}.jsonl")


def spools(location: StoreLocation) -> list[Spool]:
    """Those that are there, by run and owner."""
    try:
        names = sorted(path for path in location.spool.iterdir() if _NAME.fullmatch(path.name))
    except OSError:
        return []
    return sorted(map(Spool, names), key=lambda one: (one.run, one.owner))


def to_line(operation: Operation) -> bytes:
    """An operation as a line. Raises StoreError for what JSON has no form for."""
    try:
        text = json.dumps(_strict(vars(operation)), allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError) as error:
        raise StoreError(f"a value cannot be stored: {error}", where=f"run {operation.run}") from error
    return b" ".join((_digest(text), text)) + b"\n"


def from_line(line: bytes) -> Operation | None:
    """The operation that a line holds, None where it is damaged."""
    digest, _, text = line.partition(b" ")
    if digest != _digest(text):
        return None
    return Operation(**json.loads(text, object_hook=_lenient))


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


def _strict(value: Any) -> Any:
    """A value of JSON that says the same, each float with all its digits."""
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, Mapping):
        if _NUMBER in value:
            raise ValueError(f"a name {_NUMBER!r}")
        return {str(name): _strict(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(inner) for inner in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_NUMBER: repr(float(value))}
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _lenient(value: dict[str, Any]) -> Any:
    return float(value[_NUMBER]) if _NUMBER in value else value
