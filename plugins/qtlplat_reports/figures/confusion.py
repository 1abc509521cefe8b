"""Confusion matrices: samples by true and predicted class out of fold, as counts and as shares of a row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qtlplat.conventions import HEAD
from qtlplat_reports.figures.stored import StoredRun, missing, refuse_unknown_labels
from qtlplat_reports.figures.style import COLUMN, PAGE, new_figure, panel_title, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DARK = 0.72  # share from which white text reads better than black
COUNTS_ONLY_FROM = 7  # classes: shares would not fit into the fields
NAME = 16  # characters of a class's name beside an axis
MOST_BESIDE = 26  # characters of all names that fit below one panel side by side


@dataclass(frozen=True)
class Confusion:
    """What a run's head took its samples for.

    counts: samples, float64 (K, K), row: the true label, column: the predicted one. A sample that several cells test
    counts once, by its shares: wrong in 3 of 5 cells, it is 0.6 in the wrong column. cells, samples, predictions: how
    many they pool.
    """

    stored: StoredRun
    counts: npt.NDArray[np.float64]
    cells: int
    samples: int
    predictions: int

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels are called, as `StoredRun.class_names`."""
        return self.stored.class_names(len(self.counts))

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Each count as a share of its row, float64 (K, K); NaN if a label never occurs."""
        totals = self.counts.sum(axis=1, keepdims=True).astype(np.float64)
        shares = np.full(self.counts.shape, np.nan)
        np.divide(self.counts, totals, out=shares, where=totals > 0)
        return shares


def pooled(stored: StoredRun) -> Confusion:
    """All predictions of the head's finished cells; raises DataError if there are none."""
    cells = {cell.position for cell in stored.finished(HEAD)}
    rows = [row for row in stored.predictions if row.cell in cells]
    if not rows:
        raise missing(stored, "predictions")
    refuse_unknown_labels(rows)
    k = max(len(row.probabilities) for row in rows)
    tested = Counter(row.sample_id for row in rows)
    given = Counter((row.label, row.predicted, tested[row.sample_id]) for row in rows)
    counts = np.zeros((k, k))
    for (label, predicted, times), n in given.items():
        counts[label, predicted] += n / times
    counts = counts.round(9)  # thirds add up to whole samples
    return Confusion(stored, counts, len({row.cell for row in rows}), len(tested), len(rows))


def samples_text(n: float) -> str:
    """A number of samples: whole where it is, else with one decimal, as of samples that count by shares."""
    return f"{n:,.0f}" if math.isclose(n, round(n), abs_tol=1e-9) else f"{n:,.1f}"


@styled
def draw(runs: Sequence[Confusion], notes: Sequence[str] = ()) -> Figure:
    """A matrix for each run, darker where more of a row lies.

    notes: further lines of the caption.
    """
    columns = min(2, len(runs))
    lines = -(-len(runs) // columns)
    side = max(2.5, 0.42 * max(len(run.counts) for run in runs) + 1.0)
    figure = new_figure(max(PAGE if columns > 1 else COLUMN, columns * side), side * lines, [*_caption(runs), *notes])
    for i, run in enumerate(runs):
        axes = figure.add_subplot(lines, columns, i + 1)
        shares, k = run.shares, len(run.counts)
        picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for true in range(k):
            for found in range(k):
                share = shares[true, found]
                words = samples_text(run.counts[true, found])
                if k < COUNTS_ONLY_FROM and not np.isnan(share):
                    words += f"\n{100 * share:.1f} %"
                axes.text(found, true, words, ha="center", va="center", color="white" if share > DARK else "black")
        totals = run.counts.sum(axis=1)
        names = [shortened(name, NAME) for name in run.classes]
        turned = 90 if k * max(map(len, names)) > MOST_BESIDE else 0
        axes.set_xticks(range(k), names, rotation=turned)
        axes.set_yticks(
            range(k), [f"{name}\nn = {samples_text(total)}" for name, total in zip(names, totals, strict=True)]
        )
        axes.grid(visible=False)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        panel_title(axes, i, len(runs), run.stored.name, run.stored.id)
    figure.colorbar(picture, ax=figure.axes, label="share of the true class", shrink=0.85, aspect=25)
    return figure


def _caption(runs: Sequence[Confusion]) -> list[str]:
    facts = [
        f"Run {run.stored.run.id}: {run.predictions} predictions of {run.samples} samples in {run.cells} cells."
        for run in runs
    ]
    shares = any(run.predictions > run.samples for run in runs)
    once = " A sample that several cells test counts once, by its shares." if shares else ""
    return [f"Samples by their predictions out of fold, over the head's cells.{once}", *facts]
