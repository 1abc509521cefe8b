"""Printing: listings as table, TSV or JSON, with hostile text made inert; the other forms are made in `forms.py`.

A terminal gets a rich table; anything else gets tab-separated full values. Tables go to stdout, everything
else to stderr. No queries here.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from qtlplat.cli.render.columns import Column, json_text, print_tsv, table
from qtlplat.cli.render.terminal import note, stdout_console, write
from qtlplat.errors import UsageError, unknown_name
from qtlplat.store.read.filters.names import listed, unquoted

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = ("json", "csv", "md", "latex")


@dataclass(frozen=True)
class Listing:
    """How a listing was asked for.

    fmt: '', json, csv, md, latex or parquet; where: a filter; limit: rows, or None for all; output: the file that it
    goes to, which may be overwritten with `force`, or None for stdout.
    """

    fmt: str = ""
    where: str | None = None
    sort: str | None = None
    cols: str | None = None
    limit: int | None = None
    output: Path | None = None
    force: bool = False

    @property
    def for_programs(self) -> bool:
        """Whether a program reads it column by column, and so gets columns that people are not shown."""
        return self.fmt in ("csv", "parquet")


where_option = click.option(
    "--where", metavar="FILTER", help="Only runs that match this filter, e.g. \"head = 'mlp' and f1 > 0.9\"."
)


def listing_options(function: F, picture: str = "") -> F:
    """Add the options of listings (form, file, filter, order, ...) to a command, which receives a `listing`.

    picture: what a .png file of --output holds, where the command makes one itself (`fmt` is png then).
    """

    def collect(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        state = ctx.meta.setdefault("qtlplat.listing", {})
        if param.name in FORMATS:
            if value:
                if state.get("fmt"):
                    raise click.UsageError("choose one of --json, --csv, --md and --latex")
                state["fmt"] = param.name
        else:
            state[param.name] = value
        return value

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        state = click.get_current_context().meta.get("qtlplat.listing", {})
        if state.get("output"):
            from qtlplat.cli.render.formats import asked_for

            state["fmt"] = asked_for(state["output"], state.get("fmt", ""), state["force"], picture=bool(picture))
        return function(*args, listing=Listing(**state), **kwargs)

    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    wrapped.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
    common: dict[str, Any] = {"expose_value": False, "callback": collect}
    options = [
        click.option("--json", is_flag=True, help="Strict JSON with stable keys.", **common),
        click.option("--csv", is_flag=True, help="CSV with a header.", **common),
        click.option("--md", is_flag=True, help="A Markdown table.", **common),
        click.option("--latex", is_flag=True, help="A LaTeX table, for the package booktabs.", **common),
        click.option(
            "-o",
            "--output",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help=f"Write it to a .csv, .json, .parquet, .md or .tex file.{picture and f' A .png file: {picture}.'}",
            **common,
        ),
        click.option("--force", is_flag=True, help="Overwrite the file of --output.", **common),
        click.option(
            "--where",
            metavar="FILTER",
            help="Only rows that match this filter, e.g. \"head = 'mlp' and f1 > 0.9\".",
            **common,
        ),
        click.option("--sort", metavar="A,-B", help="Sort by columns; -COL for descending.", **common),
        click.option("--cols", metavar="A,B", help="Only these columns, in this order.", **common),
        click.option("-n", "limit", type=click.IntRange(1, 2**31), metavar="N", help="At most N rows.", **common),
    ]
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def emit(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    listing: Listing = Listing(),
    *,
    json_rows: Sequence[Any] | None = None,
    json_frame: Mapping[str, Any] | None = None,
    title: str = "",
    empty: str = "nothing to show",
) -> None:
    """Print rows to stdout in the form that was asked for.

    rows: values by column key; json_rows: what `--json` prints for each row where that is richer than the columns;
    json_frame: what it prints around them, which then stand under "rows".
    Raises UsageError for an unknown column in --where, --sort or --cols, or a filter that cannot be read.
    """
    known = {key for row in rows for key in row} | {c.key for c in columns}
    columns = _chosen(columns, listing.cols)
    order = list(range(len(rows)))
    if listing.where:
        from qtlplat.store.read.filters.matching import matching

        order = matching(rows, known, listing.where)
    asked = list(dict.fromkeys(listed(listing.sort or "")))
    for key in reversed(asked or ([""] if listing.sort else [])):
        order = _sorted(rows, order, key, known)
    order = order[: listing.limit]
    picked = [rows[i] for i in order]
    if listing.fmt == "json":
        plain = listing.cols is None and json_rows is not None
        printed = ([json_rows[i] for i in order] if plain and json_rows is not None else
                   [{c.key: row.get(c.key) for c in columns} for row in picked])  # fmt: skip
        _deliver(json_text(printed if json_frame is None else {**json_frame, "rows": printed}).encode(), listing)
    elif listing.fmt:
        from qtlplat.cli.render.formats import made

        _deliver(made(listing.fmt, picked, columns), listing)
    elif not picked:
        note(empty)
    elif sys.stdout.isatty():
        from qtlplat.cli.render.column_fit import legible

        stdout_console().print(table(picked, legible(picked, columns), title=title))
    else:
        print_tsv(picked, columns)


def _sorted(rows: Sequence[Mapping[str, Any]], order: Sequence[int], sort: str, known: Collection[str]) -> list[int]:
    """Places of rows, sorted by a column; those without a value last, whichever way the rest is sorted."""
    key = sort.removeprefix("-")
    if key not in known and (key := unquoted(key)) not in known:
        raise UsageError(unknown_name("column", key, known), where="--sort")
    missing = {i for i in order if _is_missing(rows[i].get(key))}
    present = [i for i in order if i not in missing]
    present.sort(key=lambda i: _sort_key(rows[i].get(key)), reverse=sort.startswith("-"))
    return present + [i for i in order if i in missing]


def _deliver(data: bytes, listing: Listing) -> None:
    """Write what was made to the file that was named, or to stdout."""
    if listing.output is None:
        write(data.decode())
        return
    from qtlplat.cli.render.files import tell_written, write_output

    write_output(listing.output, data, listing.force)
    tell_written(listing.output, data)


def _chosen(columns: Sequence[Column], cols: str | None) -> list[Column]:
    if cols is None:
        return list(columns)
    by_key = {c.key: c for c in columns}
    names = [name if name in by_key else unquoted(name) for name in listed(cols)]
    for name in names:
        if name not in by_key:
            raise UsageError(unknown_name("column", name, by_key), where="--cols")
    if not names:
        raise UsageError("--cols names no column", fix=f"known: {', '.join(by_key)}")
    return [by_key[name] for name in names]


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _sort_key(value: Any) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int | float) else (1, str(value))
