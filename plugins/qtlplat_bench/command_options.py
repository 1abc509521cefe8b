"""What the commands of `qtlplat bench` share: options, columns, how rows are printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings

SIZE = click.IntRange(1)
batch = click.option("--batch", type=SIZE, default=64, show_default=True, metavar="N", help="Samples per step.")
threads = click.option("--threads", type=SIZE, default=1, show_default=True, metavar="N", help="Threads of torch.")
classes = click.option("--classes", type=click.IntRange(2), default=2, show_default=True, metavar="N", help="Classes.")
json_flag = click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")


def _scientific(value: Any) -> str:
    return f"{value:.0e}"


MEASURED = (
    Column("ms_per_step", "ms/step", right=True),
    Column("ms_per_cell_step", "ms/cell step", right=True),
    Column("spread", "spread", right=True, show=lambda value: f"{value:.0%}"),
    Column("times", "times as fast", right=True),
    Column("max_value_error", "value error", right=True, show=_scientific),
    Column("max_gradient_error", "gradient error", right=True, show=_scientific),
)
SETTING = tuple(Column(key, key, right=True) for key in ("qubits", "layers", "batch", "cells", "threads"))
COLUMNS = (Column("engine", "engine"), *SETTING, *MEASURED)


def notes(settings: Settings) -> Callable[[str], None]:
    """What says a line on stderr, unless the user wants quiet."""
    return note if settings.verbosity >= 0 else lambda _text: None


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], as_json: bool, plain: str) -> None:
    """JSON, or a table with how many times as fast as the plain engine a row is, cell by cell, at the same size."""
    if as_json:
        write_json({"rows": rows})
        return
    compared = {row["qubits"]: row["ms_per_cell_step"] for row in rows if row["engine"].startswith(plain)}
    with_ratio = [
        {**row, "times": compared[row["qubits"]] / row["ms_per_cell_step"] if row["qubits"] in compared else None}
        for row in rows
    ]
    emit(with_ratio, columns, empty="nothing could be measured")
