"""Checkpoints: training as it was after an epoch, on disk, so that it goes on from there bit for bit.

Each is a file of tensors and a manifest with its sha256, written in this order; two are kept. Writing goes on beside
the training of the next epoch, and is waited for before the one after that: at most one epoch of work is not on disk.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from qtlplat.catalog.plan import canonical_json
from qtlplat.errors import StoreError
from qtlplat.store.files import write_atomically
from qtlplat.training.weights import encode

FORMAT = 1
KEPT = 2


@dataclass(frozen=True)
class Snapshot:
    """What training needs to go on. tensors: by name, on the CPU and nobody else's; facts: JSON-able."""

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors below ``name.``, without that."""
        return {key[len(name) + 1 :]: t for key, t in self.tensors.items() if key.startswith(f"{name}.")}


Take = Callable[[], Snapshot]  # takes a snapshot of training as it is now


def below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors on the CPU, as ``name.KEY``."""
    return {f"{name}.{key}": tensor.detach().to("cpu", copy=True) for key, tensor in tensors.items()}


class Checkpoints:
    """The checkpoints of one run, whose owner this process is; to be used as a context manager.

    Leaving it waits for what is still being written. `save` and leaving raise StoreError where that cannot be done.
    """

    def __init__(self, directory: Path, on_note: Callable[[str], None]) -> None:
        self._directory, self._on_note = directory, on_note
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
        """Write a checkpoint, beside whatever is done next; waits for the one before it."""
        self._wait()
        self._number += 1
        self._pending = self._pool.submit(self._write, self._number, snapshot)

    def load(self) -> Snapshot | None:
        """The newest whole checkpoint, None where there is none; says which ones are damaged."""
        for number in sorted(self._numbers(), reverse=True):
            try:
                snapshot = self._read(number)
            except (OSError, ValueError, KeyError, TypeError) as error:
                text = (str(error).strip() or "no message").splitlines()[0][:160]
                self._on_note(f"checkpoint {self._manifest(number)} is damaged and not used: {text}")
                continue
            self._number = number
            return snapshot
        self._number = 0
        return None

    def remove(self) -> None:
        """Delete all of them: the run has ended."""
        self._wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _wait(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _write(self, number: int, snapshot: Snapshot) -> None:
        data = encode(snapshot.tensors, {})
        write_atomically(self._tensors(number), data)
        content = {
            "format": FORMAT,
            "facts": snapshot.facts,
            "bytes": len(data),
            "tensors": hashlib.sha256(data).hexdigest(),
        }
        write_atomically(self._manifest(number), _sealed(content))
        for old in self._numbers():
            if not number - KEPT < old <= number:
                self._manifest(old).unlink(missing_ok=True)
                self._tensors(old).unlink(missing_ok=True)

    def _read(self, number: int) -> Snapshot:
        from safetensors import SafetensorError
        from safetensors.torch import load

        raw = self._manifest(number).read_bytes()
        content = json.loads(raw)
        seal = content.pop("sha256")
        if raw != _sealed(content) or content["format"] != FORMAT:
            raise ValueError(f"the manifest is not what was written, sha256 {str(seal)[:16]}")
        data = self._tensors(number).read_bytes()
        if hashlib.sha256(data).hexdigest() != content["tensors"]:
            raise ValueError(f"the tensors do not have the manifest's sha256, {content['tensors'][:16]}")
        try:
            return Snapshot(load(data), content["facts"])
        except SafetensorError as error:
            raise ValueError(str(error)) from error

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self._directory.glob("*.json") if path.stem.isdecimal()]

    def _manifest(self, number: int) -> Path:
        return self._directory / f"{number:06d}.json"

    def _tensors(self, number: int) -> Path:
        return self._directory / f"{number:06d}.safetensors"


def _sealed(content: Mapping[str, Any]) -> bytes:
    """A manifest with the sha256 of itself; equal contents give equal bytes."""
    seal = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    return canonical_json({**content, "sha256": seal}).encode()
