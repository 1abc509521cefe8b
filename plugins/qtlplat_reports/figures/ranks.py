"""Mean ranks of configurations over datasets: the critical-difference diagram of Demšar (JMLR 7, 2006).

The numbers are those of `qtlplat compare --across`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.across import Across, compare_across
from qtlplat.analysis.comparison import Asked
from qtlplat.analysis.sides import Side
from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import StoredRun, finite_values, missing
from qtlplat_reports.figures.style import COLUMN, colour, new_figure, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = 26  # characters at the end of a line


def across(runs: Sequence[StoredRun], metric: Metric, fields: Sequence[str]) -> Across:
    """The heads of the runs compared over datasets, or over other fields.

    Raises DataError for a run without finished cells, UsageError as `compare_across`.
    """
    for stored in runs:
        cells = stored.finished()
        if not cells or len(finite_values(cells, metric)) < len(cells):
            raise missing(stored, f"finished cells with a finite {metric.name}")
    sides = [Side(stored.run, stored.finished(), declared=stored.declared) for stored in runs]
    return compare_across(sides, fields, Asked(metric.name))


def rows(found: Across) -> list[dict[str, Any]]:
    """The numbers of the figure: a row for each configuration, the best first, and which others may be as good."""
    names = [row.configuration.label for row in found.rows]
    alike = [set().union(*(group for group in found.ranks.groups if i in group)) - {i} for i in range(len(names))]
    made = [
        {
            "label": row.configuration.label,
            "runs": [run for ids in row.configuration.runs.values() for run in ids],
            "rank": row.rank,
            "n": len(found.blocks),
            "critical_difference": found.ranks.critical_difference,
            "not_told_apart": [names[j] for j in sorted(others, key=lambda j: found.rows[j].rank)],
            "ranks": dict(zip(found.blocks, found.ranks.ranks[:, i].tolist(), strict=True)),
        }
        for i, (row, others) in enumerate(zip(found.rows, alike, strict=True))
    ]
    return sorted(made, key=lambda row: float(str(row["rank"])))


@styled
def draw(found: Across, metric: Metric, notes: Sequence[str] = ()) -> Figure:
    """An axis of mean ranks, 1 the best; a line to each configuration; a bar over those that are not told apart.

    notes: further lines of the caption.
    """
    shown, ranks = rows(found), found.ranks
    k, groups = len(shown), ranks.groups
    half = (k + 1) // 2
    depth = 0.35 + 0.16 * len(groups)
    figure = new_figure(COLUMN, 0.8 + 0.17 * len(groups) + 0.24 * half, [*_caption(found, metric), *notes])
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.plot([1, k], [0, 0], color="black", linewidth=1)
    for rank in range(1, k + 1):
        axes.plot([rank, rank], [0, 0.12], color="black", linewidth=1)
        axes.text(rank, 0.18, str(rank), ha="center", va="bottom")
    width = min(ranks.critical_difference, k - 1)
    axes.plot([1, 1 + width], [0.75, 0.75], color="black", linewidth=1.5)
    axes.text(1 + width / 2, 0.8, f"CD = {ranks.critical_difference:.2f}", ha="center", va="bottom")
    for level, group in enumerate(groups):
        ends = sorted(ranks.means[list(group)])
        y = -0.18 - 0.16 * level
        axes.plot([ends[0] - 0.03, ends[-1] + 0.03], [y, y], color="black", linewidth=3, solid_capstyle="butt")
    for i, row in enumerate(shown):
        left = i < half
        y = -depth - 0.24 * (i if left else k - 1 - i)
        end = 1 - 0.1 * (k - 1) if left else k + 0.1 * (k - 1)
        axes.plot([row["rank"], row["rank"], end], [0, y, y], color=colour(i), linewidth=0.9)
        words = f"{shortened(row['label'], NAME)} ({row['rank']:.2f})"
        axes.text(end, y, words, ha="right" if left else "left", va="center", color=colour(i))
    axes.set_xlim(1 - 0.75 * (k - 1), k + 0.75 * (k - 1))
    axes.set_ylim(-depth - 0.24 * half, 1.1)
    return figure


def _caption(found: Across, metric: Metric) -> list[str]:
    what = " and ".join(found.fields)
    lines = [
        f"Mean ranks of {metric.title}, 1 is best, over each {what} (n = {len(found.blocks)}). CD: mean ranks that "
        f"differ by less are not told apart (Nemenyi, level {1 - found.level:.2g}); bars join them. Friedman: p = "
        f"{found.ranks.p:.3g}."
    ]
    return [*lines, *found.notes]
