"""Direction and bounds of metrics, declared by the evaluators that compute them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from qtlplat.errors import UsageError, safe_repr

STORED = "declared metrics"  # what is stored of a run's environment


@dataclass(frozen=True)
class Metric:
    """What an evaluator declares of one of its metrics.

    Args:
        name: As in the mapping that ``metrics`` returns.
        greater_is_better: False for errors and losses.
        lower: The least value that there can be, None if there is no bound; intervals respect it, and a value below it
            is refused.
        upper: The greatest value, likewise.

    Raises:
        TypeError: The name is no text, or `greater_is_better` no bool.
        ValueError: A bound is not finite, or `lower` is not below `upper`.
    """

    name: str
    greater_is_better: bool
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant. Raises TypeError or ValueError, which name the field."""
        if not isinstance(self.name, str):
            raise TypeError(f"the name of a metric must be a text, is {safe_repr(self.name)}")
        if not isinstance(self.greater_is_better, bool):
            raise TypeError(
                f"greater_is_better of metric {safe_repr(self.name)} must be True or False, is "
                f"{safe_repr(self.greater_is_better)}"
            )
        for field in ("lower", "upper"):
            bound = getattr(self, field)
            number = isinstance(bound, int | float) and not isinstance(bound, bool) and math.isfinite(bound)
            if bound is not None and not number:
                raise ValueError(
                    f"{field} of metric {safe_repr(self.name)} must be a finite number or None, is {safe_repr(bound)}"
                )
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            raise ValueError(
                f"metric {safe_repr(self.name)} has lower {self.lower}, which is not below upper {self.upper}"
            )

    @property
    def lower_is_better(self) -> bool:
        """The opposite of `greater_is_better`."""
        return not self.greater_is_better

    @property
    def possible(self) -> tuple[float, float]:
        """The least and the greatest possible value, infinite if there is no bound."""
        return (
            -math.inf if self.lower is None else float(self.lower),
            math.inf if self.upper is None else float(self.upper),
        )

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


# those that every cell has
SHIPPED = {
    metric.name: metric
    for metric in (
        *(Metric(name, greater_is_better=True, lower=0, upper=1) for name in ("f1", "accuracy", "precision", "recall")),
        Metric("loss", greater_is_better=False, lower=0),
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
        if metric.greater_is_better != first.greater_is_better:
            ways = [f"{'more' if m.greater_is_better else 'less'} in run {r}" for r, m in (known[0], (run, metric))]
            raise UsageError(
                f"the runs declare opposite directions of {safe_repr(name)}: better is {ways[0]}, {ways[1]}", fix=fix
            )
    for metric in others:
        lower = None if None in (first.lower, metric.lower) else min(first.possible[0], metric.possible[0])
        upper = None if None in (first.upper, metric.upper) else max(first.possible[1], metric.possible[1])
        first = replace(first, lower=lower, upper=upper)
    return first
