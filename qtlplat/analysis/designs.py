"""What the cells of a design allow to be tested: which of their values are new evidence, and how they hang together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from qtlplat.analysis.components import Table, over_backbones
from qtlplat.analysis.statistics import ANYTHING, Floats, Interval, TTest, corrected_t

if TYPE_CHECKING:
    from qtlplat.store.core.records import CellRecord


@dataclass(frozen=True)
class Design:
    """Values that can be tested together.

    values: one for each set of test samples; for each seed where all cells share one split.
    ratio: n_test / n_train, by which the variance of their mean is corrected; 0 if the values are independent given
        the split.
    one_split: all cells test the same samples: the values vary by seed alone and say nothing about other samples.
    one_training: all cells train on the same samples and test others: the values are parts of one test, and how they
        vary says nothing about another training.
    cells, seeds: how many there are.
    """

    values: tuple[float, ...]
    ratio: float
    one_split: bool
    one_training: bool
    cells: int
    seeds: int


def design(cells: Sequence[CellRecord], values: Sequence[float]) -> Design:
    """The design of cells with a value each, in the same order.

    Cells that test the same samples, by several seeds or after training on other samples, are one observation of these
    samples: their mean counts.
    """
    seeds = len({cell.seed for cell in cells})
    one_split = len(cells) > 1 and len({cell.test_hash for cell in cells}) == 1
    one_training = len(cells) > 1 and not one_split and len({cell.train_hash for cell in cells}) == 1
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for cell, value in zip(cells, values, strict=True):
        groups[cell.seed if one_split else cell.test_hash].append(float(value))
    means = tuple(math.fsum(group) / len(group) if len(group) > 1 else group[0] for group in groups.values())
    # seeds of one split share all of their data: nothing there that the correction could speak of
    ratio = 0.0 if one_split else sum(c.n_test for c in cells) / max(1, sum(c.n_train for c in cells))
    return Design(means, ratio, one_split, one_training, len(cells), seeds)


def backbone_of(cell: CellRecord) -> str:
    """The pretraining that a cell starts from; if that is not known, which of the run's backbones it is."""
    return cell.pretraining or f"backbone {cell.backbone_index}"


def backbones(cells: Iterable[CellRecord]) -> set[str]:
    """The different backbones of cells."""
    return set(map(backbone_of, cells))


def levels(cells: Sequence[CellRecord]) -> list[str]:
    """The level of the factor "backbone" that each cell has: its pretraining.

    If each fold has pretrainings of its own, one for each of several backbones of the run, those of one backbone start
    from the same initial weights: the level is then the number of the backbone.
    """
    if len({cell.backbone_index for cell in cells}) > 1 and by_fold(cells):
        return [f"backbone {cell.backbone_index}" for cell in cells]
    return list(map(backbone_of, cells))


def by_fold(cells: Sequence[CellRecord]) -> bool:
    """Whether every pretraining is tested on one set of samples, and there are several such sets."""
    return _tested_apart(map(backbone_of, cells), cells)


def separate(cells: Sequence[CellRecord]) -> bool:
    """Whether every level of the factor "backbone" is tested on one set of samples, and there are several such sets.

    So it is if each fold has a single backbone of its own: the values of different sets vary by backbone too.
    """
    return _tested_apart(levels(cells), cells)


def same_start(cells: Sequence[CellRecord]) -> bool:
    """Whether the cells have several backbones, and all of them start from the same initial weights."""
    one = {(cell.backbone_index, cell.seed) for cell in cells}
    return len(one) == 1 < len(backbones(cells))


def _tested_apart(names: Iterable[str], cells: Sequence[CellRecord]) -> bool:
    sets: dict[str, set[str]] = defaultdict(set)
    for name, cell in zip(names, cells, strict=True):
        sets[name].add(cell.test_hash)
    return all(len(one) == 1 for one in sets.values()) and len(set().union(*sets.values())) > 1


Column = tuple[int, str]  # rank of the seed, test samples


@dataclass(frozen=True)
class Crossing:
    """Values of backbones that are all tested on the same sets of samples.

    values: float64 (B, K); columns: by seed and fold; ratio: n_test / n_train; left: cells that do not fit.
    """

    backbones: tuple[str, ...]
    columns: tuple[Column, ...]
    values: Floats
    ratio: float
    left: int

    def only(self, columns: Collection[Column]) -> Crossing:
        """The same on some of the sets of samples."""
        kept = [i for i, column in enumerate(self.columns) if column in columns]
        left = self.left + len(self.backbones) * (len(self.columns) - len(kept))
        return replace(self, columns=tuple(self.columns[i] for i in kept), values=self.values[:, kept], left=left)

    def table(self) -> Table:
        """By backbone, seed and fold; if seeds have other numbers of folds, all sets count as folds of one seed."""
        by_seed: dict[int, dict[str, int]] = defaultdict(dict)
        for i, (seed, samples) in enumerate(self.columns):
            by_seed[seed][samples] = i
        first, *others = by_seed.values()
        same_folds = bool(others) and all(one.keys() == first.keys() for one in others)
        if same_folds:
            order = [one[samples] for one in by_seed.values() for samples in first]
        else:
            order = [i for one in by_seed.values() for i in one.values()]
        folds = len(first)
        balanced = same_folds or (folds > 1 and all(len(one) == folds for one in others))
        shape = (len(self.backbones), len(by_seed), folds) if balanced else (len(self.backbones), 1, len(order))
        return Table(self.values[:, order].reshape(shape), self.ratio, same_folds)


def crossing(cells: Sequence[CellRecord], values: Sequence[float]) -> Crossing:
    """The largest part of cells in which every backbone is tested on the same sets of samples.

    Several cells of a backbone and seed that test the same samples count as their mean. Where backbones lack some sets,
    as in an interrupted run, either these sets are left out or these backbones, whichever keeps more cells.
    """
    ranks = {seed: rank for rank, seed in enumerate(sorted({cell.seed for cell in cells}))}
    found: dict[str, dict[Column, list[float]]] = defaultdict(lambda: defaultdict(list))
    rows = sorted(zip(cells, levels(cells), values, strict=True), key=lambda row: (row[0].seed, row[0].fold))
    for cell, backbone, value in rows:
        found[backbone][ranks[cell.seed], cell.test_hash].append(value)
    everywhere = set.intersection(*(set(one) for one in found.values()))
    columns = dict.fromkeys(column for one in found.values() for column in one)
    complete = [name for name in found if len(found[name]) == len(columns)]
    names = list(found) if len(found) * len(everywhere) >= len(complete) * len(columns) else complete
    kept = [column for column in columns if len(names) < len(found) or column in everywhere]
    table = np.array([[fmean(found[name][column]) for column in kept] for name in names]).reshape(len(names), -1)
    used = sum(len(found[name][column]) for name in names for column in kept)
    ratio = sum(cell.n_test for cell in cells) / max(1, sum(cell.n_train for cell in cells))
    return Crossing(tuple(names), tuple(kept), table, ratio, len(cells) - used)


def mean_of(
    cells: Sequence[CellRecord], values: Sequence[float], level: float, possible: Interval = ANYTHING
) -> TTest | None:
    """The mean of values of cells with its standard error: over backbones, or the folds of one.

    level, possible: as of `statistics.corrected_t`. None if the backbones have no folds in common.
    """
    if len(backbones(cells)) == 1 or separate(cells):
        tested = design(cells, values)
        return corrected_t(tested.values, tested.ratio, level, possible=possible)
    crossed = crossing(cells, values)
    return over_backbones(crossed.table(), level, possible=possible)[0] if crossed.columns else None
