"""Connections whose queries see the store without some records, as without damaged ones."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from qtlplat.store.core import schema

_HIDDEN = "qtlplat_hidden"  # a temporary table of ids


def hide(execute: Callable[..., Any], schema_name: str, records: Collection[Any]) -> None:
    """Let all queries of a new connection see the tables without these records.

    Temporary views of the tables' names, which are found before the tables. execute: of the driver's connection or
    cursor; schema_name: where the tables are, quoted.
    """
    mark, text = ("?", "CAST(? AS TEXT)") if schema_name == "main" else ("%s", "%s")
    execute(f"CREATE TEMP TABLE {_HIDDEN} (id TEXT)" if mark == "%s" else f"CREATE TEMP TABLE {_HIDDEN} (id)")
    for record in records:
        is_text = isinstance(record, str)
        value = record.encode(errors="surrogateescape") if is_text and mark == "?" else record
        execute(f"INSERT INTO {_HIDDEN} VALUES ({text if is_text else mark})", (value,))  # noqa: S608 -- constant text
    for table in schema.metadata.sorted_tables:
        key = schema.key_of(table)
        if key:
            seen = f"SELECT * FROM {schema_name}.{table.name} WHERE {key} NOT IN (SELECT id FROM {_HIDDEN})"  # noqa: S608
            execute(f"CREATE TEMP VIEW {table.name} AS {seen}")
