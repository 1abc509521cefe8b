"""`qtlplat front FIELD FIELD..`: the runs that no other beats in all of these. No SQL here."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.output import Column, Listing, emit, listing_options, note, text
from qtlplat.cli.runs import short_on_terminals
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.cli.widths import fitting
from qtlplat.conventions import lower_is_better
from qtlplat.errors import UsageError

if TYPE_CHECKING:
    from qtlplat.store.queries import Reader

SIGNS = {":+": False, ":-": True}
NAMED = ("dataset", "backbone", "head", "evaluator")
LEAST_NEEDED = ("evaluator", "dataset", "backbone")


@click.command("front")
@click.argument("fields", metavar="FIELD FIELD..", nargs=-1)
@click.option("--all", "every", is_flag=True, help="List the beaten runs too.")
@listing_options
@pass_settings
def front_command(settings: Settings, fields: Sequence[str], every: bool, listing: Listing) -> None:
    """List the finished runs that no other beats: as good in every field and better in one.

    FIELD is a metric (mean over the cells of the head) or any field of --where that is a number. More is better but for
    losses, counts of parameters, times, leaks and spreads; FIELD:+ and FIELD:- say it for others. Runs that are equal
    in all fields do not beat each other.
    """
    from qtlplat.analysis.dominance import unbeaten

    lower = _directions(fields)
    reader = opened(settings)
    # names of all runs take longer than those of the few that are unbeaten
    asked = dict.fromkeys([*lower, "run", "status", *(NAMED if every else ())])
    rows = reader.table(list(asked), "run", where=listing.where or "", place="FIELD")
    finished = [row for row in rows if row["status"] == "finished"]
    known = [row for row in finished if all(_is_number(row[name]) for name in lower)]
    kept = unbeaten([[row[name] for name in lower] for row in known], list(lower.values()))
    listed = [(row, best) for row, best in zip(known, kept, strict=True) if best or every]
    first = next(iter(lower))
    listed.sort(key=lambda pair: pair[0][first] * (1 if lower[first] else -1))
    names = {row["run"]: row for row in rows} if every else _names(reader, [row["run"] for row, _ in listed])
    forms = [_form(row, names[row["run"]], lower, best) for row, best in listed]
    shown = [{**form, **form["values"]} for form in forms]
    columns = _columns(lower, every)
    if sys.stdout.isatty() and not listing.fmt and not listing.cols:
        columns = fitting(shown, columns, shutil.get_terminal_size().columns, LEAST_NEEDED)
    frame = {
        "directions": {name: "-" if less else "+" for name, less in lower.items()},
        "runs": len(known),
        "left_out": len(finished) - len(known),
    }
    emit(
        shown,
        columns,
        replace(listing, where=None),
        json_rows=forms,
        json_frame=frame,
        empty="no finished run has all of these",
    )
    if listing.fmt != "json" and finished:
        lost = f"; {len(finished) - len(known)} others lack a number" if len(known) < len(finished) else ""
        note(f"{sum(kept)} of {len(known)} finished runs are unbeaten in {_told(lower)}{lost}")


add_common_options(front_command)


def _directions(fields: Sequence[str]) -> dict[str, bool]:
    """Whether less is better, by field. Raises UsageError for fewer than two of them."""
    found = {}
    for given in fields:
        name, sign = (given[:-2], given[-2:]) if given[-2:] in SIGNS else (given, "")
        found[name] = SIGNS[sign] if sign else lower_is_better(name)
    if len(found) < 2:
        raise UsageError("a front needs two fields or more", where="qtlplat front", fix="qtlplat front f1 parameters")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
    return ", ".join(f"{text(name)} ({'less' if less else 'more'} is better)" for name, less in lower.items())
