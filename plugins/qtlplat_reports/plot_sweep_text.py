"""The figures of a sweep as text: a table of fields with shades, and strips of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from qtlplat.cli.render.columns import Column, text
from qtlplat.cli.render.terminal import note
from qtlplat_reports.figures.heatmap import Heatmap, absent_words
from qtlplat_reports.figures.lines import Lines, name_of
from qtlplat_reports.figures.of_sweeps import OfSweep, caption
from qtlplat_reports.figures.parallel import Parallel
from qtlplat_reports.plot_text import FOUR, print_table, room, strip

SHADES = "░▒▓█"


def print_figure(found: OfSweep) -> None:
    """Print the numbers of a figure, and its caption as notes."""
    if isinstance(found, Heatmap):
        _heatmap(found)
    elif isinstance(found, Lines):
        _lines(found)
    else:
        _parallel(found)
    for line in caption(found, drawn=False):
        note(line)


def _heatmap(found: Heatmap) -> None:
    sweep, name = found.sweep, found.sweep.metric.name
    (down, across), (lines, columns) = found.axes, found.values
    known = [row[name]["mean"] for row in found.fields.values() if row[name]["mean"] is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)

    def words(place: tuple[int, int]) -> str:
        row = found.fields.get(place)
        if row is None:
            return ""
        mean, absent = row[name]["mean"], absent_words(row)
        parts = [] if mean is None else [f"{mean:.4f} {_shade(mean, low, high, sweep.metric.lower_is_better)}"]
        return " ".join([*parts, *([f"({absent})"] if absent else []), *(["*"] if place == found.best else [])])

    rows: list[dict[str, Any]] = [
        {"down": sweep.value(down, value), **{str(j): words((i, j)) for j in range(len(columns))}}
        for i, value in enumerate(lines)
    ]
    titles = [f"{sweep.short(across)}={sweep.value(across, v)}" if v is not None else f"without {sweep.short(across)}"
              for v in columns]  # fmt: skip
    print_table(rows, [Column("down", down), *(Column(str(j), title) for j, title in enumerate(titles))])


def _shade(mean: float, low: float, high: float, lower_is_better: bool) -> str:
    """A character that is the darker, the better a mean is."""
    share = (mean - low) / (high - low) if high > low else 1.0
    share = 1.0 - share if lower_is_better else share
    return SHADES[min(len(SHADES) - 1, math.floor(share * len(SHADES)))]


def _lines(found: Lines) -> None:
    title = found.sweep.metric.title
    marks = [*found.marks, *found.levels]
    known = [mark.found for mark in marks if mark.found]
    ends = [v for one in known for v in (one.mean, *(one.interval or ()))]
    low, high = min(ends), max(ends)
    rows = []
    for mark in marks:
        one = mark.found
        ranges = [(*one.interval, "─")] if one and one.interval else []
        drawn = strip(room(80), low, high, [*ranges, (one.mean, one.mean, "◆")]) if one else ""
        level = found.sweep.point_words(mark.point) or f"without {found.x}"
        rows.append(
            {
                "line": level if mark.x is None else name_of(found, mark.series),
                "x": "" if mark.x is None else text(mark.x),
                "mean": one and one.mean,
                "low": one.interval[0] if one and one.interval else None,
                "high": one.interval[1] if one and one.interval else None,
                "n": f"{one.n} {one.unit}{'' if one.n == 1 else 's'}" if one and one.unit else "",
                "finished": f"{mark.finished} of {len(mark.members)}",
                "strip": drawn,
            }
        )
    columns = [
        Column("line", "line"),
        Column("x", found.x, right=True),
        Column("mean", title, right=True, show=FOUR),
        Column("low", "95 % from", right=True, show=FOUR),
        Column("high", "to", right=True, show=FOUR),
        Column("n", "n", right=True),
        Column("finished", "finished", right=True),
        Column("strip", f"{title} from {text(low)} to {text(high)}"),
    ]
    print_table(rows, columns, ("finished", "n"))


def _parallel(found: Parallel) -> None:
    sweep, name = found.sweep, found.sweep.metric.name
    known = [row[name]["mean"] for row in found.points if row[name]["mean"] is not None]
    low, high = min(known), max(known)
    rows: list[dict[str, Any]] = []
    for row in found.points:
        mean, std, n = (row[name][key] for key in ("mean", "std", "n"))
        rows.append(
            {
                **{f"axis {axis}": "" if (value := row["point"].get(axis)) is None else sweep.value(axis, value)
                   for axis in found.axes},
                "mean": mean, "std": std, "n": n, "absent": absent_words(row),
                "strip": "" if mean is None else strip(room(70), low, high, [(mean, mean, "◆")]),
            }
        )  # fmt: skip
    columns: Sequence[Column] = [
        *(Column(f"axis {axis}", axis) for axis in found.axes),
        Column("mean", sweep.metric.title, right=True, show=FOUR),
        Column("std", "± sd of members", right=True, show=FOUR),
        Column("n", "n", right=True),
        Column("absent", "not finished"),
        Column("strip", f"{sweep.metric.title} from {text(low)} to {text(high)}"),
    ]
    print_table(rows, columns, ("std", "n", "absent"))
