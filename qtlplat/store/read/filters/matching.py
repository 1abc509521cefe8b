"""Filters over rows that are no runs of the store: the same language, over the columns of a listing."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from qtlplat.errors import unknown_name
from qtlplat.store.core.dialect import Expression
from qtlplat.store.read.filters.fields import Field
from qtlplat.store.read.filters.language import Asked, parse
from qtlplat.store.read.filters.names import FieldName
from qtlplat.store.read.filters.selection import Compiler

Row = Mapping[str, Any]
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}\+00:00")  # as the store writes it

_ROWS = sa.Table("listing", sa.MetaData(), sa.Column("place", sa.Integer, primary_key=True))
# a row for each value, which is of one sort; one without any for an empty list
_SORTS = {"number": sa.Float, "text": sa.Text, "truth": sa.Integer}
_VALUES = sa.Table(
    "listed_values",
    _ROWS.metadata,
    sa.Column("place", sa.Integer, index=True),
    sa.Column("name", sa.Text),
    *(sa.Column(name, kind) for name, kind in _SORTS.items()),
)


def matching(rows: Sequence[Row], columns: Collection[str], where: str) -> list[int]:
    """Places of the rows that pass a filter whose fields are columns.

    A value that is None or NaN is not there, and comparing it is false; a list has several values.

    Raises:
        UsageError: if the filter cannot be read, names no column, or compares a column with what it never holds.
    """
    tree = parse(where)
    if tree is None:
        return list(range(len(rows)))

    def find(name: FieldName, asked: Asked) -> Field:
        if name.plain not in columns:
            what, *notes = unknown_name("column", name.plain, columns).splitlines()
            raise asked.error(name.at, what, [words.strip() for words in notes])
        return _column(name.plain, [value for row in rows for value in _present(row.get(name.plain))])

    holds = Compiler(find, Asked(where)).condition(tree)
    with sa.create_engine("sqlite://").begin() as connection:
        _ROWS.metadata.create_all(connection)
        connection.execute(sa.insert(_ROWS), [{"place": place} for place in range(len(rows))])
        if values := [value for place, row in enumerate(rows) for value in _values(place, row)]:
            connection.execute(sa.insert(_VALUES), values)
        return list(connection.execute(sa.select(_ROWS.c.place).where(holds).order_by(_ROWS.c.place)).scalars())


def _column(name: str, present: Sequence[Any]) -> Field:
    """A column of which these are all values."""
    sorts = {_sort(value) for value in present} or set(_SORTS)
    is_time = bool(present) and all(isinstance(value, str) and _TIME.fullmatch(value) for value in present)

    def rows(condition: Expression) -> Expression:
        return sa.exists().where(_VALUES.c.place == _ROWS.c.place, _VALUES.c.name == name, condition)

    there = rows(sa.or_(*(_VALUES.c[sort].is_not(None) for sort in _SORTS)))
    items = {sort: _VALUES.c[sort] for sort in sorts}
    return Field("time" if is_time else min(sorts), there, items, rows=rows, listed=rows(sa.true()), there=there)  # type: ignore[arg-type]


def _values(place: int, row: Row) -> Iterable[dict[str, Any]]:
    for name, value in row.items():
        found = list(_present(value))
        for one in found:
            sort = _sort(one)
            content = str(one).encode(errors="replace").decode() if sort == "text" else one
            yield {**dict.fromkeys(_SORTS), "place": place, "name": name, sort: content}
        if not found and isinstance(value, list | tuple):
            yield {**dict.fromkeys(_SORTS), "place": place, "name": name}


def _present(value: Any) -> Iterable[Any]:
    """The present values: all of a list, none of None and NaN."""
    if isinstance(value, list | tuple):
        return [one for item in value for one in _present(item)]
    return [] if value is None or (isinstance(value, float) and math.isnan(value)) else [value]


def _sort(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text"
