"""`qtlplat diff RUN RUN`: what could explain a difference, the weightiest first, and how far the numbers agree."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from qtlplat.analysis.agreement import Agreement, agreement, in_words
from qtlplat.analysis.explain_difference import BY_NAME, Difference, differing, moved_cells
from qtlplat.cli.render.column_fit import fitting
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.differences import value_text
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.terminal import note, say
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.conventions import SHOTS_REPEAT, short

if TYPE_CHECKING:
    from qtlplat.store.read.loaded import Gathered

COLUMNS = (
    Column("kind", "kind"),
    Column("what", "what"),
    Column("before", "before"),
    Column("after", "after"),
    Column("weight", "can explain"),
    Column("remark", "remark"),
    Column("why", "why"),
)
LEAST_NEEDED = ("kind", "remark")
# what a weight says of a difference, in the table's words
WEIGHTS = {
    "decisive": "everything",
    "strong": "much",
    "possible": "perhaps much",
    "chance": "as chance does",
    "rounding": "last digits",
    "consequence": "follows",
    "none": "nothing",
}
METRICS = (
    Column("metric", "metric"),
    Column("n", "pairs", right=True),
    Column("first", "before", right=True, show="{:.6f}".format),
    Column("second", "after", right=True, show="{:.6f}".format),
    Column("difference", "mean difference", right=True, show="{:+.3g}".format),
    Column("largest", "largest", right=True, show="{:.3g}".format),
    Column("equal", "same bits", right=True),
)


@click.command("diff")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@listing_options
@pass_settings
def diff_command(settings: Settings, first: str, second: str, listing: Listing) -> None:
    """Rank possible causes of a difference between two runs.

    Causes are all stored differences: data, folds, backbone, head, training, code, seed, device, packages, hardware.
    Their order is fixed, the strongest first. `compare` tests whether the numbers differ by more than chance. RUN
    is the beginning of an id, @last, @-2 (the one before the last), @best:f1 or @tag:paper.
    """
    from qtlplat.store.read.loaded import gather

    reader = opened(settings)
    ids = [reader.resolve(reference) for reference in (first, second)]
    before, after = gather(reader, ids, probabilities=True)
    rows = [_row(one, before, after) for one in differing([before, after])]
    numbers = agreement(before, after)
    nothing = "no stored setting differs" + (": both are the same run" if len(set(ids)) == 1 else "")
    same_plan = before.run.fingerprint == after.run.fingerprint
    frame = {"first": ids[0], "second": ids[1], "same_plan": same_plan, "numbers": numbers.form()}
    on_terminal = sys.stdout.isatty() and not listing.fmt
    columns: Sequence[Column] = COLUMNS
    shown: Sequence[dict[str, Any]] = rows
    if on_terminal and not listing.cols:
        _heading(before, "before")
        _heading(after, "after")
        shown = [{**row, **{side: value_text(row[side]) for side in ("before", "after")}} for row in rows]
        shown = [{**row, "weight": WEIGHTS[row["weight"]]} for row in shown]
        told = [c for c in COLUMNS[:-1] if c.key != "remark" or any(row["remark"] for row in rows)]
        columns = fitting(shown, told, shutil.get_terminal_size().columns, LEAST_NEEDED)
    emit(shown, columns, listing, json_rows=rows, json_frame=frame, empty=nothing)
    if on_terminal:
        _reasons(rows)
        _numbers(numbers)
        if any(side.environment.get(SHOTS_REPEAT) == "no" for side in (before, after)):
            say("shots that cannot be repeated: two runs of one plan have other numbers")
    elif listing.fmt != "json":
        note(in_words(numbers))


add_common_options(diff_command)


def _row(difference: Difference, before: Gathered, after: Gathered) -> dict[str, Any]:
    kind = BY_NAME[difference.kind]
    remark = ""
    if difference.what in ("train samples", "test samples"):
        moved, shared = moved_cells(before.cells, after.cells, difference.what.split()[0])
        remark = f"{moved} of {shared} common cells have others" if shared else "no cell of the same fold and seed"
    first, second = difference.values
    return {
        "kind": kind.name,
        "what": difference.what,
        "before": first,
        "after": second,
        "weight": kind.weight,
        "remark": remark,
        "why": kind.why,
    }


def _heading(gathered: Gathered, side: str) -> None:
    run = gathered.run
    names = " on ".join(run.components[role].name for role in ("head", "backbone") if role in run.components)
    say(f"{side:<8}{short(run.id)}  {names}, seed {run.seed}, {run.status}, {run.created[:16]}")


def _reasons(rows: Sequence[dict[str, Any]]) -> None:
    for name in dict.fromkeys(row["kind"] for row in rows):
        say(f"{name}: {BY_NAME[name].why}")
    say()


def _numbers(numbers: Agreement) -> None:
    say(in_words(numbers))
    if numbers.verdict != "bitwise" and numbers.metrics:
        emit([vars(one) for one in numbers.metrics], METRICS)
