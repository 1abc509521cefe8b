"""What passes between plugins and the rooms; shapes, dtypes and units are stated here once.

Letters: B batch, N samples, C,H,W image, F features, K classes, Q qubits, L layers, D folds.
Angles in radians, times in seconds, `logits` unnormalised. Nothing heavy is imported here: torch appears
in annotations only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from qtlplat.conventions import (
    ROLES as ROLES,  # noqa: PLC0414 -- of the contracts, too
    Role as Role,  # noqa: PLC0414
)
from qtlplat.errors import PluginError, safe_repr
from qtlplat.images import (
    ImageSet as ImageSet,  # noqa: PLC0414 -- a contract, too: found here by everybody
    array_text,
)
from qtlplat.metrics import Metric as Metric  # noqa: PLC0414 -- a contract, too

if TYPE_CHECKING:
    from torch import nn

API_VERSION = (1, 0)  # (major, minor); the policy is in docs/reference/hooks.md

# Everything that a plugin may offer: the components that a run is made of, and what is done with runs.
Kind = Literal["dataset", "backbone", "head", "evaluator", "control", "recipe", "exporter", "command"]
KINDS: tuple[Kind, ...] = (*ROLES, "control", "recipe", "exporter", "command")


class Options(BaseModel):
    """Base of every component's options: unknown keys are errors, values never change, numbers are finite.

    Give each field a default, a description, its unit and bounds: `--help`, `info` and the reference are made
    of them. A field that says *where* something lies rather than *what* it is (a path) is declared with
    ``json_schema_extra={"location": True}``: it is stored, but left out of a run's fingerprint. With
    ``"variable": NAME`` messages also name the environment variable that its default is read from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class NoOptions(Options):
    """For a component that has nothing to choose."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One training of a head: its training samples and its test samples.

    Attributes:
        fold: Number of the fold, from 0.
        seed: Of everything random in this cell.
        train: int64 (n,), indices into the dataset, each at most once.
        test: int64 (m,), likewise, disjoint from `train`.
        backbone: int64 (k,), the only samples that this cell's backbone may see: it is pretrained on them. None: the
            backbone that all such cells of the run share, pretrained on `Samples.split`.
        share: Of an evaluator's training samples, those that `train` holds; qtlplat makes cells with less than all.
    """

    fold: int
    seed: int
    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    backbone: npt.NDArray[np.int64] | None = None
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class Split:
    """How a pretraining divides its samples; indices into the dataset, int64 (n,), disjoint, sorted.

    Attributes:
        train: The training samples.
        validation: The samples that choose among epochs; may be empty.
        test: The test samples.
    """

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]

    @property
    def seen(self) -> npt.NDArray[np.int64]:
        """The samples that shaped the weights: those of training and validation, int64 (n,), sorted."""
        return np.sort(np.concatenate([self.train, self.validation]))


@dataclass(frozen=True, eq=False)
class Samples:
    """What an evaluator makes cells from; of a run with several independent backbones, once for each of them.

    Attributes:
        labels: int64 (N,), the class of each sample.
        groups: N names; samples of one source, and duplicates of them, share one.
        seeds: Every fold is wanted once for each.
        split: Of the backbone that cells share, unless they ask for one of their own.
    """

    labels: npt.NDArray[np.int64]
    groups: Sequence[str]
    seeds: Sequence[int]
    split: Split

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Backbone:
    """A network in two parts, to be cut between any two of its dense blocks.

    Attributes:
        features: Images (B, C, H, W) -> (B, F), flat, in the dtype of the images: float32, or float64 in pretraining.
        dense: Blocks in order, each (B, F_i) -> (B, F_{i+1}); the last one yields logits (B, K). A block holds one
            dense layer and whatever belongs to it (activation, dropout).
    """

    features: nn.Module
    dense: tuple[nn.Module, ...]


