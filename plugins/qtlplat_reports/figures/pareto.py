"""A metric against the parameters of the whole model: runs of heads, and the backbones that they start from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from qtlplat.analysis.pareto import unbeaten
from qtlplat.conventions import mean_std, short
from qtlplat.errors import DataError
from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import F1, StoredRun, finite_values, missing
from qtlplat_reports.figures.style import COLUMN, GREY, colour, marker, new_figure, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABEL = 54  # characters of a line in the legend
MOST_NAMED = 12  # models with a line each in the legend; of more only those that no other beats
LOGARITHMIC_FROM = 5.0  # times as many parameters as the smallest model


AXES = {
    "parameters": "parameters of the whole model",
    "trainable": "trained parameters",
    "seconds": "seconds of training a cell",
}


@dataclass(frozen=True)
class Against:
    """What the metric is drawn against, a key of `AXES`; alike: names of points by run, each of several runs."""

    cost: str = "parameters"
    alike: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """A model.

    runs: full ids; parameters: of the whole model; values: of the metric, of its cells (a backbone: its
    initialisations); trainable: parameters that were trained; seconds: of training a cell, None where that is not
    known; cost: of these what it is drawn against; pooled: whether its name stands for several runs.
    """

    name: str
    kind: Literal["head", "backbone"]
    runs: tuple[str, ...]
    parameters: int
    values: tuple[float, ...]
    metric: Metric = F1
    trainable: int | None = None
    seconds: float | None = None
    cost: str = "parameters"
    pooled: bool = False

    @property
    def x(self) -> float:
        """The cost. Raises DataError if it is not known."""
        value: float | None = getattr(self, self.cost)
        if value is None:
            what = f"it is not known how many {AXES[self.cost]} {self.name} has"
            raise DataError(what, where=self.runs[0], fix="choose --against parameters")
        return value

    @property
    def mean(self) -> float:
        """Mean of the metric."""
        return statistics.fmean(self.values)

    @property
    def sd(self) -> float | None:
        """Sample standard deviation of the metric; None for a single value."""
        return mean_std(self.values)[1]


def points(runs: Sequence[StoredRun], metric: Metric = F1, against: Against | None = None) -> list[Point]:
    """A point for each run, or for runs that are alike, and one for each of their backbones.

    A backbone's score is that of its pretraining's own test part; it is no point where cells are timed. Raises
    DataError if a run lacks metric or parameters.
    """
    against = against or Against()
    found: dict[str, Point] = {}
    backbones: dict[tuple[str, ...], Point] = {}
    for stored in runs:
        parameters: Mapping[str, Any] = stored.run.parameters
        scores = finite_values(stored.finished(), metric)
        if not scores:
            raise missing(stored, f"finished cells with a finite {metric.name}")
        if "model_total" not in parameters:
            raise missing(stored, "parameter counts: it is no run of a head")
        name = against.alike.get(stored.run.id, stored.name)
        key = f"point {name}" if stored.run.id in against.alike else stored.run.id
        timed = [cell.seconds for cell in stored.finished() if cell.seconds is not None]
        point = Point(
            name, "head", (stored.run.id,), parameters["model_total"], tuple(scores), metric,
            parameters.get("head", {}).get("total"), statistics.fmean(timed) if timed else None, against.cost,
            stored.run.id in against.alike,
        )  # fmt: skip
        found[key] = _joined(found[key], point) if key in found else point
        ids = tuple(run.id for run in stored.backbones)
        values = (value for run in stored.backbones for value in run.metrics.get(metric.name, ()))
        measured = tuple(filter(math.isfinite, values))
        if measured and "backbone_total" in parameters and against.cost != "seconds":
            name = next((row.name for run in stored.backbones if (row := run.components.get("backbone"))), "backbone")
            total = parameters["backbone_total"]
            whole = Point(f"{name}, whole", "backbone", ids, total, measured, metric, total, cost=against.cost)
            if stored.run.id in against.alike:  # seeds are one point, and so are their backbones
                others = [key for key, one in backbones.items() if (one.name, one.parameters) == (whole.name, total)]
                if others and not set(ids) <= set(others[0]):
                    whole = _joined(backbones.pop(others[0]), replace(whole, pooled=True))
                elif others:
                    continue
            backbones[whole.runs] = whole
    return [*found.values(), *backbones.values()]


def _joined(first: Point, second: Point) -> Point:
    """A point of both their cells."""
    n, m = len(first.runs), len(second.runs)
    times = (first.seconds, second.seconds)
    seconds = None if None in times else (n * (first.seconds or 0.0) + m * (second.seconds or 0.0)) / (n + m)
    runs, values = first.runs + second.runs, first.values + second.values
    return replace(first, runs=runs, values=values, seconds=seconds)


def front(models: Sequence[Point]) -> list[Point]:
    """The models that no other beats: none has a better mean at as little cost; by cost."""
    lower = any(p.metric.lower_is_better for p in models)
    kept = unbeaten([(p.x, p.mean) for p in models], (True, lower))
    return sorted((p for p, best in zip(models, kept, strict=True) if best), key=lambda p: p.x)


@styled
def draw(models: Sequence[Point], notes: Sequence[str] = ()) -> Figure:
    """Means with ± one standard deviation, the values behind them as dots, the front as a stepped line.

    notes: further lines of the caption.
    """
    best = front(models)
    named = list(models) if len(models) <= MOST_NAMED else best
    names = 0.15 * len(named) + 0.1
    figure = new_figure(COLUMN, 2.3 + names, [*_caption(models), *notes])
    axes, below = figure.subplots(2, 1, gridspec_kw={"height_ratios": [2.3, names]})
    axes.step([p.x for p in best], [p.mean for p in best], where="post", color=GREY, linewidth=0.8, linestyle=":")
    for point in models:
        if point not in named:
            axes.plot(point.x, point.mean, "o", color=GREY, alpha=0.5, markersize=3)
    for i, point in enumerate(named):
        axes.plot([point.x] * len(point.values), point.values, ".", color=colour(i), alpha=0.45, markersize=3)
        axes.errorbar(
            point.x,
            point.mean,
            yerr=point.sd,
            fmt=marker(i),
            color=colour(i),
            markerfacecolor=colour(i) if point.kind == "head" else "white",
            capsize=2.5,
            elinewidth=0.9,
            label=_label(point),
        )
    costs = [p.x for p in models]
    if min(costs) > 0 and max(costs) > LOGARITHMIC_FROM * min(costs):
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: _with_unit(value))
    axes.set_xlabel(AXES[models[0].cost])
    axes.set_ylabel(models[0].metric.title)
    below.set_axis_off()
    below.legend(*axes.get_legend_handles_labels(), loc="upper center", borderaxespad=0, borderpad=0, labelspacing=0.3)
    return figure


def _label(point: Point) -> str:
    ids = "" if point.pooled else f" ({_ids(point)})"
    suffix = f"{ids}, n = {len(point.values)}"
    return f"{shortened(point.name, LABEL - len(suffix))}{suffix}"


def _ids(point: Point) -> str:
    first = short(point.runs[0])
    return first if len(point.runs) == 1 else f"{first} and {len(point.runs) - 1} more"


def _with_unit(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g}"


def _caption(models: Sequence[Point]) -> list[str]:
    lines = [f"Mean {models[0].metric.title} ± sd over n cells; dots: the cells; dotted: no model beats these."]
    if len(models) > MOST_NAMED:
        lines.append("Grey: means of models that another one beats.")
    if any(point.kind == "backbone" for point in models):
        lines.append("Hollow: backbones before anything is replaced, n initialisations, on their own test part.")
    return lines
