"""Figures of a whole sweep by kind: their numbers, drawings and what is printed as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.errors import UsageError
from qtlplat_reports.figures import heatmap, lines, parallel
from qtlplat_reports.figures.heatmap import Heatmap
from qtlplat_reports.figures.lines import Lines
from qtlplat_reports.figures.parallel import Parallel
from qtlplat_reports.figures.style import require_matplotlib
from qtlplat_reports.figures.sweeps import StoredSweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OfSweep = Heatmap | Lines | Parallel


def usual_kind(sweep: StoredSweep) -> str:
    """The kind of figure unless another one is asked for: a heat map of two axes, lines over one of numbers, or all."""
    try:
        heatmap.usual_axes(sweep)
    except UsageError:
        return "lines" if any(map(sweep.numeric, sweep.varied(sweep.rows))) else "parallel"
    return "heatmap"


def made(kind: str, sweep: StoredSweep, axes: Sequence[str] = ()) -> OfSweep:
    """The numbers of one of `figures.OF_A_SWEEP`, of a sweep that is read with cells if there are lines.

    axes: those that are drawn, by name or the last part of it. Raises UsageError if they cannot be, DataError if no
    member is finished.
    """
    makers: dict[str, Callable[[StoredSweep, Sequence[str]], OfSweep]] = {
        "heatmap": heatmap.heatmap,
        "lines": lines.lines,
        "parallel": parallel.parallel,
    }
    return makers[kind](sweep, axes)


def draw(found: OfSweep) -> Figure:
    """The drawing; raises ConfigError if matplotlib is missing."""
    require_matplotlib()
    if isinstance(found, Heatmap):
        return heatmap.draw(found)
    return lines.draw(found) if isinstance(found, Lines) else parallel.draw(found)


def caption(found: OfSweep, *, drawn: bool = True) -> list[str]:
    """What stands below the drawing, or below the figure in the terminal."""
    if isinstance(found, Heatmap):
        return heatmap.caption(found, drawn=drawn)
    return lines.caption(found, drawn=drawn) if isinstance(found, Lines) else parallel.caption(found, drawn=drawn)


def rows(found: OfSweep) -> list[dict[str, Any]]:
    """The numbers of the figure as plain values."""
    if isinstance(found, Heatmap):
        return heatmap.rows(found)
    return lines.rows(found) if isinstance(found, Lines) else parallel.rows(found)


def axes_of(found: OfSweep) -> list[str]:
    """The axes that are drawn."""
    if isinstance(found, Lines):
        return [axis for axis in (found.x, found.series) if axis]
    return [*found.axes]


def form(kind: str, found: OfSweep) -> dict[str, Any]:
    """What `qtlplat plot --sweep --json` prints. Keys are never renamed."""
    return {
        "kind": kind,
        "sweep": found.sweep.name,
        "metric": found.sweep.metric.name,
        "axes": axes_of(found),
        "over": [*found.over],
        **found.sweep.counts,
        "rows": rows(found),
    }
