"""A query to a server: one statement in a transaction that can only read, row by row, stopped by the server in time."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.engine import Connection

from qtlplat.errors import QtlplatError
from qtlplat.store.backends import postgres_errors
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.sql.errors import Take, no_columns, not_understood, only_reads, several, stopped

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
_AT_ONCE = 500  # rows on their way


def ask(connection: Connection, location: StoreLocation, query: str, take: Take[T], seconds: float) -> T:
    """What `take` makes of the columns and rows. connection: in a transaction of a reader.

    Raises UsageError for what is no single query that reads, StoreError if the server goes away meanwhile.
    """
    import psycopg

    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    try:
        with raw.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout TO {max(1, round(seconds * 1000))}")
            names = _columns(raw, query.encode())
            if not names:
                raise no_columns()
            # by the protocol of prepared statements, which takes one at a time; rows are handed out as they come
            return take(names, (tuple(map(_plain, row)) for row in cursor.stream(query.encode(), size=_AT_ONCE)))
    except psycopg.Error as error:
        connection.invalidate()  # in whatever state it is
        raise _explained(error, location, query, seconds) from error


def _columns(raw: psycopg.Connection[Any], query: bytes) -> list[str]:
    """Names of the columns that a statement gives, none where it is no query; it is not carried out."""
    from psycopg import errors, pq

    found = raw.pgconn.prepare(b"", query)
    if found.status == pq.ExecStatus.COMMAND_OK:
        found = raw.pgconn.describe_prepared(b"")
    if found.status != pq.ExecStatus.COMMAND_OK:
        raise errors.error_from_result(found)
    return [(found.fname(place) or b"").decode() for place in range(found.nfields)]


def _plain(value: Any) -> Any:
    """A value as SQLite might have given it: numbers and text."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return value if value is None or isinstance(value, str | int | float | bytes) else str(value)


def _explained(error: Exception, location: StoreLocation, query: str, seconds: float) -> QtlplatError:
    code, text = postgres_errors.state(error), " ".join(str(error).split())
    if code == "57014":
        return stopped(seconds)
    if code == "25006":
        return only_reads(text.removeprefix("cannot execute ").partition(" in a read-only")[0])
    if "multiple commands" in text:
        return several()
    if code[:2] in ("42", "22", "0A", "25", "54", "2F", "3F"):
        return not_understood(text, query)
    return location.backend.explain_error(error, location)
