"""What SQLite and PostgreSQL write differently when runs are selected; each as one construct that both can compile."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NULLTYPE

from qtlplat.conventions import mean_std

Expression = sa.ColumnElement[Any]


class _Construct(FunctionElement[Any]):
    """Something that either database has a text for; {0}, {1}, ... in it are the arguments."""

    def __init_subclass__(cls, sqlite: str = "", postgresql: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.inherit_cache = True
        compiles(cls, "sqlite")(_as(sqlite))
        compiles(cls, "postgresql")(_as(postgresql))


def _as(text: str) -> Callable[..., str]:
    def write(element: Any, compiler: Any, **options: Any) -> str:
        return text.format(*(compiler.process(argument, **options) for argument in element.clauses))

    return write


class number(  # noqa: N801 -- these are used as SQL's functions are
    _Construct,
    sqlite="CASE WHEN typeof({0}) IN ('real', 'integer') THEN {0} END",
    postgresql="nullif({0}, 'NaN'::float8)",
):
    """A value of a column of numbers, NULL if it is NaN (in SQLite a text)."""

    type = NULLTYPE


class result(_Construct, sqlite="{0}", postgresql="nullif({0}, 'NaN'::float8)"):  # noqa: N801
    """What an aggregate of numbers gives, NULL if that is NaN, as of infinities (in SQLite it is NULL anyway)."""

    type = NULLTYPE


class all_numbers(  # noqa: N801
    _Construct,
    sqlite="total(typeof({0}) IN ('text', 'blob')) = 0",
    postgresql="coalesce(bool_and({0} <> 'NaN'), true)",
):
    """Whether none of a group's values is NaN."""

    type = sa.Boolean()


class json_number(  # noqa: N801
    _Construct,
    sqlite="CASE WHEN json_type({0}, {1}) IN ('integer', 'real') THEN json_extract({0}, {1}) END",
    postgresql="CASE jsonb_typeof(jsonb_path_query_first({0}::jsonb, {1}::jsonpath)) "
    "WHEN 'number' THEN (jsonb_path_query_first({0}::jsonb, {1}::jsonpath) #>> '{{}}')::float8 END",
):
    """A number in a JSON column, by path; NULL if there is none."""

    type = NULLTYPE


class json_float(  # noqa: N801
    _Construct,
    sqlite="CASE json_extract({0}, {1}) WHEN 'Infinity' THEN 9e999 WHEN '-Infinity' THEN -9e999 "
    "ELSE json_extract({0}, {1}) END",
    postgresql="(jsonb_path_query_first({0}::jsonb, {1}::jsonpath) #>> '{{}}')::float8",
):
    """A number in a JSON column that may hold NaN and infinities, as a column of numbers would hold it."""

    type = NULLTYPE


class json_there(  # noqa: N801
    _Construct,
    sqlite="coalesce(json_type({0}, {1}), 'null') <> 'null'",
    postgresql="coalesce(jsonb_typeof(jsonb_path_query_first({0}::jsonb, {1}::jsonpath)), 'null') <> 'null'",
):
    """Whether a JSON column has anything but null at a path."""

    type = sa.Boolean()


class json_part(  # noqa: N801
    _Construct,
    sqlite="CASE json_type({0}, {1}) WHEN 'null' THEN NULL WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' "
    "ELSE nullif(json_quote(json_extract({0}, {1})), 'null') END",
    postgresql="nullif(jsonb_path_query_first({0}::jsonb, {1}::jsonpath), 'null'::jsonb)::text",
):
    """What a JSON column has at a path, as JSON text; NULL if there is nothing, or null."""

    type = sa.Text()


class elements(  # noqa: N801
    _Construct,
    sqlite="json_each({0}, {1})",
    postgresql="jsonb_path_query({0}::jsonb, ({1} || '[*]')::jsonpath)",
):
    """The value at a path of a JSON column, or the values of the list there, as a table to select from."""

    name = "elements"


class element_number(  # noqa: N801
    _Construct,
    sqlite="CASE WHEN {1} IN ('integer', 'real') THEN {0} END",
    postgresql="CASE WHEN jsonb_typeof({0}) = 'number' THEN ({0} #>> '{{}}')::float8 END",
):
    """The number that an element (its value, its type) is, or NULL."""

    type = NULLTYPE


