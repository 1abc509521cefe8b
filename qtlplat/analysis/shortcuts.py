"""How far trivial numbers tell the classes apart: what a model could score without looking at any shape.

Every sample becomes a handful of numbers, and a linear and a non-linear classifier are cross-validated on them. No
group stands on both sides of a fold.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtlplat.analysis.metrics import class_metrics
from qtlplat.contracts import ImageSet

FOLDS = 5
TREES = 50
FROM_PIXELS = ("sharpness", "mean", "spread")  # what a model that sees the images can read off them

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """How well a model classifies by some features.

    features: names, none for a constant answer; model: 'logistic regression', 'random forest', or 'constant' for
    always answering the same class; f1, sd: mean and sample standard deviation over the folds (0 to 1; sd is None for
    one fold); balanced_accuracy: mean over the folds of the mean recall of the classes, 1/K for any guess.
    """

    features: tuple[str, ...]
    model: str
    f1: float
    sd: float | None
    balanced_accuracy: float


def trivial_features(images: ImageSet) -> dict[str, Floats]:
    """Numbers about each sample, float64 (N, n) by name.

    sharpness: log(1 + variance of the Laplacian), and the share of the spectral power at periods below 4 pixels; mean
    and spread (standard deviation) of the pixels, gray levels; then the dataset's own facts, one column each.
    """
    fine = _fine_detail(*images.shape[1:])
    numbers = np.array([_numbers(image.mean(axis=0, dtype=np.float32), fine) for image in images.images])
    return {
        "sharpness": numbers[:, :2],
        "mean": numbers[:, 2:3],
        "spread": numbers[:, 3:4],
        **{name.replace("_", " "): fact[:, None] for name, fact in images.facts.items()},
    }


def shortcut_scores(images: ImageSet, groups: Sequence[str], seed: int = 0, most_folds: int = FOLDS) -> list[Score]:
    """Scores of every trivial feature alone, of those from pixels together, and of all together.

    The first score is that of a constant answer, the best one there is; features from pixels are what a model that is
    trained on the images can use, facts (a resize factor) are what it could infer from them.

    groups: N names that no fold may divide; seed: of folds and forests; most_folds: fewer are made where a class has
    fewer groups. No scores but the constant one where a class has a single group.
    """
    labels, n_classes = images.labels, len(images.class_names)
    folds = _folds(labels, groups, seed, most_folds)
    scores = [Score((), "constant", constant_f1(labels, n_classes), None, 1 / n_classes)]
    features = trivial_features(images)
    for names in _combinations(features):
        columns = np.hstack([features[name] for name in names])
        for model, make in _models(seed).items():
            values = [_scores(make(), columns, labels, train, test, n_classes) for train, test in folds]
            if values:
                f1, balanced = np.array(values).T
                sd = float(np.std(f1, ddof=1)) if len(f1) > 1 else None
                scores.append(Score(names, model, float(f1.mean()), sd, float(balanced.mean())))
    return scores


def constant_f1(labels: npt.NDArray[np.int64], n_classes: int) -> float:
    """The best F1 of an answer that is always the same class; 0.667 for two classes of equal size."""
    return max(class_metrics(labels, np.full(len(labels), answer), n_classes)["f1"] for answer in range(n_classes))


def _combinations(features: Mapping[str, Floats]) -> list[tuple[str, ...]]:
    """Each name alone, those read off the pixels, and all where there are more."""
    together = [FROM_PIXELS] + ([tuple(features)] if len(features) > len(FROM_PIXELS) else [])
    return [*((name,) for name in features), *together]


def _numbers(gray: npt.NDArray[np.float32], fine: npt.NDArray[np.float32]) -> tuple[float, float, float, float]:
    """Laplacian variance (log), share of fine detail, mean, standard deviation of an image (H, W)."""
    from scipy.fft import rfft2

    laplacian = np.zeros(1, np.float32)
    if min(gray.shape) > 2:
        around = gray[1:-1, :-2] + gray[1:-1, 2:] + gray[:-2, 1:-1] + gray[2:, 1:-1]
        laplacian = around - 4 * gray[1:-1, 1:-1]
    power = np.abs(rfft2(gray - gray.mean())) ** 2
    total = gray.size * gray.size * float(gray.var(dtype=np.float64))  # Parseval
    share = float(np.vdot(power, fine)) / total if total else 0.0
    return float(np.log1p(laplacian.var(dtype=np.float64))), share, float(gray.mean()), float(gray.std())


def _fine_detail(height: int, width: int) -> npt.NDArray[np.float32]:
    """How often each coefficient of `rfft2` counts: those with periods of at least 4 pixels do not."""
    down, right = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    # a column stands for its mirror image, too, but for the first one and, where the width is even, the last one
    twice = np.where((right == 0) | (right == 0.5), 1, 2)
    return np.asarray(np.where(np.hypot(down, right) > 0.25, twice, 0), np.float32)


def _folds(
    labels: npt.NDArray[np.int64], groups: Sequence[str], seed: int, most: int
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Training and test indices, grouped and stratified; only those whose training part has every class."""
    from sklearn.model_selection import StratifiedGroupKFold

    names = np.asarray(groups)
    classes = np.unique(labels)
    count = min(most, *(len(np.unique(names[labels == label])) for label in classes))
    if count < 2:
        return []
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # where groups are few, a fold may miss a class; such folds are left out below
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        parts = list(splitter.split(np.zeros((len(labels), 1)), labels, names))
    return [(a, b) for a, b in parts if len(b) and len(np.unique(labels[a])) == len(classes)]


def _models(seed: int) -> dict[str, Any]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "random forest": lambda: RandomForestClassifier(TREES, random_state=seed),
    }


def _scores(
    model: Any,
    columns: Floats,
    labels: npt.NDArray[np.int64],
    train: npt.NDArray[np.int64],
    test: npt.NDArray[np.int64],
    n_classes: int,
) -> tuple[float, float]:
    """F1 of class 1, or the mean over the classes where there are more than two; and the balanced accuracy."""
    predicted = model.fit(columns[train], labels[train]).predict(columns[test])
    recalls = [np.mean(predicted[labels[test] == label] == label) for label in np.unique(labels[test])]
    return class_metrics(labels[test], predicted, n_classes)["f1"], float(np.mean(recalls))
