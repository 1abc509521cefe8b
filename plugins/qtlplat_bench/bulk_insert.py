"""Store many complete runs at once, with their digests, for synthetic stores in benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import insert
from sqlalchemy.engine import Connection

from qtlplat.store.backends.bootstrap import prepare
from qtlplat.store.core import database, parts, row_digests, schema
from qtlplat.store.core.location import StoreLocation

AT_ONCE = 500  # runs in a transaction
Rows = tuple[Sequence[str], Sequence[tuple[Any, ...]]]  # names of columns, and rows in that order


def fill(location: StoreLocation, runs: Iterable[tuple[str, Mapping[str, Rows]]]) -> None:
    """Store runs that have ended, given as their id and their rows by table, as SQLite holds them.

    Quickest where the ids ascend, for tables are kept in that order.

    Raises:
        StoreError: as the writer does; runs of earlier transactions are stored then.
    """
    prepare(location)
    with database.translated(location), database.engine(location, write=True).connect() as connection:
        left = iter(runs)
        while some := list(islice(left, AT_ONCE)):
            with connection.begin():
                _insert(connection, some)


def _insert(connection: Connection, runs: Sequence[tuple[str, Mapping[str, Rows]]]) -> None:
    digests = []
    for part in parts.all_parts(connection, "runs"):
        columns: Sequence[str] = part.columns
        found: list[tuple[Any, ...]] = []
        for run_id, tables in runs:
            columns, rows = tables.get(part.name, (columns, ()))
            found += rows
            if part.name not in schema.REMARKS:
                digest = row_digests.digest_of_rows(part.name, columns, rows)
                digests.append({"record": run_id, "part": part.name, "sha256": digest})
        if found:  # as many placeholders as columns, and nothing but names of the schema
            names, places = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
            connection.exec_driver_sql(f"INSERT INTO {part.name} ({names}) VALUES ({places})", found)  # noqa: S608
    connection.execute(insert(schema.digests), digests)
