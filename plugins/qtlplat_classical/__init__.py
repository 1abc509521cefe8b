"""Controls that scikit-learn fits to the frozen features: what classical learners of other kinds make of them.

Each learner standardizes the features with the mean and standard deviation of the training samples, except for the
trees, which need none, and has scikit-learn's default options unless its docstring says otherwise. Each has a grid of
four values for `run --tune`, with the default among them: C of the penalty, or the number of trees.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

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
    **options: Any,
) -> Predictor:
    """Fit one of the learners, by name."""
    from qtlplat_classical.learners import LEARNERS, fitted

    return fitted(LEARNERS[learner], features, labels, n_classes, seed, embedding, **options)


def fit_boosting(**given: Any) -> list[Predictor]:
    """Fit gradient boosting once, for all numbers of trees."""
    from qtlplat_classical.learners import boosted_each

    return boosted_each(**given)


def fit_quantum_kernel(**given: Any) -> list[Predictor]:
    """Fit support vector machines to the states of a circuit, which are computed once."""
    from qtlplat_classical.learners import quantum_each

    return quantum_each(**given)


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
            grid={"C": (0.001, 0.01, 0.1, 1.0)},
            parameters=linear_coefficients,
        ),
        FittedControlSpec(
            name="svm-rbf",
            summary="support vector machine with an RBF kernel, calibrated by Platt's method",
            fit=partial(fit, "svm-rbf"),
            grid={"C": (0.1, 1.0, 10.0, 100.0)},
        ),
        FittedControlSpec(
            name="fourier",
            summary="logistic regression on 256 random Fourier features of an RBF kernel",
            fit=partial(fit, "fourier"),
            grid={"C": (0.1, 1.0, 10.0, 100.0)},
            parameters=fourier_coefficients,
        ),
        FittedControlSpec(
            name="boosting",
            summary="gradient boosting of 100 trees on histograms",
            fit=partial(fit, "boosting"),
            grid={"max_iter": (12, 25, 50, 100)},
            fit_each=fit_boosting,
        ),
        FittedControlSpec(
            name="quantum-kernel",
            summary="support vector machine with the fidelity kernel of the circuit's embedding",
            fit=partial(fit, "quantum-kernel"),
            grid={"C": (0.1, 1.0, 10.0, 100.0)},
            fit_each=fit_quantum_kernel,
            quantum=True,
        ),
    ]
