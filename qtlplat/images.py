"""A dataset in memory: images, labels and what is known about each sample; checked when it is made."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
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
    class_names: K different non-empty strings, by label.
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
            raise DataError(
                "the dataset breaks its contract",
                problems=problems,
                fix="mend what made it: the docstring of qtlplat.ImageSet says what it takes",
            )
        self.images.setflags(write=False)
        self.labels.setflags(write=False)
        for values in self.facts.values():
            values.setflags(write=False)

    def _problems(self) -> Iterator[Problem]:
        def bad(name: str, what: str) -> Problem:
            return Problem("ImageSet", name, what)

        images = self.images
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
            yield bad("images", f"must be uint8 (N, C, H, W), is {array_text(images)}")
            return
        kinds = {"sample_ids": tuple, "groups": tuple, "class_names": tuple, "notes": Mapping, "facts": Mapping}
        others = {name: kind for name, kind in kinds.items() if not isinstance(getattr(self, name), kind)}
        for name, kind in others.items():
            yield bad(name, f"must be a {kind.__name__.lower()}, is {array_text(getattr(self, name))}")
        if others:
            return
        if 0 in images.shape:
            yield bad("images", f"is empty: {array_text(images)}")
        yield from (bad("labels", what) for what in self._label_problems())
        for name in ("sample_ids", "groups", "class_names"):
            yield from (bad(name, what) for what in self._name_problems(name))
        for key, note in self.notes.items():
            if _unfit(key) or not isinstance(note, str):
                yield bad("notes", f"must be text by name, has {shown(key)}: {shown(note)}")
        for key, fact in self.facts.items():
            if what := _unfit(key) or _off(fact, len(images)):
                yield bad(f"facts[{shown(key)}]", what)

    def _name_problems(self, field: str) -> Iterator[str]:
        names: tuple[object, ...] = getattr(self, field)
        if field != "class_names" and len(names) != len(self.images):
            yield f"must have {len(self.images)} entries, has {len(names)}"
        wrong = next((what for name in names if (what := _unfit(name))), "")
        if wrong:
            yield wrong
        elif field == "sample_ids" and len(set(names)) < len(names):
            yield f"{shown(next(name for name, count in Counter(names).items() if count > 1))} stands twice"
        elif field == "class_names" and (len(names) < 2 or len(set(names)) < len(names)):
            yield f"must be at least two different names, is {shown(names)}"

    def _label_problems(self) -> Iterator[str]:
        n, k = len(self.images), len(self.class_names)
        labels = self.labels
        if not isinstance(labels, np.ndarray) or labels.dtype != np.int64 or labels.shape != (n,):
            yield f"must be int64 ({n},), is {array_text(labels)}"
            return
        outside = labels[(labels < 0) | (labels >= k)]
        if outside.size:
            yield f"value {int(outside[0])} is outside [0, {k}) of {k} class names"
        empty = [shown(self.class_names[c]) for c in range(k) if not np.any(labels == c)]
        if empty:
            yield f"no sample of class {', '.join(empty)}"

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


def _unfit(name: object) -> str:
    """Why something cannot name a sample, group or class in files, databases and messages; '' if it can."""
    if not isinstance(name, str) or not name:
        return f"must be non-empty strings, has {shown(name)}"
    if "\0" in name:
        return f"must hold no zero byte, has {shown(name)}"
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"must be UTF-8, has {shown(name)}"
    return ""


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
