"""`qtlplat pareto FIELD FIELD..`: the Pareto-optimal runs. No SQL here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.render.column_fit import fitting
from qtlplat.cli.render.columns import Column, text
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.run_columns import short_on_terminals
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened

if TYPE_CHECKING:
    from qtlplat.api.ranking import Front
    from qtlplat.store.read.queries import Reader

NAMED = ("dataset", "backbone", "head", "evaluator")
LEAST_NEEDED = ("evaluator", "dataset", "backbone")


@click.command("pareto")
@click.argument("fields", metavar="FIELD FIELD..", nargs=-1)
@click.option("--all", "every", is_flag=True, help="List the dominated runs, too.")
@listing_options
@pass_settings
def pareto_command(settings: Settings, fields: Sequence[str], every: bool, listing: Listing) -> None:
    """List the Pareto-optimal runs for the given fields.

    FIELD is a metric (mean over the cells of the head) or any numeric field of --where. The runs' evaluators declare
    whether higher or lower is better for a metric. Lower is better for parameter counts, times, leakage and spreads.
    FIELD:+ and FIELD:- set the direction of other fields. Scores on other data, or of another evaluator, are not
    comparable: a run is dominated only by runs with the same data and evaluator. Runs that are equal in all fields do
    not dominate each other.
    """
    from qtlplat.api.ranking import front_runs

    reader = opened(settings)

    def read() -> tuple[Front, Mapping[str, Any]]:
        # names of all runs take longer than those of the few that are unbeaten
        front = front_runs(reader, fields, listing.where or "", NAMED if every else (), everything=every)
        if every:
            return front, {row["run"]: row for row, _ in front.listed}
        return front, _names(reader, [row["run"] for row, best in front.listed if best])

    front, names = reader.past_damage(read)
    lower, known = front.lower, front.judged
    listed = [(row, best) for row, best in front.listed if best or every]
    forms = [_form(row, names[row["run"]], lower, best) for row, best in listed]
    shown = [{**form, **form["values"]} for form in forms]
    columns = _columns(lower, every)
    if sys.stdout.isatty() and not listing.fmt and not listing.cols:
        columns = fitting(shown, columns, shutil.get_terminal_size().columns, LEAST_NEEDED)
    frame = {
        "directions": {name: "-" if less else "+" for name, less in lower.items()},
        "runs": known,
        "left_out": front.left_out,
        **front.facts,
    }
    emit(
        shown,
        columns,
        replace(listing, where=None),
        json_rows=forms,
        json_frame=frame,
        empty="no finished run has all of these",
    )
    if listing.fmt != "json" and known + front.left_out:
        lost = (
            f"; {front.left_out} other{' lacks' if front.left_out == 1 else 's lack'} a number"
            if front.left_out
            else ""
        )
        kept = sum(best for _, best in front.listed)
        note(f"{kept} of {known} finished runs are Pareto-optimal in {_told(lower)}{lost}")
        if front.remark:
            note(front.remark)


add_common_options(pareto_command)


def _names(reader: Reader, ids: Sequence[str]) -> dict[str, dict[str, str | None]]:
    """What the components of runs are called, by id and role."""
    return {
        run.id: {role: run.components[role].name if role in run.components else None for role in NAMED}
        for run in reader.several(ids)
    }


def _form(row: Mapping[str, Any], names: Mapping[str, Any], lower: Mapping[str, bool], best: bool) -> dict[str, Any]:
    return {
        "run": row["run"],
        **{role: names[role] for role in NAMED},
        "values": {name: row[name] for name in lower},
        "unbeaten": best,
    }


def _columns(lower: Mapping[str, bool], every: bool) -> list[Column]:
    names = [Column(role, role) for role in NAMED]
    numbers = [Column(name, f"{name} {'↓' if less else '↑'}", right=True) for name, less in lower.items()]
    mark = [Column("unbeaten", "unbeaten", show=lambda best: "yes" if best else "")] if every else []
    return [Column("run", "run", show=short_on_terminals), *names, *numbers, *mark]


def _told(lower: Mapping[str, bool]) -> str:
    return ", ".join(f"{text(name)} ({'lower' if less else 'higher'} is better)" for name, less in lower.items())
