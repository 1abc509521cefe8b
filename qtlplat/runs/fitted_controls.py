"""Controls that their own solvers fit to the training part of each cell; no epochs, no weights are stored."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from qtlplat.backbones.model import HeadFactory
from qtlplat.catalog.provider import Component
from qtlplat.contracts import Cell, Circuit
from qtlplat.control_specs import AnyControlSpec, Embedding, FittedControlSpec, Predictor
from qtlplat.errors import ConfigError, PluginError, safe_repr
from qtlplat.heads.lockstep import FittedCell
from qtlplat.plugin_modules import guarded_build
from qtlplat.seeding import derive_seed
from qtlplat.state.epochs import CellKey

FIX = "leave the control out, or choose another head"
TRIED = 12  # samples of each class that a control is tried on
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
        self, train: Floats, labels: npt.NDArray[np.int64], test: Floats, seed: int
    ) -> npt.NDArray[np.float64]:
        """Of the test samples (m, F), float64 (m, K), fitted to the training samples (n, F) with labels (n,).

        Raises ConfigError if the control cannot be fitted to them, PluginError if it breaks its contract.
        """

        def fit() -> Predictor:
            return self.spec.fit(
                features=train, labels=labels, n_classes=self.n_classes, seed=seed, embedding=self.embedding
            )

        predict = guarded_build(fit, self.provider, f"fitting control {self.name}")
        found = guarded_build(lambda: predict(test), self.provider, f"predicting with control {self.name}")
        shape = (len(test), self.n_classes)
        if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype != np.float64:
            what = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else safe_repr(found)
            raise self._fault(f"returned {what}, it must be float64 {shape}")
        if not np.isfinite(found).all() or found.min() < 0 or np.abs(found.sum(axis=1) - 1).max() > SUM:
            raise self._fault("returned no probabilities: each row must be at least 0 and have the sum 1")
        return found

    def _fault(self, what: str) -> PluginError:
        return PluginError(f"control {self.name} {what}", where=self.provider, fix="correct what its `fit` returns")


def fitted_controls(
    baselines: Mapping[str, Component[AnyControlSpec]],
    make_head: HeadFactory,
    labels: npt.NDArray[np.int64],
    cells: Sequence[Cell],
) -> list[FittedControl]:
    """The controls among `baselines` that are fitted, each tried on a few random samples.

    make_head: of the head; labels: (N,); cells: the one with the fewest training samples says how many of each class a
    control gets. Raises ConfigError if one does not fit the head or so few samples, PluginError if it breaks its
    contract.
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
            except ConfigError as error:
                raise ConfigError(
                    f"control {name} does not fit the run: {error.what}", where="--controls", fix=error.fix or FIX
                ) from error
            found.append(control)
    return found


def try_fitted(spec: FittedControlSpec, provider: str, in_features: int, n_classes: int) -> Floats:
    """The probabilities of a control for random samples, next to a circuit that turns three qubits by their inputs.

    Raises as `fitted_controls`.
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
    return _tried(control, in_features, np.arange(TRIED * n_classes) % n_classes)


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


def _tried(control: FittedControl, in_features: int, labels: npt.NDArray[np.int64]) -> Floats:
    few = np.concatenate([np.flatnonzero(labels == label)[:TRIED] for label in np.unique(labels)])
    features = np.random.default_rng(0).normal(size=(len(few) + 3, in_features))
    return control.probabilities(features[:-3], labels[few], features[-3:], 0)


def fit_cell(
    control: FittedControl, key: CellKey, features: Tensor, labels: npt.NDArray[np.int64], cell: Cell
) -> FittedCell:
    """Fit a control to a cell. features: (N, F); labels: (N,). Nothing of the cell's test samples is used for it."""
    started = time.perf_counter()
    known = features.detach().cpu().numpy().astype(np.float64)
    seed = derive_seed("fitted control", cell.seed, cell.fold) % 2**32
    found = control.probabilities(known[cell.train], labels[cell.train], known[cell.test], seed)
    return FittedCell(key, {}, found, time.perf_counter() - started)
