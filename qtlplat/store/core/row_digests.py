"""Digests that detect changed rows: a sha256 per record and table.

A run gets its digests in the transaction that ends it, any other record in the one that stores it. SQLite's own check
detects broken pages; only digests detect changed values and missing rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Connection

from qtlplat.store.core import parts, schema

# merging stores may put a file elsewhere; that it is there, and what is in it, `store check` sees by itself
UNCOUNTED = {("artifacts", "path")}


def digests_of(connection: Connection, owner: str, record: str) -> dict[str, str]:
    """sha256 of a record's rows by table, in an order of its own, with the columns' names. owner: 'runs', ...

    Remarks are left out: they may change at any time.
    """
    if isinstance(record, str) and any("\ud800" <= char <= "\udfff" for char in record):
        return {owner: "not text, so that no query can ask for it"}
    sealed = [part for part in parts.all_parts(connection, owner) if part.name not in schema.REMARKS]
    return {part.name: _digest(connection, part, record) for part in sealed}


def _digest(connection: Connection, part: parts.Part, record: str) -> str:
    return digest_of_rows(part.name, part.columns, parts.read(connection, part, record))


def digest_of_rows(name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """sha256 of a record's rows in a table, as SQLite holds them, whatever their order and that of the columns."""
    counted = sorted((column, place) for place, column in enumerate(columns) if (name, column) not in UNCOUNTED)
    lines = sorted(
        json.dumps([row[place] for _, place in counted], default=lambda blob: {"bytes": blob.hex()}) for row in rows
    )
    return hashlib.sha256("\n".join([json.dumps([column for column, _ in counted]), *lines]).encode()).hexdigest()


def seal(connection: Connection, owner: str, record: str, leave: Collection[str] = ()) -> None:
    """Keep the digests of a record's rows as they are now, but for those of tables in `leave`."""
    table = schema.digests
    kept = table.c.part.in_(leave)
    connection.execute(delete(table).where(table.c.record == record, ~kept))
    now = {part: digest for part, digest in digests_of(connection, owner, record).items() if part not in leave}
    if now:
        connection.execute(insert(table), [{"record": record, "part": part, "sha256": now[part]} for part in now])


def sealed(connection: Connection) -> dict[str, dict[str, str]]:
    """All digests that are kept: by record and table. None are, in a store of a schema before they were."""
    if not connection.dialect.has_table(connection, schema.digests.name):
        return {}
    kept: dict[str, dict[str, str]] = {}
    table = sa.table("digests", *map(sa.column, ("record", "part", "sha256")))  # without types, as in `parts`
    for record, part, sha256 in connection.execute(select(table)):
        kept.setdefault(record, {})[part] = sha256
    return kept


def changed(connection: Connection, owner: str, record: str, kept: Mapping[str, str]) -> list[str]:
    """Names of the tables in which a record's rows are not those that were stored; kept: its digests."""
    now: dict[str, Any] = digests_of(connection, owner, record)
    return [part for part in now if now[part] != kept.get(part)]


def ended(connection: Connection) -> list[tuple[str, str]]:
    """Sort and id of all records that do not change any more, oldest first."""
    table = sa.table("runs", *map(sa.column, ("id", "status", "created")))
    query = select(table.c.id).where(table.c.status != "running").order_by(table.c.created, table.c.id)
    found = [("runs", run) for run in connection.execute(query).scalars()]
    for owner in schema.OWNERS:
        if owner != "runs" and connection.dialect.has_table(connection, owner):
            found += [(owner, record) for record in parts.ids(connection, owner)]
    return found


def renewed(connection: Connection, before: Mapping[str, Collection[str]]) -> None:
    """Seal everything again after the schema changed; what was already wrong stays so.

    before: names of the tables by record, as `all_changed` gave them.
    """
    for owner, record in ended(connection):
        seal(connection, owner, record, before.get(record, ()))


def all_changed(connection: Connection) -> dict[str, list[str]]:
    """`changed` of every record that has ended, by id; a store without digests has none."""
    if not connection.dialect.has_table(connection, schema.digests.name):
        return {}
    kept = sealed(connection)
    found = {record: changed(connection, owner, record, kept.get(record, {})) for owner, record in ended(connection)}
    return {record: wrong for record, wrong in found.items() if wrong}
