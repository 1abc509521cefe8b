"""A dataset in memory: images, labels and what is known about each sample; checked when it is made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from qtlplat.errors import DataError, Problem, shown


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A dataset in memory.

    Parameters
    ----------
    images: uint8 (N, C, H, W), C-contiguous; standardization happens later, with training statistics only.
    labels: int64 (N,), each in [0, K); for two classes, 1 is the positive one (F1 is computed for it).
    sample_ids: N unique non-empty strings, stable between machines.
    groups: N strings, the source (image, patient, part) that a sample comes from.
    class_names: K names, by label.
    notes: what the preparation counted or dropped, as printable text by name.
    facts: how each sample was made or recorded, float64 (N,), finite, by name (``resize_factor``). Nothing is trained
        on them; `qtlplat data audit` asks how well they alone would tell the classes apart.

    Raises
    ------
    DataError: shapes, dtypes or values that contradict the above; every finding at once.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    sample_ids: tuple[str, ...]
    groups: tuple[str, ...]
    class_names: tuple[str, ...]
    notes: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise DataError("the dataset breaks its contract", problems=problems)
        self.images.setflags(write=False)
        self.labels.setflags(write=False)
        for values in self.facts.values():
            values.setflags(write=False)

    def _problems(self) -> list[Problem]:
        found: list[Problem] = []

        def bad(name: str, what: str) -> None:
            found.append(Problem("ImageSet", name, what))

        if not isinstance(self.images, np.ndarray) or self.images.dtype != np.uint8 or self.images.ndim != 4:
            bad("images", f"must be uint8 (N, C, H, W), is {array_text(self.images)}")
            return found
        n = len(self.images)
        if n == 0 or 0 in self.images.shape:
            bad("images", f"is empty: {array_text(self.images)}")
        if not isinstance(self.labels, np.ndarray) or self.labels.dtype != np.int64 or self.labels.shape != (n,):
            bad("labels", f"must be int64 ({n},), is {array_text(self.labels)}")
        else:
            k = len(self.class_names)
            outside = self.labels[(self.labels < 0) | (self.labels >= k)]
            if outside.size:
                bad("labels", f"value {int(outside[0])} is outside [0, {k}) of {k} class names")
            empty = [str(self.class_names[c]) for c in range(k) if not np.any(self.labels == c)]
            if empty:
                bad("labels", f"no sample of class {', '.join(map(shown, empty))}")
        if len(self.class_names) < 2 or len(set(self.class_names)) != len(self.class_names):
            bad("class_names", f"must be at least two different names, is {shown(self.class_names)}")
        for name, values in (("sample_ids", self.sample_ids), ("groups", self.groups)):
            if len(values) != n:
                bad(name, f"must have {n} entries, has {len(values)}")
            if not all(isinstance(v, str) and v for v in values):
                bad(name, "must be non-empty strings")
        if len(set(self.sample_ids)) != len(self.sample_ids):
            twice = next(s for i, s in enumerate(self.sample_ids) if s in self.sample_ids[:i])
            bad("sample_ids", f"{shown(twice)} stands twice")
        return found + [
            Problem("ImageSet", f"facts[{shown(k)}]", w) for k, v in self.facts.items() if (w := _off(v, n))
        ]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, c, h, w = self.images.shape
        return int(c), int(h), int(w)

    @cached_property
    def digest(self) -> str:
        """sha256 over images, labels, ids, groups and class names: what the dataset *is*; no notes, no facts."""
        total = hashlib.sha256()
        for array in (self.images, self.labels):
            total.update(f"{array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        for names in (self.sample_ids, self.groups, self.class_names):
            total.update("\0".join(names).encode() + b"\0\0")
        return total.hexdigest()


def _off(fact: object, n: int) -> str:
    """What is wrong with a fact about n samples, '' if nothing."""
    if not isinstance(fact, np.ndarray) or fact.dtype != np.float64 or fact.shape != (n,):
        return f"must be float64 ({n},), is {array_text(fact)}"
    return "" if np.isfinite(fact).all() else "holds values that are not finite"


def array_text(value: object) -> str:
    """Dtype and shape of an array, the type of anything else."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__
