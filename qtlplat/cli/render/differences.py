"""What differs between runs as a table: a row for each thing, a column for each run, in blocks on a narrow terminal."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.cli.render.columns import Column, table, text
from qtlplat.cli.render.output import Listing, emit
from qtlplat.cli.render.terminal import say, stdout_console
from qtlplat.conventions import SHORT, short

if TYPE_CHECKING:
    from qtlplat.analysis.explain_difference import Difference

MOST = 28  # characters of a value in a cell of a terminal's table
GAP = 3  # between two columns


def value_text(value: Any) -> str:
    """A value in a cell: digests by their beginning, long text cut, '-' for what a run does not have."""
    if value is None:
        return "-"
    words = text(value)
    if re.fullmatch(r"[0-9a-f]{40,64}", words):
        return words[:SHORT]
    return words if len(words) <= MOST else f"{words[: MOST - 1]}…"


def forms(differences: Sequence[Difference], ids: Sequence[str]) -> list[dict[str, Any]]:
    """Differences as `compare --json` has them: kind, name, value by run."""
    return [{"kind": d.kind, "what": d.what, "values": dict(zip(ids, d.values, strict=True))} for d in differences]


def list_differences(differences: Sequence[Difference], ids: Sequence[str], listing: Listing) -> None:
    """All of them as a listing, in the form that was asked for; nothing is cut."""
    rows = [{"kind": d.kind, "what": d.what, **dict(zip(ids, d.values, strict=True))} for d in differences]
    columns = [Column("kind", "kind"), Column("what", "what"), *(Column(run, run) for run in ids)]
    frame = {"runs": list(ids)}
    emit(rows, columns, listing, json_rows=forms(differences, ids), json_frame=frame, empty="nothing stored differs")


def print_differences(differences: Sequence[Difference], ids: Sequence[str]) -> None:
    """The table for a terminal; as many runs side by side as fit, the others below in further blocks."""
    if not differences:
        say("no stored setting differs between these runs", "")
        return
    rows = [{"what": d.what, **dict(zip(ids, d.values, strict=True))} for d in differences]
    first = Column("what", "what differs")
    columns = [Column(run, short(run), show=value_text) for run in ids]
    cells = [{"what": row["what"], **{run: value_text(row[run]) for run in ids}} for row in rows]
    room = shutil.get_terminal_size().columns - _width(cells, first)
    block: list[Column] = []
    for column in columns:
        if block and sum(_width(cells, one) for one in [*block, column]) > room:
            stdout_console().print(table(cells, [first, *block]))
            block = []
        block.append(Column(column.key, column.title))
    stdout_console().print(table(cells, [first, *block]))


def _width(cells: Sequence[dict[str, Any]], column: Column) -> int:
    return max(map(len, [column.title, *(text(row[column.key]) for row in cells)])) + GAP
