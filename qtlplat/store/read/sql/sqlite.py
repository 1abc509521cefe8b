"""Asking the store in SQL: one statement that can only read, row by row, stopped by a limit of time or a signal.

How SQLite is kept to that stands here, a server in `asked_server.py`.
"""

from __future__ import annotations

import math
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy.engine import Connection

from qtlplat.errors import UsageError
from qtlplat.store.core.location import no_store
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sql import postgres
from qtlplat.store.read.sql.errors import Take, no_columns, not_understood, only_reads, several, stopped

T = TypeVar("T")
SECONDS = 60.0  # that a query may take
LONGEST_VALUE = 100_000_000  # bytes of a text that a query makes up
_LOOK_AFTER = 5000  # of SQLite's operations; some tenths of a millisecond
_READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
_PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list", "function_list"}
_TABLES_OF_FUNCTIONS = ("json_each", "json_tree")
# they reach files, or memory that is not theirs, where an SQLite was built with them
_FUNCTIONS = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "fsdir"}


def ask(reader: Reader, query: str, take: Take[T], seconds: float = SECONDS) -> T:
    """What `take` makes of a query's columns and rows, which it is given one by one, within one transaction.

    seconds: that it may take until the last row.

    Raises:
        UsageError: if there is no store, the text is no single query, would do anything but read, or takes too long.
        StoreError: as every reading.
    """
    if not query.strip():
        raise UsageError(
            "the query is empty", fix='qtlplat sql "SELECT head, f1 FROM v_runs"; or: qtlplat sql --examples'
        )

    def read(connection: Connection) -> tuple[T]:
        if connection.dialect.name == "sqlite":
            return (_sqlite(connection, query, take, seconds),)
        return (postgres.ask(connection, reader.location, query, take, seconds),)

    found = reader.read(read)
    if found is None:
        raise no_store("ask", reader.location)
    return found[0]


def _sqlite(connection: Connection, query: str, take: Take[T], seconds: float) -> T:
    """The same on SQLite: query_only, and an authorizer that knows nothing but reading."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.execute("PRAGMA query_only = ON")
    raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    raw.text_factory = _text
    _prepare(raw)
    state = _State(time.monotonic() + seconds)
    try:
        with state.watching(raw):
            cursor = raw.execute(query)
            if cursor.description is None:
                raise no_columns()
            names = [column[0] for column in cursor.description]
            return take(names, cursor)
    except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:
        raise _explained(error, state, seconds, query) from error


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _prepare(raw: sqlite3.Connection) -> None:
    """Table-valued functions, of which SQLite makes tables when they are named first, and sqrt, which it may lack."""
    for name in (*_TABLES_OF_FUNCTIONS, *(f"pragma_{one}" for one in sorted(_PRAGMAS))):
        with suppress(sqlite3.OperationalError):  # an older one has fewer
            raw.execute(f"SELECT 1 FROM {name} LIMIT 0")  # noqa: S608 -- names of ours
    raw.create_function("sqrt", 1, lambda x: math.sqrt(x) if isinstance(x, int | float) and x >= 0 else None)


@dataclass
class _State:
    """A query that runs. until: when it is stopped; refused: its action besides reading; raised: by signals."""

    until: float
    refused: str = ""
    raised: list[BaseException] = field(default_factory=list)

    @contextmanager
    def watching(self, raw: sqlite3.Connection) -> Iterator[None]:
        """Restrict the query to reading, stop it in time, and raise the exception of a signal during SQLite's work.

        The signal handler runs inside of callbacks, from which Python passes exceptions only to this hook.
        """
        hook = sys.unraisablehook
        sys.unraisablehook = lambda told: self.raised.append(told.exc_value or KeyboardInterrupt())
        sqlite3.enable_callback_tracebacks(True)
        raw.set_progress_handler(self._look, _LOOK_AFTER)
        raw.set_authorizer(self._allow)
        try:
            yield
        except sqlite3.Error:
            if self.raised:
                raise self.raised[0] from None
            raise
        finally:
            raw.set_authorizer(None)
            raw.set_progress_handler(None, 0)
            sqlite3.enable_callback_tracebacks(False)
            sys.unraisablehook = hook

    def _look(self) -> int:
        return int(time.monotonic() > self.until)

    def _allow(self, action: int, first: str | None, second: str | None, *_where: str | None) -> int:
        if action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FUNCTIONS:
            self.refused = f"the function {second}"
            return sqlite3.SQLITE_DENY
        if action in _READING:
            return sqlite3.SQLITE_OK
        self.refused = self.refused or _ACTIONS.get(action, "anything but reading")
        return sqlite3.SQLITE_DENY


_ACTIONS = {
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_PRAGMA: "that PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "a transaction of your own",
    sqlite3.SQLITE_SAVEPOINT: "a transaction of your own",
}


def _explained(error: Exception, state: _State, seconds: float, query: str) -> UsageError:
    """What is wrong with a query, in the form of all our messages."""
    text = str(error)
    if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
        return stopped(seconds)
    if state.refused:
        return only_reads(state.refused)
    return several() if "one statement at a time" in text else not_understood(text, query)
