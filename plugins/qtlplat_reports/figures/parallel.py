"""All axes of a sweep side by side, and the score: a line for each point, in the colour of its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.sweep_points import Row, averaged, full_name, place
from qtlplat.errors import UsageError
from qtlplat_reports.figures.heatmap import MAP, STEPS
from qtlplat_reports.figures.style import COLUMN, GREY, PAGE, new_figure, shortened, styled
from qtlplat_reports.figures.sweeps import SEED, StoredSweep, closing_lines, state_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

BUNDLE = 0.5  # of the distance of two values: how far the lines through one of them spread
LABEL = 14  # characters of a value


@dataclass(frozen=True)
class Parallel:
    """Points without the seed, the best first, those without a score last; axes: with all values, None for without."""

    sweep: StoredSweep
    axes: Mapping[str, tuple[Any, ...]]
    points: tuple[Row, ...]
    over: Mapping[str, int]


def parallel(sweep: StoredSweep, asked: Sequence[str] = ()) -> Parallel:
    """All axes, or those that are asked for, but for the seed. Raises UsageError if nothing but the seed varies."""
    sweep.scored()
    chosen = [full_name(name, list(sweep.axes), "--axes") for name in asked] or [a for a in sweep.axes if a != SEED]
    if not chosen:
        fix = "choose --kind box"
        raise UsageError("nothing but the seed varies", where=f"sweep {sweep.name}", fix=fix)
    dropped = [axis for axis in sweep.axes if axis not in chosen]
    name = sweep.metric.name
    found = averaged(sweep.rows, dropped, name)
    sign = 1.0 if sweep.metric.lower_is_better else -1.0
    found.sort(key=lambda row: (row[name]["mean"] is None, sign * (row[name]["mean"] or 0.0)))
    axes = {axis: sweep.values_in(axis, found, without_first=True) for axis in chosen}
    return Parallel(sweep, axes, tuple(found), sweep.others(sweep.rows, chosen))


def rows(found: Parallel) -> list[dict[str, Any]]:
    """The numbers of the figure: a row for each line."""
    name = found.sweep.metric.name
    return [
        {
            "point": row["point"],
            **row[name],
            **{key: row[key] for key in ("members", "finished", "failed", "missing", "runs")},
        }
        for row in found.points
    ]


@styled
def draw(found: Parallel) -> Figure:
    """Values of an axis at equal distances; the lines through one of them are spread by their score."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    metric, k = found.sweep.metric, len(found.axes)
    scored = [row for row in found.points if row[metric.name]["mean"] is not None]
    means = [row[metric.name]["mean"] for row in scored]
    low, high = min(means), max(means)
    norm = Normalize(low, high) if high > low else Normalize(low - 0.01, high + 0.01)
    colours = colormaps[MAP if metric.higher_is_better else f"{MAP}_r"]
    figure = new_figure(COLUMN if k <= 2 else PAGE, 2.5, caption(found))
    axes = figure.add_subplot()
    axes.set_axis_off()
    places = _places(found)
    for rank in reversed(range(len(found.points))):  # the best on top
        mean = found.points[rank][metric.name]["mean"]
        ys = [places[axis][rank] for axis in found.axes]
        if mean is None:
            axes.plot(range(k), ys, color=GREY, linewidth=0.7, linestyle=":")
            continue
        ys.append(float(norm(mean)))
        axes.plot(range(k + 1), ys, color=colours(norm(mean)), linewidth=1.2, alpha=0.9, solid_capstyle="round")
    for i, (axis, values) in enumerate(found.axes.items()):
        axes.plot([i, i], [-0.04, 1.04], color="black", linewidth=0.8)
        axes.text(i, 1.09, shortened(found.sweep.short(axis), 20), ha="center", va="bottom", fontweight="bold")
        for j, value in enumerate(values):
            text = shortened(found.sweep.value(axis, value), LABEL)
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.75}
            y = _level(j, len(values))
            axes.text(i + 0.02, y, text, ha="left", va="center", fontsize=7, bbox=box, zorder=5)
    _scale(axes, k, (colours, norm), metric.title)
    axes.set_xlim(-0.15, k + 0.35)
    axes.set_ylim(-0.06, 1.2)
    return figure


def _places(found: Parallel) -> dict[str, list[float]]:
    """Where the line of each point crosses each axis: by its value, and there by its rank."""
    places: dict[str, list[float]] = {}
    for axis, values in found.axes.items():
        through: dict[int, list[int]] = {}
        for rank, row in enumerate(found.points):
            through.setdefault(place(values, row["point"].get(axis)), []).append(rank)
        spread = BUNDLE / max(2, len(values) - 1)
        heights = [0.0] * len(found.points)
        for j, ranks in through.items():
            for i, rank in enumerate(ranks):
                share = 0.5 - i / (len(ranks) - 1) if len(ranks) > 1 else 0.0
                heights[rank] = _level(j, len(values)) + spread * share
        places[axis] = heights
    return places


def _level(position: int, of: int) -> float:
    """The height of a value on its axis; the outermost leave room for the bundles of lines."""
    return 0.5 if of == 1 else 0.08 + 0.84 * position / (of - 1)


def _scale(axes: Axes, at: int, look: tuple[Colormap, Normalize], title: str) -> None:
    """The axis of the score: a bar of its colours, with numbers."""
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    colours, norm = look
    steps = np.linspace(0, 1, STEPS + 1)
    axes.pcolormesh([at, at + 0.05], steps, steps[:-1, None], cmap=colours, vmin=0, vmax=1, edgecolor="face", zorder=3)
    axes.text(at, 1.09, title, ha="center", va="bottom", fontweight="bold")
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    for tick in MaxNLocator(5).tick_values(low, high):
        if low <= tick <= high:
            y = float(norm(tick))
            axes.plot([at + 0.05, at + 0.07], [y, y], color="black", linewidth=0.6)
            axes.text(at + 0.08, y, f"{tick:.4g}", ha="left", va="center", fontsize=7)


def caption(found: Parallel, *, drawn: bool = True) -> list[str]:
    """What the figure shows, in words. drawn: False for the one in the terminal."""
    title = found.sweep.metric.title
    words = (
        f"A line for each point, in the colour of its mean {title}; through a value of an axis the lines run by rank, "
        "the best on top."
    )
    first = words if drawn else f"A row for each point with its mean {title}, the best first."
    told = [" ".join(filter(None, [first, found.sweep.over_words(found.over)])), state_line(found.sweep)]
    if drawn and any(row[found.sweep.metric.name]["mean"] is None for row in found.points):
        told.append("Dotted: no finished member.")
    return [*told, *closing_lines(found.sweep, "The best of many")]
