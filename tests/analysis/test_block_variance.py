"""Where the spread of a difference over datasets comes from, against plain sums and a simulation with known parts."""

import numpy as np
import pytest
from figure_runs import cell, record

from qtlplat.analysis.block_variance import block_variance
from qtlplat.analysis.sides import Side
from qtlplat.metrics import SHIPPED

FOLDS = 6


def pair_of(base: np.ndarray, differences: np.ndarray) -> tuple[list[Side], list[Side]]:
    sides = []
    for run, values in (("a" * 16, base + differences), ("b" * 16, base)):
        cells = [cell(i, float(value), n_train=250, n_test=50) for i, value in enumerate(values)]
        sides.append([Side(record(run), cells)])
    return sides[0], sides[1]


def test_parts_of_one_backbone_are_those_of_plain_sums() -> None:
    random = np.random.default_rng(1)
    differences = 0.05 * random.normal(size=(8, 1)) + 0.01 * random.normal(size=(8, FOLDS))
    pairs = [pair_of(0.5 + 0.01 * random.normal(size=FOLDS), row) for row in differences]
    means = differences.mean(axis=1)
    found = block_variance(pairs, SHIPPED["f1"], means.tolist())
    inside = differences.var(axis=1, ddof=1)
    errors = inside * (1 / FOLDS + 50 / 250)  # Nadeau & Bengio
    assert found == pytest.approx({"block": means.var(ddof=1) - errors.mean(), "fold": inside.mean()}, rel=1e-9)


def test_without_spread_between_datasets_their_part_is_zero_and_without_cells_nothing_is_said() -> None:
    random = np.random.default_rng(2)
    rows = random.normal(size=(5, FOLDS)) * 0.01
    rows -= rows.mean(axis=1, keepdims=True)
    found = block_variance([pair_of(np.full(FOLDS, 0.5), row) for row in rows], SHIPPED["f1"], [0.0] * 5)
    assert found is not None
    assert found["block"] == 0
    single = [pair_of(np.array([0.5]), np.array([0.1])) for _ in range(3)]
    assert block_variance(single, SHIPPED["f1"], [0.1] * 3) is None
