"""What was seen before it is tested."""

import numpy as np

from qtlplat.contracts import Cell
from qtlplat.training.leak import leaks

GROUPS = ("a", "a", "b", "b", "c", "c", "d", "d")


def cell(train, test):
    return Cell(0, 0, np.array(train), np.array(test))


def test_nothing_seen_is_nothing_leaked():
    assert leaks(cell([0, 1, 2, 3], [4, 5, 6, 7]), np.array([0, 1, 2, 3]), GROUPS) == (0.0, 0.0)


def test_samples_of_the_backbone_count_by_themselves_and_by_their_source():
    # 4 was seen; 5 is of the same source; 6 and 7 are of none that was
    assert leaks(cell([0, 1, 2, 3], [4, 5, 6, 7]), np.array([0, 4]), GROUPS) == (0.25, 0.5)


def test_sources_in_the_heads_own_training_count_too():
    assert leaks(cell([0, 2, 4, 6], [1, 3, 5, 7]), np.array([0, 2, 4, 6]), GROUPS) == (0.0, 1.0)
