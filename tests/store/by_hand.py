"""Changes to a store by somebody else's SQL, whatever database it is in."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from qtlplat.store.backends.postgres import PostgresBackend
from qtlplat.store.core.location import StoreLocation


def sql(location: StoreLocation, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Carry out a statement with `?` for values; returns its rows."""
    return _carried_out(location, statement, values)[1]


def named(location: StoreLocation, query: str) -> list[dict[str, Any]]:
    """The rows of a query by column."""
    names, rows = _carried_out(location, query, ())
    return [dict(zip(names, row, strict=True)) for row in rows]


def _carried_out(
    location: StoreLocation, statement: str, values: Sequence[Any]
) -> tuple[list[str], list[tuple[Any, ...]]]:
    if not isinstance(location.backend, PostgresBackend):
        raw = sqlite3.connect(location.path)
        found = raw.execute(statement, values)
        names, rows = [column[0] for column in found.description or ()], found.fetchall()
        raw.commit()
        raw.close()
        return names, rows
    import psycopg

    server = location.backend.server
    with psycopg.connect(
        host=server.host,
        port=server.port,
        dbname=server.database,
        user=server.user,
        **dict(server.secrets),
        options=f"-c search_path={server.schema}",
    ) as connection:
        made = connection.execute(statement.replace("%", "%%").replace("?", "%s"), values)
        return [column.name for column in made.description or ()], made.fetchall() if made.description else []
