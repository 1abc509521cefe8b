"""Pareto-optimal models, against the definition: none is at least as good in everything and better in something."""

import numpy as np
import pytest

from qtlplat.analysis.pareto import unbeaten


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("lower", [(True, True), (False, True), (False, False), (True, False, True)])
def test_the_unbeaten_are_those_of_the_definition(lower: tuple[bool, ...], seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 6, (60, len(lower))).astype(float)  # with many equals
    costs = values * np.where(lower, 1, -1)
    beaten = [any((other <= cost).all() and (other < cost).any() for other in costs) for cost in costs]
    assert unbeaten(values.tolist(), lower) == [not one for one in beaten]
