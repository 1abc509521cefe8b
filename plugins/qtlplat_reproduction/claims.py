"""Holds the claims of a publication against what was measured. Pure: numbers in, verdicts out; no store, no torch.

The rules, by the kind of a claim; every number is in the unit that the claim is printed in:

- **arithmetic**: our number follows from the shapes of the layers and has no interval. `confirmed` where it differs
  from the printed one by at most the tolerance; `misprint` where instead it agrees with the number that the recipe says
  must have been meant; otherwise `contradicted`.
- **metric**: our number is the mean over the cells of a run, with its 95 % interval. `confirmed` where the whole
  interval lies within printed ± tolerance, `contradicted` where all of it is worse, `exceeded` where all of it is
  better (a better score shows that the printed one can be reached, and not that it was wrong), else `inconclusive`:
  there are too few cells to tell. A worse value does not contradict the printed one where the budget trains less than
  the publication did, for more training might have reached it.
- **comparison**: our number is by how many percent of the baseline's F1 the model's is higher. Only its sign is judged,
  not its size: `confirmed` where the whole interval lies on the printed side of zero (by more than the tolerance),
  `contradicted` where it lies on the other side, `inconclusive` otherwise, and always where the budget trains less: a
  baseline cut short proves nothing.

Measured on other data than the publication's, metrics and comparisons are `inconclusive`; what has no run is `not run`.

Intervals: the cells of a cross-validation share training data, so their variance is not divided by n alone but
multiplied by 1/n + n_test/n_train (Nadeau & Bengio, Machine Learning 52, 239-281, 2003), and Student's t has n - 1
degrees of freedom. With several backbones the interval is that over backbones (`qtlplat.analysis.components`). A model
with a single test part (a backbone, a holdout with however many seeds) gets the percentile bootstrap over the sources
that it was tested on, of the mean over its cells; the spread over seeds says nothing about other samples, and this
interval says nothing about another training. A backbone is tested on other samples than the folds are, so a comparison
with it is unpaired: the variances add up.

Values without spread have no interval, and decide nothing: neither cells that are all equal, nor a test part whose
resampled values are all equal, since there were no errors or no hits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from qtlplat.metrics import SHIPPED
from qtlplat.recipes import Claim
from qtlplat_reproduction.resampled import weighted_scores

if TYPE_CHECKING:
    from qtlplat.analysis.statistics import TTest

Interval = tuple[float, float]
Verdict = Literal["confirmed", "contradicted", "exceeded", "inconclusive", "misprint", "not run"]
LEVEL = 0.95
RESAMPLES = 10_000
ROUNDING = 1e-12  # of sums of weights
AT_ONCE = 500  # resamples that are computed together
SEED = 20_240  # of the bootstrap: the same predictions always have the same interval


@dataclass(frozen=True)
class Estimate:
    """A mean with what is known about its error. se: standard error; n: cells; freedom: degrees of freedom of t."""

    value: float
    se: float
    low: float
    high: float
    n: int
    freedom: float


@dataclass(frozen=True)
class Measured:
    """Results of a model.

    parameters: its counts (`analysis.parameter_counts`); own_layers: whether it is the backbone with its own dense
    layers; metrics: estimates as shares, by name, if it was run; runs: ids of the runs that they come from; error: why
    it could not be run, '' if it was not tried.
    """

    parameters: Mapping[str, Any] | None = None
    own_layers: bool = False
    metrics: Mapping[str, Estimate] | None = None
    runs: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Judged:
    """A claim with our number. ours, interval: in the claim's unit, None if there is none; note: in words, why."""

    claim: Claim
    ours: float | None
    interval: tuple[float, float] | None
    verdict: Verdict
    runs: tuple[str, ...] = ()
    note: str = ""


def of_test(test: TTest) -> Estimate:
    """The mean over cells that a t-test is about, with its interval, of LEVEL.

    A single value and values without spread allow no interval: it is NaN, and so is the standard error.
    """
    if not test.sd > 0:  # zeros throughout have an interval as differences do; as scores they are as blind as any other
        return Estimate(test.mean, math.nan, math.nan, math.nan, test.n, test.df)
    return Estimate(test.mean, test.standard_error, *test.interval, test.n, test.df)


