import numpy as np
import pytest

from qtlplat.analysis.pareto import unbeaten


def by_pairs(values: np.ndarray, lower: list[bool]) -> list[bool]:
    """By the definition: nobody is as good everywhere and better somewhere."""
    costs = np.where(lower, values, -values)
    return [not any((other <= cost).all() and (other < cost).any() for other in costs) for cost in costs]


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
@pytest.mark.parametrize("levels", [3, 10, 10**6])
def test_the_front_is_that_of_the_definition(dimensions: int, levels: int) -> None:
    random = np.random.default_rng(dimensions * levels)
    for n in (1, 2, 40, 150):
        values = random.integers(0, levels, (n, dimensions)).astype(float)
        lower = [bool(v) for v in random.integers(0, 2, dimensions)]
        assert unbeaten(values.tolist(), lower) == by_pairs(values, lower)


def test_equal_ones_do_not_beat_each_other() -> None:
    assert unbeaten([[1, 2], [1, 2], [0, 3]], [False, False]) == [True, True, True]
    assert unbeaten([[1, 2], [1, 2], [1, 3]], [False, False]) == [False, False, True]
    assert unbeaten([], [True]) == []
