"""Metrics of resampled test samples: the shipped ones for many resamples at once, others one resample at a time.

A resample is a vector of weights, how often each group of samples was drawn; a group is drawn with all predictions of
its samples. How folds are joined follows Forman & Scholz, "Apples-to-Apples in Cross-Validation Studies", SIGKDD
Explorations 12 (2010): metrics of predicted classes and sums over samples are computed once for all folds of a seed
and backbone, for a ratio of small counts is biased; ranks are compared only within a cell, whose model gave them, and
averaged over cells. Seeds and backbones are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qtlplat.analysis.metrics import CALIBRATION_BINS

if TYPE_CHECKING:
    from qtlplat.store.read.out_of_fold import OutOfFold

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
# (labels int64 (n,), probabilities float64 (n, K)) -> a metric of these samples, NaN if it is not defined for them
Score = Callable[[Labels, Floats], float]
Weighted = Callable[[Floats], Floats]  # weights (R, G) of groups -> a score of each of R resamples


def scorer(metric: str, tested: OutOfFold, groups: Labels, score: Score | None = None) -> Weighted:
    """The scores of one candidate as a function of weights.

    Args:
        metric: a shipped one, by name, or any other with `score`.
        tested: the candidate's predictions, n of them.
        groups: int64 (n,), which of G groups each prediction's sample belongs to.
        score: computes a metric that is not shipped.

    Returns:
        A function of float64 (R, G), whole numbers, how often each group was drawn. It returns float64 (R,), NaN where
        the metric is not defined for what was drawn.
    """
    if score is not None:
        return _mean([_one_by_one(score, tested, groups, rows) for rows in _parts(tested.cells)])
    if metric in _RANKS:
        return _mean([_ranked(_RANKS[metric], tested, groups, rows) for rows in _parts(tested.cells)])
    if metric in _CLASSES:
        features, made = _counted(tested), _CLASSES[metric]
    else:
        features, made = _SUMS[metric](tested)
    return _mean([_summed(features[rows], made, groups[rows]) for rows in _parts(tested.repeats)])


def _parts(of: Labels) -> Iterator[Labels]:
    """The rows of each part, by the number of the part that each row belongs to."""
    for part in np.unique(of):
        yield np.flatnonzero(of == part)


def _mean(parts: list[Weighted]) -> Weighted:
    """The mean over the parts for which the metric is defined, NaN if there is none."""

    def scores(weights: Floats) -> Floats:
        found = np.stack([part(weights) for part in parts])
        known = np.isfinite(found)
        with np.errstate(invalid="ignore"):  # 0 / 0: defined in no part
            result: Floats = np.where(known, found, 0.0).sum(axis=0) / known.sum(axis=0)
        return result

    return scores


# metrics of sums over samples ----------------------------------------------------------------------------------------


def _summed(features: Floats, made: Callable[[Floats], Floats], groups: Labels) -> Weighted:
    """A metric of weighted sums of features (n, k): they are summed by group once, whatever the resamples."""
    here, place = np.unique(groups, return_inverse=True)
    totals = np.zeros((len(here), features.shape[1]))
    np.add.at(totals, place, features)

    def scores(weights: Floats) -> Floats:
        drawn = weights if len(here) == weights.shape[1] else weights[:, here]
        with np.errstate(invalid="ignore", divide="ignore"):  # nothing was drawn: 0 / 0
            return made(drawn @ totals)

    return scores


def _counted(tested: OutOfFold) -> Floats:
    """Of each sample 1, whether it is right, and for each class whether it is found, predicted, there; (n, 2 + 3K)."""
    k = tested.probabilities.shape[1]
    predicted = tested.probabilities.argmax(axis=1)
    classes = np.array([1]) if k == 2 else np.arange(k)
    true, found = tested.labels[:, None] == classes, predicted[:, None] == classes
    right = tested.labels == predicted
    return np.column_stack([np.ones(len(right)), right, true & found, found, true]).astype(np.float64)


def _ratio(upper: Floats, lower: Floats) -> Floats:
    """A quotient that is 0 where nothing can be divided, as scikit-learn's with ``zero_division=0``."""
    return np.divide(upper, lower, out=np.zeros_like(upper), where=lower > 0)


def _of_classes(made: Callable[[Floats, Floats, Floats], Floats]) -> Callable[[Floats], Floats]:
    def mean(sums: Floats) -> Floats:
        hits, found, true = np.split(sums[:, 2:], 3, axis=1)
        return np.where(sums[:, 0] > 0, made(hits, found, true).mean(axis=1), np.nan)

    return mean


_CLASSES: dict[str, Callable[[Floats], Floats]] = {
    "accuracy": lambda sums: sums[:, 1] / sums[:, 0],
    "f1": _of_classes(lambda hits, found, true: _ratio(2 * hits, found + true)),
    "precision": _of_classes(lambda hits, found, _: _ratio(hits, found)),
    "recall": _of_classes(lambda hits, _, true: _ratio(hits, true)),
}


