"""The section on a sweep: what was asked for, members by state, the best one with an honest score, points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.sweep_points import Row, averaged
from qtlplat.command_hints import shell_word
from qtlplat.conventions import counted, short
from qtlplat.errors import DataError, UsageError
from qtlplat_reports.figures.stored import F1
from qtlplat_reports.figures.sweeps import SEED, StoredSweep
from qtlplat_reports.report.document import Block, Column, Picture, Section, Table, Text
from qtlplat_reports.report.numbers import count, score as number, score_title
from qtlplat_reports.report.pictures import MISSING, can_draw
from qtlplat_reports.report.privacy import request

if TYPE_CHECKING:
    from qtlplat.api.picking import Picked

MOST_POINTS = 100  # rows of a table
MOST_RUNS = 5  # ids in a row


def sweep_section(sweep: StoredSweep, picked: Picked | None, told: int, *, drawn: bool) -> Section:
    """The section on a sweep.

    Args:
        sweep: With cells, and as `privacy.public_sweep` makes it.
        picked: Its best member; None if no member is finished.
        told: How many members the other sections of the report are about.
        drawn: Whether its figures are drawn, or only named with their commands.
    """
    known = sweep.counts
    words = f"{counted(known['members'], 'member')}: " + ", ".join(
        f"{known[state]} {state}" for state in ("finished", "failed", "missing")
    )
    blocks: list[Block] = [Text(f"{words}.")]
    if sweep.mixture:
        blocks.append(Text(f"The members use {sweep.mixture}: their scores are not comparable."))
    if told < known["finished"]:
        blocks.append(Text(f"The other sections are about its {told} best members; this one is about all of them."))
    blocks.append(_asked(sweep))
    if picked is not None:
        blocks += [_best(sweep, picked), *_pictures(sweep, drawn=drawn), *_points(sweep)]
    blocks += _failures(sweep)
    return Section("sweep", f"The sweep {sweep.name}", tuple(blocks))


def _asked(sweep: StoredSweep) -> Table:
    """What varies, and what else was said."""
    rows = [(axis, ", ".join(sweep.value(axis, value) for value in values), str(len(values)))
            for axis, values in sweep.axes.items()]  # fmt: skip
    options = sweep.definition.get("options", {})
    fixed = {name: value for name, value in options.items() if name not in sweep.axes and name != "sets"}
    rows += [(name, request(_typed(value)), "") for name, value in fixed.items()]
    rows += [("set", request(str(text)), "") for text in options.get("sets", ())]
    rows += [("zip", ", ".join(map(str, sweep.definition.get("zip", ()))), "")] if sweep.definition.get("zip") else []
    rows += [("only", request(str(sweep.definition["only"])), "")] if sweep.definition.get("only") else []
    columns = (Column("option"), Column("values", "sentence"), Column("number", "number"))
    notes = ("first what varies, with all of its values; then the options as they were typed",)
    return Table("What was asked for", columns, tuple(rows), notes)


def _typed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _best(sweep: StoredSweep, picked: Picked) -> Table:
    metric = sweep.metric
    point: Mapping[str, Any] = next((row["point"] for row in sweep.rows if row["run"] == picked.run), {})
    known = picked.interval is not None
    ends = " to ".join(number(end, metric) for end in picked.interval or ()) if known else ""
    how = picked.method or ""
    if picked.samples:
        how += f", over {picked.samples} samples of {counted(picked.groups or 0, 'source image')}"
    if picked.why:
        how = f"no honest score: {picked.why}"
    columns = (
        Column("run", "runs"), Column("point", "sentence"), Column(f"picked {score_title(metric)}", "number"),
        Column(f"honest {score_title(metric)}", "number"), Column("95 % interval", "number"),
        Column("best of", "number"), Column("method", "sentence"),
    )  # fmt: skip
    row = (
        short(picked.run), sweep.point_words(point), number(picked.picked, metric), number(picked.honest, metric), ends,
        count(picked.candidates), how,
    )  # fmt: skip
    notes = (
        "picked: its mean on the folds that it was picked on, which is too good; honest: of the same choice on samples "
        "that it was not made on, as qtlplat best",
    )
    return Table("The best member", columns, (row,), notes)


def _pictures(sweep: StoredSweep, *, drawn: bool) -> list[Block]:
    from qtlplat_reports.figures.of_sweeps import usual_kind

    first = usual_kind(sweep)
    kinds = [first, "lines"] if first == "heatmap" and any(map(sweep.numeric, sweep.varied(sweep.rows))) else [first]
    blocks: list[Block] = []
    if drawn and not can_draw():
        blocks.append(Text(MISSING))
        drawn = False
    return [*blocks, *(_picture(kind, sweep, drawn=drawn) for kind in kinds)]


def _picture(kind: str, sweep: StoredSweep, *, drawn: bool) -> Block:
    from qtlplat_reports.figures.files import inline_svg
    from qtlplat_reports.figures.of_sweeps import axes_of, draw, made

    of = "" if sweep.metric is F1 else f" --metric {shell_word(sweep.metric.name)}"
    command = f"qtlplat plot --sweep {shell_word(sweep.name)} --kind {kind}{of} -o {kind}.svg"
    try:
        found = made(kind, sweep)
    except (DataError, UsageError) as error:
        return Text(f"{kind}: not drawn, {error.what}.")
    caption = f"{sweep.metric.title} by {' and '.join(axes_of(found))}"
    return Picture(caption, command, inline_svg(draw(found), caption) if drawn else "")


def _points(sweep: StoredSweep) -> list[Block]:
    """Points without the seed, the best first."""
    metric, name = sweep.metric, sweep.metric.name
    found = averaged(sweep.rows, (SEED,), name)
    sign = 1.0 if metric.lower_is_better else -1.0
    found.sort(key=lambda row: (row[name]["mean"] is None, sign * (row[name]["mean"] or 0.0)))
    axes = [axis for axis in sweep.axes if axis != SEED]
    columns = (
        *(Column(sweep.short(axis)) for axis in axes), Column(score_title(metric), "number"), Column("± sd", "number"),
        *(Column(state, "number") for state in ("finished", "failed", "missing")), Column("runs", "runs"),
    )  # fmt: skip
    notes = (
        "mean over members of the means of their cells, ± the standard deviation between the members; members of a "
        "point differ in the seed",
    )
    rows = tuple(_point(sweep, axes, row) for row in found[:MOST_POINTS])
    left = len(found) - len(rows)
    more = f"{left} more points: qtlplat sweep show {shell_word(sweep.name)} --over seed" if left else ""
    return [Table("Points", columns, rows, notes), *([Text(f"{more}.")] if more else [])]


def _point(sweep: StoredSweep, axes: Sequence[str], row: Row) -> tuple[str, ...]:
    score = row[sweep.metric.name]
    values = ["" if (value := row["point"].get(axis)) is None else sweep.value(axis, value) for axis in axes]
    states = [str(row[state]) for state in ("finished", "failed", "missing")]
    return (
        *values, number(score["mean"], sweep.metric), number(score["std"], sweep.metric), *states,
        " ".join(map(short, row["runs"][:MOST_RUNS])),
    )  # fmt: skip


def _failures(sweep: StoredSweep) -> list[Block]:
    failed = [one for one in sweep.states if one.state in ("failed", "killed")]
    if not failed:
        return []
    points = {row["member"]: row["point"] for row in sweep.rows}
    rows = tuple(
        (
            sweep.point_words(points[one.member.position]),
            one.state,
            str(len(one.failures)),
            request((one.failures[-1].error.splitlines() or [""])[0]),
        )
        for one in failed[:MOST_POINTS]
    )
    columns = (Column("point"), Column("state"), Column("tries", "number"), Column("what stopped it", "sentence"))
    command = f"qtlplat sweep status {shell_word(sweep.name)}"
    notes = (
        f"{command} names their logs",
        *([f"the first {MOST_POINTS} of {len(failed)}"] if len(failed) > MOST_POINTS else []),
    )
    return [Table("Failures", columns, rows, tuple(notes))]
