"""The scores of a sweep over an axis of numbers, a line for each value of another one, with intervals of the means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.pooled import LEVEL, Pooled, pooled
from qtlplat.analysis.sweep_points import Row, by_point, place
from qtlplat.conventions import counted
from qtlplat.errors import UsageError
from qtlplat_reports.figures.style import COLUMN, colour, marker, new_figure, shortened, styled
from qtlplat_reports.figures.sweeps import SEED, StoredSweep, closing_lines, on_a_log_scale, state_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

MOST_LINES = 9  # more cannot be told apart
MOST_TICKS = 12
MARGIN = 0.08  # of the horizontal axis, at either end
DODGE = 0.013  # of the width of the axes, between the intervals of two lines
STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Mark:
    """A mean. x: None for points without the axis; series: the value of the line; members: rows of the sweep.

    found: the mean and its interval, None if no member is finished.
    """

    x: float | None
    series: Any
    point: Mapping[str, Any]
    members: tuple[Row, ...]
    found: Pooled | None

    @property
    def finished(self) -> int:
        """How many members are finished."""
        return sum(row["state"] == "finished" for row in self.members)


@dataclass(frozen=True)
class Lines:
    """Marks of lines, and of points that lack the axis, which are levels; over: axes that are averaged over."""

    sweep: StoredSweep
    x: str
    series: str | None
    marks: tuple[Mark, ...]
    levels: tuple[Mark, ...]
    over: Mapping[str, int]

    @property
    def values(self) -> list[Any]:
        """Those of the lines."""
        return list({repr(mark.series): mark.series for mark in self.marks}.values())


def lines(sweep: StoredSweep, asked: Sequence[str] = ()) -> Lines:
    """Lines over an axis, or over the one of two with a line for each value of the other; read with cells.

    Raises UsageError if no axis has numbers or there are too many lines, DataError if nothing is finished.
    """
    sweep.scored()
    x, series = _asked(sweep, asked) if asked else _usual(sweep)
    drawn = [axis for axis in (x, series) if axis]
    inside = [row for row in sweep.rows if x in row["point"]]
    over = sweep.others(inside, drawn)
    marks = [
        Mark(float(point[x]), point.get(series) if series else None, point, tuple(rows), _pooled(sweep, rows))
        for point, rows in by_point(inside, [axis for axis in sweep.axes if axis not in drawn])
    ]
    values = (*(sweep.axes[series] if series else ()), None)
    marks.sort(key=lambda mark: (place(values, mark.series), mark.x))
    rest = [row for row in sweep.rows if x not in row["point"]]
    levels = [
        Mark(None, None, point, tuple(rows), _pooled(sweep, rows)) for point, rows in by_point(rest, {SEED, *over})
    ]
    made = Lines(sweep, x, series, tuple(marks), tuple(levels), over)
    if len(made.values) + len(levels) > MOST_LINES:
        what = f"these are {len(made.values) + len(levels)} lines, more than {MOST_LINES}"
        raise UsageError(what, where="--axes", fix=f"--axes {x} for one line, or --kind heatmap")
    return made


def _asked(sweep: StoredSweep, asked: Sequence[str]) -> tuple[str, str | None]:
    found = sweep.chosen_axes(asked, min(2, len(asked)))
    if not sweep.numeric(found[0]):
        numbers = [axis for axis in sweep.axes if sweep.numeric(axis)]
        fix = f"--axes {numbers[0]}" if numbers else "choose --kind heatmap or parallel"
        raise UsageError(f"the values of {found[0]} are no numbers", where="--axes", fix=fix)
    return found[0], found[1] if len(found) > 1 else None


def _usual(sweep: StoredSweep) -> tuple[str, str | None]:
    """The axis with most numbers, and the first other one that varies along it."""
    found = [axis for axis in sweep.varied(sweep.rows) if sweep.numeric(axis)]
    if not found:
        raise UsageError(
            "lines need an axis of numbers", where=f"sweep {sweep.name}", fix="choose --kind heatmap or parallel"
        )
    x = max(found, key=lambda axis: len(sweep.axes[axis]))
    further = [axis for axis in sweep.varied([row for row in sweep.rows if x in row["point"]]) if axis != x]
    return x, next((axis for axis in further if len(sweep.axes[axis]) <= MOST_LINES - 3), None)


def _pooled(sweep: StoredSweep, rows: Sequence[Row]) -> Pooled | None:
    ids = [row["run"] for row in rows if row["run"] in sweep.runs]
    return pooled([(sweep.runs[run].seed, sweep.cells[run]) for run in ids], sweep.metric)


def rows(found: Lines) -> list[dict[str, Any]]:
    """The numbers of the figure: a row for each mean, line after line, then the levels."""
    return [
        {
            "point": dict(mark.point),
            "mean": mark.found and mark.found.mean,
            "interval": list(mark.found.interval) if mark.found and mark.found.interval else None,
            "level": LEVEL,
            "unit": mark.found and mark.found.unit,
            "n": mark.found.n if mark.found else 0,
            "why": (mark.found.why if mark.found else "no finished member") or None,
            "members": len(mark.members),
            "finished": mark.finished,
            "runs": [row["run"] for row in mark.members if row["run"] is not None],
        }
        for mark in (*found.marks, *found.levels)
    ]


@styled
def draw(found: Lines) -> Figure:
    """A line for each value of the second axis; levels of points without the first one are horizontal."""
    names = [name_of(found, value) for value in found.values]
    names += [shortened(found.sweep.point_words(mark.point) or f"without {found.x}", 40) for mark in found.levels]
    room = 0.15 * len(names) + 0.1
    figure = new_figure(COLUMN, 2.3 + room, caption(found))
    axes, below = figure.subplots(2, 1, gridspec_kw={"height_ratios": [2.3, room]})
    low, high = _limits(found)
    wide = len(found.values)
    ticks = sorted({mark.x for mark in found.marks if mark.x is not None})
    logarithmic = on_a_log_scale(ticks)
    if logarithmic:
        axes.set_xscale("log")
    for i, value in enumerate(found.values):
        shown = [(mark, mark.found) for mark in found.marks if repr(mark.series) == repr(value) and mark.found]
        xs, means = [mark.x or 0.0 for mark, _ in shown], [one.mean for _, one in shown]
        moved = _beside(axes, DODGE * (i - (wide - 1) / 2))
        axes.plot(xs, means, color=colour(i), linestyle=STYLES[i % len(STYLES)], marker=marker(i), label=names[i],
                  transform=moved)  # fmt: skip
        hollow = [(mark.x, one.mean) for mark, one in shown if mark.finished < len(mark.members)]
        for x, mean in hollow:
            axes.plot([x], [mean], marker=marker(i), color=colour(i), markerfacecolor="white", transform=moved)
        for mark, one in shown:
            _bar(axes, one, (mark.x or 0.0, moved), colour(i), (low, high))
    for i, mark in enumerate(found.levels, wide):
        if mark.found:
            axes.axhline(mark.found.mean, color=colour(i), linewidth=1.1, linestyle=(0, (1, 1.5)), label=names[i])
            beside = 1.02 + 3 * DODGE * (i - wide)
            _bar(axes, mark.found, (beside, axes.get_yaxis_transform()), colour(i), (low, high))
    axes.set_ylim(low, high)
    chosen = ticks if len(ticks) <= MOST_TICKS else ticks[:: math.ceil(len(ticks) / MOST_TICKS)]
    texts = [found.sweep.value(found.x, _whole(x)) for x in chosen]
    crowded = sum(map(len, texts)) + len(texts) > 44
    axes.set_xticks(chosen, texts, rotation=90 if crowded else 0)
    axes.minorticks_off()
    axes.set_xlim(*_room(ticks, logarithmic=logarithmic))
    axes.set_xlabel(shortened(found.x, 40) + (" (logarithmic)" if logarithmic else ""))
    axes.set_ylabel(found.sweep.metric.title)
    below.set_axis_off()
    below.legend(*axes.get_legend_handles_labels(), loc="upper center", borderaxespad=0, borderpad=0, labelspacing=0.3)
    return figure


def name_of(found: Lines, value: Any) -> str:
    """What a line is called."""
    if found.series is None:
        return f"over {found.sweep.short(found.x)}"
    if value is None:
        return f"without {found.series}"
    return shortened(f"{found.sweep.short(found.series)} = {found.sweep.value(found.series, value)}", 40)


def _whole(x: float) -> float | int:
    return int(x) if x.is_integer() and abs(x) < 1e6 else x


def _limits(found: Lines) -> tuple[float, float]:
    """What the vertical axis shows: all means, and the values of single runs, with room for the greater part."""
    sweep = found.sweep
    marks = [mark.found for mark in (*found.marks, *found.levels) if mark.found]
    ends = [end for one in marks if one.interval for end in one.interval]
    means = [one.mean for one in marks] + [
        row[sweep.metric.name]["mean"] for row in sweep.rows if row[sweep.metric.name]["mean"] is not None
    ]
    low, high = min(means), max(means)
    span = max(high - low, 0.02 * max(abs(low), abs(high)), 1e-6)
    return max(low - span, min([low, *ends])) - 0.05 * span, min(high + span, max([high, *ends])) + 0.05 * span


def _room(ticks: Sequence[float], *, logarithmic: bool) -> tuple[float, float]:
    """The ends of the horizontal axis."""
    if logarithmic:
        factor = (ticks[-1] / ticks[0]) ** MARGIN
        return ticks[0] / factor, ticks[-1] * factor
    space = MARGIN * (ticks[-1] - ticks[0]) or 1.0
    return ticks[0] - space, ticks[-1] + space


def _beside(axes: Axes, share: float) -> Transform:
    """The place of data, moved to the right by a share of the figure's width, so that no interval hides another."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transData + ScaledTranslation(share * COLUMN, 0, axes.figure.dpi_scale_trans)


