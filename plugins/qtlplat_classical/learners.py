"""The learners of scikit-learn behind the controls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import ArpackError
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
TOLERANCE = 1e-9  # of the machine on states
ITERATIONS = 10_000  # at most, of L-BFGS

MORE = "use more samples, or an evaluator whose training parts have all classes"

Floats = npt.NDArray[np.float64]
# (labels, seed, embedding, **options) -> a classifier with `predict_proba`
Learner = Callable[..., Any]
Candidates = Sequence[Mapping[str, Any]]


def logistic(_labels: npt.NDArray[np.int64], _seed: int, _embedding: Embedding | None, *, C: float = 1.0) -> Any:
    """A logistic regression with the penalty ``|w|^2 / 2 C``."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=ITERATIONS))


def svm_rbf(labels: npt.NDArray[np.int64], seed: int, _embedding: Embedding | None, *, C: float = 1.0) -> Any:
    """Gamma = 1 / (F * variance)."""
    return _calibrated(make_pipeline(StandardScaler(), SVC(C=C)), labels, seed)


def fourier(_labels: npt.NDArray[np.int64], seed: int, _embedding: Embedding | None, *, C: float = 1.0) -> Any:
    """Random Fourier features (Rahimi & Recht, NIPS 2007) of the RBF kernel of `svm_rbf`, and a logistic regression.

    Such features approximate what circuits that encode inputs by rotations can express (Landman et al., 2022,
    arXiv:2210.13200).
    """
    sampler = RBFSampler(gamma="scale", n_components=N_FOURIER, random_state=seed)
    return make_pipeline(StandardScaler(), sampler, LogisticRegression(C=C, max_iter=ITERATIONS))


def boosting(_labels: npt.NDArray[np.int64], seed: int, _embedding: Embedding | None, *, max_iter: int = 100) -> Any:
    """Trees of at most 31 leaves, learning rate 0.1; no sample is held out to stop early."""
    return HistGradientBoostingClassifier(max_iter=max_iter, early_stopping=False, random_state=seed)


def quantum_kernel(
    labels: npt.NDArray[np.int64],
    seed: int,
    embedding: Embedding | None,
    *,
    C: float = 1.0,
    memory: dict[Any, Any] | None = None,
) -> Any:
    """A support vector machine with ``k(x, y) = |<phi(x)|phi(y)>|^2`` (Havlicek et al., Nature 567, 209-212, 2019).

    memory: of states that machines with other C need as well. The tolerance is not scikit-learn's 1e-3, with which the
    rounding of states moves probabilities in their fourth digit.
    """
    assert embedding is not None
    machine = SVC(C=C, kernel=fidelities, tol=TOLERANCE)
    return _calibrated(make_pipeline(States(embedding, memory), machine), labels, seed)


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
    **options: Any,
) -> Predictor:
    """Fit a learner to features (n, F) and labels (n,); a class without training samples has the probability 0.

    Raises ConfigError if all samples are of one class.
    """
    if len(np.unique(labels)) < 2:
        raise ConfigError("all training samples are of one class", fix=MORE)
    model = learner(labels, seed, embedding, **options).fit(features, labels)
    return _predictor(model.predict_proba, model.classes_, n_classes)


def boosted_each(
    features: Floats,
    labels: npt.NDArray[np.int64],
    n_classes: int,
    seed: int,
    embedding: Embedding | None,
    candidates: Candidates,
) -> list[Predictor]:
    """`boosting` for several numbers of trees: the first trees of the largest model are those of a smaller one."""
    model = boosting(labels, seed, embedding, max_iter=max(one["max_iter"] for one in candidates)).fit(features, labels)

    def stage(trees: int) -> Predictor:
        def probabilities(test: Floats) -> Floats:
            found: Floats = next(islice(model.staged_predict_proba(test), trees - 1, None))
            return found

        return _predictor(probabilities, model.classes_, n_classes)

    return [stage(one["max_iter"]) for one in candidates]


def quantum_each(
    features: Floats,
    labels: npt.NDArray[np.int64],
    n_classes: int,
    seed: int,
    embedding: Embedding | None,
    candidates: Candidates,
) -> list[Predictor]:
    """`quantum_kernel` for several C: the states of each fold are computed once."""
    memory: dict[Any, Any] = {}
    return [
        fitted(quantum_kernel, features, labels, n_classes, seed, embedding, memory=memory, **one) for one in candidates
    ]


def _predictor(probabilities: Callable[[Floats], Floats], classes: npt.NDArray[np.int64], n_classes: int) -> Predictor:
    """Probabilities of the classes that a model knows, as those of all classes."""

    def predict(test: Floats) -> Floats:
        found = np.zeros((len(test), n_classes))
        found[:, classes] = probabilities(test)
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

    def __init__(self, embedding: Embedding, memory: dict[Any, Any] | None = None) -> None:
        self.embedding = embedding
        self.memory = memory

    def __sklearn_clone__(self) -> States:
        """Shares the memory, if there is one."""
        return States(self.embedding, self.memory)

    def fit(self, features: Floats, labels: object = None) -> States:
        """Of the training samples alone. Raises ConfigError if there are fewer components than inputs."""
        n = self.embedding.n_inputs
        if n > min(features.shape):
            raise ConfigError(
                f"the circuit has {n} inputs, the training samples {min(features.shape)} components",
                fix="use more samples, or a head of fewer inputs",
            )
        self.fitted_to_ = _digest(features)
        self.components_ = self._known(self.fitted_to_, lambda: _components(features, n))
        return self

    def transform(self, features: Floats) -> Floats:
        """Of any samples (m, F)."""

        def states() -> Floats:
            amplitudes = self.embedding.states(np.pi / 2 * np.tanh(self.components_.transform(features)))
            return np.hstack([amplitudes.real, amplitudes.imag])

        found: Floats = self._known((self.fitted_to_, _digest(features)), states)
        return found

    def _known(self, key: Any, compute: Callable[[], Any]) -> Any:
        if self.memory is None:
            return compute()
        if key not in self.memory:
            self.memory[key] = compute()
        return self.memory[key]


def _digest(features: Floats) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(features).data, digest_size=16).digest()


def _components(features: Floats, n: int) -> Any:
    """Standardized features and their first n principal components, of variance 1.

    ARPACK finds a few of many components ten times as fast as a full decomposition, to the same 1e-12; it cannot find
    all of them, nor those of features that do not vary.
    """
    if n < min(features.shape):
        try:
            return make_pipeline(StandardScaler(), PCA(n, whiten=True, svd_solver="arpack", random_state=0)).fit(
                features
            )
        except ArpackError:
            pass
    return make_pipeline(StandardScaler(), PCA(n, whiten=True, svd_solver="full")).fit(features)


def fidelities(one: Floats, other: Floats) -> Floats:
    """``|<a|b>|^2`` of all pairs of rows that `States` returns, (n, m)."""
    a, b = (np.split(rows, 2, axis=1) for rows in (one, other))
    left, right = a[0] + 1j * a[1], b[0] + 1j * b[1]
    return np.asarray(np.abs(left.conj() @ right.T) ** 2)
