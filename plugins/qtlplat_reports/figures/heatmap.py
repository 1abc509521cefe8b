"""The scores of a sweep over two of its axes, as a map of fields with a colour and a number each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.sweep_points import Row, averaged, place
from qtlplat.errors import UsageError
from qtlplat_reports.figures.style import COLUMN, GREY, PAGE, new_figure, shortened, styled
from qtlplat_reports.figures.sweeps import SEED, StoredSweep, closing_lines, state_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

MAP = "cividis"  # made for readers who do not tell red from green (Nuñez, Anderton & Renslow, PLOS ONE 13, 2018)
NARROW, UPRIGHT = 6, 14  # columns in a journal's column, and before numbers are turned
MOST_APART = 6
STEPS = 64  # of the bar of colours
LABEL = 18  # characters of a value


@dataclass(frozen=True)
class Heatmap:
    """The fields by place (row, column); values: of rows and columns, None for members without this axis.

    fields: rows of `averaged`; a place without one is no point of the sweep; apart: points that have neither axis;
    over: axes that are averaged over, and their number of values; best: the place of the best field without holes.
    """

    sweep: StoredSweep
    axes: tuple[str, str]
    values: tuple[tuple[Any, ...], tuple[Any, ...]]
    fields: Mapping[tuple[int, int], Row]
    apart: tuple[Row, ...]
    over: Mapping[str, int]
    best: tuple[int, int] | None


def heatmap(sweep: StoredSweep, asked: Sequence[str] = ()) -> Heatmap:
    """A map of two axes, down and across; those of numbers unless others are asked for, in the order of the definition.

    Raises UsageError if there are no two axes, DataError if nothing is finished.
    """
    sweep.scored()
    down, across = sweep.chosen_axes(asked, 2) if asked else usual_axes(sweep)
    name = sweep.metric.name
    inside = [row for row in sweep.rows if {down, across} & row["point"].keys()]
    over = sweep.others(inside, (down, across))
    found = averaged(inside, [axis for axis in sweep.axes if axis not in (down, across)], name)
    values = [sweep.values_in(axis, found) for axis in (down, across)]
    places = [(place(values[0], row["point"].get(down)), place(values[1], row["point"].get(across))) for row in found]
    rest = [row for row in sweep.rows if not {down, across} & row["point"].keys()]
    whole = [row[name]["mean"] if row["state"] == "finished" else None for row in found]
    best = sweep.best(whole)
    return Heatmap(
        sweep,
        (down, across),
        (values[0], values[1]),
        dict(zip(places, found, strict=True)),
        tuple(averaged(rest, {SEED, *over}, name)),
        over,
        None if best is None else places[best],
    )


def usual_axes(sweep: StoredSweep) -> tuple[str, str]:
    """The axes that are drawn unless others are asked for."""
    found = sweep.varied(sweep.rows)
    together = [(a, b) for i, a in enumerate(found) for b in found[i + 1 :] if _meet(sweep, a, b)]
    if not together and found and SEED in sweep.axes:
        together = [(found[0], SEED)]
    if not together:
        raise UsageError(
            "a heat map needs two axes that vary", where=f"sweep {sweep.name}", fix="choose --kind lines or parallel"
        )
    return together[0]


def _meet(sweep: StoredSweep, first: str, second: str) -> bool:
    """Whether both vary among the members that have both, so that a component is no axis next to its own options."""
    rows = [row for row in sweep.rows if {first, second} <= row["point"].keys()]
    return {first, second} <= {*sweep.varied(rows)}


def rows(found: Heatmap) -> list[dict[str, Any]]:
    """The numbers of the figure: a row for each field, then those of points that are apart."""
    name = found.sweep.metric.name
    made = []
    for at, row in [*sorted(found.fields.items()), *((None, row) for row in found.apart)]:
        made.append(
            {
                "point": row["point"],
                **row[name],
                **{key: row[key] for key in ("members", "finished", "failed", "missing")},
                "best": at is not None and at == found.best,
                "apart": at is None,
                "runs": row["runs"],
            }
        )
    return made


def absent_words(row: Row) -> str:
    """How many members of a field are failed and missing; '' if none is."""
    return ", ".join(f"{row[state]} {state}" for state in ("failed", "missing") if row[state])


@styled
def draw(found: Heatmap) -> Figure:
    """A field for each pair of values; holes are hatched, the best field is framed."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    metric, (down, across) = found.sweep.metric, found.values
    width = COLUMN if len(across) <= NARROW else PAGE
    upright = len(across) > UPRIGHT
    labels = [shortened(found.sweep.value(found.axes[1], value), LABEL) for value in across]
    turned = upright or max(map(len, labels)) * len(labels) > width * 10
    height = (0.5 if upright else 0.36) * len(down) + 0.55 + (0.05 * max(map(len, labels)) if turned else 0.1)
    figure = new_figure(width, max(1.5, height), caption(found))
    axes = figure.add_subplot()
    axes.grid(visible=False)
    name = metric.name
    known = [row[name]["mean"] for row in (*found.fields.values(), *found.apart) if row[name]["mean"] is not None]
    low, high = min(known), max(known)
    norm = Normalize(low, high) if high > low else Normalize(low - 0.01, high + 0.01)
    colours = colormaps[MAP if metric.higher_is_better else f"{MAP}_r"]
    for at, row in found.fields.items():
        _field(axes, at, row, row[name]["mean"], (colours, norm, upright))
    if found.best is not None:
        _frame(axes, found.best)
    axes.set_xlim(-0.5, len(across) - 0.5)
    axes.set_ylim(len(down) - 0.5, -0.5)
    axes.set_xticks(range(len(across)), labels, rotation=90 if turned else 0)
    axes.set_yticks(range(len(down)), [shortened(found.sweep.value(found.axes[0], value), LABEL) for value in down])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(shortened(found.axes[1], 40))
    axes.set_ylabel(shortened(found.axes[0], 40))
    bar = figure.colorbar(
        ScalarMappable(norm, colours.resampled(STEPS)), ax=axes, fraction=0.06, pad=0.03 if width == PAGE else 0.06
    )
    bar.outline.set_linewidth(0.4)
    assert bar.solids is not None
    bar.solids.set(rasterized=False, edgecolor="face")  # no picture within a picture: some readers refuse these
    bar.set_label(metric.title)
    for i, row in enumerate(found.apart[:MOST_APART]):
        if (mean := row[name]["mean"]) is not None:
            bar.ax.axhline(mean, color="white", linewidth=2)
            bar.ax.axhline(mean, color="black", linewidth=0.8)
            bar.ax.text(-0.15, mean, chr(ord("a") + i), ha="right", va="center", fontsize=7)
            bar.ax.yaxis.set_label_position("right")
    return figure


