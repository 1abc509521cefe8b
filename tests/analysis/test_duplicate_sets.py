"""Sets of duplicates: each counted once, none chained, and claims no stronger than their evidence."""

import numpy as np

from qtlplat.analysis.duplicate_sets import (
    COPY_SIMILARITY,
    DuplicateSet,
    as_rows,
    duplicate_sets,
    duplicate_sheet,
    findings_on_duplicates,
)
from qtlplat.analysis.duplicates import Duplicates, NearPair
from qtlplat.contracts import ImageSet


def pairs(*found):
    return tuple(
        NearPair(i, j, similarity, "none") for i, j, similarity in sorted(found, key=lambda pair: (-pair[2], pair[:2]))
    )


def test_pairs_that_all_match_are_one_set_of_its_weakest_pair():
    found = Duplicates((), pairs((0, 1, 0.95), (0, 2, 0.92), (1, 2, 0.7)))
    assert duplicate_sets(found, [0, 0, 0]) == [DuplicateSet((0, 1, 2), "near", 0.7, "")]


def test_a_chain_is_no_set():
    """76 samples, each like the next one only: 38 pairs, where single linkage would make one group of them."""
    found = Duplicates((), pairs(*((i, i + 1, 0.8 - i / 1000) for i in range(75))))
    sets = duplicate_sets(found, [0] * 76)
    assert len(sets) == 38
    assert {len(one.samples) for one in sets} == {2}


def test_every_two_members_of_a_set_are_a_pair():
    """Against the definition, on random graphs: no set contains a pair that was not found, none shares a sample."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        links = {(i, j): 0.6 + 0.4 * rng.random() for i in range(12) for j in range(i) if rng.random() < 0.4}
        links = {(min(pair), max(pair)): value for pair, value in links.items()}
        sets = duplicate_sets(Duplicates((), pairs(*((*pair, value) for pair, value in links.items()))), [0] * 12)
        samples = [i for one in sets for i in one.samples]
        assert len(samples) == len(set(samples))
        for one in sets:
            inside = [links[i, j] for i in one.samples for j in one.samples if i < j]
            assert one.similarity == min(inside)
            assert one.grade == ("copy" if min(inside) >= COPY_SIMILARITY else "near")


def test_identical_samples_stay_together_and_share_the_pairs_of_the_first():
    found = Duplicates(((0, 3), (1, 4)), pairs((0, 5, 0.95)))
    assert duplicate_sets(found, [0] * 6) == [
        DuplicateSet((1, 4), "identical", 1.0, ""),
        DuplicateSet((0, 3, 5), "copy", 0.95, ""),
    ]


def test_a_contradiction_is_of_the_strongest_pair_with_different_classes():
    found = Duplicates(((0, 1),), pairs((0, 2, 0.95), (3, 4, 0.95), (5, 6, 0.7), (7, 8, 0.99)))
    sets = duplicate_sets(found, [0, 0, 1, 0, 1, 1, 0, 1, 1])
    assert [(one.samples, one.contradiction) for one in sets] == [
        ((0, 1, 2), "copy"),
        ((3, 4), "copy"),
        ((5, 6), "near"),
        ((7, 8), ""),
    ]
    assert findings_on_duplicates(sets)[-2:] == [
        "2 sets with copies of different classes: probably a wrong label, unless the class is a detail or depends on "
        "the rotation",
        "1 set with near duplicates of different classes: this does not show that a label is wrong: look at them",
    ]


def test_only_identical_pictures_of_different_classes_prove_a_wrong_label():
    for found, proved in ((Duplicates(((0, 1),), ()), True), (Duplicates((), pairs((0, 1, 1.0))), False)):
        lines = findings_on_duplicates(duplicate_sets(found, [0, 1]))
        assert any("at least one label is wrong" in line for line in lines) is proved


def test_the_sheet_shows_every_sample_of_the_sets():
    images = np.zeros((12, 1, 40, 40), np.uint8)
    images += np.arange(20, 32, dtype=np.uint8)[:, None, None, None]
    names = tuple(f"s{i}" for i in range(12))
    data = ImageSet(images, np.arange(12) % 2, names, names, ("a", "b"))
    rows = as_rows(data, [DuplicateSet(tuple(range(10)), "copy", 0.9, "copy"), DuplicateSet((10, 11), "near", 0.7, "")])
    assert rows[1] == {
        "samples": ["s10", "s11"],
        "classes": ["a", "b"],
        "grade": "near",
        "similarity": 0.7,
        "contradiction": None,
    }
    shown = np.asarray(duplicate_sheet(data, rows).convert("L"))
    assert all((shown == shade).sum() >= 120 * 120 for shade in range(20, 32))
