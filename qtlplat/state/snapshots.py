"""Snapshots of training, and how one that is taken up is found to be of this training: saved again, it is the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from qtlplat.catalog.plan import canonical_json
from qtlplat.errors import describe_exception, safe_repr
from qtlplat.state.weights import plain

TIME = "clock"  # the one fact that says nothing about training


@dataclass(frozen=True)
class Snapshot:
    """The state to resume training from. tensors: by name, on the CPU, not shared; facts: JSON-able."""

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors below ``name.``, without that."""
        return {key[len(name) + 1 :]: t for key, t in self.tensors.items() if key.startswith(f"{name}.")}


def below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors on the CPU, as ``name.KEY``."""
    return {f"{name}.{key}": plain(tensor) for key, tensor in tensors.items()}


class UnfitError(Exception):
    """A snapshot cannot be gone on from: it is none of this training."""


@contextmanager
def fitting() -> Iterator[None]:
    """Turn every error into an UnfitError while a snapshot, which is not trusted, is restored."""
    try:
        yield
    except UnfitError:
        raise
    except Exception as error:
        raise UnfitError(describe_exception(error)) from error


def require(fits: bool, what: str) -> None:
    """Raises UnfitError with `what` unless something fits."""
    if not fits:
        raise UnfitError(what)


def count(facts: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """A fact that is a whole number within bounds; UnfitError otherwise."""
    value = facts[name]
    require(type(value) is int and least <= value <= most, f"its {name} is {safe_repr(value, 40)}")
    return int(value)


def seconds(value: Any) -> float:
    """A fact that is a time; UnfitError otherwise."""
    require(type(value) in (int, float) and math.isfinite(value) and value >= 0, f"a time is {safe_repr(value, 40)}")
    return float(value)


def require_like(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor], what: str) -> None:
    """Raises UnfitError unless tensors have the names, shapes and dtypes of others."""
    require(tensors.keys() == like.keys(), f"{what} have other names")
    for name, tensor in tensors.items():
        fits = tensor.shape == like[name].shape and tensor.dtype == like[name].dtype
        require(fits, f"{what}: {safe_repr(name)} has shape {tuple(tensor.shape)} and {tensor.dtype}")


def require_probabilities(found: Tensor, rows: int, classes: int) -> None:
    """Raises UnfitError unless they are finite float64 (rows, classes)."""
    fits = found.dtype == torch.float64 and tuple(found.shape) == (rows, classes) and bool(found.isfinite().all())
    require(fits, f"its probabilities have shape {tuple(found.shape)} and {found.dtype}, or are not finite")


def require_same(taken: Snapshot, again: Snapshot) -> None:
    """Raises UnfitError unless a snapshot that was taken up is, saved again, what it was, bit for bit."""
    facts = {name: value for name, value in taken.facts.items() if name != TIME}
    require(canonical_json(facts) == canonical_json(again.facts), "its facts are others than it would be saved with")
    require_like(taken.tensors, again.tensors, "its tensors")
    for name, tensor in taken.tensors.items():
        require(torch.equal(_bytes(tensor), _bytes(again.tensors[name])), f"{safe_repr(name)} cannot be taken up")


def _bytes(tensor: Tensor) -> Tensor:
    return plain(tensor).reshape(-1).view(torch.uint8)
