"""Which columns of a listing a terminal has room for, so that none is squeezed until nothing of it can be read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from qtlplat.cli.output import Column, cell, note

LEGIBLE = 8  # characters of a column that may be folded; a short id has as many
GAP = 3


def legible(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[Column]:
    """The first columns that the terminal shows at legible widths, at least one; a note says which are left out."""
    room = shutil.get_terminal_size().columns
    kept: list[Column] = []
    for column in columns:
        longest = max(len(column.title), *(len(cell(column, row)) for row in rows)) if rows else len(column.title)
        room -= min(longest, LEGIBLE) + GAP
        if kept and room < 0:
            break
        kept.append(column)
    if len(kept) < len(columns):
        hidden = ", ".join(column.title for column in columns[len(kept) :])
        note(f"the terminal is too narrow for: {hidden} (choose with --cols, or pipe it)")
    return kept
