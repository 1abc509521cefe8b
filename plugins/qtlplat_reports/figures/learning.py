"""A metric over the number of training samples: the mean of the cells, and a band of one standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtlplat.analysis.learning_curves import curves, ratio_lines
from qtlplat.conventions import mean_std
from qtlplat.metrics import Metric
from qtlplat.store.read.serialize import cell_form
from qtlplat_reports.figures.stored import F1, StoredRun, missing
from qtlplat_reports.figures.style import COLUMN, PAGE, colour, marker, new_figure, panel_title, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """One variant. sizes: numbers of training samples, ascending; values: the metric of the cells of each size."""

    variant: str
    sizes: tuple[int, ...]
    values: tuple[tuple[float, ...], ...]

    @property
    def spreads(self) -> list[tuple[float, float]]:
        """Mean and sample standard deviation of each size; 0 for a single cell."""
        return [(mean or 0.0, std or 0.0) for mean, std in map(mean_std, self.values)]


@dataclass(frozen=True)
class Learning:
    """The curves of a run; lines: how much data its head needs, in words."""

    stored: StoredRun
    metric: Metric
    curves: tuple[Curve, ...]
    lines: tuple[str, ...]


def learning(stored: StoredRun, metric: Metric = F1) -> Learning:
    """The curves of a run; raises DataError if it has none."""
    found = curves([cell_form(cell) for cell in stored.cells], metric.name)
    if not found:
        raise missing(stored, f"{metric.name} of cells on shares of their training samples (run --train-sizes)")
    lines = ratio_lines(found, metric.title, higher_is_better=metric.higher_is_better)
    ones = []
    for variant, scores in found.items():
        sizes = tuple(sorted({score.size for score in scores}))
        ones.append(Curve(variant, sizes, tuple(tuple(s.value for s in scores if s.size == n) for n in sizes)))
    return Learning(stored, metric, tuple(ones), tuple(lines))


@styled
def draw(runs: Sequence[Learning], notes: Sequence[str] = ()) -> Figure:
    """A panel for each run, a line for each variant, over a logarithmic axis. notes: further lines of the caption."""
    columns = min(2, len(runs))
    caption = [
        "Line: mean of the cells. Band: one standard deviation.",
        *(f"{line[:1].upper()}{line[1:]}." for run in runs for line in run.lines),
    ]
    figure = new_figure(COLUMN if columns == 1 else PAGE, 2.4 * -(-len(runs) // columns), [*caption, *notes])
    for i, run in enumerate(runs):
        axes = figure.add_subplot(-(-len(runs) // columns), columns, i + 1)
        panel_title(axes, i, len(runs), run.stored.name, run.stored.id)
        for k, one in enumerate(run.curves):
            means = [mean for mean, _ in one.spreads]
            low, high = ([mean + sign * std for mean, std in one.spreads] for sign in (-1, 1))
            axes.fill_between(one.sizes, low, high, color=colour(k), alpha=0.15, linewidth=0)
            axes.plot(one.sizes, means, marker=marker(k), color=colour(k), label=one.variant)
        sizes = sorted({size for one in run.curves for size in one.sizes})
        axes.set_xscale("log")
        axes.set_xticks(sizes, list(map(str, sizes)))
        axes.minorticks_off()
        axes.set_xlabel("training samples of a cell")
        axes.set_ylabel(f"{run.metric.title} of a cell")
        axes.legend()
    return figure
