"""Filters, orders and columns of runs as one SELECT: whatever stands in a filter is bound, never part of the text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.store.core import dialect, schema
from qtlplat.store.core.dialect import Expression
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read import run_annotations
from qtlplat.store.read.filters.datetimes import FORMS, moment
from qtlplat.store.read.filters.fields import Field, Fields
from qtlplat.store.read.filters.known_names import Asked
from qtlplat.store.read.filters.language import parse
from qtlplat.store.read.filters.tree import (
    Both,
    Comparison,
    Filter,
    Negated,
    Value,
    field_name,
    refuse_many,
    sort_keys,
)

NEWEST_FIRST = (schema.runs.c.created.desc(), schema.runs.c.id)
_SORTS = {"text": "a text", "number": "a number", "truth": "true or false"}
_SHOWN = {"text": "a text", "number": "a number", "time": "a time", "any": ""}


def check(where: str, sort: str, fields: Sequence[str] = (), place: str = "--cols") -> None:
    """Refuse what cannot be read, whatever the store holds; place: where fields were named. Raises UsageError."""
    parse(where)
    sort_keys(sort)
    refuse_many({*fields}, place)
    for name in fields:
        field_name(name, where=place)


class Selection:
    """Which runs, in which order, made in a transaction.

    where: a filter, '' for all runs; sort: fields, '' for the newest first; runs in which a field to sort by is not
    there come last. place: what errors about `sort` name; trash: of the runs there, and not of all others.

    Raises
    ------
    UsageError: from every method, where a filter or a field cannot be understood.
    """

    def __init__(
        self,
        connection: Connection,
        location: StoreLocation,
        where: str = "",
        sort: str = "",
        place: str = "--sort",
        *,
        trash: bool = False,
    ) -> None:
        self._of_those = ~run_annotations.LISTED if trash else run_annotations.LISTED
        self._fields = Fields(connection, location)
        self._order: list[Expression] = []
        for key in sort_keys(sort):
            self._order += _ordered(self._fields.find(key.field, Asked(where=place)), key.descending)
        self._asked = Asked(where)
        self._now = datetime.now(UTC)
        tree = parse(where)
        self._conditions = [] if tree is None else [self._condition(tree)]

    def ids(self, *conditions: Expression, limit: int | None = None) -> sa.Select[Any]:
        """The ids of the runs that are selected and meet further conditions."""
        return self._select([schema.runs.c.id], conditions, limit)

    def rows(
        self, names: Sequence[str], *conditions: Expression, limit: int | None = None, place: str = "--cols"
    ) -> Rows:
        """The values of fields, for each run that is selected and meets further conditions."""
        fields = [self._fields.find(field_name(name, where=place), Asked(where=place)) for name in names]
        columns = [field.value.label(f"c{number}") for number, field in enumerate(fields)]
        return Rows(self._select(columns, conditions, limit), names, fields)

    def _select(self, columns: Sequence[Any], conditions: Sequence[Expression], limit: int | None) -> sa.Select[Any]:
        query = sa.select(*columns).select_from(schema.runs).where(self._of_those, *conditions, *self._conditions)
        return query.order_by(*self._order, *NEWEST_FIRST).limit(limit)

    def _condition(self, tree: Filter) -> Expression:
        if isinstance(tree, Comparison):
            return self._comparison(tree)
        if isinstance(tree, Negated):  # what is not there makes a comparison false, and NULL would not be negated
            return sa.not_(sa.func.coalesce(self._condition(tree.part), sa.false()))
        join = sa.and_ if isinstance(tree, Both) else sa.or_
        return join(*map(self._condition, tree.parts))

    def _comparison(self, asked: Comparison) -> Expression:
        field = self._fields.find(asked.field, self._asked)
        there = field.value.is_not(None) if field.there is None else field.there
        if asked.operator == "null":
            return there if asked.negated else sa.not_(there)
        if asked.operator == "between":
            tests = [self._test(field, asked, ">=", asked.values[0]), self._test(field, asked, "<=", asked.values[1])]
            holds = sa.and_(*tests)
        else:
            operator = "=" if asked.operator == "in" else asked.operator
            holds = sa.or_(*(self._test(field, asked, operator, value) for value in asked.values))
        if field.rows is None:
            return sa.not_(holds) if asked.negated else holds
        if not asked.negated:
            return field.rows(holds)
        none = sa.not_(field.rows(holds))
        return sa.and_(field.value.is_not(None), none) if field.sort == "any" else none  # an empty list has none

    def _test(self, field: Field, asked: Comparison, operator: str, value: Value) -> Expression:
        """A literal against what the field has of its sort."""
        if value.sort not in field.items:
            raise self._asked.error(
                value.at, f"{asked.field} is {_SHOWN[field.sort]}, and {value} is {_SORTS[value.sort]}"
            )
        if value.sort == "truth" and operator != "=":
            raise self._asked.error(value.at, "true and false have no order")
        item = field.items[value.sort]
        if operator == "like":
            return dialect.alike(item, sa.literal(value.content))
        if field.sort == "time":
            found = moment(str(value.content), self._now)
            if found is None:
                raise self._asked.error(value.at, f"{value} is no time", fix=f"write one as {FORMS}")
            return sa.and_(*(_compare(item, sign, bound) for sign, bound in found.bounds(operator)))
        return _compare(item, operator, int(value.content) if isinstance(value.content, bool) else value.content)


class Rows:
    """A SELECT of fields, and what its rows say."""

    def __init__(self, query: sa.Select[Any], names: Sequence[str], fields: Sequence[Field]) -> None:
        self._query, self._names, self._fields = query, names, fields

    def read(self, connection: Connection) -> list[dict[str, Any]]:
        """Values by field, as it was named; None where it is not there."""
        decode = [field.decode for field in self._fields]
        found = connection.execute(self._query).all()
        return [{n: d(value) for n, d, value in zip(self._names, decode, row, strict=True)} for row in found]


def _compare(item: Expression, operator: str, bound: Any) -> Expression:
    value = sa.literal(bound)
    if operator == "=":
        return item == value
    return {"<": item < value, "<=": item <= value, ">": item > value, ">=": item >= value}[operator]


def _ordered(field: Field, descending: bool) -> list[Expression]:
    """What a field adds to ORDER BY: where it is not there, last."""
    last = sa.case((field.order[0].is_(None), 1), else_=0)
    return [last, *((item.desc() if descending else item.asc()) for item in field.order)]
