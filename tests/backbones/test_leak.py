"""What was seen before it is tested."""

import numpy as np
import pytest

from qtlplat.backbones.leakage import leaks
from qtlplat.contracts import Cell, Split

GROUPS = ("a", "a", "b", "b", "c", "c", "d", "d")


def cell(train, test):
    return Cell(0, 0, np.array(train), np.array(test))


def split(train, validation, test):
    return Split(*(np.array(part, dtype=np.int64) for part in (train, validation, test)))


def shares(given, pretraining, monitor="validation"):
    found = leaks(given, pretraining, GROUPS, monitor)
    return found["leakage"], found["group_leakage"], found["selection_leakage"]


def test_nothing_seen_is_nothing_leaked():
    assert shares(cell([0, 1, 2, 3], [4, 5, 6, 7]), split([0, 1, 2], [], [3])) == (0, 0, 0)


def test_samples_of_the_backbone_count_by_themselves_and_by_their_source():
    # 4 was trained on, 6 chose the epoch as validation; 5 and 7 are of the same sources
    assert shares(cell([0, 1, 2, 3], [4, 5, 6, 7]), split([0, 4], [6], [1])) == (0.5, 1, 0)


def test_sources_in_the_heads_own_training_count_too():
    assert shares(cell([0, 2, 4, 6], [1, 3, 5, 7]), split([0, 2], [4], [6])) == (0, 1, 0)


@pytest.mark.parametrize(("monitor", "share"), [("test", 0.75), ("validation", 0)])
def test_what_the_backbone_was_chosen_on_counts_where_the_test_part_chose(monitor, share):
    assert shares(cell([0, 1], [4, 5, 6, 7]), split([0, 1], [], [4, 5, 6]), monitor)[2] == share
