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

    row: as it was given; runs: how many the group has; median: of their values; candidates: the rows of these runs.
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

    rows: values by field, in any order, with `run` and `created`; metric, by: fields of them. Of equally good ones the
    newest wins.
    """
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    left_out = 0
    for row in rows:
        value = row[metric]
        if not isinstance(value, int | float) or not math.isfinite(value):
            left_out += 1
            continue
        groups.setdefault(tuple([_told_apart(row[name]) for name in by]), []).append(row)
    sign = 1 if lower_is_better else -1
    found = []
    for members in groups.values():
        values = [row[metric] for row in members]
        value = min(values) if lower_is_better else max(values)
        row = newest_first([one for one in members if one[metric] == value])[0]
        median = statistics.median(values)
        found.append(Best({name: row[name] for name in by}, row, value, len(members), median, tuple(members)))
    newest = {row["run"]: place for place, row in enumerate(newest_first([best.row for best in found]))}
    return sorted(found, key=lambda best: (sign * best.value, newest[best.row["run"]])), left_out


def newest_first(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows with the fields `created` and `run`, in the order of a listing."""
    return sorted(sorted(rows, key=lambda row: row["run"]), key=lambda row: row["created"], reverse=True)


def _told_apart(value: Any) -> Any:
    """Something hashable that is equal for equal values of one type only: 1 is neither true nor a text."""
    return value if value is None or isinstance(value, str) else (repr(value),)
