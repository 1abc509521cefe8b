"""The learners of scikit-learn behind the controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from qtlplat import ConfigError, Embedding, Predictor

N_FOURIER = 256  # random features
FOLDS = 5  # that a support vector machine is calibrated with, fewer if a class has fewer samples
ITERATIONS = 10_000  # at most, of L-BFGS

MORE = "use more samples, or an evaluator whose training parts have all classes"

Floats = npt.NDArray[np.float64]
# (labels, seed, embedding) -> a classifier with `predict_proba`
Learner = Callable[[npt.NDArray[np.int64], int, Embedding | None], Any]


def logistic(_labels: npt.NDArray[np.int64], _seed: int, _embedding: Embedding | None) -> Any:
    """A logistic regression with the penalty ``|w|^2 / 2`` (C = 1)."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))


def svm_rbf(labels: npt.NDArray[np.int64], seed: int, _embedding: Embedding | None) -> Any:
    """C = 1 and gamma = 1 / (F * variance)."""
    return _calibrated(make_pipeline(StandardScaler(), SVC()), labels, seed)


def fourier(_labels: npt.NDArray[np.int64], seed: int, _embedding: Embedding | None) -> Any:
    """Random Fourier features (Rahimi & Recht, NIPS 2007) of the RBF kernel of `svm_rbf`, and a logistic regression.

    Such features approximate what circuits that encode inputs by rotations can express (Landman et al., 2022,
    arXiv:2210.13200).
    """
    sampler = RBFSampler(gamma="scale", n_components=N_FOURIER, random_state=seed)
    return make_pipeline(StandardScaler(), sampler, LogisticRegression(max_iter=ITERATIONS))


def boosting(_labels: npt.NDArray[np.int64], seed: int, _embedding: Embedding | None) -> Any:
    """100 trees of at most 31 leaves, learning rate 0.1; no sample is held out to stop early."""
    return HistGradientBoostingClassifier(early_stopping=False, random_state=seed)


def quantum_kernel(labels: npt.NDArray[np.int64], seed: int, embedding: Embedding | None) -> Any:
    """A support vector machine with ``k(x, y) = |<phi(x)|phi(y)>|^2`` (Havlicek et al., Nature 567, 209-212, 2019)."""
    assert embedding is not None
    return _calibrated(make_pipeline(States(embedding), SVC(kernel=fidelities)), labels, seed)


LEARNERS: dict[str, Learner] = {
    "logistic": logistic,
    "svm-rbf": svm_rbf,
    "fourier": fourier,
    "boosting": boosting,
    "quantum-kernel": quantum_kernel,
}


def fitted(
    learner: Learner,
    features: Floats,
    labels: npt.NDArray[np.int64],
    n_classes: int,
    seed: int,
    embedding: Embedding | None,
) -> Predictor:
    """Fit a learner to features (n, F) and labels (n,); a class without training samples has the probability 0.

    Raises ConfigError if all samples are of one class.
    """
    if len(np.unique(labels)) < 2:
        raise ConfigError("all training samples are of one class", fix=MORE)
    model = learner(labels, seed, embedding).fit(features, labels)

    def predict(test: Floats) -> Floats:
        found = np.zeros((len(test), n_classes))
        found[:, model.classes_] = model.predict_proba(test)
        return found

    return predict


def _calibrated(model: Any, labels: npt.NDArray[np.int64], seed: int) -> Any:
    """A machine fitted to all samples, with a sigmoid fitted to what machines of inner folds say (Platt, 1999).

    Raises ConfigError if a class has a single sample.
    """
    folds = min(FOLDS, int(np.unique(labels, return_counts=True)[1].min()))
    if folds < 2:
        raise ConfigError("calibration needs two training samples of every class", fix=MORE)
    inner = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return CalibratedClassifierCV(model, cv=inner, ensemble=False)


class States(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Features (n, F) to states of the circuit's embedding, (n, 2 * 2**Q): real parts, then imaginary ones.

    The features are standardized and projected on as many principal components, of variance 1, as the circuit has
    inputs; ``pi / 2 * tanh`` makes angles of them, as in a dressed circuit (Mari et al., Quantum 4:340, 2020).
    """

    def __init__(self, embedding: Embedding) -> None:
        self.embedding = embedding

    def fit(self, features: Floats, labels: object = None) -> States:
        """Of the training samples alone. Raises ConfigError if there are fewer components than inputs."""
        n = self.embedding.n_inputs
        if n > min(features.shape):
            raise ConfigError(
                f"the circuit has {n} inputs, the training samples {min(features.shape)} components",
                fix="use more samples, or a head of fewer inputs",
            )
        self.components_ = make_pipeline(StandardScaler(), PCA(n, whiten=True, svd_solver="full")).fit(features)
        return self

    def transform(self, features: Floats) -> Floats:
        """Of any samples (m, F)."""
        amplitudes = self.embedding.states(np.pi / 2 * np.tanh(self.components_.transform(features)))
        return np.hstack([amplitudes.real, amplitudes.imag])


def fidelities(one: Floats, other: Floats) -> Floats:
    """``|<a|b>|^2`` of all pairs of rows that `States` returns, (n, m)."""
    a, b = (np.split(rows, 2, axis=1) for rows in (one, other))
    left, right = a[0] + 1j * a[1], b[0] + 1j * b[1]
    return np.asarray(np.abs(left.conj() @ right.T) ** 2)
