"""Figures of stored runs: one module per kind, each with its numbers and its drawing.

`read` takes everything that a figure needs from the store, `draw` makes a matplotlib figure of it; `files` turns that
into bytes. Every number in a figure is a stored row or is computed from stored rows in the module of its kind.
Without a file the command line prints the same numbers. matplotlib is imported when a figure is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtlplat.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qtlplat.contracts import ImageSet
    from qtlplat_reports.figures.pareto import Against
    from qtlplat_reports.figures.stored import StoredRun

KINDS = ("convergence", "pareto", "box", "confusion", "differences", "learning", "errors", "ranks")
NEEDS_PREDICTIONS = ("confusion", "errors")
OF_A_METRIC = ("convergence", "pareto", "box", "differences", "learning", "ranks")
OF_A_SWEEP = ("heatmap", "lines", "parallel")  # of a whole sweep: `of_sweeps`
AGAINST = ("parameters", "trainable", "seconds")  # what the front is against
ACROSS = ("dataset",)  # what the ranks are over unless it is said


def draw(
    kind: str,
    runs: Sequence[StoredRun],
    images: ImageSet | None = None,
    metric: str = "f1",
    across: Sequence[str] = ACROSS,
    against: Against | None = None,
) -> Figure:
    """A figure of one of the `KINDS`.

    runs: as `stored.read` gives them, with predictions for `NEEDS_PREDICTIONS`; images: the dataset of the run, for
    `errors` only; metric: by name, for `OF_A_METRIC` only; across: fields, for `ranks` only; against: for `pareto`
    only. Raises DataError if a run has not what the figure shows, UsageError for an unknown metric, ConfigError if
    matplotlib is missing.
    """
    from qtlplat_reports.figures.style import require_matplotlib

    require_matplotlib()
    from qtlplat_reports.figures import box, confusion, convergence, differences, errors, learning, pareto, ranks
    from qtlplat_reports.figures.stored import metric_of, notes as notes_on

    notes = notes_on(runs)

    if kind == "errors":
        if images is None:
            raise UsageError("a figure of errors needs the dataset's images")
        return errors.draw(errors.out_of_fold_errors(one(runs)), images, notes)
    makers = {
        "convergence": lambda: convergence.draw(
            [convergence.curves(run, metric_of(runs, metric)) for run in runs], notes
        ),
        "pareto": lambda: pareto.draw(pareto.points(runs, metric_of(runs, metric), against), notes),
        "box": lambda: box.draw(box.groups(runs, metric_of(runs, metric)), notes),
        "confusion": lambda: confusion.draw([confusion.pooled(run) for run in runs], notes),
        "differences": lambda: differences.draw(differences.paired(runs, metric_of(runs, metric)), notes),
        "learning": lambda: learning.draw([learning.learning(r, metric_of(runs, metric)) for r in runs], notes),
        "ranks": lambda: ranks.draw(
            ranks.across(runs, metric_of(runs, metric), across), metric_of(runs, metric), notes
        ),
    }
    return makers[kind]()


def one(runs: Sequence[StoredRun]) -> StoredRun:
    """The only run of a figure that shows one. Raises UsageError if there are more."""
    if len(runs) != 1:
        raise UsageError(f"a figure of errors shows one run, not {len(runs)}", fix="name one run")
    return runs[0]
