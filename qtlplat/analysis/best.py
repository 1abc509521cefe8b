"""The best run of every group, with how many it is the best of. Knows rows of values only."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Best:
    """A group's best run.

    row: as it was given; runs: how many the group has; median: of their values; candidates: the rows of these runs, in
    the order given.
    """

    group: Mapping[str, Any]
    row: Mapping[str, Any]
    value: float
    runs: int
    median: float
    candidates: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


def best_of(
    rows: Sequence[Mapping[str, Any]], metric: str, by: Sequence[str], *, lower_is_better: bool
) -> tuple[list[Best], int]:
    """The best row of each group, the best group first, and how many rows had no finite value.

    rows: values by field, newest first: of equally good ones the newest wins; metric, by: fields of them.
    """
    groups: dict[str, list[tuple[float, Mapping[str, Any]]]] = {}
    left_out = 0
    for row in rows:
        value = row[metric]
        if not isinstance(value, int | float) or not math.isfinite(value):
            left_out += 1
            continue
        groups.setdefault(repr([row[name] for name in by]), []).append((value, row))
    sign = 1 if lower_is_better else -1
    found = []
    for members in groups.values():
        value, row = min(members, key=lambda member: sign * member[0])
        median = statistics.median(value for value, _ in members)
        found.append(
            Best({name: row[name] for name in by}, row, value, len(members), median, tuple(row for _, row in members))
        )
    return sorted(found, key=lambda best: sign * best.value), left_out
