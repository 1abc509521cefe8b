"""Whether metrics of different kinds agree on a comparison, in words: predicted classes, ranks, probabilities.

F1 depends on where probabilities are cut, ROC-AUC on their order alone, log-loss on their values. A difference that one
of them shows and another does not has another meaning than one that all show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qtlplat.analysis import statistics, verdicts
from qtlplat.analysis.comparison import SHUFFLED, Asked, ComparisonRow, compare
from qtlplat.analysis.sides import Side
from qtlplat.conventions import counted
from qtlplat.metrics import SHIPPED, Metric

# kind -> its metrics, the first of which stands for the others
KINDS = {
    "classes": ("f1", "accuracy", "precision", "recall"),
    "ranks": ("roc_auc", "average_precision"),
    "probabilities": ("loss", "brier", "ece"),
}
DETECT = 0.01  # the difference of a further metric whose power is printed
BETTER, WORSE, NONE, UNDECIDED = "better", "worse", "no difference", "undecided"


@dataclass(frozen=True)
class Finding:
    """What one metric says of a comparison.

    says: better or worse if its adjusted p is significant; no difference if p is not even before it is adjusted;
    undecided in between; None if nothing was tested. equal: whether the difference is practically none.
    """

    metric: Metric
    row: ComparisonRow
    p_adjusted: float
    says: str | None
    equal: bool

    @property
    def tends(self) -> str | None:
        """Better or worse, whether or not it is significant; None if nothing was tested."""
        if self.row.test is None:
            return None
        return BETTER if (self.row.test.mean > 0) == self.metric.higher_is_better else WORSE

    def form(self) -> dict[str, Any]:
        """As `compare --json` prints it; keys are never renamed."""
        test = self.row.test
        return {
            "metric": self.metric.name,
            "difference": test and test.mean,
            "interval": test and test.interval,
            "p": test and test.p,
            "p_adjusted": self.p_adjusted,
            "power": self.row.power,
            "says": self.says,
        }


def compare_by_metrics(baseline: Side, others: Sequence[Side], asked: Asked) -> list[ComparisonRow]:
    """`compare` by the metric that is asked for; its verdicts say where a metric of another kind disagrees.

    The tests of all further metrics and rows are one family of Holm's, apart from that of the metric asked for. Metrics
    that a side lacks, as runs of older versions do, are left out, and so are shuffled labels. Raises as `compare`.
    """
    rows = compare(baseline, others, asked)
    metric = asked.metric_of((baseline, *others))
    names = [name for name in _further(metric.name) if all(_has(side, name) for side in (baseline, *others))]
    further = [_by(name, baseline, others, asked) for name in names]
    tests = [row.test.p if row.test and row.variant != SHUFFLED else math.nan for found in further for row in found[1:]]
    adjusted, size = statistics.holm(tests), sum(not math.isnan(p) for p in tests)
    of_each = iter(adjusted)
    by_metric = [[next(of_each) for _ in others] for _ in names]
    told = [rows[0]]
    for i, row in enumerate(rows[1:]):
        own = _finding(metric, row, row.p_adjusted, asked.level)
        findings = [own] + [
            _finding(SHIPPED[name], found[i + 1], p[i], asked.level)
            for name, found, p in zip(names, further, by_metric, strict=True)
        ]
        words = "" if row.variant == SHUFFLED else disagreement(findings, size)
        told.append(
            replace(
                row,
                verdict=f"{row.verdict}; {words}" if words else row.verdict,
                disagreement=words,
                by_metric=tuple(one.form() for one in findings),
            )
        )
    return told


def _further(name: str) -> list[str]:
    """The metrics that stand for the kinds that a metric is not of."""
    return [names[0] for names in KINDS.values() if name not in names]


def _has(side: Side, name: str) -> bool:
    return all(name in cell.metrics for cell in side.cells)


def _by(name: str, baseline: Side, others: Sequence[Side], asked: Asked) -> list[ComparisonRow]:
    """The same comparison by another metric; predictions are left out, for they say nothing new."""
    first, *rest = (replace(side, predictions=()) for side in (baseline, *others))
    return compare(first, rest, Asked(name, asked.level, detect=DETECT))


def _finding(metric: Metric, row: ComparisonRow, p_adjusted: float, level: float) -> Finding:
    says, equal = None, row.rope is not None and row.rope.equal >= level
    if row.test is not None and not math.isnan(row.test.p):
        decides = row.test.p if math.isnan(p_adjusted) else p_adjusted
        if decides < 1 - level:
            says = BETTER if (row.test.mean > 0) == metric.higher_is_better else WORSE
        else:
            says = NONE if row.test.p >= 1 - level else UNDECIDED
    return Finding(metric, row, p_adjusted, says, equal)


def disagreement(findings: Sequence[Finding], family: int) -> str:
    """One sentence if two metrics say different things, or if one might, else ''.

    The first finding is that of the metric asked for. Another one might say something else if it is undecided and
    tends elsewhere: asked for alone, it would. family: the number of tests by which the p of the others are adjusted.
    """
    own = findings[0]
    decided = [one for one in findings if one.says not in (None, UNDECIDED)]
    might = [one for one in findings if one.says == UNDECIDED and own in decided and one.tends != own.says]
    disagree = len({one.says for one in decided}) > 1
    if not disagree and not might:
        return ""
    told = [one for one in findings if one in decided or one in might]
    parts = ", ".join(f"{one.metric.title} {_says(one, one is not own, family)}" for one in told)
    if not disagree:
        return f"the metrics may disagree: {parts}"
    means = _meaning({kind: one for one in decided for kind, names in KINDS.items() if one.metric.name in names})
    return f"the metrics disagree: {parts}" + (f"; {means}" if means else "")


def _says(one: Finding, further: bool, family: int) -> str:
    """What a metric says, with the numbers of one that was not asked for."""
    words = {NONE: "shows no difference", UNDECIDED: "is undecided"}.get(one.says or "", f"says {one.says}")
    if not further:
        return words
    assert one.row.test
    difference, p = verdicts.in_units(one.row.test.mean, one.metric.name), one.row.test.p
    if one.says == NONE:
        seen = f", power to see {verdicts.in_units(DETECT, one.metric.name, signed=False)}: {one.row.power:.2f}"
        return f"{words} ({difference}, p = {p:.2g}{'' if math.isnan(one.row.power) else seen})"
    adjusted = f"{one.p_adjusted:.2g} after Holm over {counted(family, 'test')}"
    return f"{words} ({difference}, p = {f'{p:.2g}, ' if one.says == UNDECIDED else ''}{adjusted})"


def _meaning(by_kind: Mapping[str, Finding]) -> str:
    """What the pattern is a sign of, '' if it is of none: nothing here is tested by itself."""
    classes, ranks, probabilities = (by_kind[kind].says if kind in by_kind else None for kind in KINDS)
    if classes in (BETTER, WORSE) and ranks == NONE:
        if by_kind["ranks"].equal:
            return "a threshold effect: the samples are ranked practically alike"
        return "perhaps a threshold effect: no evidence that the samples are ranked otherwise"
    if classes == NONE and ranks in (BETTER, WORSE):
        return f"the samples are ranked {ranks}, which the predicted classes do not show"
    if {classes, ranks} <= {NONE, None} and probabilities in (BETTER, WORSE):
        return f"the probabilities are {probabilities}, which the predicted classes do not show: perhaps calibration"
    if classes in (BETTER, WORSE) and probabilities in (BETTER, WORSE) and classes != probabilities:
        return f"the predicted classes are {classes} and their probabilities {probabilities}: perhaps calibration"
    return ""
