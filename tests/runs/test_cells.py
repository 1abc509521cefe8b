"""Cells of several backbones: crossed with folds and seeds, no backbone shared with a run of another seed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qtlplat.catalog.plan import ComponentChoice, PretrainingOptions, RunPlan
from qtlplat.contracts import Cell, ImageSet
from qtlplat.runs.cells import Pretraining, backbone_seed, planned_cells
from qtlplat_kfold import HoldoutOptions, KFoldOptions, qtlplat_evaluators

N = 60
EVALUATORS = {spec.name: spec for spec in qtlplat_evaluators()}


def images() -> ImageSet:
    names = tuple(f"s{i}" for i in range(N))
    return ImageSet(np.zeros((N, 1, 2, 2), np.uint8), np.arange(N) % 2, names, names, ("a", "b"))


def planned(
    evaluator: str, *, seed: int = 0, seeds: int = 1, backbones: int = 1, train_sizes: tuple[float, ...] = (1.0,)
) -> tuple[tuple[Cell, ...], tuple[Pretraining, ...]]:
    blank = ComponentChoice(name="c", component="c", provider="p", version="1", digest="d", options={})
    roles: dict[str, Any] = dict.fromkeys(("dataset", "backbone", "head", "evaluator"), blank)
    factors: dict[str, Any] = {"seed": seed, "seeds": seeds, "backbones": backbones, "train_sizes": train_sizes}
    plan = RunPlan(**roles, **factors, pretraining=PretrainingOptions(n_init=3))
    options = HoldoutOptions() if evaluator == "holdout" else KFoldOptions(folds=3)
    component = SimpleNamespace(spec=EVALUATORS[evaluator])
    resolved: Any = SimpleNamespace(plan=plan, specs={"evaluator": component}, options={"evaluator": options})
    return planned_cells(resolved, images(), images().groups)


def same(one: Cell, other: Cell) -> bool:
    parts = [(cell.fold, cell.seed, cell.train.tobytes(), cell.test.tobytes()) for cell in (one, other)]
    return parts[0] == parts[1]


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_the_first_of_several_backbones_is_that_of_a_run_with_one(evaluator: str) -> None:
    (cells, alone), (more, several) = planned(evaluator, seeds=2), planned(evaluator, seeds=2, backbones=3)
    assert all(map(same, cells, more))
    of_first = [one for one in several if one.index == 0]
    assert [(one.seed, one.positions) for one in alone] == [(one.seed, one.positions) for one in of_first]
    for one, first in zip(alone, of_first, strict=True):
        assert np.array_equal(one.split.train, first.split.train)
    assert len(more) == 3 * len(cells)
    assert sorted(i for one in several for i in one.positions) == list(range(len(more)))


def test_folds_and_seeds_are_crossed_with_the_backbones() -> None:
    cells, backbones = planned("kfold", seeds=2, backbones=3)
    assert [one.positions for one in backbones] == [tuple(range(6 * b, 6 * b + 6)) for b in range(3)]
    for b in range(3):
        assert all(map(same, cells[:6], cells[6 * b : 6 * b + 6]))
    assert len({one.split.test.tobytes() for one in backbones}) == 3
    assert [one.whose for one in backbones] == [" 1 of 3", " 2 of 3", " 3 of 3"]
    assert planned("kfold")[1][0].whose == ""


def test_a_hold_out_part_is_that_of_the_backbone_itself() -> None:
    cells, backbones = planned("holdout", seeds=2, backbones=3)
    assert [cell.seed for cell in cells] == [0, 1] * 3
    for one in backbones:
        for i in one.positions:
            assert np.array_equal(cells[i].test, one.split.test)
            assert np.array_equal(cells[i].train, one.split.seen)


def test_every_fold_has_its_own_backbones_where_they_are_nested() -> None:
    cells, backbones = planned("nested", seeds=2, backbones=2)
    assert len(cells) == len(backbones) == 12
    assert len({one.seed for one in backbones}) == 4  # two seeds, two backbones
    for one in backbones:
        (i,) = one.positions
        assert one.within is not None
        assert set(one.within) == set(cells[i].train)
        assert not set(one.split.seen) & set(cells[i].test)
        assert one.seed == backbone_seed(cells[i].seed, one.index)


def test_runs_of_different_seeds_share_no_backbone_and_no_initialisation() -> None:
    taken = [
        one.seed + i for seed in range(5) for one in planned("kfold", seed=seed * 10, backbones=20)[1] for i in range(3)
    ]
    assert len(set(taken)) == len(taken)
    neighbours = [planned("kfold", seed=seed, backbones=3)[1] for seed in (0, 1)]
    assert not {one.seed for one in neighbours[0]} & {one.seed for one in neighbours[1]}


def test_seeds_of_backbones_stay_numbers_of_63_bits() -> None:
    seeds = [backbone_seed(seed, b) for seed in (0, 1, 2**62 - 1) for b in range(200)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 - 1000 for seed in seeds)  # an initialisation more is one more
    assert backbone_seed(7, 0) == 7


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_smaller_training_parts_are_stratified_and_parts_of_larger_ones(evaluator: str) -> None:
    (cells, _), (more, pretrainings) = planned(evaluator), planned(evaluator, train_sizes=(0.5, 0.02, 1.0))
    assert all(map(same, cells, more))
    n = len(cells)
    for place, whole in enumerate(cells):
        half, few = more[n + place], more[2 * n + place]
        assert (half.share, few.share) == (0.5, 0.02)
        assert np.array_equal(half.test, whole.test)
        assert np.array_equal(few.test, whole.test)
        assert set(few.train) < set(half.train) < set(whole.train)
        labels = images().labels
        assert np.bincount(labels[half.train]).tolist() == [round(0.5 * k) for k in np.bincount(labels[whole.train])]
        assert np.bincount(labels[few.train]).tolist() == [1, 1]
    of_cell = {i: one for one in pretrainings for i in one.positions}
    assert all(of_cell[place] is of_cell[n + place] is of_cell[2 * n + place] for place in range(n))
