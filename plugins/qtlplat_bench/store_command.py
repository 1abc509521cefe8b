"""`qtlplat bench store`: time commands on a large synthetic store. No SQL here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat.conventions import counted
from qtlplat.errors import UsageError, safe_repr
from qtlplat_bench.command_options import SIZE, json_flag, notes

COLUMNS = (
    Column("command", "command"),
    Column("seconds", "seconds", right=True, show=lambda value: f"{value:.2f}"),
    Column("rows", "rows", right=True),
)


@click.command("store")
@click.option("--runs", type=SIZE, default=10_000, show_default=True, metavar="N", help="Runs of the store.")
@click.option("--repeats", type=SIZE, default=3, show_default=True, metavar="N", help="Of every command.")
@click.option("--keep", metavar="PATH", help="Keep the store as this file. Default: it is removed.")
@json_flag
@pass_settings
def store(settings: Settings, /, runs: int, repeats: int, keep: str | None, as_json: bool) -> None:
    """Time commands on a large store, start-up included.

    The store is synthetic and in a temporary directory: --runs runs of 6 cells and 40 epochs each, with their
    pretrainings, some with controls, predictions, tags and notes, and a sweep of which the newest 500 are the members.
    Seconds are the median of --repeats processes; rows
    are the lines that a command prints.
    """
    from qtlplat.cli.app import COMMANDS
    from qtlplat.store.backends.find import find_store
    from qtlplat_bench.store import bench_store, make_store

    say = notes(settings)
    with _place(keep) as path:
        say(f"making a store of {counted(runs, 'run')}: {path}")
        made = make_store(find_store(str(path)), runs)
        say(f"{made.runs} runs with their pretrainings, {path.stat().st_size / 1e6:.0f} MB, in {made.seconds:.0f} s")
        rows = bench_store(made.location, COMMANDS, repeats, say)
    if as_json:
        write_json({"rows": rows})
    else:
        emit(rows, COLUMNS)


@contextmanager
def _place(keep: str | None) -> Iterator[Path]:
    """Where the store is made: the file to keep, which must not be there yet, or one that is removed afterwards."""
    if keep is None:
        with TemporaryDirectory(prefix="qtlplat-bench-") as directory:
            yield Path(directory) / "store.db"
    else:
        path = Path(keep).absolute()
        if path.exists():
            raise UsageError(f"{safe_repr(str(path))} exists already", where="--keep", fix="name a new file")
        yield path
