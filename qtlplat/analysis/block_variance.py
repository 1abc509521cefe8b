"""Where the spread of a difference between two configurations comes from: dataset, backbone, seed, fold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from qtlplat.analysis.evidence import Question, weigh
from qtlplat.metrics import Metric

if TYPE_CHECKING:
    from qtlplat.analysis.sides import Side

BLOCK = "block"


def block_variance(
    pairs: Sequence[tuple[Sequence[Side], Sequence[Side]]], metric: Metric, differences: Sequence[float]
) -> dict[str, float] | None:
    """The variance of the difference of two cells by source, as far as the cells of the blocks tell.

    pairs: of each block the sides of a configuration and of the baseline; differences: of their means. Within a block
    the components are those of `components.py`, or the variance over the folds of a single backbone (source "fold" or
    "seed", the unit of its test); they are averaged over the blocks. The component "block" is what the differences of
    blocks vary by beyond their standard errors, 0 if negative: the method of moments of a random-effects summary
    (DerSimonian & Laird, Controlled Clinical Trials 7, 1986, with equal weights).

    Returns None if no block has a standard error.
    """
    asked = Question(metric, level=0.95, rope=0.01, detect=0.01)
    inside: dict[str, list[float]] = {}
    errors = []
    for mine, others in pairs:
        found = weigh([c for side in mine for c in side.cells], [c for side in others for c in side.cells], asked)
        if math.isfinite(found.test.standard_error):
            errors.append(found.test.standard_error**2)
        parts = found.components.form() if found.components else {found.unit: found.test.sd**2} if found.unit else {}
        for source, value in parts.items():
            if math.isfinite(value):
                inside.setdefault(source, []).append(value)
    if not errors:
        return None
    mean = fmean(differences)
    spread = sum((one - mean) ** 2 for one in differences) / (len(differences) - 1)
    return {BLOCK: max(0.0, spread - fmean(errors)), **{source: fmean(values) for source, values in inside.items()}}
