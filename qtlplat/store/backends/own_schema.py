"""The tables, views and indices of a valid store, and the differences of a given store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.errors import StoreError, safe_repr
from qtlplat.store.core import views

OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
Definitions = dict[tuple[str, str], str]  # text by kind and name


def canonical(sql: str) -> str:
    """A table's definition on one line, its constraints in order; upgrading leaves them in one that chance made."""
    line = " ".join(sql.split())
    whole = re.fullmatch(r"(CREATE TABLE .*)(\)(?: WITHOUT ROWID)?)", line)
    if whole is None:
        return line
    first, *constraints = (part.strip() for part in re.split(r", (?=CONSTRAINT )", whole[1]))
    return ", ".join([first, *sorted(constraints)]) + whole[2]


def normal(rows: set[tuple[Any, ...]]) -> set[tuple[str, ...]]:
    """Rows of OBJECTS, however their text is laid out."""
    return {(kind, name, table, canonical(str(sql))) for kind, name, table, sql in rows}


@cache
def own_tables(revision: str | None) -> set[tuple[str, ...]]:
    """Tables and indices as this version makes them for a revision, in an SQLite file."""
    from qtlplat.store.backends.migrations import upgrade

    with sa.create_engine("sqlite://").begin() as connection:
        upgrade(connection, to=revision or "base")
        return normal({tuple(row) for row in connection.exec_driver_sql(OBJECTS).all()})


class NotComparedError(StoreError):
    """A schema cannot be compared with that of a new store."""


def differences(connection: Connection) -> Iterator[str]:
    """What is missing, changed or not ours in an SQLite file of the newest schema, in words."""
    yield from _settings(connection)
    yield from compare(_of_file(connection), _own_of_file())


def compare(found: Definitions, own: Definitions) -> Iterator[str]:
    """What differs between the definitions of a store and those of a new one, in words."""
    for kind, name in sorted(own.keys() | found.keys()):
        if (kind, name) not in found:
            yield f"the {kind} {safe_repr(name)} is missing"
        elif (kind, name) not in own:
            yield f"the {kind} {safe_repr(name)} is not one of a store"
        elif found[kind, name] != own[kind, name]:
            yield f"the {kind} {safe_repr(name)} is not defined as qtlplat defines it"


def _of_file(connection: Connection) -> Definitions:
    rows = {tuple(row) for row in connection.exec_driver_sql(OBJECTS).all()}
    statistics = re.compile(r"sqlite_stat\d")  # of ANALYZE
    return {
        (str(kind), str(name)): f"{table} {sql}"
        for kind, name, table, sql in normal(rows)
        if not statistics.fullmatch(str(name))
    }


@cache
def _own_of_file() -> Definitions:
    from qtlplat.store.backends.migrations import upgrade

    with sa.create_engine("sqlite://").begin() as connection:
        upgrade(connection)
        views.create_views(connection)
        return _of_file(connection)


def _settings(connection: Connection) -> Iterator[str]:
    for name, own in (("user_version", 0), ("encoding", "UTF-8")):
        if (found := connection.exec_driver_sql(f"PRAGMA {name}").scalar()) != own:
            yield f"the setting {name} is {safe_repr(found)}, not {own!r}"