def of_predictions(
    labels: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    n_classes: int,
    groups: Sequence[str] | None = None,
    probabilities: npt.NDArray[np.float64] | None = None,
) -> dict[str, Estimate]:
    """Accuracy, F1, precision and recall of one test part, with percentile-bootstrap intervals over its sources.

    With probabilities (m, n, K) also the metrics of ranks and probabilities; one that is not defined is left out.

    labels: int64 (n,); predicted: int64 (n,), or (m, n) of m cells with this test part, whose mean is estimated;
    groups: the source of each sample, whose samples are drawn together, for they are not independent (None: every
    sample is its own). A metric that is the same in all resamples (no errors, no hits) has no interval: it is NaN, and
    so is the standard error.
    """
    cells = np.atleast_2d(predicted)
    patterns, which = np.unique(np.vstack([labels, cells]), axis=1, return_inverse=True)
    _, source = np.unique(np.arange(len(labels)) if groups is None else np.asarray(groups), return_inverse=True)
    # Drawing sources with replacement is drawing how often each combination of label and predictions occurs.
    held = np.zeros((source.max() + 1, patterns.shape[1]), dtype=np.int64)
    np.add.at(held, (source, which.ravel()), 1)
    kinds, counts = np.unique(held, axis=0, return_counts=True)
    drawn = np.random.default_rng(SEED).multinomial(len(held), counts / len(held), size=RESAMPLES) @ kinds
    ours, resampled = (_mean_scores(patterns, times, n_classes) for times in (held.sum(axis=0)[None], drawn))
    found = {}
    if probabilities is not None:
        more, more_resampled = _scores_of_probabilities(labels, probabilities, source)
        ours, resampled = ours | more, resampled | more_resampled
    for name, values in resampled.items():
        if not math.isfinite(ours[name][0]):
            continue
        low, high = (float(end) for end in np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        se = float(np.nanstd(values, ddof=1))
        if np.nanmax(values) - np.nanmin(values) <= ROUNDING:
            se = low = high = math.nan
        found[name] = Estimate(float(ours[name][0]), se, low, high, 1, math.inf)
    return found


def _scores_of_probabilities(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64], source: npt.NDArray[np.int64]
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, npt.NDArray[np.float64]]]:
    """Means over cells of the metrics of ranks and probabilities, (1,), and of resampled sources, (RESAMPLES,)."""
    n_sources = int(source.max()) + 1
    draws = np.random.default_rng(SEED)
    parts = []
    for times in (np.ones((1, n_sources)), *(None for _ in range(RESAMPLES // AT_ONCE))):
        drawn = draws.multinomial(n_sources, np.full(n_sources, 1 / n_sources), AT_ONCE) if times is None else times
        weights = drawn[:, source].astype(np.float64)
        cells = [weighted_scores(labels, of_cell, weights) for of_cell in probabilities]
        parts.append({name: np.mean([one[name] for one in cells], axis=0) for name in cells[0]})
    first, *others = parts
    return first, {name: np.concatenate([part[name] for part in others]) for name in first}


def _mean_scores(
    patterns: npt.NDArray[np.int64], times: npt.NDArray[np.int64], n_classes: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Metrics (B,), means over cells. patterns: (1 + m, P), label and predictions; times: (B, P), how often each is."""
    labels, *cells = patterns
    codes = range(n_classes**2)
    scores = []
    for predicted in cells:
        place = labels * n_classes + predicted
        table = np.stack([times[:, place == code].sum(axis=1) for code in codes], axis=1)
        scores.append(_scores(table.reshape(-1, n_classes, n_classes)))
    return {name: np.mean([one[name] for one in scores], axis=0) for name in scores[0]}


def _scores(tables: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
    """Metrics of tables of confusion (n, K, K), true class by predicted class; as `metrics.classification_metrics`."""
    hits = np.diagonal(tables, axis1=1, axis2=2).astype(np.float64)
    true, found = tables.sum(axis=2), tables.sum(axis=1)
    classes = slice(1, 2) if tables.shape[1] == 2 else slice(None)

    def mean(part: npt.NDArray[np.float64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        shares = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
        means: npt.NDArray[np.float64] = shares[:, classes].mean(axis=1)
        return means

    return {
        "accuracy": hits.sum(axis=1) / tables.sum(axis=(1, 2)),
        "f1": mean(2 * hits, true + found),
        "precision": mean(hits, found),
        "recall": mean(hits, true),
    }


def boost(model: Estimate, baseline: Estimate) -> Estimate | None:
    """By how many percent of the baseline's value the model's is higher; unpaired, None if the baseline is 0.

    The standard error is that of a ratio of independent values (first order).
    """
    from scipy.special import ndtri, stdtrit

    if baseline.value <= 0:
        return None
    ratio = model.value / baseline.value
    se = math.hypot(model.se, ratio * baseline.se) / baseline.value
    freedom = min(model.freedom, baseline.freedom)
    t = float(stdtrit(freedom, (1 + LEVEL) / 2)) if math.isfinite(freedom) else float(ndtri((1 + LEVEL) / 2))
    value = 100 * (ratio - 1)
    low = value - 100 * t * se
    if low < -100:  # no value is below 0, and none can lose more than all of it
        low = -100.0
    return Estimate(value, 100 * se, low, value + 100 * t * se, model.n, freedom)


def judge(
    claims: Sequence[Claim], measured: Mapping[str, Measured], *, trains_less: bool = False, other_data: bool = False
) -> list[Judged]:
    """A verdict for each claim, by the rules of this module.

    measured: by name of the model; trains_less: whether the budget trains less than the publication did; other_data:
    whether it was measured on other data.
    """
    judged = []
    for claim in claims:
        mine, other = measured.get(claim.model, Measured()), measured.get(claim.baseline, Measured())
        if claim.kind == "arithmetic":
            judged.append(_arithmetic(claim, mine))
        elif claim.kind == "metric":
            judged.append(_metric(claim, mine, trains_less, other_data))
        else:
            judged.append(_comparison(claim, mine, other, trains_less, other_data))
    return judged


def _arithmetic(claim: Claim, mine: Measured) -> Judged:
    counts = mine.parameters
    if counts is None:
        return Judged(claim, None, None, "not run")
    note = ""
    if claim.quantity == "parameters":
        ours = float(counts["backbone_total"] if mine.own_layers else counts["model_total"])
    else:
        ours = float(counts["reduction_percent_model"])
        note = f"of the whole model; of the replaced layers alone {counts['reduction_percent_replaced']:.2f} %"
    if abs(ours - claim.printed) <= claim.tolerance:
        return Judged(claim, ours, None, "confirmed", note=note)
    if claim.corrected is not None and abs(ours - claim.corrected) <= claim.tolerance:
        return Judged(
            claim, ours, None, "misprint", note="the layers' shapes give our number; the printed one cannot be"
        )
    return Judged(claim, ours, None, "contradicted", note=note)


def _metric(claim: Claim, mine: Measured, trains_less: bool, other_data: bool) -> Judged:
    if not mine.runs:
        return Judged(claim, None, None, "not run", note=_why(mine))
    estimate = (mine.metrics or {}).get(claim.quantity)
    if estimate is None:
        return Judged(claim, None, None, "inconclusive", mine.runs, "no value that could be judged")
    ours, interval = claim.scale * estimate.value, (claim.scale * estimate.low, claim.scale * estimate.high)
    if math.isnan(estimate.low):
        return Judged(claim, ours, None, "inconclusive", mine.runs, f"{_cells(estimate.n)} without spread: no interval")
    least, most = claim.printed - claim.tolerance, claim.printed + claim.tolerance
    n, more_is_better = _cells(estimate.n), SHIPPED[claim.quantity].higher_is_better
    verdict: Verdict = "inconclusive"
    note = f"{n} cannot tell at ± {claim.tolerance:g}"
    if least <= interval[0] and interval[1] <= most:
        verdict, note = "confirmed", n
    elif interval[1] < least:
        verdict, note = ("contradicted" if more_is_better else "exceeded"), n
    elif interval[0] > most:
        verdict, note = ("exceeded" if more_is_better else "contradicted"), n
    if other_data:
        verdict, note = "inconclusive", "measured on other data than the claim is about"
    elif verdict == "contradicted" and trains_less:
        verdict, note = "inconclusive", f"{'lower' if more_is_better else 'higher'}, but this budget trains less"
    return Judged(claim, ours, interval, verdict, mine.runs, note)


def _comparison(claim: Claim, mine: Measured, other: Measured, trains_less: bool, other_data: bool) -> Judged:
    runs = (*mine.runs, *other.runs)
    if not mine.runs or not other.runs:
        return Judged(claim, None, None, "not run", runs, _why(mine, other))
    one, two = (mine.metrics or {}).get("f1"), (other.metrics or {}).get("f1")
    estimate = boost(one, two) if one and two else None
    if estimate is None:
        return Judged(claim, None, None, "inconclusive", runs, "no values that could be compared")
    interval = (estimate.low, estimate.high)
    if math.isnan(estimate.low):
        return Judged(claim, estimate.value, None, "inconclusive", runs, "values without spread: no interval")
    sign = math.copysign(1.0, claim.printed)
    near, far = sorted(sign * end for end in interval)
    verdict: Verdict = "inconclusive"
    note = "only its sign is judged; unpaired: the baseline has a test part of its own"
    if near > claim.tolerance:
        verdict = "confirmed"
    elif far < -claim.tolerance:
        verdict = "contradicted"
    if other_data:
        verdict, note = "inconclusive", "measured on other data than the claim is about"
    elif trains_less:
        verdict, note = "inconclusive", "this budget trains less, the baseline too"
    return Judged(claim, estimate.value, interval, verdict, runs, note)


def _why(*models: Measured) -> str:
    return "; ".join(dict.fromkeys(f"could not be run: {model.error}" for model in models if model.error))


def _cells(n: int) -> str:
    return "one test part" if n == 1 else f"{n} cells"
