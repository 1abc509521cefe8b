"""Weights on disk: safetensors, named by content."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qtlplat.errors import StoreError, UntrustedError, describe_exception, safe_repr
from qtlplat.store.core.files import write_atomically

_FROM_A_COPY = "take the file from a copy, or train again: qtlplat replay RUN"
_AS_REAL = {torch.complex128: "@complex128", torch.complex32: "@complex32"}  # ends of names
METADATA_KEY = "qtlplat"  # one key only, or the file's bytes would vary from save to save


def plain(tensor: Tensor) -> Tensor:
    """A copy of a tensor as it is written and hashed: on the CPU, contiguous, conjugation and negation carried out.

    torch only marks a conjugated or negated tensor, and safetensors writes the memory as it is. Copies share no memory.
    """
    return tensor.detach().cpu().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)


def encode(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """A safetensors file with `facts` (JSON-able) in its header; equal contents give equal bytes.

    Complex types that safetensors does not know are written as real
    numbers, under a name that says so. Raises KeyError, RuntimeError or ValueError for tensors that cannot be written.
    """
    from safetensors.torch import save

    written: dict[str, Tensor] = {}
    for name, tensor in sorted(tensors.items()):
        values = plain(tensor)
        suffix = _AS_REAL.get(values.dtype, "")
        written[name + suffix] = torch.view_as_real(values) if suffix else values
    data: bytes = save(written, metadata={METADATA_KEY: json.dumps(facts, sort_keys=True, allow_nan=False)})
    return data


def decode(data: bytes) -> dict[str, Tensor]:
    """The tensors that `encode` wrote. Raises what safetensors raises for other data, and RuntimeError."""
    from safetensors.torch import load

    found: dict[str, Tensor] = {}
    for name, tensor in load(data).items():
        suffix = next((one for one in _AS_REAL.values() if name.endswith(one)), "")
        found[name.removesuffix(suffix)] = torch.view_as_complex(tensor) if suffix else tensor
    return found


def why_not_storable(tensors: Mapping[str, Any]) -> str:
    """Which of a module's tensors cannot be stored, and why; '' if all can."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            return f"{safe_repr(name)} is of type {type(tensor).__name__}, not a tensor"
        try:
            encode({name: tensor}, {})
        except (KeyError, RuntimeError, ValueError, TypeError):  # a RuntimeError for sparse and meta tensors
            return f"{safe_repr(name)} has layout {tensor.layout} and type {tensor.dtype} on device {tensor.device}"
    return ""


def save_weights(directory: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> tuple[Path, str]:
    """Save tensors as ``directory/<sha256>.safetensors``; returns path and sha256."""
    data = encode(tensors, facts)
    digest = hashlib.sha256(data).hexdigest()
    path = directory / f"{digest}.safetensors"
    if not path.exists():
        write_atomically(path, data)
    return path, digest


def load_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """Tensors by name; only safetensors files are read, so no code in a file is ever run.

    Raises:
        StoreError: the file is missing or differs from the saved one.
        UntrustedError: it has the stored digest, but is no safetensors file: the store was tampered with.
    """
    from safetensors import SafetensorError

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise StoreError("weights are not a plain file", where=str(path), fix="train again, in another store")
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read weights: {error.strerror}", where=str(path), fix=_FROM_A_COPY) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise StoreError(
            f"weights are damaged: sha256 is {safe_repr(found[:16])}, stored was {safe_repr(sha256[:16])}",
            where=str(path),
            fix=_FROM_A_COPY,
        )
    try:
        tensors = decode(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        why = describe_exception(error, 60)
        raise UntrustedError(
            f"weights are no safetensors file, which starts with {safe_repr(data[:8])}: {why}",
            where=str(path),
            fix="train again, in a store of your own",
        ) from error
    return tensors
