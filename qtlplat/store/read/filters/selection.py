"""Filters, orders and columns of runs as one SELECT: whatever stands in a filter is bound, never part of the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.store.core import database, dialect, schema
from qtlplat.store.core.dialect import Expression
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read import run_annotations
from qtlplat.store.read.filters.datetimes import FORMS, moment
from qtlplat.store.read.filters.fields import Field, Fields, average_of
from qtlplat.store.read.filters.language import Asked, Comparison, Filter, Value, parse
from qtlplat.store.read.filters.names import FieldName, field_name, refuse_many, sort_keys

NEWEST_FIRST = (schema.runs.c.created.desc(), schema.runs.c.id)
_SORTS = {"text": "a text", "number": "a number", "truth": "true or false", "time": "a time"}
_COMPARE: dict[str, Callable[[Expression, Expression], Expression]] = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


def check(where: str, sort: str, fields: Sequence[str] = (), place: str = "--cols") -> None:
    """Refuse what cannot be read, whatever the store holds; place: where fields were named. Raises UsageError."""
    parse(where)
    sort_keys(sort)
    refuse_many({*fields}, place)
    for name in fields:
        field_name(name, where=place)


@dataclass(frozen=True)
class Columns:
    """Values of fields of many runs. values: by field; keys: hashable, equal for equal values of one type."""

    values: Mapping[str, Sequence[Any]]
    keys: Mapping[str, Sequence[Any]]


class Selection:
    """Which runs, in which order, made in a transaction.

    where: a filter, '' for all runs; sort: fields, '' for the newest first; runs in which a field to sort by is not
    there come last. place: what errors about `sort` name; trash: of the runs there, and not of all others.

    Raises:
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
        self._connection, self._fields = connection, Fields(connection, location)
        self._order: list[Expression] = []
        self._average: tuple[str, str, bool] | None = None  # metric and variant to sort by first; whether descending
        for name, descending in sort_keys(sort):
            field = self._fields.find(name, Asked(where=place))
            if field.average and not self._order:
                self._average = (*field.average, descending)
            self._order += _ordered(field, descending)
        self._conditions = [~run_annotations.LISTED if trash else run_annotations.LISTED]
        if tree := parse(where):
            self._conditions.append(Compiler(self._fields.find, Asked(where)).condition(tree))

    def ids(self, *conditions: Expression) -> sa.Select[Any]:
        """The ids of the runs that are selected and meet further conditions."""
        return self._select([schema.runs.c.id], conditions)

    def first(self, *conditions: Expression, limit: int | None = None) -> list[str]:
        """The same ids themselves, at most so many."""
        return [row[0] for row in self._rows([schema.runs.c.id], conditions, limit)]

    def rows(
        self, names: Sequence[str], *conditions: Expression, limit: int | None = None, place: str = "--cols"
    ) -> list[dict[str, Any]]:
        """The values of fields, for each run that is selected and meets further conditions; None for a missing one."""
        fields, columns = self._columns(names, place)
        rows = [dict(zip(names, row, strict=True)) for row in self._rows(columns, conditions, limit)]
        for name, decode in ((name, field.decode) for name, field in zip(names, fields, strict=True) if field.decode):
            for row in rows:
                row[name] = decode(row[name])
        return rows

    def columns(self, names: Sequence[str], *conditions: Expression, place: str = "--cols") -> Columns:
        """The same values, a column for each field, of runs in no order: for very many of them."""
        names = list(dict.fromkeys(names))
        fields, columns = self._columns(names, place)
        query = self._select(columns, conditions).order_by(None)
        found = database.columns_of_rows(self._connection, columns, query) or [()] * len(names)
        stored = dict(zip(names, found, strict=True))
        decoders = [(name, field.decode) for name, field in zip(names, fields, strict=True) if field.decode]
        decoded = {name: tuple(map(decode, stored[name])) for name, decode in decoders}
        return Columns(stored | decoded, stored | {name: tuple(map(repr, values)) for name, values in decoded.items()})

    def _columns(self, names: Sequence[str], place: str) -> tuple[list[Field], list[Expression]]:
        fields = [self._fields.find(field_name(name, where=place), Asked(where=place)) for name in names]
        return fields, [field.value.label(f"c{number}") for number, field in enumerate(fields)]

    def _rows(
        self, columns: Sequence[Any], conditions: Sequence[Expression], limit: int | None
    ) -> Sequence[sa.Row[Any]]:
        if limit is not None and (best := self._from_the_best(columns, conditions)) is not None:
            found = self._connection.execute(best.limit(limit)).all()
            if len(found) == limit:
                return found  # else runs without that metric follow
        return self._connection.execute(self._select(columns, conditions).limit(limit)).all()

    def _select(self, columns: Sequence[Any], conditions: Sequence[Expression]) -> sa.Select[Any]:
        query = sa.select(*columns).select_from(schema.runs).where(*self._conditions, *conditions)
        return query.order_by(*self._order, *NEWEST_FIRST)

    def _from_the_best(self, columns: Sequence[Any], conditions: Sequence[Expression]) -> sa.Select[Any] | None:
        """The same of the runs that have the metric to sort by first, in the order of its index; None without one.

        A database then looks at no more runs than it takes to fill a list.
        """
        if self._average is None:
            return None
        table, (metric, variant, descending) = schema.run_metrics, self._average
        mean = table.c.mean
        known = (*average_of(metric, variant), mean.is_not(None))
        query = sa.select(*columns).select_from(table.join(schema.runs, table.c.run_id == schema.runs.c.id))
        query = query.where(*known, *self._conditions, *conditions).correlate(None)
        return query.order_by(mean.desc() if descending else mean, *self._order[2:], *NEWEST_FIRST)


