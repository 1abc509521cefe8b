"""Checkpoints: the state of training after an epoch, on disk, to resume from bit for bit.

Each is a file of tensors and a manifest with its sha256, written in this order; two are kept. A checkpoint is written
while the next epoch trains, and finished before the one after that: at most one epoch of work is not on disk.
Checkpoints are not trusted: incomplete ones, those of other runs, and anything but plain files are not used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qtlplat.catalog.plan import canonical_json
from qtlplat.errors import StoreError, UntrustedError, safe_repr
from qtlplat.state.snapshots import Snapshot, UnfitError
from qtlplat.state.weights import decode, encode
from qtlplat.store.core.files import write_atomically

FORMAT = 2
KEPT = 2
MANIFEST_BYTES = 16_000_000  # a manifest holds a few numbers per cell
_NAME = re.compile(r"[0-9]{6,9}\.json")  # as `_manifest` names them


class Checkpoints:
    """The checkpoints of one run, whose owner this process is; to be used as a context manager.

    Leaving it waits for what is still being written. `save` and leaving raise StoreError where that cannot be done.
    directory: of the run's checkpoints, called by its id. Raises UntrustedError if it is a link to somewhere else.
    """

    def __init__(self, directory: Path, on_note: Callable[[str], None]) -> None:
        if directory.is_symlink():
            raise UntrustedError(
                "the checkpoints of a run are a link to somewhere else",
                where=str(directory),
                fix=f"remove the link, and the run trains again what it had trained: rm {safe_repr(str(directory))}",
            )
        self._directory, self._on_note = directory, on_note
        if directory.exists() and not directory.is_dir():
            on_note(f"{directory} is a file in the place of the run's checkpoints: it is not used, and goes")
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[None] | None = None
        self._number = max(self._numbers(), default=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._wait()
        except StoreError:
            if error is None:  # otherwise what stopped the training is what the user has to know
                raise
        finally:
            self._pool.shutdown()

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint in the background; waits for the one before it."""
        self._wait()
        self._number += 1
        self._pending = self._pool.submit(self._write, self._number, snapshot)

    def take_up(self, restore: Callable[[Snapshot], object]) -> Snapshot | None:
        """Restore the newest checkpoint that is whole and fits; reports which ones are not used, and why.

        restore: raises UnfitError, and changes nothing, if training cannot resume from what it is given.
        Returns what was restored, None if training begins from the start.
        """
        for number, snapshot in self._whole():
            try:
                restore(snapshot)
            except UnfitError as error:
                self._on_note(f"checkpoint {self._manifest(number)} is not of this training and not used: {error}")
            else:
                self._number = number
                return snapshot
        self._number = 0
        return None

    def _whole(self) -> Iterator[tuple[int, Snapshot]]:
        for number in sorted(self._numbers(), reverse=True):
            try:
                snapshot = self._read(number)
            except Exception as error:  # noqa: BLE001 -- a file that somebody made may be wrong in any way
                text = (str(error).strip() or type(error).__name__).splitlines()[0]
                self._on_note(
                    f"checkpoint {self._manifest(number)} is damaged and not used: {safe_repr(text, 160)[1:-1]}"
                )
                continue
            yield number, snapshot

    def remove(self) -> None:
        """Delete all of them: the run has ended."""
        self._wait()
        self._remove_file()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _remove_file(self) -> None:
        if os.path.lexists(self._directory) and not self._directory.is_dir():
            self._directory.unlink(missing_ok=True)

    def _wait(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _write(self, number: int, snapshot: Snapshot) -> None:
        data = encode(snapshot.tensors, {})
        content = {
            "format": FORMAT,
            "run": self._directory.name,
            "facts": snapshot.facts,
            "bytes": len(data),
            "tensors": hashlib.sha256(data).hexdigest(),
        }
        self._remove_file()
        for path, written in ((self._tensors(number), data), (self._manifest(number), _sealed(content))):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            write_atomically(path, written)
        for old in self._numbers():
            if not number - KEPT < old <= number:
                self._manifest(old).unlink(missing_ok=True)
                self._tensors(old).unlink(missing_ok=True)

    def _read(self, number: int) -> Snapshot:
        raw = _plain_bytes(self._manifest(number), MANIFEST_BYTES)
        content = json.loads(raw)
        seal = content.pop("sha256")
        if raw != _sealed(content) or content["format"] != FORMAT:
            raise ValueError(f"the manifest is not what was written, sha256 {str(seal)[:16]}")
        if content["run"] != self._directory.name:
            raise ValueError(f"it is one of run {str(content['run'])[:16]}")
        data = _plain_bytes(self._tensors(number), content["bytes"])
        if hashlib.sha256(data).hexdigest() != content["tensors"]:
            raise ValueError(f"the tensors do not have the manifest's sha256, {content['tensors'][:16]}")
        return Snapshot(decode(data), dict(content["facts"]))

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self._directory.glob("*.json") if _NAME.fullmatch(path.name)]

    def _manifest(self, number: int) -> Path:
        return self._directory / f"{number:06d}.json"

    def _tensors(self, number: int) -> Path:
        return self._directory / f"{number:06d}.safetensors"


def _plain_bytes(path: Path, most: int) -> bytes:
    """What a plain file of at most so many bytes holds. Raises OSError and ValueError."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would keep us waiting for ever
    with open(file, "rb") as opened:  # noqa: PTH123 -- of a descriptor
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no plain file")
        if found.st_size > most:
            raise ValueError(f"it has {found.st_size} bytes, {most} at most were expected")
        return opened.read()


def _sealed(content: Mapping[str, Any]) -> bytes:
    """A manifest with the sha256 of itself; equal contents give equal bytes."""
    seal = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    return canonical_json({**content, "sha256": seal}).encode()
