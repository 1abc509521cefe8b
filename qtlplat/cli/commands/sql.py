"""`qtlplat sql`: run the user's SQL query on the store, read-only. qtlplat's own SQL is elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import click

from qtlplat.cli.render.columns import Column, print_tsv, text
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.terminal import note, say
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.errors import UsageError

MOST_SHOWN = 1000  # rows on a terminal where no number was asked for
LONGEST = 1_000_000  # characters of a query


@click.command("sql")
@click.argument("query", required=False)
@click.option("--schema", is_flag=True, help="List all tables, views and columns with their meaning.")
@click.option("--examples", is_flag=True, help="Print queries to start from.")
@click.option(
    "--timeout", type=click.FloatRange(0.001, 1e6), metavar="SECONDS", help="Stop after this time. Default: 60."
)
@listing_options
@pass_settings
def sql_command(
    settings: Settings, query: str | None, schema: bool, examples: bool, timeout: float | None, listing: Listing
) -> None:
    """Query the store with SQL, read-only.

    QUERY is one statement; - reads it from stdin. The views v_runs, v_cells, v_epochs, v_predictions and v_claims
    answer most questions. The store is opened read-only, and all other statements are refused.
    """
    if schema + examples + (query is not None) != 1:
        raise UsageError(
            "one of QUERY, --schema and --examples is needed", where="qtlplat sql", fix="qtlplat sql --help"
        )
    if schema:
        _schema(listing)
    elif examples:
        _examples(listing)
    else:
        from qtlplat.store.read.sql.sqlite import SECONDS, ask

        asked = _from_stdin() if query == "-" else str(query)
        reader = opened(settings)
        ask(reader, asked, lambda names, rows: _show(names, rows, listing), timeout or SECONDS)


def _from_stdin() -> str:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="backslashreplace")
    found = sys.stdin.read(LONGEST + 1)
    if len(found) > LONGEST:
        raise UsageError(
            f"the query has more than {LONGEST:,} characters", where="stdin", fix="select fewer rows or columns"
        )
    return found


def _show(names: Sequence[str], rows: Iterator[Sequence[Any]], listing: Listing) -> None:
    """Print the rows in the form that was asked for; as plain text they are printed as they come."""
    keys = _distinct(names)
    columns = [Column(key, key) for key in keys]
    terminal = sys.stdout.isatty() and not listing.fmt
    most = listing.limit or (MOST_SHOWN if terminal else None)
    records = (dict(zip(keys, map(_plain, row), strict=True)) for row in rows)
    chosen = listing.where or listing.sort  # of all rows
    if not (terminal or listing.fmt or listing.cols or chosen):
        first = next(records, None)
        if first is None:
            note("no rows")
        else:
            print_tsv(islice(_again(first, records), most), [replace(column, show=_digits) for column in columns])
        return
    shown = list(records if chosen else islice(records, most))
    emit(shown, _aligned(columns, shown, exact=not (terminal or listing.fmt)), listing, empty="no rows")
    if terminal and listing.limit is None and next(records, None) is not None:
        note(f"the first {MOST_SHOWN} rows; for more: -n, or pipe it, or --csv")


def _again(first: Mapping[str, Any], rest: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    yield first
    yield from rest


def _digits(value: Any) -> str:
    """A value with all its digits."""
    return repr(value) if isinstance(value, float) else text(value)


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of columns, each once: of two that are alike the second one gets a number."""
    found: list[str] = []
    for name in names:
        key, number = name, 1
        while key in found:
            number += 1
            key = f"{name}_{number}"
        found.append(key)
    return found


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _aligned(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], *, exact: bool) -> list[Column]:
    """Columns of numbers to the right. exact: with all their digits, for a program that reads the plain text."""

    def numbers(key: str) -> bool:
        values = [row[key] for row in rows if row[key] is not None]
        return bool(values) and all(isinstance(value, int | float) for value in values)

    show = _digits if exact else None
    return [Column(c.key, c.title, right=numbers(c.key), show=show) for c in columns]


def _schema(listing: Listing) -> None:
    from qtlplat.store.read.sql.column_docs import tables, views

    rows: list[dict[str, Any]] = []
    for table in [*views(), *tables()]:
        kind = "view" if table.is_view else "table"
        rows.append({"name": table.name, "column": None, "type": kind, "meaning": table.meaning})
        rows += [
            {"name": table.name, "column": one.name, "type": one.type, "meaning": one.meaning} for one in table.columns
        ]
    emit(rows, [Column(key, key) for key in ("name", "column", "type", "meaning")], listing)


def _examples(listing: Listing) -> None:
    from qtlplat.store.read.sql.example_queries import EXAMPLES

    rows = [{"question": question, "query": query.strip()} for question, query in EXAMPLES.items()]
    if listing.fmt or listing.cols or listing.sort or listing.where:
        emit(rows, [Column("question", "question"), Column("query", "query")], listing)
    else:
        for row in rows[: listing.limit]:
            say(f"-- {row['question']}", *f"{row['query']};".split("\n"), "")


add_common_options(sql_command)