def _field(
    axes: Axes, place: tuple[int, int], row: Row, mean: float | None, look: tuple[Colormap, Normalize, bool]
) -> None:
    from matplotlib.patches import Rectangle

    colours, norm, upright = look
    y, x = place
    absent = row["failed"] + row["missing"]
    colour = (1.0, 1.0, 1.0, 1.0) if mean is None else colours(norm(mean))
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.2))
    if absent:
        tone = GREY if mean is None else "white"
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="none", hatch="////", edgecolor=tone, linewidth=0.0)
        )
    if mean is None:
        words = "failed" if row["failed"] else "missing"
        axes.text(x, y, words, ha="center", va="center", fontsize=7, rotation=90 if upright else 0,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})  # fmt: skip
        return
    # WCAG 2.2: relative luminance, at which white and black stand out alike
    dark = sum(share * tone**2.2 for share, tone in zip((0.2126, 0.7152, 0.0722), colour[:3], strict=True)) < 0.179
    words = f"{mean:.3f}" + (f"\n{row['finished']} of {row['members']}" if absent else "")
    box = {"facecolor": colour, "edgecolor": "none", "pad": 0.4} if absent else None
    axes.text(x, y, words, ha="center", va="center", fontsize=7, linespacing=1.0, rotation=90 if upright else 0,
              color="white" if dark else "black", bbox=box)  # fmt: skip


def _frame(axes: Axes, place: tuple[int, int]) -> None:
    from matplotlib.patches import Rectangle

    y, x = place
    for colour, width in (("white", 4.0), ("black", 1.6)):
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=colour, linewidth=width, zorder=4, clip_on=False)
        )


def caption(found: Heatmap, *, drawn: bool = True) -> list[str]:
    """What the figure shows, in words. drawn: False for the one in the terminal."""
    name, title = found.sweep.metric.name, found.sweep.metric.title
    lines = [f"Mean {title} of the cells of a member.", found.sweep.over_words(found.over)]
    whole = [row for row in found.fields.values() if row["failed"] + row["missing"]]
    if whole:
        lines.append(f"{'Hatched' if drawn else 'In brackets'}: members that have failed or are missing.")
    if len(found.fields) < len(found.values[0]) * len(found.values[1]):
        lines.append("Empty: no point of the sweep.")
    told = [" ".join(filter(None, lines)), state_line(found.sweep)]
    for i, row in enumerate(found.apart[:MOST_APART]):
        mean = row[name]["mean"]
        score = "no score" if mean is None else f"{mean:.4f}"
        told.append(f"{chr(ord('a') + i)}: {found.sweep.point_words(row['point']) or 'without these axes'}, {score}.")
    if len(found.apart) > MOST_APART:
        told.append(f"And {len(found.apart) - MOST_APART} more points without these axes.")
    mark = "Framed" if drawn else "*"
    best = "The best field" if found.best is None else f"{mark}: the best field without holes; it"
    return [*told, *closing_lines(found.sweep, best)]
