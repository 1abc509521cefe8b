"""Weights on disk: safetensors, named by content, written so that a crash leaves the old state or the new one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from qtlplat.errors import StoreError, shown

METADATA_KEY = "qtlplat"  # one key only, or the file's bytes would vary from save to save


def encode(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """A safetensors file with `facts` (JSON-able) in its header; equal contents give equal bytes."""
    from safetensors.torch import save

    plain = {name: t.detach().cpu().contiguous() for name, t in sorted(tensors.items())}
    data: bytes = save(plain, metadata={METADATA_KEY: json.dumps(facts, sort_keys=True, allow_nan=False)})
    return data


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename, fsync of the directory.

    Raises StoreError naming the file where the disk is full, read-only or broken.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        fix = "free some space" if error.errno == errno.ENOSPC else "check the disk and the directory's permissions"
        raise StoreError(f"cannot write: {error.strerror}", where=str(path), fix=fix) from error


def save_weights(directory: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> tuple[Path, str]:
    """Save tensors as ``directory/<sha256>.safetensors``; returns path and sha256."""
    data = encode(tensors, facts)
    digest = hashlib.sha256(data).hexdigest()
    path = directory / f"{digest}.safetensors"
    if not path.exists():
        write_atomically(path, data)
    return path, digest


def load_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """Tensors by name. Raises StoreError where the file is missing or is not what was saved."""
    from safetensors.torch import load

    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read weights: {error.strerror}", where=str(path)) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise StoreError(
            f"weights are damaged: sha256 is {shown(found[:16])}, stored was {shown(sha256[:16])}", where=str(path)
        )
    tensors: dict[str, Tensor] = load(data)
    return tensors
