"""Cross-validation: partitions, strata, groups, seeds, and refusals with numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.model_selection import StratifiedKFold

from qtlplat import ConfigError, Samples, Split
from qtlplat.contracts import check_cells
from qtlplat_kfold import HoldoutOptions, KFoldOptions, holdout, kfold, nested
from qtlplat_kfold.folds import stratified_folds


def labels_of(*counts: int) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(len(counts)), counts).astype(np.int64)


def names(n: int, size: int = 1) -> list[str]:
    return [f"g{i // size}" for i in range(n)]


def samples(labels: npt.NDArray[np.int64], groups: Sequence[str], seeds: Sequence[int]) -> Samples:
    cut = len(labels) * 4 // 5
    indices = np.arange(len(labels), dtype=np.int64)
    return Samples(labels, groups, seeds, Split(indices[: cut - 5], indices[cut - 5 : cut], indices[cut:]))


@settings(deadline=None, max_examples=25)
@given(
    counts=st.lists(st.integers(12, 40), min_size=2, max_size=4),
    folds=st.integers(2, 12),
    seed=st.integers(0, 2**63 - 1),
    shuffle=st.booleans(),
)
def test_every_sample_is_tested_once_and_classes_keep_their_shares(
    counts: list[int], folds: int, seed: int, shuffle: bool
) -> None:
    labels = labels_of(*counts)
    n = len(labels)
    cells = kfold(KFoldOptions(folds=folds, shuffle=shuffle), samples(labels, names(n), [seed]))
    check_cells(cells, n, "kfold")
    assert [cell.fold for cell in cells] == list(range(folds))
    assert sorted(np.concatenate([cell.test for cell in cells])) == list(range(n))
    for cell in cells:
        assert len(cell.train) + len(cell.test) == n
        for label, count in enumerate(counts):
            # stratified: within one sample of the class's share
            assert abs(int((labels[cell.test] == label).sum()) - count / folds) < 1


@settings(max_examples=100)
@given(
    order=st.permutations(range(60)),
    counts=st.lists(st.integers(7, 20), min_size=2, max_size=3),
    folds=st.integers(2, 7),
    seed=st.one_of(st.none(), st.integers(0, 2**32 - 1)),
)
def test_folds_are_those_of_scikit_learn(order: list[int], counts: list[int], folds: int, seed: int | None) -> None:
    sorted_labels = labels_of(*counts)
    labels = sorted_labels[[i for i in order if i < len(sorted_labels)]] * 3 - 2
    splitter = StratifiedKFold(folds, shuffle=seed is not None, random_state=seed)
    found = stratified_folds(labels, folds, seed)
    for fold, (train, test) in enumerate(splitter.split(labels, labels)):
        np.testing.assert_array_equal(np.flatnonzero(found == fold), test)
        np.testing.assert_array_equal(np.flatnonzero(found != fold), train)


def test_groups_never_stand_on_both_sides() -> None:
    labels = np.tile([0, 1, 1], 40).astype(np.int64)
    groups = names(120, size=4)
    for cell in kfold(KFoldOptions(folds=5, grouped=True), samples(labels, groups, [0, 1])):
        assert not {groups[i] for i in cell.train} & {groups[i] for i in cell.test}


def test_ungrouped_folds_do_split_groups() -> None:
    labels = np.tile([0, 1], 60).astype(np.int64)
    groups = names(120, size=4)
    (cell, *_) = kfold(KFoldOptions(folds=5), samples(labels, groups, [0]))
    assert {groups[i] for i in cell.train} & {groups[i] for i in cell.test}


def test_seeds_decide_the_folds_and_are_carried_by_the_cells() -> None:
    labels = labels_of(30, 30)
    cells = kfold(KFoldOptions(folds=3), samples(labels, names(60), [7, 8, 7 + 2**40]))
    assert [(c.seed, c.fold) for c in cells] == [(s, f) for s in (7, 8, 7 + 2**40) for f in range(3)]
    tests = [cells[i].test.tolist() for i in (0, 3, 6)]
    assert tests[0] != tests[1] != tests[2] != tests[0]
    again = kfold(KFoldOptions(folds=3), samples(labels, names(60), [7]))
    assert [c.test.tolist() for c in again] == [c.test.tolist() for c in cells[:3]]


def test_without_shuffling_the_seed_does_not_matter() -> None:
    one, other = (kfold(KFoldOptions(folds=2, shuffle=False), samples(labels_of(8, 8), names(16), [s])) for s in (0, 1))
    assert [c.test.tolist() for c in one] == [c.test.tolist() for c in other]


def test_too_few_samples_are_refused_with_numbers() -> None:
    with pytest.raises(ConfigError, match="6 folds need at least 6 samples of every class") as caught:
        kfold(KFoldOptions(), samples(labels_of(20, 5, 4), names(29), [0]))
    assert "label 1: 5 samples" in caught.value.what
    assert "label 2: 4 samples" in caught.value.what
    assert "label 0" not in caught.value.what


def test_too_few_groups_are_refused_with_numbers() -> None:
    labels = np.tile([0, 1], 30).astype(np.int64)
    with pytest.raises(ConfigError, match="6 folds need at least 6 groups of every class") as caught:
        kfold(KFoldOptions(grouped=True), samples(labels, names(60, size=20), [0]))
    assert "label 0: 3 groups" in caught.value.what


def test_nested_cells_have_a_backbone_of_their_own_that_sees_no_test_sample() -> None:
    given = samples(labels_of(30, 30), names(60), [0, 1])
    cells = nested(KFoldOptions(folds=3), given)
    for cell, plain in zip(cells, kfold(KFoldOptions(folds=3), given), strict=True):
        assert np.array_equal(cell.test, plain.test)
        assert plain.backbone is None
        assert cell.backbone is not None
        assert np.array_equal(cell.backbone, cell.train)


def test_holdout_takes_the_split_of_the_backbone_once_per_seed() -> None:
    given = samples(labels_of(30, 30), names(60), [4, 5])
    cells = holdout(HoldoutOptions(), given)
    assert [(cell.fold, cell.seed) for cell in cells] == [(0, 4), (0, 5)]
    for cell in cells:
        assert cell.train.tolist() == list(range(48))  # what trained and what chose
        assert cell.test.tolist() == list(range(48, 60))
        assert cell.backbone is None


def test_grouped_holdout_refuses_a_split_that_divides_sources() -> None:
    assert holdout(HoldoutOptions(grouped=True), samples(labels_of(30, 30), names(60, size=4), [0]))
    with pytest.raises(ConfigError, match="1 source images are on both sides") as caught:
        holdout(HoldoutOptions(grouped=True), samples(labels_of(30, 30), names(60, size=5), [0]))
    assert caught.value.fix == "-S pretraining.grouped=true"
