"""Metrics of ranks and probabilities when samples are drawn several times, for many draws at once.

A sample that is drawn w times has the weight w, so each metric is that of `analysis.metrics` with weights of samples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qtlplat.analysis.metrics import CALIBRATION_BINS

OF_PROBABILITIES = ("roc_auc", "average_precision", "loss", "brier", "ece")

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def weighted_scores(labels: Labels, probabilities: Floats, weights: Floats) -> dict[str, Floats]:
    """ROC-AUC, average precision, log-loss, Brier score and calibration error, each (B,) for B draws.

    Args:
        labels: (n,).
        probabilities: (n, K), rows of sum 1.
        weights: (B, n), how often each sample is drawn, at least one of them in each draw.

    Returns:
        Values by name. NaN stands for a metric that is not defined for the samples of a draw.
    """
    k = probabilities.shape[1]
    ranked = [_ranked(labels == c, probabilities[:, c], weights) for c in ([1] if k == 2 else range(k))]
    total = weights.sum(axis=1)
    rows = np.arange(len(labels))
    away = probabilities.copy()
    away[rows, labels] -= 1.0
    losses = -np.log(np.clip(probabilities[rows, labels], np.finfo(np.float64).eps, 1.0))
    confidence = probabilities.max(axis=1)
    bins = np.searchsorted(np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS, confidence)
    gaps = np.zeros((len(labels), CALIBRATION_BINS))
    gaps[rows, bins] = (probabilities.argmax(axis=1) == labels) - confidence
    return {
        "roc_auc": _mean_of_known([area for area, _ in ranked]),
        "average_precision": _mean_of_known([precision for _, precision in ranked]),
        "loss": weights @ losses / total,
        "brier": weights @ (np.square(away).sum(axis=1) / 2) / total,
        "ece": np.abs(weights @ gaps).sum(axis=1) / total,
    }


def _ranked(inside: npt.NDArray[np.bool_], scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """ROC-AUC and average precision (B,) of a class; NaN for a draw that lacks what they need."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])  # of samples with equal scores
    mine, others = (
        np.add.reduceat(weights[:, order] * of[order], starts, axis=1) for of in (inside, ~inside)
    )  # weights by score, ascending
    n_mine, n_others = mine.sum(axis=1), others.sum(axis=1)
    below = np.cumsum(others, axis=1) - others
    above = [part.sum(axis=1, keepdims=True) - np.cumsum(part, axis=1) + part for part in (mine, others)]
    drawn = above[0] + above[1]
    precision = np.divide(above[0], drawn, out=np.zeros_like(drawn), where=drawn > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (mine * (below + others / 2)).sum(axis=1) / (n_mine * n_others)
        return area, (mine * precision).sum(axis=1) / n_mine


def _mean_of_known(of_classes: list[Floats]) -> Floats:
    """Means over the classes that have a value; NaN if none has."""
    values = np.array(of_classes)
    known = np.isfinite(values)
    sums = np.where(known, values, 0.0).sum(axis=0)
    means: Floats = np.divide(sums, known.sum(axis=0), out=np.full(len(sums), np.nan), where=known.any(axis=0))
    return means
