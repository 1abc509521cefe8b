"""Columns of a listing, and its values as text, as a table, as tab-separated lines and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qtlplat.cli.render.terminal import clean, write, write_row
from qtlplat.conventions import strict


@dataclass(frozen=True)
class Column:
    """A column of a listing. key: of the row; show: value -> text for people (default `text`); right: align."""

    key: str
    title: str
    right: bool = False
    show: Callable[[Any], str] | None = None


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


def cell(column: Column, row: Mapping[str, Any]) -> str:
    """A value of a row for people, in the column's own way."""
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
        result.add_row(*(Text(cell(column, row)) for column in columns))
    return result


def print_tsv(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Header and rows, tab-separated, full values, to stdout."""
    write_row(c.title for c in columns)
    for row in rows:
        write_row(cell(c, row) for c in columns)


def json_text(value: Any) -> str:
    """Strict JSON, in ASCII, with a line's end."""
    return json.dumps(strict(value), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def write_json(value: Any) -> None:
    """Print strict JSON to stdout: all of it, or nothing where a value has no form in it."""
    write(json_text(value))
