"""`qtlplat bench devices`: what PennyLane's devices can do, as a table. No torch when imported."""

from __future__ import annotations

import re
from typing import Any

import click

from qtlplat.catalog.device import parse_device
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat_bench.command_options import notes

# largest difference from exact values, and what is said of it
LEVELS = ((1e-10, "exact"), (3e-8, "to 1e-8"), (3e-6, "to 1e-6"), (5e-5, "to 1e-5"))

COLUMNS = (
    Column("device", "device"),
    Column("values", "values"),
    Column("batch", "batch"),
    Column("by_weights", "gradients by weights"),
    Column("by_inputs", "by inputs"),
    Column("by_amplitudes", "with amplitudes as inputs"),
    Column("shots", "shots"),
    Column("repeats", "seed repeats them"),
    Column("package", "package"),
)


@click.command("devices")
@click.option("--devices", metavar="D,D", help="These devices. Default: all that PennyLane and its plugins offer.")
@listing_options
@pass_settings
def devices(settings: Settings, /, devices: str | None, listing: Listing) -> None:
    """Test PennyLane's devices with two small circuits: values, gradients, batches, shots, seeds.

    Nothing is timed. Values and gradients are compared with those of default.qubit; with --json the differences are
    printed as numbers.
    """
    asked = [parse_device(text) for text in re.split(r",(?![^\[]*\])", devices)] if devices else None
    say = notes(settings)
    say("loading torch and PennyLane")
    from qtlplat_bench.devices import bench_devices, every_device

    rows = bench_devices(every_device() if asked is None else asked, say)
    emit([_words(row) for row in rows], COLUMNS, listing, json_rows=rows, json_frame={})


def _words(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people."""
    if row["problem"]:
        why = row["problem"].partition(": ")[0]
        return {"device": row["device"], "values": f"refused: {why}", "package": row["package"]}
    sampled = row["values"] != "exact"
    amplitudes = "no" if row["amplitude_problem"] else _gradient(row, "amplitude_gradient", "amplitude_error", sampled)
    return {
        "device": row["device"],
        "values": f"shots: {row['values']}" if sampled else _level(row["value_error"]),
        "batch": "whole" if row["batch"] else "one by one",
        "by_weights": _gradient(row, "gradient", "weight_error", sampled),
        "by_inputs": _gradient(row, "gradient", "input_error", sampled),
        "by_amplitudes": amplitudes,
        "shots": "yes" if row["shots"] else "no",
        "repeats": {True: "yes", False: "no", None: ""}[row["repeats"]],
        "package": row["package"],
    }


def _gradient(row: dict[str, Any], method: str, error: str, sampled: bool) -> str:
    return f"{row[method]}, {'of shots' if sampled else _level(row[error])}"


def _level(error: float) -> str:
    return next((said for most, said in LEVELS if error <= most), f"off by {error:.0e}")
