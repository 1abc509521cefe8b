"""The best run of every group, with how many it is the best of. Knows columns of values only."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any


@dataclass(frozen=True)
class Best:
    """A group's best run.

    run: its id; runs: how many the group has; median: of their values; conditions: how they were tested.
    """

    group: Mapping[str, Any]
    run: str
    value: float
    runs: int
    median: float
    conditions: frozenset[str]
    _every: Sequence[str] = field(repr=False)
    _places: Sequence[int] = field(repr=False)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The ids of the group's runs, in no order."""
        return _at(self._every, self._places)


def best_of(
    columns: Mapping[str, Sequence[Any]],
    metric: str,
    by: Mapping[str, Sequence[Any]],
    *,
    lower_is_better: bool,
    newest_first: Callable[[Sequence[str]], list[str]],
) -> tuple[list[Best], int]:
    """The best run of each group, the best group first, and how many runs had no finite value.

    Args:
        columns: values by field, of all runs, with `run` and `condition`.
        metric: the field to rank by.
        by: the fields that make a group, with hashable columns; of these, equal values of two types are different.
        lower_is_better: its direction.
        newest_first: ids in the order of a listing: of equally good runs the first one wins.
    """
    runs, values, conditions = columns["run"], columns[metric], columns["condition"]
    judged = are_numbers(values)
    left_out = len(runs) - sum(judged)
    keys = enumerate(zip(*by.values(), strict=True) if by else [()] * len(runs))
    groups: dict[Any, list[int]] = defaultdict(list)
    for place, key in compress(keys, judged) if left_out else keys:
        groups[key].append(place)
    sign = 1 if lower_is_better else -1
    chosen = []
    for members in groups.values():
        numbers = _at(values, members)
        value = min(numbers) if lower_is_better else max(numbers)
        first = [runs[place] for place in compress(members, map(value.__eq__, numbers))]
        chosen.append((members, value, _median(numbers), first))
    chosen.sort(key=lambda one: sign * one[1])
    newest = {}
    if len({value for _, value, _, _ in chosen}) < sum(len(first) for *_, first in chosen):  # there are equals
        newest = {run: i for i, run in enumerate(newest_first([run for *_, first in chosen for run in first]))}
    found = []
    for members, value, median, first in chosen:
        run = min(first, key=lambda one: newest.get(one, 0))
        group = {name: columns[name][members[0]] for name in by}
        tested = frozenset([group["condition"]] if "condition" in by else _at(conditions, members))
        found.append(Best(group, run, value, len(members), median, tested, runs, members))
    found.sort(key=lambda best: (sign * best.value, newest.get(best.run, 0)))
    return found, left_out


def is_number(value: Any) -> bool:
    """Whether a stored value is a finite number; true and false are none."""
    return type(value) in (float, int) and math.isfinite(value)


def are_numbers(values: Sequence[Any]) -> list[bool]:
    """The same of many values."""
    if set(map(type, values)) <= {float, int}:
        return list(map(math.isfinite, values))
    return [is_number(value) for value in values]


def _at(values: Sequence[Any], places: Sequence[int]) -> tuple[Any, ...]:
    """The values at some places, one or more."""
    return tuple(map(values.__getitem__, places))


def _median(values: Sequence[float]) -> float:
    """As that of `statistics`, which takes longer to load than most rankings."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
