"""The rows of any figure as rows of a table, for CSV: a value in each column, a row for each innermost part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = dict[str, Any]


def flat(rows: Sequence[Mapping[str, Any]]) -> tuple[list[Row], list[str]]:
    """Rows of a figure's JSON, and the names of their columns in order.

    A list of objects, as the cells of a box, becomes a row for each of them, with what they have in common in all of
    these rows. An object becomes a column for each of its keys, as ``first.run``; those of a point have the names of
    its axes. Other lists become a text with spaces.
    """
    found = [made for row in rows for made in _exploded(row)]
    return found, list(dict.fromkeys(name for row in found for name in row))


def _exploded(row: Mapping[str, Any]) -> Iterator[Row]:
    common: Row = {}
    parts: list[Mapping[str, Any]] = []
    for key, value in row.items():
        if isinstance(value, Mapping):
            prefix = "" if key == "point" else f"{key}."
            common |= {f"{prefix}{name}": _plain(one) for name, one in value.items()}
        elif isinstance(value, list | tuple) and value and all(isinstance(one, Mapping) for one in value):
            parts += value
        else:
            common[key] = _plain(value)
    for part in parts:
        for inner in _exploded(part):
            yield common | {f"own {name}" if name in common else name: one for name, one in inner.items()}
    if not parts:
        yield common


def _plain(value: Any) -> Any:
    return " ".join(str(one) for one in value) if isinstance(value, list | tuple) else value
