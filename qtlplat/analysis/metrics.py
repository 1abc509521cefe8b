"""Classification metrics of one cell, from its predictions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt


def classification_metrics(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.floating]
) -> Mapping[str, float]:
    """Accuracy, F1, precision, recall and cross-entropy of predicted classes.

    labels: int64 (n,); probabilities: (n, K), rows sum to 1. With two classes F1, precision and recall are those of
    class 1; with more, means over the classes. A class that is never predicted has precision 0, one that is absent
    recall 0, as in scikit-learn with ``zero_division=0``. `loss` is the mean negative log-likelihood, nats.
    """
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    classes = [1] if n_classes == 2 else list(range(n_classes))
    scores = np.array([_f1_precision_recall(labels == c, predicted == c) for c in classes])
    f1, precision, recall = scores.mean(axis=0)
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "f1": float(f1),
        "accuracy": float(np.mean(predicted == labels)),
        "precision": float(precision),
        "recall": float(recall),
        "loss": float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean()),
    }


def _f1_precision_recall(true: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    hits = int(np.sum(true & found))
    precision = hits / int(found.sum()) if found.any() else 0.0
    recall = hits / int(true.sum()) if true.any() else 0.0
    f1 = 2 * hits / (int(found.sum()) + int(true.sum())) if found.any() or true.any() else 0.0
    return f1, precision, recall
