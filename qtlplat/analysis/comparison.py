"""From stored records to the rows of a comparison: means, tests, verdicts.

Reads nothing and prints nothing: it is handed records. The tests come from `evidence.py`, the words from `verdicts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from qtlplat.analysis import statistics, verdicts
from qtlplat.analysis.components import Components
from qtlplat.analysis.evidence import Question, paired, weigh
from qtlplat.analysis.power import Needed
from qtlplat.analysis.sides import Side, leaks, parameters, what_differs
from qtlplat.analysis.single_samples import against_chance, mcnemar
from qtlplat.analysis.statistics import TTest
from qtlplat.analysis.verdicts import Wording
from qtlplat.conventions import HEAD, leakage_line, mean_std, short
from qtlplat.errors import UsageError, unknown_name
from qtlplat.metrics import SHIPPED, Metric, agreed

if TYPE_CHECKING:
    pass

SHUFFLED = "shuffled"
# fields of a row that are those of `evidence.Evidence`
OF_EVIDENCE = (
    "test", "test_name", "n", "bootstrap", "rope", "needed", "power", "unit", "n_backbones", "components", "remark",
    "why",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What a comparison is about.

    metric: by name; level: of tests and intervals; rope: half width of the region of practical equivalence, and
    detect: the difference that one would like to see, both in the metric's units; higher_is_better: of the metric,
    None: as the runs' evaluators declared it.
    """

    metric: str = "f1"
    level: float = 0.95
    rope: float = 0.01
    detect: float = 0.01
    higher_is_better: bool | None = None

    def metric_of(self, sides: Sequence[Side]) -> Metric:
        """What is known of the metric. Raises UsageError if its direction is not declared, or not the same."""
        declared = [(short(side.run.id), side.declared.get(self.metric)) for side in sides]
        if self.higher_is_better is None:
            return agreed(self.metric, declared, "--minimize or --maximize says it")
        bounds = {one.bounds if one else (None, None) for _, one in declared}
        return Metric(self.metric, self.higher_is_better, bounds.pop() if len(bounds) == 1 else (None, None))


