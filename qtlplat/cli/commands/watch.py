"""`qtlplat runs --watch`: follows the runs that are running, and says how those end. Reads only; no SQL here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.cli.render.column_fit import fitting
from qtlplat.cli.render.columns import Column, print_tsv, table
from qtlplat.cli.render.run_columns import age, progress_words, row, short_on_terminals, show_mean_sd
from qtlplat.cli.render.terminal import note, stdout_console, write_row
from qtlplat.errors import UsageError

if TYPE_CHECKING:
    from qtlplat.cli.render.output import Listing
    from qtlplat.store.core.records import RunRecord
    from qtlplat.store.read.queries import Reader

WATCHED = 200  # newest runs that are looked at, where -n says nothing else
SHOWN = 12  # of those, on a terminal
COLUMNS = (
    Column("run", "run", show=short_on_terminals),
    Column("kind", "kind"),
    Column("status", "status"),
    Column("model", "model"),
    Column("progress", "progress"),
    Column("f1", "f1", right=True, show=show_mean_sd),
    Column("created", "created", show=age),
)
LEAST_NEEDED = ("created", "kind", "f1", "model")


def watch(
    reader: Reader, read: Callable[[int], Sequence[RunRecord]], seconds: float, listing: Listing, *, until_done: bool
) -> None:
    """Follow runs until KeyboardInterrupt, or until none is running.

    read: at most so many runs, newest first; seconds: between two reads. A terminal gets a live table, other outputs a
    line for each change. Raises UsageError if another form was requested.
    """
    if listing.fmt or listing.sort or listing.cols:
        raise UsageError("--watch goes with no other form", where="qtlplat runs", fix="leave out --json, --sort, ...")
    follow = _on_terminal if sys.stdout.isatty() else _in_lines
    most = listing.limit or WATCHED
    follow(lambda: _look(reader, read(most)), seconds, until_done)


def _look(reader: Reader, records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Runs as rows, each with its progress in words."""
    from qtlplat.store.read.progress import progress
    from qtlplat.store.read.serialize import short_form

    live = progress(reader, [record for record in records if record.status == "running"])
    rows = []
    for record in records:
        one = row(short_form(record))
        model = f"{one['head']} on {one['backbone']}" if one["head"] else one["backbone"]
        said = progress_words(live[record.id].form()) if record.id in live else None
        rows.append({**one, "model": model, "progress": said})
    return rows


def _on_terminal(look: Callable[[], list[dict[str, Any]]], seconds: float, until_done: bool) -> None:
    from rich.live import Live

    console = stdout_console()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            rows = sorted(look(), key=lambda one: one["status"] != "running")[:SHOWN]
            columns = fitting(rows, COLUMNS, console.width, LEAST_NEEDED)
            live.update(table(rows, columns), refresh=True)
            if until_done and not _running(rows):
                return
            time.sleep(seconds)


def _in_lines(look: Callable[[], list[dict[str, Any]]], seconds: float, until_done: bool) -> None:
    """Print running runs at the start, then changes: one line per run, with tab-separated columns."""
    columns = [column for column in COLUMNS if column.key != "created"]
    told: dict[str, tuple[Any, ...]] = {}
    first = True
    while True:
        rows = look()
        now = {one["run"]: (one["status"], one["progress"]) for one in rows}
        changed = [
            one
            for one in reversed(rows)
            if now[one["run"]] != told.get(one["run"]) and (not first or one["status"] == "running")
        ]
        if first:
            print_tsv([], columns)
            if not _running(rows):
                note("no run is running" if until_done else "no run is running yet; Ctrl-C ends the waiting")
        _print(changed, columns)
        told, first = now, False
        if until_done and not _running(rows):
            return
        time.sleep(seconds)


def _running(rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(one["status"] == "running" for one in rows)


def _print(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    for one in rows:
        values = [(column, one.get(column.key)) for column in columns]
        write_row((column.show(value) if column.show else str(value)) if value else "" for column, value in values)
    sys.stdout.flush()
