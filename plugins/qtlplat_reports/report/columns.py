"""What tables of scores have in common: their columns, and the texts in them, from rows of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtlplat.analysis.comparison import Asked, ComparisonRow, compare
from qtlplat.analysis.sides import Side, leaks
from qtlplat.conventions import said_once
from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import StoredRun, sides
from qtlplat_reports.report.document import Column
from qtlplat_reports.report.numbers import interval, p_value, percent, score as number, score_title

RUN, MODEL, EVALUATOR = Column("run", "runs"), Column("model"), Column("evaluator")
SEEN = (Column("leakage %", "number"), Column("group leakage %", "number"), Column("selection leakage %", "number"))
DIFFERENCE = (
    Column("difference", "number"), Column("interval", "number"), Column("p", "number"), Column("p (Holm)", "number"),
    Column("verdict", "sentence"),
)  # fmt: skip
LEAKAGES = (
    "leakage: share of the tested samples that the frozen backbone was trained on; group leakage: share of which "
    "another sample of the same source image is in the training set of the head or the backbone; selection leakage: "
    "share whose accuracy chose the backbone's best epoch"
)


def name_of(stored: StoredRun, role: str) -> str:
    """What a component of a run is called; '' where it has none."""
    return stored.run.components[role].name if role in stored.run.components else ""


def score_columns(metric: Metric) -> tuple[Column, Column, Column]:
    """The columns of what `score` returns."""
    return Column(score_title(metric), "number"), Column("± sd", "number"), Column("n", "number")


def measured(side: Side, metric: Metric) -> bool:
    """Whether a side has finished cells with the metric."""
    return any(metric.name in cell.metrics for cell in side.cells)


def alone(stored: StoredRun, metric: Metric) -> ComparisonRow | None:
    """A run's head by itself: mean, spread, leakage; None if it has no finished cell with the metric."""
    side = sides(stored)[0]
    return compare(side, [], Asked(metric.name))[0] if measured(side, metric) else None


def score(row: ComparisonRow | None, metric: Metric) -> tuple[str, str, str]:
    """Mean, standard deviation and number of cells of a row, for a table."""
    return ("", "", "0") if row is None else (number(row.mean, metric), number(row.std, metric), str(row.cells))


def seen(stored: StoredRun) -> tuple[str, str, str]:
    """Leakage, group leakage and selection leakage of a run's test samples, for the columns `SEEN`."""
    found = leaks(stored.finished())
    return (percent(found["leakage"], 1), percent(found["group_leakage"], 1), percent(found["selection_leakage"], 1))


def difference(row: ComparisonRow, metric: Metric) -> tuple[str, ...]:
    """What a row says against the baseline, for the columns `DIFFERENCE`."""
    if row.test is None:
        return ("", "", "", "", row.verdict)
    mean, ends = row.test.mean, row.test.interval
    told = number(mean, metric, signed=True), interval(ends, metric)
    return (*told, p_value(row.test.p), p_value(row.p_adjusted), row.verdict)


def remarks(rows: Sequence[ComparisonRow], name: Callable[[ComparisonRow], str]) -> tuple[str, ...]:
    """What a reader must know besides the rows, each thing once, with the rows that it belongs to."""
    return tuple(said_once((name(row), row.notes) for row in rows))
