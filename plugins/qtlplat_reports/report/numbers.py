"""How a report writes numbers: shares as percent, counts with separators, nothing where nothing was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtlplat.analysis.verdicts import IN_POINTS
from qtlplat.metrics import Metric


def percent(share: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """A share of 0..1 in percent, without the sign for it: ``98.95``; '' for None."""
    if share is None:
        return ""
    if not math.isfinite(share):
        return "not finite"
    text = f"{100 * share:{'+' if signed else ''}.{decimals}f}"
    return text if text.strip("+-0.") else text.lstrip("+-")


def interval(ends: Sequence[float] | None, metric: Metric) -> str:
    """Two differences of a metric, as `score`: ``-0.50 to +0.83``; '' if there is no interval."""
    if ends is None or not all(map(math.isfinite, ends)):
        return ""
    return f"{score(ends[0], metric, signed=True)} to {score(ends[1], metric, signed=True)}"


def score(value: float | None, metric: Metric, *, signed: bool = False) -> str:
    """A value or difference of a metric: in percent if people speak of it in points, else a plain number."""
    if metric.name in IN_POINTS:
        return percent(value, signed=signed)
    if value is None:
        return ""
    return f"{value:{'+' if signed else ''}.4g}" if math.isfinite(value) else "not finite"


def score_title(metric: Metric) -> str:
    """The title of a column of `score`."""
    return f"{metric.title} %" if metric.name in IN_POINTS else metric.title


def count(value: float | None) -> str:
    """A count of things: ``1,076,338``; '' for None."""
    return "" if value is None else f"{value:,.0f}"


def p_value(p: float) -> str:
    """A probability with two significant digits; '' if there is none."""
    return f"{p:.2g}" if math.isfinite(p) else ""


def when(timestamp: str | None) -> str:
    """A stored time (UTC, ISO 8601) to the minute."""
    return (timestamp or "")[:16].replace("T", " ")