class Compiler:
    """Makes conditions in SQL of filters. find: the field of a name; asked: the filter, for errors."""

    def __init__(self, find: Callable[[FieldName, Asked], Field], asked: Asked) -> None:
        self._find, self._asked, self._now = find, asked, datetime.now(UTC)

    def condition(self, tree: Filter) -> Expression:
        """What holds of the rows that pass. Raises UsageError for an unknown field, or a value of another sort."""
        if isinstance(tree, Comparison):
            return self._comparison(tree)
        parts = map(self.condition, tree.parts)
        if tree.word == "not":  # a missing value makes a comparison false; NULL would not be negated
            return sa.not_(sa.func.coalesce(next(parts), sa.false()))
        return sa.and_(*parts) if tree.word == "and" else sa.or_(*parts)

    def _comparison(self, asked: Comparison) -> Expression:
        field = self._find(asked.field, self._asked)
        if asked.operator == "null":
            there = field.value.is_not(None) if field.there is None else field.there
            return there if asked.negated else sa.not_(there)
        operators = {"between": (">=", "<="), "in": ("=",) * len(asked.values)}.get(asked.operator, (asked.operator,))
        tests = [self._test(field, asked, *one) for one in zip(operators, asked.values, strict=True)]
        holds = sa.and_(*tests) if asked.operator == "between" else sa.or_(*tests)
        if field.rows is None:
            return sa.not_(holds) if asked.negated else holds
        return sa.and_(field.listed, sa.not_(field.rows(holds))) if asked.negated else field.rows(holds)

    def _test(self, field: Field, asked: Comparison, operator: str, value: Value) -> Expression:
        """A literal against what the field has of its sort."""
        if value.sort not in field.items:
            raise self._asked.error(
                value.at, f"{asked.field.plain} is {_SORTS[field.sort]}, and {value} is {_SORTS[value.sort]}"
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
            return sa.and_(*(_COMPARE[sign](item, sa.literal(bound)) for sign, bound in found.bounds(operator)))
        content = int(value.content) if isinstance(value.content, bool) else value.content
        return _COMPARE[operator](item, sa.literal(content))


def _ordered(field: Field, descending: bool) -> list[Expression]:
    """What a field adds to ORDER BY: where it is not there, last."""
    last = sa.case((field.order[0].is_(None), 1), else_=0)
    return [last, *((item.desc() if descending else item.asc()) for item in field.order)]