@dataclass(frozen=True)
class Circuit:
    """What a quantum head declares; something else runs it.

    Attributes:
        function: An ordinary PennyLane quantum function ``function(inputs, wires=..., **weights)`` that returns a
            *list* of measurements (expectation values, probabilities, variances). It is one of a single sample:
            `inputs` has shape (n_inputs,), or (1, n_inputs) if the function cannot do with that (`inputs[:, i]`),
            float64, radians if it feeds rotations; the weights come by the names of `weight_shapes`.
        qubits: Q, the wires are 0 .. Q-1.
        weight_shapes: Shape of each trainable weight, by the name of its argument.
        n_inputs: Number of inputs per sample.
        n_outputs: Number of outputs per sample.
        initial_range: Weights start uniform in [low, high), radians; PennyLane's TorchLayer uses [0, 2 pi).
    """

    function: Callable[..., Any]
    qubits: int
    weight_shapes: Mapping[str, tuple[int, ...]]
    n_inputs: int
    n_outputs: int
    initial_range: tuple[float, float] = (0.0, 6.283185307179586)


def check_circuit(circuit: Circuit, provider: str) -> None:
    """Refuse a circuit whose declaration cannot be meant; its function is not called.

    Args:
        circuit: What a head declared.
        provider: Whom the error names.

    Raises:
        PluginError: The first field that is wrong.
    """
    low_high = circuit.initial_range
    sound = {
        "function must be callable": callable(circuit.function),
        "qubits must be a whole number from 1": _counts(circuit.qubits),
        "n_inputs must be a whole number from 1": _counts(circuit.n_inputs),
        "n_outputs must be a whole number from 1": _counts(circuit.n_outputs),
        "weight_shapes must be shapes by name": isinstance(circuit.weight_shapes, Mapping)
        and all(isinstance(name, str) and name.isidentifier() for name in circuit.weight_shapes)
        and all(isinstance(s, tuple | list) and all(map(_counts, s)) for s in circuit.weight_shapes.values()),
        "initial_range must be two finite numbers": isinstance(low_high, tuple | list)
        and len(low_high) == 2
        and all(isinstance(x, int | float) and np.isfinite(x) for x in low_high),
    }
    for rule, holds in sound.items():
        if not holds:
            value = getattr(circuit, rule.partition(" ")[0])
            fix = f"correct {rule.partition(' ')[0]} where the circuit is declared"
            raise PluginError(f"the circuit's {rule}, is {safe_repr(value)}", where=provider, fix=fix)


def _counts(number: object) -> bool:
    return type(number) is int and number >= 1


def check_cells(cells: Sequence[Cell], n: int, provider: str) -> None:
    """Refuse cells that no honest training can use.

    Args:
        cells: What an evaluator returned.
        n: N, the number of samples.
        provider: Whom the error names.

    Raises:
        PluginError: Fold or seed is no whole number, an index is out of range or repeated, a part
            is empty, train and test overlap, or a (fold, seed) pair is repeated.
    """

    def refuse(cell: Cell, what: str) -> None:
        raise PluginError(
            f"evaluator returned a bad cell: {what}",
            where=f"{provider}, fold {safe_repr(cell.fold)}, seed {safe_repr(cell.seed)}",
            fix="test the plugin with qtlplat.testing.EvaluatorConformance",
        )

    if not cells:
        raise PluginError("evaluator returned no cells", where=provider, fix="return at least one Cell for each seed")
    seen: set[tuple[int, int]] = set()
    for cell in cells:
        for name, number in (("fold", cell.fold), ("seed", cell.seed)):
            # NumPy's integers would seed other random numbers, and no database takes them
            if type(number) is not int or not 0 <= number < 2**63:
                refuse(cell, f"{name} must be an int in [0, 2^63), is {safe_repr(number)}")
        if (cell.fold, cell.seed) in seen:
            refuse(cell, f"duplicate (fold, seed) pair ({cell.fold}, {cell.seed})")
        seen.add((cell.fold, cell.seed))
        parts = {"train": cell.train, "test": cell.test}
        for name, part in (parts if cell.backbone is None else {**parts, "backbone": cell.backbone}).items():
            if not isinstance(part, np.ndarray) or part.dtype != np.int64 or part.ndim != 1:
                refuse(cell, f"{name} must be int64 (n,), is {array_text(part)}")
            if part.size == 0:
                refuse(cell, f"{name} is empty")
            if part.min() < 0 or part.max() >= n:
                refuse(cell, f"{name} has indices outside [0, {n})")
            if len(np.unique(part)) != len(part):
                refuse(cell, f"{name} repeats an index")
        if np.intersect1d(cell.train, cell.test).size:
            refuse(cell, "train and test overlap")
