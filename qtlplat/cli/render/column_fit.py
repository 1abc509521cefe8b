"""Which columns of a listing a terminal has room for, so that none is squeezed until nothing of it can be read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from qtlplat.cli.render.columns import Column, cell
from qtlplat.cli.render.terminal import note

LEGIBLE = 8  # characters of a column that may be folded; a short id has as many
GAP = 3


def _longest(column: Column, rows: Sequence[Mapping[str, Any]]) -> int:
    """Characters that a column takes on one line."""
    return max(map(len, [column.title, *(cell(column, row) for row in rows)]))


def fitting(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], width: int, least_needed: Sequence[str]
) -> list[Column]:
    """The columns that fit into `width` characters; the least important are dropped first, in that order."""
    kept = list(columns)
    for name in least_needed:
        if sum(_longest(column, rows) + GAP for column in kept) <= width:
            break
        kept = [column for column in kept if column.key != name]
    return kept


def legible(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[Column]:
    """The first columns that the terminal shows at legible widths, at least one; a note says which are left out."""
    room = shutil.get_terminal_size().columns
    kept: list[Column] = []
    for column in columns:
        room -= min(_longest(column, rows), LEGIBLE) + GAP
        if kept and room < 0:
            break
        kept.append(column)
    if rows:
        name_hidden(columns, kept)
    return kept


def name_hidden(columns: Sequence[Column], kept: Sequence[Column]) -> None:
    """Say on stderr which columns a terminal has no room for, if there are any."""
    if hidden := [column.title for column in columns if column not in kept]:
        note(f"the terminal is too narrow for: {', '.join(hidden)} (choose with --cols, or pipe it)")
