"""Differences of a metric between two runs, or a head and its controls, paired by backbone, fold and seed.

Mean and interval are those of `compare`: the corrected resampled t-test (`statistics.corrected_t`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtlplat.conventions import HEAD, short
from qtlplat.errors import DataError, UsageError
from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import F1, StoredRun, missing
from qtlplat_reports.figures.style import COLUMN, GREY, colour, marker, new_figure, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qtlplat.analysis.statistics import Interval, TTest
    from qtlplat.store.core.records import CellRecord

NAME = 32  # characters beside the axis


@dataclass(frozen=True)
class Differences:
    """The metric of `first` minus that of `second`, cell by cell.

    ids: of the two runs, in full; variants: of the two sides; cells: (fold, seed, backbone) of each difference;
    values: in the same order, more than were tested where several seeds share a split; test: what `compare` makes of
    them, under the name `test_name`.
    """

    first: str
    second: str
    ids: tuple[str, str]
    variants: tuple[str, str]
    cells: tuple[tuple[int, int, int], ...]
    values: tuple[float, ...]
    test: TTest
    test_name: str
    metric: Metric = F1

    @property
    def mean(self) -> float:
        """Mean difference."""
        return self.test.mean

    @property
    def interval(self) -> Interval:
        """95 % interval of the mean; NaN if there is no spread to make one from."""
        return self.test.interval


def paired(runs: Sequence[StoredRun], metric: Metric = F1) -> list[Differences]:
    """Every further run minus the first one; of a single run, each of its controls minus the head.

    Raises UsageError for a single run without controls, DataError if two runs share no finished cell, or where a
    fold of one has other test samples than the same fold of the other.
    """
    first = runs[0]
    if len(runs) > 1:
        return [_between(run, HEAD, first, HEAD, metric) for run in runs[1:]]
    controls = [variant for variant in first.variants if variant not in (HEAD, "shuffled")]
    if not controls:
        raise UsageError(
            f"run {first.id} has no controls to be compared with",
            fix="name two runs, the first one is the baseline; or train controls with --controls",
        )
    return [_between(first, variant, first, HEAD, metric) for variant in controls]


def _between(one: StoredRun, one_variant: str, other: StoredRun, other_variant: str, metric: Metric) -> Differences:
    mine, theirs = _cells(one, one_variant, metric), _cells(other, other_variant, metric)
    shared = sorted(set(mine) & set(theirs), key=lambda cell: cell[::-1])
    if not shared:
        raise missing(one, f"finished fold and seed in common with run {other.id}")
    for key in shared:
        if mine[key].test_hash != theirs[key].test_hash:
            raise DataError(
                f"fold {key[0]}, seed {key[1]} of runs {one.id} and {other.id} was tested on different samples",
                where=_tested_by(one, other),
                fix="qtlplat compare tells what can be said of runs that are not paired",
            )
    from qtlplat.analysis.comparison import Asked, compare
    from qtlplat.analysis.sides import Side

    sides = [
        Side(run.run, [cells[key] for key in shared], variant=variant, declared={metric.name: metric})
        for run, cells, variant in ((one, mine, one_variant), (other, theirs, other_variant))
    ]
    row = compare(sides[1], sides[:1], Asked(metric.name))[1]
    assert row.test is not None  # all cells have a finite value
    names = [_name(one, one_variant), _name(other, other_variant)]
    return Differences(
        names[0],
        names[1],
        (one.run.id, other.run.id),
        (one_variant, other_variant),
        tuple(shared),
        tuple(mine[key].metrics[metric.name] - theirs[key].metrics[metric.name] for key in shared),
        row.test,
        row.test_name or "",
        metric,
    )


def _tested_by(one: StoredRun, other: StoredRun) -> str:
    """What lets two runs have different test samples: their data or, if they share them, their evaluators."""
    digests = [stored.run.dataset_digest[:12] for stored in (one, other)]
    if digests[0] != digests[1]:
        return f"{digests[0]} and {digests[1]} are the datasets' digests"
    rows = [stored.run.components.get("evaluator") for stored in (one, other)]
    return " and ".join(f"evaluator {row.name}" for row in rows if row)


def _cells(stored: StoredRun, variant: str, metric: Metric) -> dict[tuple[int, int, int], CellRecord]:
    cells = (cell for cell in stored.finished(variant) if math.isfinite(cell.metrics.get(metric.name, math.nan)))
    return {(cell.fold, cell.seed, cell.backbone_index): cell for cell in cells}


def _name(stored: StoredRun, variant: str) -> str:
    return stored.name if variant == HEAD else f"control: {variant}"


@styled
def draw(rows: Sequence[Differences], notes: Sequence[str] = ()) -> Figure:
    """A line for each pair: the differences of the cells as marks, their mean with its interval, and zero.

    notes: further lines of the caption.
    """
    figure = new_figure(COLUMN, 0.6 + 0.52 * len(rows), [*_caption(rows), *notes])
    axes = figure.add_subplot()
    axes.axvline(0, color=GREY, linewidth=0.9, linestyle="--")
    for i, row in enumerate(rows):
        heights = [i + 0.16 + 0.07 * (j % 3) for j in range(len(row.values))]
        axes.plot(row.values, heights, linestyle="none", marker=marker(i), markersize=3.2, color=colour(i), alpha=0.75)
        low, high = row.interval
        spread = None if math.isnan(low) else [[row.mean - low], [high - row.mean]]
        axes.errorbar([row.mean], [i], xerr=spread, fmt="D", color=colour(i), capsize=3, elinewidth=1.4, markersize=4.5)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows])
    axes.set_ylim(len(rows) - 0.35, -0.45)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"difference of {rows[0].metric.title}")
    axes.margins(x=0.08)
    return figure


def _label(row: Differences) -> str:
    first, second = map(short, row.ids)
    which = first if first == second else f"{first} − {second}"
    cells = "" if row.test.n == len(row.values) else f", {len(row.values)} cells"
    return f"{shortened(row.first, NAME)}\n− {shortened(row.second, NAME)}\n{which}{cells}, n = {row.test.n}"


def _caption(rows: Sequence[Differences]) -> list[str]:
    tests = ", ".join(dict.fromkeys(row.test_name for row in rows if row.test_name))
    interval = f", with its 95 % interval ({tests})" if tests else ""
    ids = dict.fromkeys(run for row in rows for run in row.ids)
    return [
        f"Small marks: cells with the same test samples. Diamond: mean{interval}. Dashed: no difference.",
        f"Run{'s' if len(ids) > 1 else ''} {', '.join(ids)}.",
    ]
