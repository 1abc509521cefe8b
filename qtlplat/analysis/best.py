"""The best run of every group, with how many it is the best of. Knows columns of values only."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any


@dataclass(frozen=True)
class Best:
    """A group's best run.

    run: its id; runs: how many the group has; median: of their values; candidates: their ids, in no order; conditions:
    how they were tested.
    """

    group: Mapping[str, Any]
    run: str
    value: float
    runs: int
    median: float
    candidates: tuple[str, ...] = field(default=(), repr=False)
    conditions: frozenset[str] = frozenset()


def best_of(
    columns: Mapping[str, Sequence[Any]],
    metric: str,
    by: Sequence[str],
    *,
    lower_is_better: bool,
    newest_first: Callable[[Sequence[str]], list[str]],
) -> tuple[list[Best], int]:
    """The best run of each group, the best group first, and how many runs had no finite value.

    Args:
        columns: values by field, of all runs, with `run` and `condition`.
        metric: the field to rank by.
        by: the fields that make a group.
        lower_is_better: its direction.
        newest_first: ids in the order of a listing: of equally good runs the first one wins.
    """
    runs, values, conditions = columns["run"], columns[metric], columns["condition"]
    judged = are_numbers(values)
    keys = zip(*(_told_apart(columns[name]) for name in by), strict=True) if by else iter([()] * len(runs))
    groups: dict[Any, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        groups[key].append(place)
    sign = 1 if lower_is_better else -1
    chosen = []
    for places in groups.values():
        members = [place for place in places if judged[place]]
        if members:
            numbers = [values[place] for place in members]
            value = min(numbers) if lower_is_better else max(numbers)
            first = [runs[place] for place, number in zip(members, numbers, strict=True) if number == value]
            chosen.append((members, value, _median(numbers), first))
    chosen.sort(key=lambda one: sign * one[1])
    newest = {}
    if len({value for _, value, _, _ in chosen}) < sum(len(first) for *_, first in chosen):  # there are equals
        newest = {run: i for i, run in enumerate(newest_first([run for *_, first in chosen for run in first]))}
    found = []
    for members, value, median, first in chosen:
        run = min(first, key=lambda one: newest.get(one, 0))
        group = {name: columns[name][members[0]] for name in by}
        candidates = tuple([runs[place] for place in members])
        tested = frozenset([conditions[place] for place in members])
        found.append(Best(group, run, value, len(members), median, candidates, tested))
    found.sort(key=lambda best: (sign * best.value, newest.get(best.run, 0)))
    return found, len(runs) - sum(judged)


def is_number(value: Any) -> bool:
    """Whether a stored value is a finite number; true and false are none."""
    return type(value) in (float, int) and math.isfinite(value)


def are_numbers(values: Sequence[Any]) -> list[bool]:
    """The same of many values."""
    if set(map(type, values)) <= {float, int}:
        return list(map(math.isfinite, values))
    return [is_number(value) for value in values]


def _median(values: Sequence[float]) -> float:
    """As that of `statistics`, which takes longer to load than most rankings."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _told_apart(values: Sequence[Any]) -> Sequence[Any]:
    """Hashable values that are equal for equal ones of one type only: 1 is neither true nor a text."""
    if set(map(type, values)) <= {str, NoneType}:
        return values
    return [value if value is None or isinstance(value, str) else (repr(value),) for value in values]
