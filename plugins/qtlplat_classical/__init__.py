"""Controls that scikit-learn fits to the frozen features: what classical learners of other kinds make of them.

Each learner standardizes the features with the mean and standard deviation of the training samples, except for the
trees, which need none, and has scikit-learn's default options unless its docstring says otherwise.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtlplat import FittedControlSpec, hookimpl

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from qtlplat import Embedding, Predictor

qtlplat_api_version = (1, 0)


def fit(
    learner: str,
    *,
    features: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    n_classes: int,
    seed: int,
    embedding: Embedding | None,
) -> Predictor:
    """Fit one of the learners, by name."""
    from qtlplat_classical.learners import LEARNERS, fitted

    return fitted(LEARNERS[learner], features, labels, n_classes, seed, embedding)


def linear_coefficients(in_features: int, n_classes: int) -> int:
    """Of a multinomial logistic regression with intercepts; two classes need one row."""
    return (in_features + 1) * (1 if n_classes == 2 else n_classes)


def fourier_coefficients(_in_features: int, n_classes: int) -> int:
    """Of the logistic regression on random features; their frequencies and phases are drawn, not fitted."""
    from qtlplat_classical.learners import N_FOURIER

    return linear_coefficients(N_FOURIER, n_classes)


@hookimpl
def qtlplat_controls() -> list[FittedControlSpec]:
    """Five learners."""
    return [
        FittedControlSpec(
            name="logistic",
            summary="logistic regression on standardized features, by L-BFGS",
            fit=partial(fit, "logistic"),
            parameters=linear_coefficients,
        ),
        FittedControlSpec(
            name="svm-rbf",
            summary="support vector machine with an RBF kernel, calibrated by Platt's method",
            fit=partial(fit, "svm-rbf"),
        ),
        FittedControlSpec(
            name="fourier",
            summary="logistic regression on 256 random Fourier features of an RBF kernel",
            fit=partial(fit, "fourier"),
            parameters=fourier_coefficients,
        ),
        FittedControlSpec(
            name="boosting",
            summary="gradient boosting of 100 trees on histograms",
            fit=partial(fit, "boosting"),
        ),
        FittedControlSpec(
            name="quantum-kernel",
            summary="support vector machine with the fidelity kernel of the circuit's embedding",
            fit=partial(fit, "quantum-kernel"),
            quantum=True,
        ),
    ]
