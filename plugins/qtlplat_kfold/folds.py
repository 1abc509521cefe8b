"""Stratified folds without scikit-learn, whose import takes longer than `qtlplat run --dry-run` otherwise does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def stratified_folds(labels: npt.NDArray[np.int64], folds: int, seed: int | None) -> npt.NDArray[np.int64]:
    """The fold (N,) in which each sample is tested; the same as of scikit-learn's `StratifiedKFold`.

    The samples of all classes, in order of the classes' first appearance, are dealt to the folds in turn, which says
    how many of each class a fold gets; a class is then cut into blocks of these lengths, or dealt out at random.

    Args:
        labels: int64 (N,), each class at least `folds` times.
        folds: D, the number of folds.
        seed: Of the shuffling, below 2^32; None to cut into blocks.
    """
    random = np.random.RandomState(seed)
    names, first = np.unique(labels, return_index=True)
    classes = names[np.argsort(first)]
    counts = [int((labels == label).sum()) for label in classes]
    dealt = np.arange(len(labels)) % folds  # of the samples sorted by class
    found = np.empty(len(labels), dtype=np.int64)
    ends = np.cumsum(counts)
    for label, start, end in zip(classes, ends - counts, ends, strict=True):
        mine = np.sort(dealt[start:end])
        if seed is not None:
            random.shuffle(mine)
        found[labels == label] = mine
    return found
