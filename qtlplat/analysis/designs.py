"""What the cells of a design allow to be tested: which of their values are new evidence, and how they hang together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
