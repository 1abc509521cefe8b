"""Direction and bounds of metrics, declared by the evaluators that compute them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from qtlplat.errors import UsageError, safe_repr

STORED = "declared metrics"  # what is stored of a run's environment
LONGEST_TITLE = 60  # characters


@dataclass(frozen=True)
class Metric:
    """What an evaluator declares of one of its metrics.

    Args:
        name: As in the mapping that ``metrics`` returns.
        higher_is_better: False for errors and losses.
        bounds: The least and the greatest possible value, each None if there is no bound. Intervals respect them, and
            a value beyond them is refused.
        title: For figures and sentences, as "ROC-AUC" for ``roc_auc``; empty: the name.

    Raises:
        TypeError: The name or the title is no text, `higher_is_better` no bool, or `bounds` no pair.
        ValueError: A bound is not finite, or the first is not below the second.
    """

    name: str
    higher_is_better: bool
    bounds: tuple[float | None, float | None] = (None, None)
    title: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant. Raises TypeError or ValueError, which name the field."""
        if not isinstance(self.name, str):
            raise TypeError(f"the name of a metric must be a text, is {safe_repr(self.name)}")
        of = f"of metric {safe_repr(self.name)}"
        if not isinstance(self.higher_is_better, bool):
            raise TypeError(f"higher_is_better {of} must be True or False, is {safe_repr(self.higher_is_better)}")
        if not isinstance(self.title, str) or not self.title.isprintable() or len(self.title) > LONGEST_TITLE:
            what = f"one line of text, at most {LONGEST_TITLE} characters"
            raise TypeError(f"title {of} must be {what}, is {safe_repr(self.title)}")
        bounds: Any = self.bounds
        if not isinstance(bounds, tuple | list) or len(bounds) != 2:
            what = "(least, greatest), each a number or None"
            raise TypeError(f"bounds {of} must be {what}, is {safe_repr(bounds)}")
        for bound in self.bounds:
            number = isinstance(bound, int | float) and not isinstance(bound, bool) and math.isfinite(bound)
            if bound is not None and not number:
                raise ValueError(f"bounds {of} must be finite numbers or None, not {safe_repr(bound)}")
        low, high = self.possible
        if not low < high:
            raise ValueError(f"bounds {of} are {safe_repr(self.bounds)}: the first must be below the second")
        object.__setattr__(self, "bounds", tuple(self.bounds))
        object.__setattr__(self, "title", self.title.strip() or self.name)

    @property
    def lower_is_better(self) -> bool:
        """The opposite of `higher_is_better`."""
        return not self.higher_is_better

    @property
    def possible(self) -> tuple[float, float]:
        """The least and the greatest possible value, infinite if there is no bound."""
        low, high = self.bounds
        return -math.inf if low is None else float(low), math.inf if high is None else float(high)

    @property
    def possible_differences(self) -> tuple[float, float]:
        """The same of the difference of two values."""
        low, high = self.possible
        return low - high, high - low

    def allows(self, value: float) -> bool:
        """Whether a value lies within the bounds, but for rounding; NaN does."""
        low, high = self.possible
        room = 1e-9 * max([1.0, *(abs(end) for end in (low, high) if math.isfinite(end))])
        return math.isnan(value) or low - room <= value <= high + room


# those that every cell has: of predicted classes, of ranks, of probabilities; runs of older versions lack some
SHIPPED = {
    metric.name: metric
    for metric in (
        Metric("f1", higher_is_better=True, bounds=(0, 1), title="F1"),
        *(Metric(name, higher_is_better=True, bounds=(0, 1)) for name in ("accuracy", "precision", "recall")),
        Metric("roc_auc", higher_is_better=True, bounds=(0, 1), title="ROC-AUC"),
        Metric("average_precision", higher_is_better=True, bounds=(0, 1), title="average precision"),
        Metric("loss", higher_is_better=False, bounds=(0, None), title="log-loss"),
        Metric("brier", higher_is_better=False, bounds=(0, 1), title="Brier score"),
        Metric("ece", higher_is_better=False, bounds=(0, 1), title="calibration error"),
    )
}


def metric_facts(metrics: Sequence[Metric]) -> dict[str, str]:
    """What an evaluator declares, as what is stored of a run's environment; nothing where it declares nothing."""
    return {STORED: json.dumps([asdict(metric) for metric in metrics], ensure_ascii=False)} if metrics else {}


def declared_metrics(environment: Mapping[str, str]) -> dict[str, Metric]:
    """The declarations out of a stored environment, by name, with those of the shipped metrics.

    What is stored of another form is left out: such metrics count as not declared.
    """
    return {**_read(environment.get(STORED, "[]")), **SHIPPED}


def _read(text: str) -> dict[str, Metric]:
    try:
        found = [Metric(**facts) for facts in json.loads(text)]
    except (ValueError, TypeError, RecursionError):
        return {}
    return {metric.name: metric for metric in found}


def agreed(name: str, declared: Iterable[tuple[str, Metric | None]], fix: str) -> Metric:
    """What runs declare of a metric, in common.

    Args:
        name: of the metric.
        declared: id and declaration of each run that has it, None where its evaluator declared nothing.
        fix: what to type where they do not agree.

    Returns:
        The declaration; where bounds differ, the wider ones.

    Raises:
        UsageError: If a run declares nothing, or two declare opposite directions.
    """
    if name in SHIPPED:
        return SHIPPED[name]
    by_run = list(declared)
    known = [(run, metric) for run, metric in by_run if metric is not None]
    if len(known) < len(by_run) or not known:
        runs = ", ".join(run for run, metric in by_run[:3] if metric is None) or "none of these"
        more = " and more" if sum(metric is None for _, metric in by_run) > 3 else ""
        raise UsageError(
            f"the evaluator does not declare whether more or less of {safe_repr(name)} is better (run {runs}{more})",
            fix=f"{fix}; for further runs declare it: EvaluatorSpec(..., metric_info=[qtlplat.Metric(...)])",
        )
    first, *others = (metric for _, metric in known)
    for run, metric in known:
        if metric.higher_is_better != first.higher_is_better:
            ways = [f"{'more' if m.higher_is_better else 'less'} in run {r}" for r, m in (known[0], (run, metric))]
            raise UsageError(
                f"the runs declare opposite directions of {safe_repr(name)}: better is {ways[0]}, {ways[1]}", fix=fix
            )
    for metric in others:
        lows, highs = zip(first.bounds, metric.bounds, strict=True)
        first = replace(first, bounds=(_wider(lows, min), _wider(highs, max)))
    return first


def _wider(bounds: tuple[float | None, ...], pick: Callable[[list[float]], float]) -> float | None:
    known = [bound for bound in bounds if bound is not None]
    return pick(known) if len(known) == len(bounds) else None
