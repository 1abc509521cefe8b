"""A metric of every cell, by run and variant: a head and its controls side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qtlplat.conventions import HEAD
from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import F1, StoredRun, finite_values, missing
from qtlplat_reports.figures.style import COLUMN, colour, marker, new_figure, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qtlplat.store.core.records import CellRecord

NAME = 34  # characters beside the axis


@dataclass(frozen=True)
class Group:
    """The cells of one variant of one run.

    cells: those with a finite value of the metric; left_out: how many have none.
    """

    stored: StoredRun
    variant: str
    cells: tuple[CellRecord, ...]
    left_out: int
    metric: Metric = F1

    @property
    def values(self) -> tuple[float, ...]:
        """The metric of each cell."""
        return tuple(cell.metrics[self.metric.name] for cell in self.cells)

    @property
    def name(self) -> str:
        """The run, or the control."""
        return self.stored.name if self.variant == HEAD else f"control: {self.variant}"

    @property
    def summary(self) -> tuple[float, float, float, float, float]:
        """Least, first quartile, median, third quartile, greatest; quartiles by linear interpolation."""
        least, first, median, third, greatest = (float(q) for q in np.percentile(self.values, (0, 25, 50, 75, 100)))
        return least, first, median, third, greatest

    @property
    def mean(self) -> float:
        """Mean of the metric."""
        return statistics.fmean(self.values)


def groups(runs: Sequence[StoredRun], metric: Metric = F1) -> list[Group]:
    """A group for each variant of each run, heads before their controls; raises DataError if a run lacks the metric."""
    found = []
    for stored in runs:
        mine = []
        for variant in stored.variants:
            cells = stored.finished(variant)
            if scored := tuple(cell for cell in cells if finite_values([cell], metric)):
                mine.append(Group(stored, variant, scored, len(cells) - len(scored), metric))
        if not mine:
            raise missing(stored, f"finished cells with a finite {metric.name}")
        found += mine
    return found


@styled
def draw(rows: Sequence[Group], notes: Sequence[str] = ()) -> Figure:
    """A line for each group: quartiles as a box, least to greatest as whiskers, the mean, and every cell as a mark.

    notes: further lines of the caption.
    """
    runs = list(dict.fromkeys(row.stored.run.id for row in rows))
    figure = new_figure(COLUMN, 0.55 + 0.36 * len(rows), [*_caption(rows), *notes])
    axes = figure.add_subplot()
    for i, row in enumerate(rows):
        least, first, median, third, greatest = row.summary
        k = runs.index(row.stored.run.id)
        stats = {"whislo": least, "q1": first, "med": median, "q3": third, "whishi": greatest, "fliers": []}
        axes.bxp(
            [stats],
            positions=[i],
            orientation="horizontal",
            widths=0.5,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": "white", "edgecolor": colour(k), "linewidth": 0.9},
            medianprops={"color": colour(k), "linewidth": 1.6},
            whiskerprops={"color": colour(k), "linewidth": 0.9},
            capprops={"color": colour(k), "linewidth": 0.9},
        )
        # marks of equal values would hide each other: they stand on three lines
        heights = [i + 0.13 * (j % 3 - 1) for j in range(len(row.values))]
        hollow = row.variant != HEAD
        axes.plot(
            row.values,
            heights,
            linestyle="none",
            marker=marker(k),
            markersize=3.2,
            color=colour(k),
            markerfacecolor="white" if hollow else colour(k),
            alpha=0.8,
        )
        axes.plot(
            [row.mean], [i], linestyle="none", marker="|", markersize=13, markeredgewidth=1.2, color="black", zorder=5
        )
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"{rows[0].metric.title} of a cell")
    return figure


def _label(row: Group) -> str:
    left_out = f", {row.left_out} left out" if row.left_out else ""
    return f"{shortened(row.name, NAME)}\n{row.stored.id}, n = {len(row.values)}{left_out}"


def _caption(rows: Sequence[Group]) -> list[str]:
    lines = ["Box: quartiles and median; whiskers: least and greatest; marks: cells (n of them); black: mean."]
    if any(row.variant != HEAD for row in rows):
        lines.append("Hollow: controls, on the same folds as the head.")
    return lines
