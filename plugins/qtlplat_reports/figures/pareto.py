"""A metric against the parameters of the whole model: runs of heads, and the backbones that they start from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qtlplat.analysis.pareto import unbeaten
from qtlplat.conventions import mean_std, short
from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import F1, StoredRun, finite_values, missing
from qtlplat_reports.figures.style import COLUMN, GREY, colour, marker, new_figure, shortened, styled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

LABEL = 54  # characters of a line in the legend
LOGARITHMIC_FROM = 5.0  # times as many parameters as the smallest model


@dataclass(frozen=True)
class Point:
    """A model.

    runs: full ids; parameters: of the whole model; values: of the metric, of its cells (a backbone: its
    initialisations).
    """

    name: str
    kind: Literal["head", "backbone"]
    runs: tuple[str, ...]
    parameters: int
    values: tuple[float, ...]
    metric: Metric = F1

    @property
    def mean(self) -> float:
        """Mean of the metric."""
        return statistics.fmean(self.values)

    @property
    def sd(self) -> float | None:
        """Sample standard deviation of the metric; None for a single value."""
        return mean_std(self.values)[1]


def points(runs: Sequence[StoredRun], metric: Metric = F1) -> list[Point]:
    """A point for each run and one for each of their backbones; raises DataError if a run lacks metric or parameters.

    A backbone's score is that of its pretraining's own test part.
    """
    found: dict[tuple[str, ...], Point] = {}
    backbones: dict[tuple[str, ...], Point] = {}
    for stored in runs:
        parameters: Mapping[str, int] = stored.run.parameters
        scores = finite_values(stored.finished(), metric)
        if not scores:
            raise missing(stored, f"finished cells with a finite {metric.name}")
        if "model_total" not in parameters:
            raise missing(stored, "parameter counts: it is no run of a head")
        total = parameters["model_total"]
        found[(stored.run.id,)] = Point(stored.name, "head", (stored.run.id,), total, tuple(scores), metric)
        ids = tuple(run.id for run in stored.backbones)
        values = (value for run in stored.backbones for value in run.metrics.get(metric.name, ()))
        measured = tuple(filter(math.isfinite, values))
        if measured and "backbone_total" in parameters:
            name = next((row.name for run in stored.backbones if (row := run.components.get("backbone"))), "backbone")
            total = parameters["backbone_total"]
            backbones[ids] = Point(f"{name}, whole", "backbone", ids, total, measured, metric)
    return [*found.values(), *backbones.values()]


def front(models: Sequence[Point]) -> list[Point]:
    """The models that no other beats: none has a better mean with as few parameters; by parameters."""
    lower = any(p.metric.lower_is_better for p in models)
    kept = unbeaten([(p.parameters, p.mean) for p in models], (True, lower))
    return sorted((p for p, best in zip(models, kept, strict=True) if best), key=lambda p: p.parameters)


@styled
def draw(models: Sequence[Point], notes: Sequence[str] = ()) -> Figure:
    """Means with ± one standard deviation, the values behind them as dots, the front as a stepped line.

    notes: further lines of the caption.
    """
    names = 0.15 * len(models) + 0.1
    figure = new_figure(COLUMN, 2.3 + names, [*_caption(models), *notes])
    axes, below = figure.subplots(2, 1, gridspec_kw={"height_ratios": [2.3, names]})
    best = front(models)
    axes.step(
        [p.parameters for p in best], [p.mean for p in best], where="post", color=GREY, linewidth=0.8, linestyle=":"
    )
    for i, point in enumerate(models):
        axes.plot([point.parameters] * len(point.values), point.values, ".", color=colour(i), alpha=0.45, markersize=3)
        axes.errorbar(
            point.parameters,
            point.mean,
            yerr=point.sd,
            fmt=marker(i),
            color=colour(i),
            markerfacecolor=colour(i) if point.kind == "head" else "white",
            capsize=2.5,
            elinewidth=0.9,
            label=_label(point),
        )
    counts = [p.parameters for p in models]
    if max(counts) > LOGARITHMIC_FROM * min(counts):
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: _with_unit(value))
    axes.set_xlabel("parameters of the whole model")
    axes.set_ylabel(models[0].metric.title)
    below.set_axis_off()
    below.legend(*axes.get_legend_handles_labels(), loc="upper center", borderaxespad=0, borderpad=0, labelspacing=0.3)
    return figure


def _label(point: Point) -> str:
    suffix = f" ({_ids(point)}), n = {len(point.values)}"
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
    if any(point.kind == "backbone" for point in models):
        lines.append("Hollow: backbones before anything is replaced, n initialisations, on their own test part.")
    return lines