def _of_sums(values: Floats) -> tuple[Floats, Callable[[Floats], Floats]]:
    return np.column_stack([np.ones(len(values)), values]), lambda sums: sums[:, 1] / sums[:, 0]


def _loss(tested: OutOfFold) -> tuple[Floats, Callable[[Floats], Floats]]:
    chosen = tested.probabilities[np.arange(len(tested.labels)), tested.labels]
    return _of_sums(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0)))


def _brier(tested: OutOfFold) -> tuple[Floats, Callable[[Floats], Floats]]:
    true = np.eye(tested.probabilities.shape[1])[tested.labels]
    return _of_sums(np.square(tested.probabilities - true).sum(axis=1) / 2)


def _ece(tested: OutOfFold) -> tuple[Floats, Callable[[Floats], Floats]]:
    confidence = tested.probabilities.max(axis=1)
    gaps = (tested.probabilities.argmax(axis=1) == tested.labels) - confidence
    bins = np.searchsorted(np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS, confidence)
    features = np.column_stack([np.ones(len(gaps)), np.eye(CALIBRATION_BINS)[bins] * gaps[:, None]])
    return features, lambda sums: np.abs(sums[:, 1:]).sum(axis=1) / sums[:, 0]


_SUMS = {"loss": _loss, "brier": _brier, "ece": _ece}

# metrics of ranks ----------------------------------------------------------------------------------------------------


class _Below:
    """Weights below a score, of either kind, for samples of a class, and totals; ties are at the same place."""

    def __init__(self, inside: Floats, others: Floats) -> None:
        """inside, others: the scores of samples of the class, and of all others; both sorted."""
        self._places = [
            (np.searchsorted(scores, inside, "left"), np.searchsorted(scores, inside, "right"))
            for scores in (inside, others)
        ]

    def weigh(self, inside: Floats, others: Floats) -> list[tuple[Floats, Floats, Floats]]:
        """Of the class, and of the others: weight strictly below each sample of the class, up to it, and in all."""
        found = []
        for (left, right), weights in zip(self._places, (inside, others), strict=True):
            below = np.zeros((len(weights), weights.shape[1] + 1))
            np.cumsum(weights, axis=1, out=below[:, 1:])
            found.append((below[:, left], below[:, right], below[:, -1]))
        return found


def _roc_auc(inside: Floats, others: Floats, below: _Below) -> Floats:
    """The share of pairs that are ranked right, a tie counts half."""
    _, (under, up_to, total) = below.weigh(inside, others)
    right: Floats = (inside * (under + up_to)).sum(axis=1) / (2 * inside.sum(axis=1) * total)
    return right


def _average_precision(inside: Floats, others: Floats, below: _Below) -> Floats:
    """The precision at the threshold of each sample of the class, averaged over these samples."""
    (under, _, all_inside), (wrong_under, _, all_others) = below.weigh(inside, others)
    found, wrong = all_inside[:, None] - under, all_others[:, None] - wrong_under
    mean: Floats = (inside * _ratio(found, found + wrong)).sum(axis=1) / all_inside
    return mean


_RANKS = {"roc_auc": _roc_auc, "average_precision": _average_precision}


def _ranked(
    made: Callable[[Floats, Floats, _Below], Floats], tested: OutOfFold, groups: Labels, rows: Labels
) -> Weighted:
    """A metric of ranks in one cell: of class 1 of two, else the mean over the classes that were drawn."""
    k = tested.probabilities.shape[1]
    sides = []
    for label in [1] if k == 2 else range(k):
        scores, is_inside = tested.probabilities[rows, label], tested.labels[rows] == label
        order = np.argsort(scores, kind="stable")
        inside, others = order[is_inside[order]], order[~is_inside[order]]
        if len(inside):
            below = _Below(scores[inside], scores[others])
            sides.append((groups[rows[inside]], groups[rows[others]], below))

    def of(inside: Labels, others: Labels, below: _Below) -> Weighted:
        def scores(weights: Floats) -> Floats:
            with np.errstate(invalid="ignore", divide="ignore"):  # a side that was not drawn: 0 / 0
                return made(weights[:, inside], weights[:, others], below)

        return scores

    return _mean([of(*side) for side in sides]) if sides else lambda weights: np.full(len(weights), np.nan)


# any other metric ----------------------------------------------------------------------------------------------------


def _one_by_one(score: Score, tested: OutOfFold, groups: Labels, rows: Labels) -> Weighted:
    """Any metric in one cell, computed once for each resample, in which a sample stands as often as it was drawn."""

    def scores(weights: Floats) -> Floats:
        found = np.full(len(weights), np.nan)
        for number, times in enumerate(weights[:, groups[rows]].astype(np.int64)):
            drawn = rows.repeat(times)
            if len(drawn):
                found[number] = score(tested.labels[drawn], tested.probabilities[drawn])
        return found

    return scores
