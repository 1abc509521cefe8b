"""Verify a database from an untrusted source completely before any of it is used.

The file could hold triggers, endless views, values of other types, or paths that lead elsewhere. A verified database
has the tables of a qtlplat schema, and every column holds values that qtlplat's writer could have written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.errors import QtlplatError, UntrustedError, describe_exception, escape_control, safe_repr
from qtlplat.store.backends import bootstrap
from qtlplat.store.backends.own_schema import OBJECTS, normal, own_tables
from qtlplat.store.core import database, parts, row_digests, schema, views
from qtlplat.store.core.columns import Facts, Number, Numbers, Whole
from qtlplat.store.core.location import StoreLocation

FILE = re.compile(r"(?!locks/)[A-Za-z0-9_][\w.+-]*(/[A-Za-z0-9_][\w.+-]*)*", re.ASCII)  # below a store's files
_ID = re.compile(r"[0-9a-f]{16}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def adopt(location: StoreLocation, name: str) -> None:
    """Look at everything in a foreign store of which we hold a copy of our own, and bring that to our schema.

    name: what messages call it.

    Raises:
        UntrustedError: if it is no store as qtlplat makes them.
        StoreError: if its schema is newer than ours.
    """
    try:
        _adopt(location)
    except _NotOursError as error:
        raise _refused(str(error), name) from error
    except sa.exc.DBAPIError as error:
        raise _refused(f"its database cannot be read: {describe_exception(error.orig or error)}", name) from error


class _NotOursError(Exception):
    """Its text says why."""


def _refused(why: str, name: str) -> UntrustedError:
    return UntrustedError(
        f"this is no store that qtlplat made, and nothing of it was used: {why}",
        where=name,
        fix="ask for a new bundle: qtlplat export RUN -o bundle.zip",
    )


def _adopt(location: StoreLocation) -> None:
    try:
        begun = database.has_begun(location)
    except QtlplatError as error:
        raise _NotOursError(error.what) from error
    if not begun:
        raise _NotOursError("its database is empty")
    with database.engine(location, write=True, foreign_keys=False).begin() as connection:
        connection.exec_driver_sql("PRAGMA trusted_schema = OFF")
        connection.exec_driver_sql("PRAGMA cell_size_check = ON")
        found = {tuple(row) for row in connection.exec_driver_sql(OBJECTS).all()}
        tables = normal({row for row in found if row[0] != "view"})
        if not {row for row in own_tables(schema.REVISIONS[-1]) if row[2] == schema.VERSION_TABLE} <= tables:
            raise _NotOursError("its schema has no name")
        revision = database.revision(connection, location)  # of a plain table, as is known now
        if different := tables ^ own_tables(revision):
            raise _NotOursError(f"its schema {safe_repr(revision)} is not ours at {safe_repr(min(different)[1])}")
        if {name for kind, name, _, _ in found if kind == "view"} - set(views.VIEWS):
            raise _NotOursError("it has views of its own")
        damage = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        if damage != "ok":
            raise _NotOursError(f"its database is damaged: {safe_repr(damage, 200)}")
        if strange_value := next(_strange(connection), ""):
            raise _NotOursError(strange_value)
        if changed := row_digests.all_changed(connection):
            record = min(changed)
            raise _NotOursError(f"{record} is not as it was stored: {', '.join(changed[record])}")
        bootstrap.upgrade_within(connection, location)


def _strange(connection: Connection) -> Iterator[str]:
    """Values that qtlplat's writer does not store, in words."""
    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        yield f"a row of {safe_repr(broken[0])} refers to one that is not there"
    for part in parts.all_parts(connection):
        columns = schema.metadata.tables[part.name].columns
        tests = [_test(part.name, columns[name], connection.dialect) for name in part.columns]
        for row in connection.execute(sa.select(part.table)):
            for name, value, fits in zip(part.columns, row, tests, strict=True):
                if not _holds(fits, value):
                    yield f"{part.name}.{name} holds {safe_repr(value)}"


def _holds(fits: Callable[[Any], bool], value: Any) -> bool:
    try:
        return value is None or fits(value)  # where it must not be missing, the schema says so
    except (ValueError, TypeError, RecursionError):
        return False


def _test(table: str, column: sa.Column[Any], dialect: sa.Dialect) -> Callable[[Any], bool]:
    """What a value of a column must fulfil."""
    named = {
        "id": _is(_ID), "run_id": _is(_ID), "parent_id": _is(_ID), "reproduction_id": _is(_ID), "sweep_id": _is(_ID),
        "created": _is_time, "finished": _is_time, "since": _is_time,
        "runs.made_for": _is(_ID),
        "artifacts.path": _is(FILE), "artifacts.sha256": _is(_SHA256), "cells.pretraining": _is(_ID),
        "runs.status": lambda value: value in ("finished", "failed", "interrupted"),
        "predictions.probabilities": lambda value: _all_numbers(_from_json(value), list),
    }  # fmt: skip
    if found := named.get(f"{table}.{column.name}") or named.get(column.name):
        return found
    kinds: dict[type, Callable[[Any], bool]] = {
        Numbers: lambda value: _all_numbers(_from_json(value), dict),
        Whole: lambda value: type(value) is int,
        Number: lambda value: isinstance(value, int | float) or value == "NaN",
    }
    if found := kinds.get(type(kind := column.type)):
        return found
    if isinstance(kind, Facts):
        return lambda value: kind.process_result_value(value, dialect) is not None
    return lambda value: isinstance(value, str)


def _is(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_time(value: Any) -> bool:
    return (
        isinstance(value, str) and escape_control(value) == value and datetime.fromisoformat(value).tzinfo is not None
    )


def _from_json(value: Any) -> Any:
    return json.loads(value, parse_constant=_no_constant) if isinstance(value, str) else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _all_numbers(found: Any, kind: type[dict[str, Any]] | type[list[Any]]) -> bool:
    if not isinstance(found, kind):
        return False
    numbers = found.values() if isinstance(found, dict) else list(found)
    words = ("NaN", "Infinity", "-Infinity")
    return all(
        (isinstance(one, int | float) and not isinstance(one, bool)) or (isinstance(one, str) and one in words)
        for one in numbers
    )
