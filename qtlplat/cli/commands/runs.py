"""`qtlplat runs`: the stored runs, newest first. No SQL here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from qtlplat.cli.render.column_fit import fitting, name_hidden
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.run_columns import age, row, short_on_terminals, show_mean_sd
from qtlplat.cli.render.terminal import on_terminal
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.conventions import percent
from qtlplat.errors import UsageError
from qtlplat.store.core.records import RunKind
from qtlplat.store.read.filters.names import listed, unquoted


def _when(created: str) -> str:
    return age(created) if on_terminal() else created


COLUMNS = (
    Column("run", "run", show=short_on_terminals),
    Column("kind", "kind"),
    Column("status", "status"),
    Column("dataset", "dataset"),
    Column("backbone", "backbone"),
    Column("head", "head"),
    Column("replaced", "replaced", right=True),
    Column("evaluator", "evaluator"),
    Column("f1", "f1", right=True, show=show_mean_sd),
    Column("accuracy", "accuracy", right=True, show=show_mean_sd),
    Column("leakage", "leakage", right=True, show=percent),
    Column("group_leakage", "source leakage", right=True, show=percent),
    Column("trainable", "trainable", right=True),
    Column("cells", "cells", right=True),
    Column("seconds", "seconds", right=True),
    Column("created", "created", show=_when),
)
# in CSV and Parquet, and by --cols where they are named
FURTHER = (
    Column("selection_leakage", "selection leakage", right=True, show=percent),
    Column("parameters", "parameters", right=True),
    Column("frozen", "frozen", right=True),
    Column("reduction_model", "reduction of the model %", right=True),
    Column("reduction_replaced", "reduction of the replaced %", right=True),
    Column("f1_sd", "f1 sd", right=True),
    Column("accuracy_sd", "accuracy sd", right=True),
    Column("seed", "seed", right=True),
    Column("backbones", "backbones", right=True),
    Column("fingerprint", "fingerprint"),
    Column("pretraining", "pretraining"),
    Column("finished", "finished"),
    Column("tags", "tags"),
    Column("note", "note"),
    Column("trashed", "trashed"),
    Column("error", "error"),
)
# given up one after the other where a terminal is too narrow for a line per run
LEAST_NEEDED = (
    "seconds",
    "cells",
    "dataset",
    "evaluator",
    "trainable",
    "group_leakage",
    "replaced",
    "kind",
    "accuracy",
    "created",
)


@click.command("runs")
@click.option("--kind", type=click.Choice(["run", "pretraining"]), help="Only these.")
@click.option("--trash", is_flag=True, help="List the runs in the trash instead.")
@click.option(
    "--watch",
    "watched",
    type=click.FloatRange(0.1, 3600),
    is_flag=False,
    flag_value="2",
    metavar="[SECONDS]",
    help="Follow them, with epoch, accuracy and time left, updated every SECONDS (2); Ctrl-C stops.",
)
@click.option("--until-done", is_flag=True, help="With --watch: exit when no run is running.")
@listing_options
@pass_settings
def runs_command(
    settings: Settings, kind: RunKind | None, trash: bool, watched: float | None, until_done: bool, listing: Listing
) -> None:
    """List the stored runs, newest first.

    f1 and accuracy are means over the head's finished cells, ± their sample standard deviation; leakage is the share of
    test samples that the backbone was trained on, source leakage the share whose source image is in a training set;
    replaced is the number of dense layers that the head replaces, trainable the number of its parameters.

    --where, --sort and --cols take any field of the filter language: head.layers, min(f1), last(test_loss), tag, note,
    training.epochs, env.torch, seconds.heads, f1@linear, ... (docs/reference/filters.md).
    """
    from qtlplat.store.read.serialize import short_form

    reader = opened(settings)
    asked: dict[str, Any] = {"where": listing.where or "", "sort": listing.sort or "", "trash": trash}
    if watched is not None:
        from qtlplat.cli.commands.watch import watch

        watch(reader, lambda most: reader.runs(most, kind, **asked), watched, listing, until_done=until_done)
        return
    if until_done:
        raise UsageError("--until-done says when --watch ends", where="qtlplat runs", fix="add --watch")
    forms = [short_form(record) for record in reader.runs(listing.limit, kind, **asked)]
    rows = [row(form) for form in forms]
    further = _fields(listing.cols)
    if further:
        values = reader.table(["run", *further], kind, limit=listing.limit, **asked)
        found = {one["run"]: one for one in values}
        rows = [{**one, **found.get(one["run"], {})} for one in rows]
    columns: Sequence[Column] = (*COLUMNS, *FURTHER) if listing.cols or listing.for_programs else COLUMNS
    columns = (*columns, *(Column(name, unquoted(name)) for name in further))
    if on_terminal() and not listing.cols:
        columns = fitting(rows, columns, shutil.get_terminal_size().columns, LEAST_NEEDED)
        if rows:
            name_hidden(COLUMNS, columns)
    none = (
        "the trash is empty"
        if trash
        else f"no runs yet in {reader.location.name}; start one: qtlplat run --backbone lenet2 --head dressed5x3"
    )
    emit(
        rows,
        columns,
        replace(listing, where=None, sort=None, limit=None),  # the store has selected, sorted and counted
        json_rows=forms,
        empty="no runs match the filter" if listing.where or kind else none,
    )


def _fields(cols: str | None) -> list[str]:
    """What --cols names that is no column of its own: fields of the filter language."""
    own = {column.key for column in (*COLUMNS, *FURTHER)}
    return [name for name in listed(cols or "") if name not in own]


add_common_options(runs_command)
