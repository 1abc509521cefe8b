"""Test loss and test accuracy over the epochs: the best fold as a line, the band of all folds (Figures 4-6).

The paper says of its test losses that they are "normalized between 0 and 2": here the least loss of any fold and epoch
of a run becomes 0, the greatest 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qtlplat.conventions import HEAD
from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import F1, StoredRun, missing
from qtlplat_reports.figures.style import COLOURS, COLUMN, PAGE, new_figure, panel_title, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qtlplat.store.core.records import CellRecord

TOP = 2.0  # of the scaled loss


@dataclass(frozen=True)
class Curves:
    """The curves of one run's folds.

    cells: the head's own, in their order; epochs: int64 (E,); loss (nats) and accuracy (0 to 1): float64 (cells, E),
    NaN if a cell has not that epoch; best: position of the best fold in `cells`, by the metric.
    """

    stored: StoredRun
    cells: tuple[CellRecord, ...]
    epochs: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    best: int
    metric: Metric = F1

    @property
    def loss_range(self) -> tuple[float, float]:
        """The least and the greatest finite loss, nats."""
        finite = self.loss[np.isfinite(self.loss)]
        return (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)

    @property
    def scaled_loss(self) -> npt.NDArray[np.float64]:
        """The losses on 0 to 2: one scale for all folds of the run; NaN if a loss is not finite."""
        low, high = self.loss_range
        finite = np.where(np.isfinite(self.loss), self.loss, np.nan)
        return TOP * (finite - low) / (high - low) if high > low else finite * 0.0

    @property
    def best_name(self) -> str:
        """The best cell, by fold, seed and backbone."""
        cell = self.cells[self.best]
        several = len({c.seed for c in self.cells}) > 1
        backbone = f", backbone {cell.backbone_index}" if len({c.backbone_index for c in self.cells}) > 1 else ""
        unit = "initialisation" if self.stored.run.kind == "pretraining" else "fold"
        return f"{unit} {cell.fold}" + (f", seed {cell.seed}" if several else "") + backbone


def curves(stored: StoredRun, metric: Metric = F1) -> Curves:
    """The curves of a run; raises DataError where it has no epochs.

    The best fold is the one with the best value of the metric; among equals the highest last accuracy, then the
    least last loss.
    """
    mine = {cell.position: cell for cell in stored.cells if cell.variant == HEAD}
    rows = [row for row in stored.epochs if row.cell in mine]
    if not rows:
        raise missing(stored, "epochs")
    cells = tuple(mine[position] for position in sorted({row.cell for row in rows}))
    place = {cell.position: i for i, cell in enumerate(cells)}
    numbers = sorted({row.epoch for row in rows})
    column = {number: j for j, number in enumerate(numbers)}
    values = np.full((2, len(cells), len(numbers)), np.nan)
    for row in rows:
        for k, name in enumerate(("test_loss", "test_accuracy")):
            values[k, place[row.cell], column[row.epoch]] = row.values.get(name, math.nan)

    def rank(i: int) -> tuple[float, float, float]:
        value = cells[i].metrics.get(metric.name, math.nan)
        own = value if metric.higher_is_better else -value
        return _or_least(own), _or_least(_last(values[1, i])), _or_least(-_last(values[0, i]))

    return Curves(stored, cells, np.array(numbers), values[0], values[1], max(range(len(cells)), key=rank), metric)


def _or_least(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else -math.inf


def _last(values: npt.NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else math.nan


@styled
def draw(runs: Sequence[Curves], notes: Sequence[str] = ()) -> Figure:
    """A panel for each run: accuracy above, scaled loss below, over the same epochs.

    notes: further lines of the caption.
    """
    from matplotlib.ticker import MaxNLocator

    columns = min(2, len(runs))
    panels = -(-len(runs) // columns)
    figure = new_figure(COLUMN if columns == 1 else PAGE, 3.1 * panels, [*_caption(runs), *notes])
    grid = figure.add_gridspec(2 * panels, columns)
    lowest = min((float(np.nanmin(run.accuracy)) for run in runs if np.isfinite(run.accuracy).any()), default=0.0)
    for i, run in enumerate(runs):
        row, column = 2 * (i // columns), i % columns
        above = figure.add_subplot(grid[row, column])
        below = figure.add_subplot(grid[row + 1, column], sharex=above)
        above.tick_params(labelbottom=False)
        panel_title(above, i, len(runs), run.stored.name, run.stored.id)
        _line_and_band(above, run, run.accuracy, COLOURS[1], "--")
        _line_and_band(below, run, run.scaled_loss, COLOURS[0], "-")
        above.set_ylim(min(lowest, 0.95) - 0.02, 1.02)
        below.set_ylim(-0.08, TOP + 0.08)
        above.set_ylabel("test accuracy")
        below.set_ylabel("test loss, scaled 0–2")
        below.set_xlabel("epoch")
        below.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        above.legend(loc="lower right")
        below.legend(loc="upper right")
    return figure


def _line_and_band(axes: Axes, run: Curves, values: npt.NDArray[np.float64], colour: str, style: str) -> None:
    # fmin and fmax look past NaN, and give NaN without a warning where there is nothing else
    low, high = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
    marks = "o" if len(run.epochs) == 1 else ""
    if len(run.cells) > 1:
        unit = "initialisations" if run.stored.run.kind == "pretraining" else "folds"
        if len({cell.seed for cell in run.cells}) > 1:
            unit = "cells (folds × seeds)"
        axes.fill_between(
            run.epochs, low, high, color=colour, alpha=0.25, linewidth=0, label=f"all {len(values)} {unit}"
        )
        for edge in (low, high):
            axes.plot(run.epochs, edge, color=colour, linewidth=0.5, alpha=0.6)
    axes.plot(run.epochs, values[run.best], style, marker=marks, color=colour, label=f"best: {run.best_name}")


def _caption(runs: Sequence[Curves]) -> list[str]:
    scales = []
    for run in runs:
        low, high = run.loss_range
        tests = sorted({cell.n_test for cell in run.cells})
        samples = str(tests[0]) if len(tests) == 1 else f"{tests[0]} to {tests[-1]}"
        scales.append(
            f"Run {run.stored.run.id}: loss 0 is {low:.4g} nats, 2 is {high:.4g}; {samples} test samples a cell."
        )
    return [f"Line: the fold with the best {runs[0].metric.title}. Band: least to greatest of all folds.", *scales]
