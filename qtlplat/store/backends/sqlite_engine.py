"""SQLAlchemy engines for SQLite files, which share what does not depend on the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import LRUCache

# A command opens several engines, and a process may open many stores: each statement is compiled once.
_COMPILED: LRUCache[Any, Any] = LRUCache(500)


@cache
def _first() -> Engine:
    """The engine whose dialect all others use: compiled statements are found by dialect."""
    engine = create_engine("sqlite://")
    with engine.connect():  # the dialect asks once what this SQLite can do
        return engine


def sqlite_engine(connect: Callable[[], sqlite3.Connection]) -> Engine:
    """An engine that keeps no connection open. connect: opens the file."""
    first = _first()
    pool = NullPool(cast(Any, connect), dialect=first.dialect)
    return Engine(pool, first.dialect, first.url, execution_options={"compiled_cache": _COMPILED})