class element_text(  # noqa: N801
    _Construct,
    sqlite="CASE WHEN {1} = 'text' THEN {0} END",
    postgresql="CASE WHEN jsonb_typeof({0}) = 'string' THEN {0} #>> '{{}}' END COLLATE \"C\"",
):
    """The text that an element is, or NULL."""

    type = sa.Text()


class element_truth(  # noqa: N801
    _Construct,
    sqlite="CASE {1} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END",
    postgresql="CASE WHEN jsonb_typeof({0}) = 'boolean' THEN ({0} #>> '{{}}')::boolean::integer END",
):
    """1 or 0 for an element that is true or false, else NULL."""

    type = sa.Integer()


class alike(  # noqa: N801
    _Construct,
    sqlite="{0} LIKE {1}",
    postgresql='lower({0} COLLATE "C") LIKE lower({1} COLLATE "C") ESCAPE \'\'',
):
    """Whether a text fits a pattern with % and _; the case of A to Z does not matter, a backslash is a backslash."""

    type = sa.Boolean()


class listing(  # noqa: N801
    _Construct, sqlite="nullif(json_group_array({0}), '[]')", postgresql="json_agg({0})::text"
):
    """A group's texts, as JSON; NULL if there are none."""

    type = sa.Text()


class keys(_Construct, sqlite="json_each({0})", postgresql="jsonb_object_keys({0}::jsonb)"):  # noqa: N801
    """The names in a JSON object, as a table with the column `key`."""

    name = "keys"


class texts(_Construct, sqlite="json_each({0})", postgresql="jsonb_array_elements_text({0}::jsonb)"):  # noqa: N801
    """The texts of a JSON list, as a table with the column `value`."""

    name = "texts"


class Element:
    """One of the values at a path of a JSON column."""

    def __init__(self, column: Expression, path: Expression) -> None:
        # both databases find the column under this name: PostgreSQL calls a function's only column as its table
        self.table = elements(column, path).table_valued("value", "type", name="value", joins_implicitly=True)
        value, kind = self.table.c.value, self.table.c.type
        self.number = element_number(value, kind)
        self.text = element_text(value, kind)
        self.truth = element_truth(value, kind)
        self.there = sa.or_(self.number.is_not(None), self.text.is_not(None), self.truth.is_not(None))


def path(names: Sequence[str]) -> Expression:
    """A bound path in a JSON value; names: any, but SQLite before 3.45 finds none with a double quote."""
    return sa.literal("$" + "".join(f".{json.dumps(name, ensure_ascii=False)}" for name in names))


def among(words: Collection[str]) -> sa.Select[Any]:
    """Texts as a subquery for IN, however many they are."""
    return sa.select(texts(sa.literal(json.dumps(list(words)))).table_valued("value", name="value").c.value)


def names_in(column: Expression) -> sa.TableValuedAlias:
    """The names in a JSON column's object, as a table with the column `key`."""
    return keys(column).table_valued("key", name="key", joins_implicitly=True)


class _SampleDeviation:
    """The sample standard deviation, which SQLite has not; PostgreSQL's function has the same name."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def step(self, value: float | None) -> None:
        """Take a value of the group."""
        if value is not None:
            self._values.append(float(value))

    def finalize(self) -> float | None:
        """NULL for fewer than two values."""
        return mean_std(self._values)[1]


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection to SQLite the functions that PostgreSQL has anyway."""
    connection.create_aggregate("stddev_samp", 1, _SampleDeviation)  # type: ignore[arg-type]


def columns_of(connection: Connection) -> dict[str, list[tuple[str, int]]]:
    """All tables: their columns, in order, each with its place in the primary key, 0 if it is not in it."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        columns = "SELECT name, pk FROM pragma_table_info(?)"
        names = connection.exec_driver_sql(query).scalars().all()
        return {name: [(c, pk) for c, pk in connection.exec_driver_sql(columns, (name,))] for name in names}
    query = (
        "SELECT c.relname, a.attname, coalesce(array_position(k.conkey, a.attnum), 0) FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p' "
        "WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace ORDER BY c.relname, a.attnum"
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for table, column, place in connection.exec_driver_sql(query):
        found.setdefault(table, []).append((column, place))
    return found
