"""Errors for invalid queries, queries that do not only read, take too long, or use unknown names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from qtlplat.errors import UsageError, safe_repr
from qtlplat.store.read.sql import column_docs

T = TypeVar("T")
Row = tuple[Any, ...]
Take = Callable[[Sequence[str], Iterator[Row]], T]
# as SQLite and PostgreSQL say it
_UNKNOWN = (
    ("table", re.compile(r"no such table: (?:.*\.)?(\S+)|relation \"(?:.*\.)?([^\"]+)\" does not exist")),
    ("column", re.compile(r"no such column: (?:.*\.)?(\S+)|column \"?(?:[^\" ]*\.)?([^\" ]+)\"? does not exist")),
)


def no_columns() -> UsageError:
    """Of a statement that gives no rows."""
    return UsageError("that is no query: it has no columns", fix="begin with SELECT, WITH or VALUES")


def stopped(seconds: float) -> UsageError:
    """Of a query that took longer than it may."""
    return UsageError(f"the query was stopped after {seconds:g} seconds", fix="ask for less, or: --timeout 600")


def only_reads(what: str) -> UsageError:
    """Of a query that wants to do something else. what: it, in words."""
    fix = "to change a run's tags, note or place: qtlplat tag, note, rm"
    return UsageError(f"a query can only read; it may not use {what}", where="the query", fix=fix)


def several() -> UsageError:
    """Of more than one statement."""
    return UsageError("more than one statement", where="the query", fix="ask them one by one")


def not_understood(text: str, query: str) -> UsageError:
    """Of a query of which the database says something else. text: what it says."""
    return UsageError(
        "\n".join([f"the query cannot be understood: {safe_repr(text, 200)}", *_near(text)]),
        where=safe_repr(query),
        fix="list tables and columns: qtlplat sql --schema; example queries: qtlplat sql --examples",
    )


def _near(text: str) -> list[str]:
    """Names like one that is unknown, from an error's text."""
    for kind, unknown in _UNKNOWN:
        if not (match := unknown.search(text)):
            continue
        every = [*column_docs.views(), *column_docs.tables()]
        known = [one.name for one in every] if kind == "table" else [c.name for one in every for c in one.columns]
        near = get_close_matches(match[1] or match[2], dict.fromkeys(known), n=3, cutoff=0.5)
        hint = [f"  did you mean: {', '.join(near)}"] if near else []
        return [*hint, "  all tables, views and columns: qtlplat sql --schema"]
    return []
