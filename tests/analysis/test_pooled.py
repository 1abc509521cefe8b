"""Means over runs of a sweep: over what they vary, and when nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from qtlplat.analysis.designs import mean_of
from qtlplat.analysis.pooled import over_seeds, pooled
from qtlplat.metrics import SHIPPED
from qtlplat.store.core.records import CellRecord

F1 = SHIPPED["f1"]
UNBOUNDED = replace(F1, bounds=(None, None))


def cells(values: Sequence[float], seed: int = 0, backbone: str | None = None) -> list[CellRecord]:
    """A cell for every fold; a seed has a backbone and test samples of its own."""
    return [
        CellRecord(
            i, i, seed, 50, 10, f"train {i} {seed}", f"test {i} {seed}", "finished", 1.0, {"f1": value},
            pretraining=backbone or f"backbone {seed}",
        )
        for i, value in enumerate(values)
    ]  # fmt: skip


def test_one_backbone_is_tested_over_its_folds() -> None:
    """The corrected resampled t interval of Nadeau & Bengio, by hand with scipy."""
    values = [0.8, 0.9, 0.85, 0.7, 0.95]
    found = pooled([(0, cells(values))], F1)
    assert found is not None
    half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) * math.sqrt(1 / 5 + 10 / 50)
    assert (found.unit, found.n, found.remark) == ("fold", 5, "for this backbone only")
    assert found.interval == pytest.approx((np.mean(values) - half, min(1.0, np.mean(values) + half)), abs=1e-12)


def test_settings_that_are_averaged_add_no_values() -> None:
    """Two learning rates on the same folds are no more evidence than their mean."""
    one, two = [0.8, 0.9, 0.7], [0.6, 0.8, 0.9]
    both = pooled([(0, cells(one)), (0, cells(two))], F1)
    mean = pooled([(0, cells([(a + b) / 2 for a, b in zip(one, two, strict=True)]))], F1)
    assert both is not None
    assert mean is not None
    assert (both.n, both.mean) == (mean.n, pytest.approx(mean.mean))
    assert both.interval == pytest.approx(mean.interval, abs=1e-12)


def test_seeds_are_the_unit_and_not_their_folds() -> None:
    values = [[0.8, 0.9, 0.7], [0.6, 0.65, 0.7], [0.9, 0.85, 0.95]]
    found = pooled([(seed, cells(one, seed)) for seed, one in enumerate(values)], UNBOUNDED)
    assert found is not None
    assert (found.unit, found.n) == ("seed", 3)
    # by hand: variance of the seeds' means / 3, and 10/50 of that of the folds; Satterthwaite's degrees of freedom
    table = np.array(values)
    between, inside = table.mean(axis=1).var(ddof=1) / 3, 0.2 * table.var(axis=1, ddof=1).mean()
    df = (between + inside) ** 2 / (between**2 / 2 + inside**2 / 6)
    half = stats.t.ppf(0.975, df) * math.sqrt(between + inside)
    assert found.interval == pytest.approx((table.mean() - half, table.mean() + half), abs=1e-12)


def test_without_spread_of_folds_it_is_the_t_interval_of_the_seeds() -> None:
    means = [0.8, 0.9, 0.75, 0.83]
    found = over_seeds([[m, m, m] for m in means], 0.2)
    assert found.interval == pytest.approx(stats.t.interval(0.95, 3, np.mean(means), stats.sem(means)), abs=1e-12)


def test_the_interval_over_seeds_covers_the_mean() -> None:
    """Seeds and folds vary, with training samples in common: 95 % of 2000 simulated sweeps, as Nadeau & Bengio assume.

    The covariance of two folds of the same data is that of a correlation n_test / (n_test + n_train).
    """
    rng = np.random.default_rng(0)
    n_seeds, folds, ratio, fold_sd, seed_sd = 4, 6, 0.2, 0.03, 0.02
    shared = ratio / (1 + ratio)
    repeats, covered = 2000, 0
    for _ in range(repeats):
        common = rng.normal(0, fold_sd * math.sqrt(shared))
        own = rng.normal(0, fold_sd * math.sqrt(1 - shared), (n_seeds, folds))
        values = 0.8 + common + own + rng.normal(0, seed_sd, (n_seeds, 1))
        low, high = over_seeds(values.tolist(), ratio).interval
        covered += low <= 0.8 <= high
    assert 0.93 < covered / repeats < 0.99


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        ([(0, cells([0.8, 0.9])), (0, cells([0.7, 0.8], backbone="another"))], "different backbones or data"),
        ([(0, cells([0.8, 0.9])), (1, cells([0.8, 0.9], 1)), (1, cells([0.7, 0.9], 1))], "not every seed has all"),
        ([(0, cells([0.8, math.nan]))], "not every cell has a finite F1"),
        ([(0, cells([0.8, 0.9])), (0, cells([math.nan, 0.9]))], "not every cell has a finite F1"),
        ([(0, cells([0.8]))], "one fold"),
        ([(0, cells([0.8, 0.8]))], "no spread"),
        (
            [(0, cells([0.8, 0.9], 0, "a")), (1, cells([0.7, 0.9], 1, "b")), (2, cells([0.8, 0.9], 2, "a"))],
            "some of the seeds share a backbone",
        ),
    ],
)
def test_where_nothing_can_be_said_the_reason_is(runs: list[tuple[int, list[CellRecord]]], why: str) -> None:
    found = pooled(runs, F1)
    assert found is None or found.interval is None
    assert found is None or why in found.why
    assert (found is None) == all(any(math.isnan(c.metrics["f1"]) for c in one) for _, one in runs)


def test_nothing_finished_is_no_mean() -> None:
    assert pooled([], F1) is None
    assert pooled([(0, [])], F1) is None


def test_backbones_of_one_run_are_the_unit() -> None:
    """As `designs.mean_of`, which compare uses."""
    every = [
        replace(cell, pretraining=f"backbone {b}", backbone_index=b, metrics={"f1": 0.7 + 0.05 * b + 0.02 * i})
        for b in range(3)
        for i, cell in enumerate(cells([0, 0, 0]))
    ]
    found, expected = pooled([(0, every)], F1), mean_of(every, [c.metrics["f1"] for c in every], 0.95, (0, 1))
    assert found is not None
    assert expected is not None
    assert (found.unit, found.n, found.interval) == ("backbone", 3, expected.interval)
