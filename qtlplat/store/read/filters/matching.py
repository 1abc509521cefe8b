"""Filters over rows that are no runs of the store: the same language, evaluated in Python over a listing's columns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from qtlplat.errors import unknown_name
from qtlplat.store.read.filters.datetimes import Moment, moment
from qtlplat.store.read.filters.language import misplaced, parse
from qtlplat.store.read.filters.tree import Both, Comparison, Filter, Negated, Value, comparisons

Row = Mapping[str, Any]
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}\+00:00")  # as the store writes it
_SORTS = {"text": "a text", "number": "a number", "truth": "true or false"}


def matching(rows: Sequence[Row], columns: Collection[str], where: str) -> list[int]:
    """Places of the rows that pass a filter whose fields are columns.

    A value that is None or NaN is not there, and comparing it is false; a list has several values.

    Raises
    ------
    UsageError: where the filter cannot be read, names no column, or compares a column with what it never holds.
    """
    tree = parse(where)
    if tree is None:
        return list(range(len(rows)))
    now = datetime.now(UTC)
    tests: dict[int, Callable[[Row], bool]] = {}
    for one in comparisons(tree):
        name = one.field.plain
        if name not in columns:
            what, *notes = unknown_name("column", name, columns).splitlines()
            raise misplaced(where, one.field.at, what, notes=[words.strip() for words in notes])
        present = [value for row in rows for value in _present(row.get(name))]
        tests[id(one)] = _test(one, present, now, where)
    return [place for place, row in enumerate(rows) if _holds(tree, row, tests)]


def _holds(tree: Filter, row: Row, tests: Mapping[int, Callable[[Row], bool]]) -> bool:
    if isinstance(tree, Comparison):
        return tests[id(tree)](row)
    if isinstance(tree, Negated):
        return not _holds(tree.part, row, tests)
    return (all if isinstance(tree, Both) else any)(_holds(part, row, tests) for part in tree.parts)


def _present(value: Any) -> Iterable[Any]:
    """The present values: all of a list, none of None and NaN."""
    if isinstance(value, list | tuple):
        return [one for item in value for one in _present(item)]
    return [] if value is None or (isinstance(value, float) and math.isnan(value)) else [value]


def _test(asked: Comparison, present: Sequence[Any], now: datetime, where: str) -> Callable[[Row], bool]:
    """What a comparison asks of a row. present: all values of its column."""
    name = asked.field.plain
    if asked.operator == "null":
        return lambda row: bool(_present(row.get(name))) == asked.negated
    is_time = bool(present) and all(isinstance(value, str) and _TIME.fullmatch(value) for value in present)
    bounds: list[Callable[[Any], bool]] = []
    for place, value in enumerate(asked.values):
        operator = {"in": "=", "between": (">=", "<=")[place % 2]}.get(asked.operator, asked.operator)
        if wrong := _wrong(name, operator, value, {_sort(one) for one in present}):
            raise misplaced(where, value.at, wrong)
        time = moment(str(value.content), now) if is_time and operator != "like" else None
        if is_time and operator != "like" and time is None:
            raise misplaced(where, value.at, f"{value} is no time")
        bounds.append(_bound(operator, value, time))
    join = all if asked.operator == "between" else any

    def test(row: Row) -> bool:
        value = row.get(name)
        values = list(_present(value))
        found = any(join(bound(one) for bound in bounds) for one in values)
        if not asked.negated:
            return found
        return not found and (bool(values) or isinstance(value, list | tuple))  # an empty list has none of them

    return test


def _wrong(name: str, operator: str, value: Value, sorts: Collection[str]) -> str:
    """What is wrong with a literal for a column of these sorts, '' if nothing."""
    if sorts and value.sort not in sorts:
        return f"{name} is {_SORTS[min(sorts)]}, and {value} is {_SORTS[value.sort]}"
    return "true and false have no order" if value.sort == "truth" and operator != "=" else ""


def _sort(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text"


def _bound(operator: str, value: Value, time: Moment | None) -> Callable[[Any], bool]:
    if operator == "like":
        pattern = re.compile(_as_regex(str(value.content)), re.DOTALL | re.IGNORECASE | re.ASCII)
        return lambda one: _sort(one) == "text" and bool(pattern.fullmatch(str(one)))
    pairs: Sequence[tuple[str, Any]] = ((operator, value.content),) if time is None else time.bounds(operator)
    return lambda one: (
        _sort(one) == value.sort
        and all(_COMPARE[sign](str(one) if value.sort == "text" else one, bound) for sign, bound in pairs)
    )


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def _as_regex(pattern: str) -> str:
    """A pattern with % and _ as a regular expression."""
    return "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in re.sub("%+", "%", pattern))
