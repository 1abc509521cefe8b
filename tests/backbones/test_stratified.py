"""Stratified splits are those of scikit-learn, sample for sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.model_selection import train_test_split

from qtlplat.backbones.stratified import stratified_split


@settings(max_examples=200)
@given(
    labels=st.lists(st.integers(0, 5), min_size=2, max_size=80),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_split_is_that_of_scikit_learn_or_refused_where_it_refuses(
    labels: list[int], share: float, seed: int
) -> None:
    given_labels = np.array(labels, dtype=np.int64)
    positions = np.arange(len(labels))
    try:
        expected = train_test_split(positions, test_size=share, stratify=given_labels, random_state=seed)
    except ValueError:
        with pytest.raises(ValueError, match="class"):
            stratified_split(given_labels, share, seed)
        return
    for here, there in zip(stratified_split(given_labels, share, seed), expected, strict=True):
        np.testing.assert_array_equal(here, there)


def test_a_refusal_says_which_class_is_too_small() -> None:
    with pytest.raises(ValueError, match="of class 7 there is a single sample"):
        stratified_split(np.array([1, 1, 1, 7]), 0.5, 0)
    with pytest.raises(ValueError, match="5 and 1 samples would be left for 3 classes"):
        stratified_split(np.array([0, 0, 1, 1, 2, 2]), 0.1, 0)
