"""Printing: listings as table, TSV, JSON, CSV or Markdown, with hostile text made inert.

A terminal gets a rich table; anything else gets tab-separated full values. Tables go to stdout, everything
else to stderr. No queries here.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qtlplat.errors import UsageError, cut, inert, unknown_name, without_passwords

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = ("json", "csv", "md")


@dataclass(frozen=True)
class Column:
    """A column of a listing. key: of the row; show: value -> text for people (default `text`); right: align."""

    key: str
    title: str
    right: bool = False
    show: Callable[[Any], str] | None = None


@dataclass(frozen=True)
class Listing:
    """How a listing was asked for. fmt: '', json, csv or md; limit: rows, or None for all."""

    fmt: str = ""
    sort: str | None = None
    cols: str | None = None
    limit: int | None = None


def listing_options(function: F) -> F:
    """Add --json, --csv, --md, --sort, --cols and -n to a command; it receives a `listing` argument."""

    def collect(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        state = ctx.meta.setdefault("qtlplat.listing", {})
        if param.name in FORMATS:
            if value:
                if state.get("fmt"):
                    raise click.UsageError("choose one of --json, --csv and --md")
                state["fmt"] = param.name
        else:
            state[param.name] = value
        return value

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        state = click.get_current_context().meta.get("qtlplat.listing", {})
        return function(*args, listing=Listing(**state), **kwargs)

    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    wrapped.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
    common: dict[str, Any] = {"expose_value": False, "callback": collect}
    options = [
        click.option("--json", is_flag=True, help="Strict JSON with stable keys.", **common),
        click.option("--csv", is_flag=True, help="CSV with a header.", **common),
        click.option("--md", is_flag=True, help="A Markdown table.", **common),
        click.option("--sort", metavar="COL", help="Sort by a column; -COL for descending.", **common),
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
    Raises UsageError for an unknown column in --sort or --cols.
    """
    columns = _chosen(columns, listing.cols)
    order = list(range(len(rows)))
    if listing.sort:
        known = {key for row in rows for key in row} | {c.key for c in columns}
        key = listing.sort.removeprefix("-")
        if key not in known:
            raise UsageError(unknown_name("column", key, known), where="--sort")
        missing = [i for i in order if _is_missing(rows[i].get(key))]  # last, whichever way the rest is sorted
        present = [i for i in order if i not in set(missing)]
        present.sort(key=lambda i: _sort_key(rows[i].get(key)), reverse=listing.sort.startswith("-"))
        order = present + missing
    order = order[: listing.limit]
    picked = [rows[i] for i in order]
    if listing.fmt == "json":
        plain = listing.cols is None and json_rows is not None
        printed = ([json_rows[i] for i in order] if plain and json_rows is not None else
                   [{c.key: row.get(c.key) for c in columns} for row in picked])  # fmt: skip
        write_json(printed if json_frame is None else {**json_frame, "rows": printed})
    elif listing.fmt == "csv":
        sys.stdout.write(_csv(picked, columns))
    elif listing.fmt == "md":
        sys.stdout.write(_markdown(picked, columns))
    elif not picked:
        click.echo(empty, err=True)
    elif sys.stdout.isatty():
        stdout_console().print(table(picked, columns, title=title))
    else:
        print_tsv(picked, columns)


def _chosen(columns: Sequence[Column], cols: str | None) -> list[Column]:
    if cols is None:
        return list(columns)
    by_key = {c.key: c for c in columns}
    names = [name.strip() for name in cols.split(",") if name.strip()]
    for name in names:
        if name not in by_key:
            raise UsageError(unknown_name("column", name, by_key), where="--cols")
    return [by_key[name] for name in names]


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _sort_key(value: Any) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def clean(text: str) -> str:
    """Text without passwords, and with control characters (ESC, C1, newlines) as escapes: inert in any terminal."""
    return inert(without_passwords(text))


def text(value: Any) -> str:
    """A value for people: floats with four significant digits, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(text(v) for v in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(str(k))}={text(v)}" for k, v in value.items())
    return clean(str(value))


def _cell(column: Column, row: Mapping[str, Any]) -> str:
    value = row.get(column.key)
    return clean(column.show(value)) if column.show and value is not None else text(value)


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column], *, title: str = "") -> Any:
    """A rich table of the rows; every value is literal text, never markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    result = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        result.add_column(Text(clean(column.title)), justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        result.add_row(*(Text(_cell(column, row)) for column in columns))
    return result


def print_tsv(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Header and rows, tab-separated, full values, to stdout."""
    print("\t".join(clean(c.title) for c in columns))  # noqa: T201 -- this is the printer
    for row in rows:
        print("\t".join(_cell(c, row) for c in columns))  # noqa: T201


def strict(value: Any) -> Any:
    """The value with NaN and infinities as None: JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strict(v) for v in value]
    return value


def write_json(value: Any) -> None:
    """Print strict JSON to stdout: all of it, or nothing where a value has no form in it."""
    whole = json.dumps(strict(value), indent=2, ensure_ascii=True, allow_nan=False)
    sys.stdout.write(f"{whole}\n")


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([c.key for c in columns])
    for row in rows:
        writer.writerow([_csv_value(row.get(c.key)) for c in columns])
    return out.getvalue()


def _csv_value(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    plain = json.dumps(strict(value)) if isinstance(value, list | tuple | Mapping) else clean(str(value))
    # A spreadsheet runs a cell that begins with one of these as a formula.
    return f"'{plain}" if plain[:1] in ("=", "+", "-", "@") else plain


def _markdown(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> str:
    def safe(words: str) -> str:
        for char in "\\`*_{}[]<>|#":
            words = words.replace(char, "\\" + char)
        return words

    head = f"| {' | '.join(safe(clean(c.title)) for c in columns)} |\n"
    rule = f"|{'|'.join(' ---: ' if c.right else ' --- ' for c in columns)}|\n"
    return head + rule + "".join(f"| {' | '.join(safe(_cell(c, row)) for c in columns)} |\n" for row in rows)


def stdout_console() -> Console:
    """A rich console on stdout: no markup, no highlighting, plain where it is not a terminal."""
    from rich.console import Console

    return Console(markup=False, highlight=False, soft_wrap=False)


def stderr_console() -> Console:
    """The same on stderr, for progress and notes."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False)


def note(message: str) -> None:
    """One line for people on stderr, cut where it would fill the screen."""
    click.echo(cut(clean(message)), err=True)
