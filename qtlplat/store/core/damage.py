"""Values in rows that qtlplat did not write, and which records these rows belong to: runs, reproductions and sweeps.

A bad value makes a query fail as a whole, whatever else it asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from qtlplat.store.core import parts, schema
from qtlplat.store.core.columns import Facts, ForeignValueError

DEEPEST = 1000  # objects and lists of JSON inside each other, for SQLite
LARGE = ("epochs", "predictions")  # tables that are looked through only where nothing is found in the others
# what SQLite says of bytes that are not UTF-8, and both databases of text that is not JSON
_SIGNS = ("could not decode to utf-8", "malformed json", "type json", "type jsonb", "invalid json text")


def lenient_text(data: bytes) -> str:
    """SQLite's text as Python's; bytes that are not UTF-8 become lone surrogates, which qtlplat never stores."""
    return data.decode(errors="surrogateescape")


@dataclass(frozen=True)
class BadValue:
    """A value that qtlplat did not write. owner: as of `parts.Part`; record: id as the database holds it."""

    owner: str
    record: Any
    table: str
    column: str
    why: str

    @property
    def place(self) -> str:
        """Table and column."""
        return f"{self.table}.{self.column}"


def is_of_a_value(error: BaseException) -> bool:
    """Whether an error of a query means that a row holds such a value."""
    if isinstance(error, exc.DBAPIError):
        text = str(error.orig or error).lower()
        return any(sign in text for sign in _SIGNS)
    return isinstance(error, ForeignValueError)


def bad_values(connection: Connection, *, large: bool = True) -> Iterator[BadValue]:
    """Every bad value in the tables of records, table by table; large: also in those of epochs and predictions.

    The connection has to be lenient (`database.engine`).
    """
    for part in parts.all_parts(connection):
        if part.name not in schema.metadata.tables or (part.name in LARGE and not large):
            continue
        judge = judge_of(part, connection)
        place = part.columns.index(part.key)
        for row in connection.execute(sa.select(part.table)):
            for column, why in judge(row):
                yield BadValue(part.owner, row[place], part.name, column, why)


def judge_of(part: parts.Part, connection: Connection) -> Callable[[Sequence[Any]], Iterator[tuple[str, str]]]:
    """What finds the bad values of a row of a table: names of columns, and why."""
    table = schema.metadata.tables[part.name]
    kinds = [(place, name, table.c[name].type) for place, name in enumerate(part.columns) if name in table.c]

    def judge(row: Sequence[Any]) -> Iterator[tuple[str, str]]:
        for place, name, kind in kinds:
            if why := _why_bad(row[place], kind, connection.dialect):
                yield name, why

    return judge


def _why_bad(value: Any, kind: Any, dialect: sa.Dialect) -> str:
    """'' where a value can be read from a column of that type."""
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        return "bytes that are not UTF-8"
    try:
        kind.process_result_value(value, dialect)
    except ForeignValueError as error:
        return str(error)
    return f"JSON nested deeper than {DEEPEST}" if isinstance(kind, Facts) and _is_deep(value) else ""


def _is_deep(text: str) -> bool:
    """Whether a JSON text may be nested deeper than SQLite can read."""
    if text is None or text.count("[") + text.count("{") < DEEPEST:
        return False
    depth = deepest = 0
    for char in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (char in "[{") - (char in "]}")
        deepest = max(deepest, depth)
    return deepest > DEEPEST
