"""How far the numbers of two runs agree: bit by bit, but for rounding, or not; knows records only, no store.

No test is made here: `comparison.py` says whether a difference is more than chance.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from qtlplat.metrics import SHIPPED

if TYPE_CHECKING:
    from qtlplat.store.core.records import CellRecord, PredictionRow
    from qtlplat.store.read.loaded import Gathered

Verdict = Literal["bitwise", "rounding", "different", "not paired"]
# training computes in float32, of which a unit in the last place is 1.2e-7 beside 1
ROUNDING = 1e-6

_Key = tuple[str, int, int, int, str]  # variant, backbone, fold, seed, hash of the test samples


@dataclass(frozen=True)
class MetricAgreement:
    """A metric over the pairs of cells that have it.

    first, second: means; difference: mean of second minus first; largest: of the absolute differences; equal: pairs
    with the same bits. Values that are not finite make a mean, a difference and the largest NaN.
    """

    metric: str
    n: int
    first: float
    second: float
    difference: float
    largest: float
    equal: int


@dataclass(frozen=True)
class Agreement:
    """The results of the same cells in two runs.

    cells: pairs of the same variant, backbone, fold, seed and test samples; alone: finished cells without a partner;
    samples: predictions on both sides; other_class: of these with another predicted class; largest_probability: the
    largest difference of a probability, None if no predictions are stored; same_weights: whether the files of the
    trained heads are the same, None if one is not stored.
    """

    verdict: Verdict
    cells: int
    alone: int
    metrics: tuple[MetricAgreement, ...]
    samples: int
    other_class: int
    largest_probability: float | None
    same_weights: bool | None

    @property
    def largest(self) -> float | None:
        """The largest absolute difference of a metric or probability; None if nothing is paired."""
        found = [one.largest for one in self.metrics]
        found += [] if self.largest_probability is None else [self.largest_probability]
        if not found:
            return None
        return math.nan if any(map(math.isnan, found)) else max(found)

    def form(self) -> dict[str, Any]:
        """As `diff --json` prints it; keys are never renamed."""
        metrics = [vars(one) for one in self.metrics]
        return {**vars(self), "largest": self.largest, "metrics": metrics}


def agreement(first: Gathered, second: Gathered) -> Agreement:
    """Hold the finished cells of two runs against each other; their predictions must have probabilities."""
    mine, theirs = ({_key(c): c for c in side.cells if c.status == "finished"} for side in (first, second))
    keys = sorted(mine.keys() & theirs.keys())
    pairs = [(mine[key], theirs[key]) for key in keys]
    names = dict.fromkeys(name for pair in pairs for cell in pair for name in cell.metrics)
    metrics = tuple(one for name in names if (one := _metric(name, pairs)).n)
    places = ({side[key].position: key for key in keys} for side in (mine, theirs))
    predicted = [_by_sample(side.predictions, place) for side, place in zip((first, second), places, strict=True)]
    both = [(predicted[0][key], predicted[1][key]) for key in predicted[0].keys() & predicted[1].keys()]
    gaps = [abs(x - y) for a, b in both for x, y in zip(a.probabilities, b.probabilities, strict=False)]
    alone = len(mine) + len(theirs) - 2 * len(pairs)
    missing = len(predicted[0]) + len(predicted[1]) - 2 * len(both)
    other_class = sum(a.predicted != b.predicted for a, b in both)
    # the metrics of every cell follow from its predictions, and cells of older versions lack some
    same_metrics = all(not (a.metrics.keys() ^ b.metrics.keys()) - SHIPPED.keys() for a, b in pairs)
    whole = not alone and not missing and same_metrics
    same_bits = all(one.equal == one.n for one in metrics) and all(
        _bits(a.probabilities) == _bits(b.probabilities) for a, b in both
    )
    gap = None if not gaps else math.nan if any(map(math.isnan, gaps)) else max(gaps)
    close = not other_class and all(one.largest <= ROUNDING for one in metrics) and (gap is None or gap <= ROUNDING)
    verdict: Verdict = "different"
    if not pairs:
        verdict = "not paired"
    elif whole and (same_bits or close):
        verdict = "bitwise" if same_bits else "rounding"
    same_weights = first.weights == second.weights if first.weights and second.weights else None
    return Agreement(verdict, len(pairs), alone, metrics, len(both), other_class, gap, same_weights)


def in_words(found: Agreement) -> str:
    """One sentence on it, without the runs' names."""
    if found.verdict == "not paired":
        return (
            "the numbers: no cell of one has a partner of the same backbone, fold, seed and test samples in the other"
        )
    of = f"{found.cells} pairs of cells"
    if found.samples:
        of += f", {found.samples} predictions"
    words = {
        "bitwise": f"the numbers: bitwise equal ({of})",
        "rounding": f"the numbers: equal within rounding, by at most {found.largest or 0:.1e} ({of})",
        "different": f"the numbers: different ({of})",
    }[found.verdict]
    if found.other_class:
        words += f"; {found.other_class} samples are given another class"
    if found.alone:
        words += f"; {found.alone} cells have no partner"
    if found.same_weights is not None:
        words += f"; the trained weights are {'the same file' if found.same_weights else 'other files'}"
    return words


def _key(cell: CellRecord) -> _Key:
    return cell.variant, cell.backbone_index, cell.fold, cell.seed, cell.test_hash


def _metric(name: str, pairs: Sequence[tuple[CellRecord, CellRecord]]) -> MetricAgreement:
    values = [(a.metrics[name], b.metrics[name]) for a, b in pairs if name in a.metrics and name in b.metrics]
    n = len(values)
    if not n:
        return MetricAgreement(name, 0, math.nan, math.nan, math.nan, math.nan, 0)
    gaps = [0.0 if _bits((x,)) == _bits((y,)) else y - x for x, y in values]
    first, second = (sum(side) / n for side in zip(*values, strict=True))
    largest = math.nan if any(map(math.isnan, gaps)) else max(map(abs, gaps))
    equal = sum(_bits((x,)) == _bits((y,)) for x, y in values)
    return MetricAgreement(name, n, first, second, sum(gaps) / n, largest, equal)


def _bits(values: Sequence[float]) -> tuple[bytes, ...]:
    """The values as bits; every NaN is the same, and so are the two zeros: the store keeps no other."""
    return tuple(b"NaN" if math.isnan(v) else struct.pack(">d", v + 0.0) for v in values)


def _by_sample(predictions: Sequence[PredictionRow], places: dict[int, _Key]) -> dict[tuple[_Key, str], PredictionRow]:
    return {(places[row.cell], row.sample_id): row for row in predictions if row.cell in places}
