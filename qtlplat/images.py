"""A dataset in memory: images, labels and what is known about each sample; checked when it is made."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from qtlplat.errors import DataError, Problem, safe_repr


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A dataset in memory.

    Args:
        images: uint8 (N, C, H, W), values 0 to 255; standardization happens later, with training statistics only. An
            array that is not C-contiguous is copied.
        labels: int64 (N,), each in [0, K); for two classes, 1 is the positive one (F1 is computed for it).
        sample_ids: N unique non-empty strings, stable between machines.
        groups: N strings, the source (image, patient, part) that a sample comes from.
        class_names: K different non-empty strings, by label.
        notes: What the preparation counted or dropped, as printable text by name.
        facts: How each sample was made or recorded, float64 (N,), finite, by name (``resize_factor``). Nothing is
            trained on them; `qtlplat data audit` asks how well they alone would tell the classes apart.

    Raises:
        DataError: Shapes, dtypes or values contradict the above; every finding at once.
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
                fix="correct the code that creates it; the docstring of qtlplat.ImageSet lists the rules",
            )
        for name in ("images", "labels"):  # torch takes no negative strides
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name)))
        self.images.setflags(write=False)
        self.labels.setflags(write=False)
        for values in self.facts.values():
            values.setflags(write=False)

    def _problems(self) -> Iterator[Problem]:
        def bad(name: str, what: str) -> Problem:
            return Problem("ImageSet", name, what)

        images = self.images
        if wrong := _wrong_images(images):
            yield bad("images", wrong)
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
                yield bad("notes", f"must be text by name, has {safe_repr(key)}: {safe_repr(note)}")
        for key, fact in self.facts.items():
            if what := _unfit(key) or _off(fact, len(images)):
                yield bad(f"facts[{safe_repr(key)}]", what)

    def _name_problems(self, field: str) -> Iterator[str]:
        names: tuple[object, ...] = getattr(self, field)
        if field != "class_names" and len(names) != len(self.images):
            yield f"must have {len(self.images)} entries, has {len(names)}"
        wrong = next((what for name in names if (what := _unfit(name))), "")
        if wrong:
            yield wrong
        elif field == "sample_ids" and len(set(names)) < len(names):
            yield f"duplicate {safe_repr(next(name for name, count in Counter(names).items() if count > 1))}"
        elif field == "class_names" and (len(names) < 2 or len(set(names)) < len(names)):
            yield f"must be at least two different names, is {safe_repr(names)}"

    def _label_problems(self) -> Iterator[str]:
        n, k = len(self.images), len(self.class_names)
        labels = self.labels
        if not isinstance(labels, np.ndarray) or labels.dtype != np.int64 or labels.shape != (n,):
            yield f"must be int64 ({n},), is {array_text(labels)}"
            return
        outside = labels[(labels < 0) | (labels >= k)]
        if outside.size:
            yield f"value {int(outside[0])} is outside [0, {k}) of {k} class names"
        empty = [safe_repr(self.class_names[c]) for c in range(k) if not np.any(labels == c)]
        if empty:
            yield f"no sample of class {', '.join(empty)}"

    def __len__(self) -> int:
        return len(self.labels)

    def remarks(self) -> list[str]:
        """What is allowed but mostly a mistake, in whole sentences."""
        channels, height, width = self.shape
        low, high = int(self.images.min()), int(self.images.max())
        found = []
        if channels not in (1, 3):
            size = f"{height} x {width} pixels (height x width)"
            found.append(f"images have {channels} channels of {size}; arrays are read as (N, C, H, W)")
        if low == high:
            found.append(f"all pixels of all images have the value {low}")
        elif high == 1:
            found.append("pixels have no values but 0 and 1; uint8 images mostly use 0 to 255")
        return found

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


def _wrong_images(images: object) -> str:
    """Why an array cannot be the images of a dataset, and what to do; '' if it can."""
    must = f"must be uint8 (N, C, H, W), is {array_text(images)}"
    if not isinstance(images, np.ndarray):
        return must
    if isinstance(images, np.ma.MaskedArray):
        return f"{must} with a mask: fill what is masked"
    if images.ndim != 4:
        return f"{must}: gray images need an axis for their channel, as images[:, None]" if images.ndim == 3 else must
    last = channels_last(images.shape)
    if images.dtype == np.uint8 and not last:
        return ""
    if images.dtype != np.uint8:
        must += _range_text(images)
    if last:
        n, height, width, channels = images.shape
        must += f"; these look like {n} images (N, H, W, C) of {height} x {width} pixels with {channels} channel(s)"
        must += ": pass images.transpose(0, 3, 1, 2)"
    return must


def channels_last(shape: tuple[int, ...]) -> bool:
    """Whether a shape of four axes is more plausible as (N, H, W, C) than as (N, C, H, W).

    It ends with a number of channels that image files have, does not hold one where it should, and gives pictures of
    less extreme proportions that way. Small feature maps of many channels, as (N, 64, 3, 3), are none of these.
    """
    _, a, b, c = shape
    if c not in (1, 3, 4) or a <= 4 or b <= 4:
        return False
    proportion = max(a, b) / min(a, b)
    return proportion < 8 and proportion < max(b, c) / min(b, c)


def _range_text(images: npt.NDArray[np.generic]) -> str:
    """The values of images of another type, and how they become uint8."""
    if images.size == 0 or images.dtype.kind not in "biuf":
        return ""
    low, high = images.min(), images.max()
    text = f" with values from {low} to {high}"
    if not np.isfinite([low, high]).all():
        return f"{text}: replace those that are not finite"
    if low < 0 or high > 255:
        return f"{text}: map them to 0 to 255 first"
    if images.dtype.kind == "b" or (images.dtype.kind == "f" and high <= 1):
        return f"{text}: pass (255 * images).round().astype(numpy.uint8)"
    return f"{text}: pass images.round().astype(numpy.uint8)"


def _unfit(name: object) -> str:
    """Why something cannot name a sample, group or class in files, databases and messages; '' if it can."""
    if not isinstance(name, str) or not name:
        return f"must be non-empty strings, has {safe_repr(name)}"
    if "\0" in name:
        return f"must hold no zero byte, has {safe_repr(name)}"
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"must be UTF-8, has {safe_repr(name)}"
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
    try:
        shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    except Exception:  # noqa: BLE001 -- a stranger's property
        shape = dtype = None
    if isinstance(shape, tuple) and dtype is not None:  # a tensor of some other library
        return f"{type(value).__name__} of {safe_repr(dtype, 40)} {safe_repr(tuple(shape), 80)}"
    return type(value).__name__