def _bar(axes: Axes, one: Pooled, at: tuple[float, Transform], tone: str, limits: tuple[float, float]) -> None:
    """An interval; an arrow where it ends beyond the picture."""
    if one.interval is None:
        return
    x, transform = at
    low, high = one.interval
    ends = max(low, limits[0]), min(high, limits[1])
    axes.plot([x, x], ends, color=tone, linewidth=0.9, transform=transform, clip_on=False)
    for end, edge, arrow in ((low, limits[0], "v"), (high, limits[1], "^")):
        beyond = not limits[0] <= end <= limits[1]
        axes.plot([x], [edge if beyond else end], marker=arrow if beyond else "_", color=tone, transform=transform,
                  markersize=3.5 if beyond else 5, clip_on=False, linestyle="none")  # fmt: skip


def caption(found: Lines, *, drawn: bool = True) -> list[str]:
    """What the figure shows, in words. drawn: False for the one in the terminal."""
    marks = [mark.found for mark in (*found.marks, *found.levels) if mark.found]
    first = f"Mean {found.sweep.metric.title} of the cells of a member."
    told = [" ".join(filter(None, [first, found.sweep.over_words(found.over)])), state_line(found.sweep)]
    low, high = _limits(found)
    beyond = any(not low <= end <= high for one in marks for end in one.interval or ())
    told += interval_lines(marks, drawn=drawn, beyond=drawn and beyond)
    if drawn and found.levels:
        told.append(f"Horizontal: without {found.x}; the intervals of these are on the right.")
    if drawn and any(mark.found and mark.finished < len(mark.members) for mark in found.marks):
        told.append("Hollow: some members have failed or are missing.")
    return [*told, *closing_lines(found.sweep, "The best of many")]


def interval_lines(marks: Sequence[Pooled], *, drawn: bool, beyond: bool) -> list[str]:
    """What the intervals are, and why some means have none. beyond: whether some end beyond the picture."""
    units: dict[tuple[str, str], set[int]] = {}
    for one in marks:
        if one.interval is not None:
            units.setdefault((one.unit or "", one.remark), set()).add(one.n)
    told = []
    for (unit, remark), numbers in units.items():
        words = " or ".join(counted(n, unit) for n in sorted(numbers))
        each = ", each with its own backbone and folds" if unit == "seed" and not remark else ""
        told.append(f"{words}{each}{f' ({remark})' if remark else ''}")
    bars = f"{'Bars: ' if drawn else ''}{LEVEL:.0%} interval of the mean, over {'; '.join(told)}".replace("%", " %")
    arrows = "; an arrow: beyond the picture." if beyond else "."
    without = dict.fromkeys(one.why for one in marks if one.interval is None)
    return [*([bars + arrows] if told else []), *(f"No interval: {why}." for why in without)]
