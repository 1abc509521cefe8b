"""How well `qtlplat.analysis.duplicates` tells copies from other pictures, on the pictures of a dataset.

Copies of some samples are changed in a known way and added to the dataset, one change at a time. A copy that is not
paired with its original is missed. A copy that is paired with another picture is a false pair, if that comes from
another source and was no pair of the original before. Pairs of the dataset itself are counted too; which
of them are true is not known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from qtlplat.analysis.duplicate_sets import COPY, COPY_SIMILARITY, NEAR, grade_of
from qtlplat.analysis.duplicates import LEAST_SIDE, LEAST_SIMILARITY, Duplicates, find_duplicates
from qtlplat.contracts import ImageSet
from qtlplat.conventions import counted
from qtlplat.errors import DataError
from qtlplat_bench.planted_copies import CHANGES

EQUAL_PIXELS = 2.0  # in place of a similarity
THRESHOLDS = (0.5, LEAST_SIMILARITY, 0.7, 0.8, COPY_SIMILARITY)


def bench_duplicates(images: ImageSet, copies: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """What `bench duplicates --json` prints.

    images: the dataset; copies: how many samples are copied, at most all; seed: of their choice and of noise.
    Raises DataError for images too small to be compared for more than equal pixels.
    """
    if min(images.shape[1:]) < LEAST_SIDE:
        raise DataError(
            f"images of {images.shape[1]} x {images.shape[2]} pixels are compared for equal pixels only",
            where="qtlplat bench duplicates",
            fix=f"name a dataset of at least {LEAST_SIDE} pixels a side",
        )
    chosen = np.sort(np.random.default_rng(seed).permutation(len(images))[:copies])
    say(f"{counted(len(images), 'image')}, {len(chosen)} of them copied: pairs of the dataset itself")
    own = _by_pair(find_duplicates(images, THRESHOLDS[0]))
    groups = np.asarray(images.groups)
    changes: list[dict[str, Any]] = []
    false: list[float] = []
    possible = 0
    for name in CHANGES:
        say(f"change: {name}")
        row, wrong, others = _planted(images, groups, own, chosen, name, seed)
        changes.append(row)
        false += wrong
        possible += others
    return {
        "samples": len(images),
        "copies": len(chosen),
        "thresholds": list(THRESHOLDS),
        "grades": {NEAR: LEAST_SIMILARITY, COPY: COPY_SIMILARITY},
        "changes": changes,
        "false": {"pairs": possible, **_counts(false)},
        "own": _of_dataset(images, groups, own),
    }


def _planted(
    images: ImageSet,
    groups: npt.NDArray[np.str_],
    own: dict[tuple[int, int], float],
    chosen: npt.NDArray[np.int64],
    name: str,
    seed: int,
) -> tuple[dict[str, Any], list[float], int]:
    """A change's row, the similarities of false pairs, and how many pairs could have been false."""
    rng, n = np.random.default_rng([seed, list(CHANGES).index(name)]), len(images)
    added = np.stack([CHANGES[name](images.images[i], rng) for i in chosen])
    found = _by_pair(find_duplicates(_with(images, chosen, added), THRESHOLDS[0]))
    partners: dict[int, dict[int, float]] = defaultdict(dict)
    for (low, high), similarity in found.items():
        if low < n <= high:
            partners[high][low] = similarity
    known: dict[int, set[int]] = defaultdict(set)
    for low, high in own:
        known[low].add(high)
        known[high].add(low)
    similarities, false, possible = [], [], 0
    for copy, original in enumerate(chosen.tolist(), n):
        similarities.append(partners[copy].get(original, 0.0))
        alike = set(np.flatnonzero(groups == groups[original]).tolist()) | known[original]
        possible += n - len(alike)
        false += [value for other, value in partners[copy].items() if other not in alike]
    counts = _counts(similarities)
    missed = sum(value < LEAST_SIMILARITY for value in similarities)
    return {"change": name, **counts, "missed": missed, "median": min(1.0, median(similarities))}, false, possible


def _of_dataset(images: ImageSet, groups: npt.NDArray[np.str_], own: dict[tuple[int, int], float]) -> dict[str, Any]:
    """Pairs of the dataset's own samples that come from different sources, true ones and false ones."""
    _, sizes = np.unique(groups, return_counts=True)
    n = len(images)
    pairs = n * (n - 1) // 2 - int((sizes * (sizes - 1) // 2).sum())
    across = {pair: value for pair, value in own.items() if groups[pair[0]] != groups[pair[1]]}
    torn = sum(images.labels[i] != images.labels[j] for (i, j), value in across.items() if value >= LEAST_SIMILARITY)
    return {"pairs": pairs, **_counts(list(across.values())), "different_classes": int(torn)}


def _counts(similarities: list[float]) -> dict[str, Any]:
    """How many reach each threshold, and how many get each grade; above 1 stands for equal pixels."""
    near = [value for value in similarities if LEAST_SIMILARITY <= value <= 1]
    return {
        "found": [sum(value >= least for value in similarities) for least in THRESHOLDS],
        "identical": sum(value > 1 for value in similarities),
        **{grade: sum(grade_of(value) == grade for value in near) for grade in (COPY, NEAR)},
    }


def _by_pair(found: Duplicates) -> dict[tuple[int, int], float]:
    """The similarity of every pair, also of pictures whose pixels are those of one that was compared."""
    same = {samples[0]: samples for samples in found.exact}
    pairs = {(i, j): EQUAL_PIXELS for samples in found.exact for i in samples for j in samples if i < j}
    for pair in found.near:
        for i in same.get(pair.first, (pair.first,)):
            for j in same.get(pair.second, (pair.second,)):
                pairs[min(i, j), max(i, j)] = pair.similarity
    return pairs


def _with(images: ImageSet, chosen: npt.NDArray[np.int64], added: npt.NDArray[np.uint8]) -> ImageSet:
    """The dataset and copies behind it, of the same sources and classes."""
    return ImageSet(
        np.concatenate([images.images, added]),
        np.concatenate([images.labels, images.labels[chosen]]),
        (*images.sample_ids, *(f"copy {i} of {images.sample_ids[i]}" for i in chosen)),
        (*images.groups, *(images.groups[i] for i in chosen)),
        images.class_names,
    )
