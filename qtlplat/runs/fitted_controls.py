"""Controls that their own solvers fit to the training part of each cell; no epochs, no weights are stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor

from qtlplat.analysis.metrics import classification_metrics
from qtlplat.backbones.model import HeadFactory
from qtlplat.catalog.provider import Component
from qtlplat.contracts import Cell, Circuit
from qtlplat.control_specs import AnyControlSpec, Candidate, Embedding, FittedControlSpec, Predictor
from qtlplat.errors import ConfigError, PluginError, safe_repr
from qtlplat.heads.lockstep import FittedCell
from qtlplat.plugin_modules import guarded_build
from qtlplat.seeding import derive_seed
from qtlplat.state.epochs import CellKey

FIX = "leave the control out, or choose another head"
TRIED = 12  # samples of each class that a control is tried on
SAME = 1e-9  # by how much probabilities that must be equal may differ
SUM = 1e-6  # by how much the probabilities of a sample may differ from 1 in sum

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FittedControl:
    """A control of a run that a solver fits. trainable: fitted coefficients, None if they depend on the samples."""

    name: str
    spec: FittedControlSpec
    provider: str
    n_classes: int
    trainable: int | None
    embedding: Embedding | None

    def probabilities(
        self,
        train: Floats,
        labels: npt.NDArray[np.int64],
        test: Floats,
        seed: int,
        candidates: Sequence[Candidate] = ({},),
    ) -> list[Floats]:
        """Of the test samples (m, F), float64 (m, K), fitted to the training samples (n, F) with labels (n,).

        An array for each of the candidates; an empty one stands for the control's own defaults. Raises ConfigError if
        the control cannot be fitted to these samples, PluginError if it breaks its contract.
        """
        given = {
            "features": train, "labels": labels, "n_classes": self.n_classes, "seed": seed, "embedding": self.embedding
        }  # fmt: skip
        fit_each = self.spec.fit_each if any(candidates) else None

        def fit() -> list[Predictor]:
            if fit_each is not None:
                return list(cast("Callable[..., Any]", fit_each)(**given, candidates=candidates))
            fit_one = cast("Callable[..., Predictor]", self.spec.fit)
            return [fit_one(**given, **candidate) for candidate in candidates]

        predictors = guarded_build(fit, self.provider, f"fitting control {self.name}")
        if len(predictors) != len(candidates):
            raise self._fault(f"returned {len(predictors)} predictors for {len(candidates)} candidates", "fit_each")
        return [self._predicted(predict, test) for predict in predictors]

    def _predicted(self, predict: Predictor, test: Floats) -> Floats:
        found = guarded_build(lambda: predict(test), self.provider, f"predicting with control {self.name}")
        shape = (len(test), self.n_classes)
        if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype != np.float64:
            what = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else safe_repr(found)
            raise self._fault(f"returned {what}, it must be float64 {shape}")
        if not np.isfinite(found).all() or found.min() < 0 or np.abs(found.sum(axis=1) - 1).max() > SUM:
            raise self._fault("returned no probabilities: each row must be at least 0 and have the sum 1")
        return found

    def _fault(self, what: str, of: str = "fit") -> PluginError:
        return PluginError(f"control {self.name} {what}", where=self.provider, fix=f"correct what its `{of}` returns")


def fitted_controls(
    baselines: Mapping[str, Component[AnyControlSpec]],
    make_head: HeadFactory,
    labels: npt.NDArray[np.int64],
    cells: Sequence[Cell],
    *,
    tuned: bool = False,
) -> list[FittedControl]:
    """The controls among `baselines` that are fitted, each tried on a few random samples.

    make_head: of the head; labels: (N,); cells: the one with the fewest training samples says how many of each class a
    control gets; tuned: whether the candidates of its grid are tried as well. Raises ConfigError if one does not fit
    the head or so few samples, PluginError if it breaks its contract.
    """
    fewest = labels[min((cell.train for cell in cells), key=len)]
    found = []
    for name, component in sorted(baselines.items()):  # as the plan has them, in whatever order they were typed
        spec, provider = component.spec, component.provider.distribution
        if isinstance(spec, FittedControlSpec):
            try:
                embedding = _embedding(make_head) if spec.quantum else None
                control = _counted(spec, provider, make_head.in_features, make_head.n_classes, embedding)
                _tried(control, make_head.in_features, fewest)
                if tuned and spec.grid:
                    _tried(control, make_head.in_features, fewest, spec.candidates)
            except ConfigError as error:
                raise ConfigError(
                    f"control {name} does not fit the run: {error.what}", where="--controls", fix=error.fix or FIX
                ) from error
            found.append(control)
    return found


def try_fitted(
    spec: FittedControlSpec,
    provider: str,
    in_features: int,
    n_classes: int,
    candidates: Sequence[Candidate] = ({},),
) -> list[Floats]:
    """The probabilities of a control for random samples, next to a circuit that turns three qubits by their inputs.

    An array for each of the candidates. Raises as `fitted_controls`.
    """
    import pennylane as qml

    from qtlplat.quantum.circuits.embedding import embedding_of

    def function(inputs: Any, wires: Sequence[int], weights: Any) -> list[Any]:
        qml.AngleEmbedding(inputs, wires=wires, rotation="Y")
        qml.BasicEntanglerLayers(weights, wires=wires)
        return [qml.expval(qml.PauliZ(wire)) for wire in wires]

    circuit = Circuit(function, 3, {"weights": (1, 3)}, n_inputs=3, n_outputs=3)
    embedding = embedding_of(circuit) if spec.quantum else None
    control = _counted(spec, provider, in_features, n_classes, embedding)
    return _tried(control, in_features, np.arange(TRIED * n_classes) % n_classes, candidates)


def fitted_problem(spec: FittedControlSpec, provider: str, in_features: int, n_classes: int) -> str:
    """What is wrong with a control's probabilities for random samples; '' if nothing is.

    They must be the same bits with the same seed, and those of a candidate of its grid the same alone as among all.
    Raises as `fitted_controls`.
    """
    (one,), (again,) = (try_fitted(spec, provider, in_features, n_classes) for _ in range(2))
    if (one != again).any():
        return f"{spec.name} predicts other probabilities with the same seed"
    together = try_fitted(spec, provider, in_features, n_classes, spec.candidates) if spec.grid else []
    for candidate, found in zip(spec.candidates, together, strict=True):
        (alone,) = try_fitted(spec, provider, in_features, n_classes, [candidate])
        if np.abs(alone - found).max() > SAME:
            return f"{spec.name} predicts other probabilities of {candidate} alone than among all candidates"
    return ""


def _embedding(make_head: HeadFactory) -> Embedding:
    if make_head.engine is None:
        raise ConfigError(f"the head {make_head.spec.name} has no circuit", fix=FIX)
    from qtlplat.quantum.circuits.embedding import embedding_of

    circuit = make_head.engine.circuit
    return guarded_build(lambda: embedding_of(circuit), make_head.provider, "running the circuit's embedding")


def _counted(
    spec: FittedControlSpec, provider: str, in_features: int, n_classes: int, embedding: Embedding | None
) -> FittedControl:
    """A control with the number of its coefficients."""
    count = guarded_build(lambda: spec.parameters(in_features, n_classes), provider, f"counting {spec.name}")
    if count is not None and (type(count) is not int or count < 0):
        what = f"parameters of {spec.name} must be a number of at least 0 or None, is {safe_repr(count)}"
        raise PluginError(what, where=provider, fix="return an int or None")
    return FittedControl(spec.name, spec, provider, n_classes, count, embedding)


def _tried(
    control: FittedControl, in_features: int, labels: npt.NDArray[np.int64], candidates: Sequence[Candidate] = ({},)
) -> list[Floats]:
    few = np.concatenate([np.flatnonzero(labels == label)[:TRIED] for label in np.unique(labels)])
    features = np.random.default_rng(0).normal(size=(len(few) + 3, in_features))
    return control.probabilities(features[:-3], labels[few], features[-3:], 0, candidates)


def fit_cell(
    control: FittedControl,
    key: CellKey,
    features: Tensor,
    labels: npt.NDArray[np.int64],
    cell: Cell,
    options: Candidate | None = None,
) -> FittedCell:
    """Fit a control to a cell. features: (N, F); labels: (N,). Nothing of the cell's test samples is used for it.

    options: of the control; None for its own defaults.
    """
    started = time.perf_counter()
    known = _numbers(features)
    (found,) = control.probabilities(
        known[cell.train], labels[cell.train], known[cell.test], _seed(cell), (options or {},)
    )
    return FittedCell(key, {}, found, time.perf_counter() - started)


def inner_losses(
    control: FittedControl,
    features: Tensor,
    labels: npt.NDArray[np.int64],
    cell: Cell,
    inner: Sequence[Cell],
) -> list[float]:
    """Mean log-loss over inner folds of a cell, in nats, of each candidate of the control's grid.

    Args:
        control: With a grid. Its seed is that of the cell, on every inner fold.
        features: (N, F).
        labels: (N,).
        cell: Whose training part the folds divide.
        inner: The folds.
    """
    known, candidates = _numbers(features), control.spec.candidates
    losses = []
    for one in inner:
        found = control.probabilities(known[one.train], labels[one.train], known[one.test], _seed(cell), candidates)
        losses.append([classification_metrics(labels[one.test], probabilities)["loss"] for probabilities in found])
    return [float(loss) for loss in np.mean(losses, axis=0)]


def _numbers(features: Tensor) -> Floats:
    return features.detach().cpu().numpy().astype(np.float64)


def _seed(cell: Cell) -> int:
    return derive_seed("fitted control", cell.seed, cell.fold) % 2**32