@dataclass(frozen=True)
class ComparisonRow:
    """One line of a comparison. test: None if nothing was tested, as for the baseline; n: values that were tested.

    mean, std: over all finished cells of the side, `cells` in number, with a partner or without; unit: what varies
    between the values that are tested, backbone, seed or fold; n_backbones: that the test counts, of the side that has
    fewer; power: to see a difference as large as requested; remark: what the verdict is limited to; why: no test was
    possible, '' where the numbers tell; notes: what a reader must know besides; wording: how the verdict speaks of
    what differs; trainable, model_total: parameters, None if the run has not stored them; not_converged: the compared
    sides of which that is known; by_metric, disagreement: what metrics of other kinds say, see `several_metrics.py`.
    """

    run: str
    variant: str
    label: str
    mean: float | None
    std: float | None
    cells: int
    n: int
    leakage: float | None
    group_leakage: float | None
    test: TTest | None = None
    test_name: str | None = None
    p_adjusted: float = math.nan
    bootstrap: statistics.Interval = statistics.NOTHING
    mcnemar: dict[str, Any] | None = None
    rope: statistics.Rope | None = None
    needed: Needed | None = None
    power: float = math.nan
    unit: str | None = None
    n_backbones: int | None = None
    components: Components | None = None
    verdict: str = "baseline"
    remark: str = ""
    why: str = ""
    selection_leakage: float | None = None
    trainable: int | None = None
    model_total: int | None = None
    notes: tuple[str, ...] = ()
    wording: Wording = field(default_factory=Wording)
    not_converged: tuple[dict[str, Any], ...] = ()
    by_metric: tuple[dict[str, Any], ...] = ()
    disagreement: str = ""

    def form(self) -> dict[str, Any]:
        """The row as `compare --json` prints it; keys are never renamed. None stands for what cannot be said."""
        test = self.test
        values = {
            "run": self.run,
            "variant": self.variant,
            "label": self.label,
            "mean": self.mean,
            "std": self.std,
            "cells": self.cells,
            "n": self.n,
            "difference": test and test.mean,
            "interval": test and test.interval,
            "p": test and test.p,
            "p_adjusted": self.p_adjusted,
            "test": self.test_name,
            "verdict": self.verdict,
            "bootstrap": self.bootstrap,
            "mcnemar": self.mcnemar,
            "rope": self.rope and vars(self.rope),
            "unit": self.unit,
            "n_backbones": self.n_backbones,
            "power": self.power,
            "components": self.components and {**self.components.form(), "shares": self.components.shares()},
            "needed": self.needed and vars(self.needed),
            "leakage": self.leakage,
            "group_leakage": self.group_leakage,
            "selection_leakage": self.selection_leakage,
            "trainable": self.trainable,
            "model_total": self.model_total,
            "not_converged": [_without_nan(one) for one in self.not_converged],
            "by_metric": [_without_nan(one) for one in self.by_metric],
            "disagreement": self.disagreement or None,
            "notes": list(self.notes),
        }
        return {key: _without_nan(value) for key, value in values.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return None if any(map(math.isnan, value)) else list(value)
    return value


def compare(baseline: Side, others: Sequence[Side], asked: Asked = Asked()) -> list[ComparisonRow]:
    """The baseline's row, then one for each other side: other minus baseline.

    The tests of all others are one family: where there are several, Holm's p decides their verdicts. Shuffled labels
    stay outside: they check the experiment, and compare no models.
    Raises UsageError for a metric that no cell has or whose direction is not known, and for a side without finished
    cells.
    """
    for side in (baseline, *others):
        _refuse_unusable(side, asked.metric)
    metric = asked.metric_of((baseline, *others))
    rows = [_compared(side, baseline, asked, metric) for side in others]
    family = [row.test is not None and row.variant != SHUFFLED for row in rows]
    p_values = [row.test.p if row.test and inside else math.nan for row, inside in zip(rows, family, strict=True)]
    adjusted, size = statistics.holm(p_values), sum(not math.isnan(p) for p in p_values)
    judged = (_judged(r, p, size, metric, asked.detect) for r, p in zip(rows, adjusted, strict=True))
    return [
        replace(_alone(baseline, asked), not_converged=_not_converged(baseline)),
        *(_with_training(row, side, baseline) for row, side in zip(judged, others, strict=True)),
    ]


def _refuse_unusable(side: Side, metric: str) -> None:
    where = f"run {side.run.id}" + ("" if side.variant == HEAD else f", variant {side.variant}")
    if not side.cells:
        status = f"it is {'a pretraining' if side.run.kind == 'pretraining' else side.run.status}"
        raise UsageError(
            f"there are no finished cells to compare: {status}", where=where, fix="list runs: qtlplat runs"
        )
    known = {name for cell in side.cells for name in cell.metrics}
    if metric in SHIPPED.keys() - known:
        what = f"the run has no {metric}: it was stored by an older version, or not as a run of qtlplat"
        raise UsageError(what, where=where, fix=f"train it again with: qtlplat replay {short(side.run.id)}")
    if metric not in known:
        raise UsageError(unknown_name("metric", metric, known), where=where)


def _alone(side: Side, asked: Asked) -> ComparisonRow:
    """A side by itself: mean, spread, parameters, and what its backbone knew."""
    values = [cell.metrics.get(asked.metric, math.nan) for cell in side.cells]
    n, (mean, std) = len(values), mean_std(values)
    seen = leaks(side.cells)
    notes = []
    if side.run.status != "finished":
        notes.append(f"the run is {side.run.status}: only its {n} finished cells are compared")
    if words := leakage_line(seen):
        notes.append(words)
    if side.variant == SHUFFLED and (words := against_chance(side)):
        notes.append(words)
    trainable, model_total = parameters(side)
    return ComparisonRow(
        side.run.id, side.variant, side.label, mean, std, n, n, seen["leakage"], seen["group_leakage"],
        selection_leakage=seen["selection_leakage"], trainable=trainable, model_total=model_total, notes=tuple(notes),
    )  # fmt: skip


def _compared(side: Side, baseline: Side, asked: Asked, metric: Metric) -> ComparisonRow:
    """A side against the baseline; its verdict is left to `_judged`, which knows the family."""
    wording, notes = what_differs(side, baseline)
    row = _alone(side, asked)
    pairs = paired(side.cells, baseline.cells, same_backbones=False)
    lost = sum(not math.isfinite(cell.metrics.get(asked.metric, math.nan)) for cell in (*side.cells, *baseline.cells))
    if lost:
        words = f"cannot be compared: {lost} of the cells have no finite {asked.metric}"
        return replace(row, verdict=words, notes=(*row.notes, *notes), wording=wording)
    found = weigh(side.cells, baseline.cells, Question(metric, asked.level, asked.rope, asked.detect))
    of_samples: list[str] = []
    counts = None
    if pairs:
        counts, of_samples = mcnemar(pairs, side, baseline)
    if side.variant == SHUFFLED:  # nobody looks for a small difference there
        found, of_samples = replace(found, needed=None, rope=None, notes=()), []
    return replace(
        row,
        **{name: getattr(found, name) for name in OF_EVIDENCE},
        mcnemar=counts,
        notes=(*row.notes, *notes, *found.notes, *of_samples),
        wording=wording,
    )


def _judged(row: ComparisonRow, p_adjusted: float, family: int, metric: Metric, detect: float) -> ComparisonRow:
    if row.test is None:
        return row
    remark = row.remark if row.test.standard_error > 0 else ""
    words = verdicts.verdict(
        row.test, metric.name, row.wording, lower_is_better=metric.lower_is_better, p_adjusted=p_adjusted,
        family=family, rope=row.rope, power=row.power, detect=detect, remark=remark, why=row.why,
    )  # fmt: skip
    tested = None if math.isnan(row.test.p) else row.test_name
    return replace(row, test_name=tested, p_adjusted=p_adjusted, verdict=words)


def _not_converged(*sides: Side) -> tuple[dict[str, Any], ...]:
    """The sides among these that have not converged, as `compare --json` prints them; keys are never renamed."""
    return tuple(
        {"run": side.run.id, "variant": side.variant, **vars(side.unconverged), "why": side.unconverged.why}
        for side in sides
        if side.unconverged
    )


def _with_training(row: ComparisonRow, side: Side, baseline: Side) -> ComparisonRow:
    """A row whose verdict says which of its sides have not converged: longer training may change it.

    Shuffled labels are no model that is compared.
    """
    if side.variant == SHUFFLED:
        return row
    same_run = side.run.id == baseline.run.id
    found = _not_converged(baseline, *([] if same_run and side.variant == baseline.variant else [side]))
    if not found:
        return row
    parts = [(one["variant"] if same_run else f"run {short(one['run'])}") + f" ({one['why']})" for one in found]
    tuned = any(one["fall"] is None for one in found)
    longer = "try more with -S tuning.epochs=N" if tuned else "train longer with --epochs, or let --tune choose"
    return replace(
        row,
        verdict=f"{row.verdict}; not converged: {', '.join(parts)}",
        not_converged=found,
        notes=(*row.notes, f"longer training may change the verdict: {longer}"),
    )
