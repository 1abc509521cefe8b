"""Classification metrics of one cell, from its predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
CALIBRATION_BINS = 15
MOST_NAMED = 5  # cells in a sentence


def classification_metrics(labels: Labels, probabilities: npt.NDArray[np.floating]) -> dict[str, float]:
    """The metrics that every cell has (``qtlplat.metrics.SHIPPED``): of predicted classes, of ranks, of probabilities.

    Args:
        labels: int64 (n,), n above 0.
        probabilities: (n, K), rows sum to 1; the predicted class is the one with the highest.

    Returns:
        Values by name. NaN stands for a metric that is not defined for these labels: `roc_auc` if all samples are of
        one class, `average_precision` if none is of class 1 of two.
    """
    exact = probabilities.astype(np.float64)
    predicted = exact.argmax(axis=1)
    return {
        **class_metrics(labels, predicted, exact.shape[1]),
        **_rank_metrics(labels, exact),
        **_scores(labels, exact),
    }


def class_metrics(labels: Labels, predicted: Labels, n_classes: int) -> dict[str, float]:
    """Accuracy, F1, precision and recall of predicted classes.

    labels, predicted: int64 (n,). With two classes F1, precision and recall are those of class 1; with more, means
    over the classes. A class that is never predicted has precision 0, one that is absent recall 0, as in scikit-learn
    with ``zero_division=0``.
    """
    classes = [1] if n_classes == 2 else list(range(n_classes))
    scores = np.array([_f1_precision_recall(labels == c, predicted == c) for c in classes])
    f1, precision, recall = scores.mean(axis=0)
    accuracy = float(np.mean(predicted == labels))
    return {"f1": float(f1), "accuracy": accuracy, "precision": float(precision), "recall": float(recall)}


def _f1_precision_recall(true: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    hits = int(np.sum(true & found))
    precision = hits / int(found.sum()) if found.any() else 0.0
    recall = hits / int(true.sum()) if true.any() else 0.0
    f1 = 2 * hits / (int(found.sum()) + int(true.sum())) if found.any() or true.any() else 0.0
    return f1, precision, recall


def _rank_metrics(labels: Labels, probabilities: Floats) -> dict[str, float]:
    """ROC-AUC and average precision: of class 1 of two, else means of each class against the rest.

    Classes that the labels lack are left out of a mean: scikit-learn refuses ROC-AUC there, and counts their average
    precision as 0, although no ranking could have found them.
    """
    n_classes = probabilities.shape[1]
    sides = [
        (probabilities[labels == c, c], probabilities[labels != c, c])
        for c in ([1] if n_classes == 2 else range(n_classes))
    ]
    return {"roc_auc": _mean_of(_roc_auc, sides, 2), "average_precision": _mean_of(_average_precision, sides, 1)}


def _mean_of(score: Callable[[Floats, Floats], float], sides: list[tuple[Floats, Floats]], required: int) -> float:
    """The mean score of classes; required: how many of (samples of the class, other samples) must not be empty."""
    found = [score(inside, others) for inside, others in sides if all(map(len, (inside, others)[:required]))]
    return fmean(found) if found else math.nan


def _roc_auc(inside: Floats, others: Floats) -> float:
    """The share of pairs that are ranked right, a tie counts half (Mann & Whitney's U, which the area equals)."""
    ordered = np.sort(others)
    right = np.searchsorted(ordered, inside, "left").sum() + np.searchsorted(ordered, inside, "right").sum()
    return float(right / (2 * len(inside) * len(others)))


def _average_precision(inside: Floats, others: Floats) -> float:
    """The precision at the threshold of each sample of the class, averaged over these samples; not interpolated."""
    found, wrong = (len(scores) - np.searchsorted(np.sort(scores), inside, "left") for scores in (inside, others))
    return float(np.mean(found / (found + wrong)))


def _scores(labels: Labels, probabilities: Floats) -> dict[str, float]:
    """Log-loss, Brier score and expected calibration error of probabilities.

    `loss` is the mean negative log-likelihood, nats, of probabilities clipped at the machine precision, as in
    scikit-learn. `brier` is half the squared distance to the true class's corner, 0 to 1 for any number of classes
    (scikit-learn's with ``scale_by_half=True``; of two classes the mean of (p - y)²). `ece` is the mean distance
    between accuracy and confidence of the predicted class over `CALIBRATION_BINS` bins of equal width, (0, 1/15] to
    (14/15, 1], weighted by their samples (Guo et al., "On calibration of modern neural networks", ICML 2017, eq. 5).
    """
    rows = np.arange(len(labels))
    chosen = np.clip(probabilities[rows, labels], np.finfo(np.float64).eps, 1.0)
    away = probabilities.copy()
    away[rows, labels] -= 1.0
    confidence = probabilities.max(axis=1)
    ends = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    gaps = np.bincount(np.searchsorted(ends, confidence), (probabilities.argmax(axis=1) == labels) - confidence)
    return {
        "loss": float(-np.log(chosen).mean()),
        "brier": float(np.square(away).sum(axis=1).mean() / 2),
        "ece": float(np.abs(gaps).sum() / len(labels)),
    }


def undefined_metrics(tests: Mapping[str, Labels], classes: Sequence[str]) -> list[str]:
    """What to tell the user of test samples that lack a class.

    tests: the labels of the test samples of each cell, by what the cell is called; classes: names by label.
    """
    without: dict[str, list[str]] = {}
    for cell, labels in tests.items():
        there = set(labels.tolist())
        lacking = [name for label, name in enumerate(classes) if label not in there]
        if len(there) < 2:
            without.setdefault("a single class: roc_auc is not defined there, and its mean neither", []).append(cell)
        elif lacking:
            left = "roc_auc and average_precision are means over the other classes"
            without.setdefault(f"no sample of {', '.join(lacking)}: {left}", []).append(cell)
    return [
        f"{', '.join(cells[:MOST_NAMED])}{' and others' if len(cells) > MOST_NAMED else ''} "
        f"{'tests' if len(cells) == 1 else 'test'} {what}"
        for what, cells in without.items()
    ]
