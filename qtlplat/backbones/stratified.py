"""A stratified split without scikit-learn, whose import takes longer than the rest of a dry run."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def stratified_split(labels: npt.NDArray[np.int64], share: float, seed: int) -> tuple[Indices, Indices]:
    """Positions int64 of the kept and of the split-off samples, those of scikit-learn's `train_test_split`.

    As there (with `stratify`), each side gets of every class what is nearest to its part, ties decided at random.

    Args:
        labels: int64 (N,).
        share: Of the samples, what is split off, in (0, 1); rounded up to whole samples.
        seed: Below 2^32.

    Raises:
        ValueError: A class has a single sample, or one side is smaller than the number of classes.
    """
    classes, counts = np.unique(labels, return_counts=True)
    sizes = len(labels) - math.ceil(share * len(labels)), math.ceil(share * len(labels))
    if counts.min() < 2:
        few = ", ".join(str(label) for label in classes[counts < 2])
        raise ValueError(f"of class {few} there is a single sample")
    if min(sizes) < len(classes):
        raise ValueError(f"{sizes[0]} and {sizes[1]} samples would be left for {len(classes)} classes")
    random = np.random.RandomState(seed)
    kept = _nearest(counts, sizes[0], random)
    off = _nearest(counts - kept, sizes[1], random)
    sides: tuple[list[int], list[int]] = ([], [])
    for label, here, there in zip(classes, kept, off, strict=True):
        mine = random.permutation(np.flatnonzero(labels == label))
        sides[0].extend(mine[:here])
        sides[1].extend(mine[here : here + there])
    return random.permutation(sides[0]), random.permutation(sides[1])


def _nearest(counts: Indices, total: int, random: np.random.RandomState) -> Indices:
    """Whole numbers that sum to `total`, nearest to its parts in proportion to counts; ties are decided at random."""
    exact = counts / counts.sum() * total
    found = np.floor(exact)
    missing = int(total - found.sum())
    for rest in np.unique(exact - found)[::-1]:
        if missing <= 0:
            break
        tied = np.flatnonzero(exact - np.floor(exact) == rest)
        chosen = random.choice(tied, size=min(len(tied), missing), replace=False)
        found[chosen] += 1
        missing -= len(chosen)
    rounded: Indices = found.astype(np.int64)
    return rounded
