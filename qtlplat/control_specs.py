"""What plugins return from the hook for controls: baselines trained by epochs, and those that a solver fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from qtlplat.contracts import NoOptions, Options

if TYPE_CHECKING:
    from torch import nn


class ControlBuilder(Protocol):
    """Builds a control. All arguments are passed by name."""

    def __call__(self, *, in_features: int, n_classes: int, trainable: int) -> nn.Module:
        """A fresh module, float32 (B, F) -> logits float32 (B, K), initialised from torch's global generator.

        Args:
            in_features: F, numbers per sample.
            n_classes: K, the length of the logits.
            trainable: Number of trainable parameters of the head that the control is compared with.

        Raises:
            ConfigError: The control does not fit such a head.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ControlSpec:
    """A baseline for any head, trained on the same cells with the same batches: `qtlplat run --controls NAME`.

    Ablations that change the head itself (`identity`, `unentangled`, `frozen`, `shuffled`) are part of qtlplat.

    Attributes:
        name: As typed by users.
        summary: One line.
        build: Builds it, see `ControlBuilder`.
    """

    name: str
    summary: str
    build: ControlBuilder
    options: type[Options] = field(default=NoOptions, init=False)
    kind: Literal["control"] = field(default="control", init=False)


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """How a quantum head's circuit encodes its inputs: its gates before the first one that depends on a trained weight.

    Attributes:
        n_inputs: Numbers that the circuit takes per sample.
        states: float64 (n, n_inputs) -> complex128 (n, 2**Q), the states after these gates, without noise and shots;
            amplitudes by basis state, wire 0 being the most significant bit.
    """

    n_inputs: int
    states: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.complex128]]


class Predictor(Protocol):
    """A fitted control."""

    def __call__(self, features: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """Features float64 (m, F) -> probabilities float64 (m, K); each row has the sum 1."""
        ...


class ControlFitter(Protocol):
    """Fits a control to the training part of a cell. All arguments are passed by name."""

    def __call__(
        self,
        *,
        features: npt.NDArray[np.float64],
        labels: npt.NDArray[np.int64],
        n_classes: int,
        seed: int,
        embedding: Embedding | None,
    ) -> Predictor:
        """Fit, and return what predicts: features float64 (m, F) -> probabilities float64 (m, K), rows of sum 1.

        Args:
            features: (n, F), of the training samples alone, as the frozen backbone has them: not standardized.
            labels: (n,), each in [0, K).
            n_classes: K; a class may have no training sample.
            seed: Of everything random, in [0, 2**32); another one for each cell.
            embedding: Of the head's circuit; None unless the spec has `quantum`.

        Raises:
            ConfigError: The control cannot be fitted to such samples.
        """
        ...


Setting = bool | int | float | str
Candidate = Mapping[str, Setting]


class CandidateFitter(Protocol):
    """Fits a control with several candidates of its grid, which may share work. All arguments are passed by name."""

    def __call__(
        self,
        *,
        features: npt.NDArray[np.float64],
        labels: npt.NDArray[np.int64],
        n_classes: int,
        seed: int,
        embedding: Embedding | None,
        candidates: Sequence[Candidate],
    ) -> Sequence[Predictor]:
        """One predictor for each candidate, in their order; the same as if it were fitted alone.

        Args:
            features: As of `ControlFitter`, and so are the others but the last.
            labels: (n,).
            n_classes: K.
            seed: The same for all candidates.
            embedding: None unless the spec has `quantum`.
            candidates: Values of the grid by name, one or more.

        Raises:
            ConfigError: The control cannot be fitted to such samples.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class FittedControlSpec:
    """A baseline that its own solver fits to the features of each cell's training part, without epochs.

    Offered by the hook `qtlplat_controls` too, and chosen in the same way: `qtlplat run --controls NAME`.

    With `run --tune` it is fitted with each candidate of its `grid` on inner folds of the training part, the same as
    for the head. The one with the lowest mean log-loss is then fitted to the whole training part.

    Attributes:
        name: As typed by users.
        summary: One line.
        fit: Fits it, see `ControlFitter`.
        parameters: (F, K) -> number of fitted coefficients, None if it depends on the samples.
        quantum: Whether `fit` needs the embedding of the head's circuit; such a control fits quantum heads only.
        grid: Values to try, by the name of the keyword argument of `fit` that they are given to; `fit` has defaults for
            these. A candidate is a combination of them. Empty: nothing is tuned.
        fit_each: Fits several candidates, see `CandidateFitter`; None: `fit` is called with one after the other.
    """

    name: str
    summary: str
    fit: ControlFitter
    parameters: Callable[[int, int], int | None] = lambda _in_features, _n_classes: None
    quantum: bool = False
    grid: Mapping[str, Sequence[Setting]] = field(default_factory=dict)
    fit_each: CandidateFitter | None = None
    options: type[Options] = field(default=NoOptions, init=False)
    kind: Literal["control"] = field(default="control", init=False)

    @property
    def candidates(self) -> list[dict[str, Setting]]:
        """All combinations of the grid's values, the last name's values following each other; none of an empty grid."""
        if not self.grid:
            return []
        return [dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())]


AnyControlSpec = ControlSpec | FittedControlSpec
