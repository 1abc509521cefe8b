"""The rows of a run, reproduction or sweep as SQLite holds them, of any schema: found, read, inserted, not understood.

A server's rows come and go in the same form, so that digests are the same in both: a NaN is the text 'NaN', and a
negative zero has lost its sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.store.core import schema
from qtlplat.store.core.dialect import columns_of

OWNERS = schema.OWNERS
_ORDER = {table.name: place for place, table in enumerate(schema.metadata.sorted_tables)}


@dataclass(frozen=True)
class Part:
    """A table that holds rows of records. owner: the sort, as in `schema.OWNERS`; key: the column with its id.

    table: without types, so that values come and go as SQLite holds them; order: its primary key.
    """

    name: str
    owner: str
    key: str
    table: sa.TableClause
    order: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, in the table's order."""
        return tuple(column.name for column in self.table.columns)


def all_parts(connection: Connection, owner: str | None = None) -> list[Part]:
    """The tables that hold rows of records (of one sort, where `owner` is given), referred ones before referring."""
    found = []
    for name, columns in columns_of(connection).items():
        names = [column for column, _ in columns]
        for table, reference in OWNERS.items():
            key = "id" if name == table else reference
            if key in names and owner in (None, table):
                order = tuple(column for column, place in sorted(columns, key=lambda c: c[1]) if place)
                found.append(Part(name, table, key, sa.table(name, *map(sa.column, names)), order))
    return sorted(found, key=lambda part: (_ORDER.get(part.name, len(_ORDER)), part.name))


def every_table(connection: Connection) -> list[sa.TableClause]:
    """All tables with rows in parts, referenced tables first; as in `Part`, without types."""
    names = {name: columns for name, columns in columns_of(connection).items() if name in _ORDER}
    ordered = sorted(names, key=lambda name: _ORDER[name])
    return [sa.table(name, *(sa.column(column) for column, _ in names[name])) for name in ordered]


def ids(connection: Connection, owner: str) -> list[str]:
    """Ids of all records of a sort, oldest first."""
    table = sa.table(owner, sa.column("id"), sa.column("created"))
    return list(connection.execute(sa.select(table.c.id).order_by(table.c.created, table.c.id)).scalars())


def read(connection: Connection, part: Part, record: str) -> list[tuple[Any, ...]]:
    """A record's rows in one table, by its primary key."""
    query = sa.select(part.table).where(part.table.c[part.key] == record)
    rows = connection.execute(query.order_by(*(part.table.c[name] for name in part.order)))
    if connection.dialect.name == "sqlite":
        return [tuple(row) for row in rows]
    return [tuple(map(as_sqlite_holds, row)) for row in rows]


def as_sqlite_holds(value: Any) -> Any:
    """A value of a server's row, converted to the value that SQLite returns."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    return value


def insert(connection: Connection, part: Part, rows: Sequence[tuple[Any, ...]]) -> None:
    """Put rows, as `read` gives them, into the table of that name."""
    if rows:
        connection.execute(sa.insert(part.table), [dict(zip(part.columns, row, strict=True)) for row in rows])
