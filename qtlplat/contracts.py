"""What plugins return and what passes between the rooms; shapes, dtypes and units are stated here once.

Letters: B batch, N samples, C,H,W image, F features, K classes, Q qubits, L layers, D folds.
Angles in radians, times in seconds, `logits` unnormalised. Nothing heavy is imported here: torch appears
in annotations only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from qtlplat.conventions import ROLES as ROLES  # noqa: PLC0414 -- of the contracts, too
from qtlplat.conventions import Role as Role  # noqa: PLC0414
from qtlplat.errors import PluginError, Problem, safe_repr
from qtlplat.images import ImageSet as ImageSet  # noqa: PLC0414 -- a contract, too: found here by everybody
from qtlplat.images import array_text
from qtlplat.metrics import Metric as Metric  # noqa: PLC0414 -- a contract, too

if TYPE_CHECKING:
    from torch import nn

API_VERSION = 1  # a plugin declares `qtlplat_api_version = 1`; raised when a spec changes incompatibly

# Everything that a plugin may offer: the components that a run is made of, and recipes.
Kind = Literal["dataset", "backbone", "head", "evaluator", "recipe"]
KINDS: tuple[Kind, ...] = (*ROLES, "recipe")


class Options(BaseModel):
    """Base of every component's options: unknown keys are errors, values never change.

    Give each field a default, a description, its unit and bounds: `--help`, `info` and the reference are made
    of them. A field that says *where* something lies rather than *what* it is (a path) is declared with
    ``json_schema_extra={"location": True}``: it is stored, but left out of a run's fingerprint. With
    ``"variable": NAME`` messages also name the environment variable that its default is read from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class NoOptions(Options):
    """For a component that has nothing to choose."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One training of a head: what it learns from and what it is tested on.

    fold: number of the fold, from 0; seed: of everything random in this cell;
    train, test: int64 (n,) indices into the dataset, disjoint, each index at most once.
    backbone: indices of the only samples that this cell's backbone may see, which is pretrained on them; None: the
    backbone that all such cells of the run share, pretrained on `Samples.split`.
    """

    fold: int
    seed: int
    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    backbone: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Split:
    """How a pretraining divides its samples: what trains, what chooses (may be empty), what tests.

    Indices into the dataset, int64 (n,), disjoint, sorted.
    """

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]

    @property
    def seen(self) -> npt.NDArray[np.int64]:
        """What shaped the weights: the samples that trained, and those that chose among epochs; sorted."""
        return np.sort(np.concatenate([self.train, self.validation]))


@dataclass(frozen=True, eq=False)
class Samples:
    """What an evaluator makes cells from.

    labels: int64 (N,); groups: N names, samples of one source (and duplicates of them) share one; seeds: every fold is
    wanted once for each; split: of the backbone that cells share, unless they ask for one of their own.
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

    features: images float (B, C, H, W) -> (B, F), flat.
    dense: blocks in order, each (B, F_i) -> (B, F_{i+1}); the last one yields logits (B, K). A block holds one
        dense layer and whatever belongs to it (activation, dropout).
    """

    features: nn.Module
    dense: tuple[nn.Module, ...]


@dataclass(frozen=True)
class Circuit:
    """What a quantum head declares; something else runs it.

    Parameters
    ----------
    function: an ordinary PennyLane quantum function ``function(inputs, wires=..., **weights)`` that returns a
        *list* of measurements (expectation values, probabilities, variances). It is one of a single sample: `inputs`
        has shape (n_inputs,), or (1, n_inputs) if the function cannot do with that (`inputs[:, i]`), float64, radians
        where it feeds rotations; the weights come by the names of `weight_shapes`.
    qubits: Q, the wires are 0 .. Q-1.
    weight_shapes: shape of each trainable weight, by the name of its argument.
    n_inputs, n_outputs: numbers that go in and come out, per sample.
    initial_range: weights start uniform in [low, high); PennyLane's TorchLayer uses [0, 2 pi).
    """

    function: Callable[..., Any]
    qubits: int
    weight_shapes: Mapping[str, tuple[int, ...]]
    n_inputs: int
    n_outputs: int
    initial_range: tuple[float, float] = (0.0, 6.283185307179586)


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset that a plugin offers.

    name: as typed by users, ``[a-z0-9][a-z0-9_-]*``; summary: one line.
    load: options -> ImageSet; raises DataError with every problem found; never writes where the data lies.
    check: options -> every problem found, warnings and errors alike; may take as long as a full read does.
        Left out, `load` is tried instead.
    is_available: options -> whether `load` can work here and now (a cheap look: does the path exist?). Used to
        choose a default dataset.
    files: (options, sources) -> where the files of sources (groups) lie, as text for people, by source; what it does
        not know is left out. A cheap look that decodes nothing. Left out, nobody is told.
    title: what messages call it; the name, if left out. notice: a sentence shown when it is used because no dataset
        before it in the registry's default list was found.
    """

    name: str
    summary: str
    load: Callable[[Any], ImageSet]
    options: type[Options] = NoOptions
    check: Callable[[Any], Sequence[Problem]] | None = None
    is_available: Callable[[Any], bool] = lambda _options: True
    files: Callable[[Any, Sequence[str]], Mapping[str, str]] | None = None
    title: str = ""
    notice: str = ""
    kind: Literal["dataset"] = field(default="dataset", init=False)


@dataclass(frozen=True)
class BackboneSpec:
    """A network family that a plugin offers.

    build: (options, input_shape=(C, H, W), n_classes=K) -> Backbone, freshly initialised from torch's global
        generator, which the caller has seeded. Raises ConfigError where the shapes do not fit.
    """

    name: str
    summary: str
    build: Callable[[Any, tuple[int, int, int], int], Backbone]
    options: type[Options] = NoOptions
    kind: Literal["backbone"] = field(default="backbone", init=False)


@dataclass(frozen=True)
class HeadSpec:
    """A head that a plugin offers; a quantum head also names its circuit.

    build: (options, in_features=F, n_classes=K, circuit) -> module (B, F) -> logits (B, K). `circuit` is None for a
        classical head; for a quantum head it is a module (B, n_inputs) -> (B, n_outputs) that runs what `circuit`
        declared and owns its weights. Name the children `pre_net` and `post_net`: the parameter counts use these names.
    circuit: options -> Circuit, for quantum heads only; cheap enough to be called for `info`.
    """

    name: str
    summary: str
    build: Callable[[Any, int, int, nn.Module | None], nn.Module]
    options: type[Options] = NoOptions
    circuit: Callable[[Any], Circuit] | None = None
    kind: Literal["head"] = field(default="head", init=False)


@dataclass(frozen=True)
class EvaluatorSpec:
    """A protocol that a plugin offers.

    cells: (options, Samples) -> the cells of a run, fold by fold for each seed; deterministic in its arguments.
    metrics: (labels int64 (n,), probabilities float64 (n, K)) -> values by name, computed per cell beside the
        accuracy, F1, precision and recall that every run has.
    metric_info: for each of these metrics, whether more or less of it is better, and its bounds; stored with the run.
        One that is left out cannot be judged: `best`, `front` and `compare` ask for its direction.
    """

    name: str
    summary: str
    cells: Callable[[Any, Samples], Sequence[Cell]]
    options: type[Options] = NoOptions
    metrics: Callable[[npt.NDArray[np.int64], npt.NDArray[np.float64]], Mapping[str, float]] | None = None
    metric_info: Sequence[Metric] = ()
    kind: Literal["evaluator"] = field(default="evaluator", init=False)


def check_circuit(circuit: Circuit, provider: str) -> None:
    """Refuse a circuit whose declaration cannot be meant; its function is not called.

    Raises PluginError naming `provider`, for the first field that is wrong.
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
            fix = f"mend {rule.partition(' ')[0]} where the circuit is declared"
            raise PluginError(f"the circuit's {rule}, is {safe_repr(value)}", where=provider, fix=fix)


def _counts(number: object) -> bool:
    return type(number) is int and number >= 1


def check_cells(cells: Sequence[Cell], n: int, provider: str) -> None:
    """Refuse cells that no honest training can use.

    Raises
    ------
    PluginError: naming `provider`, where something is no cell, fold or seed no whole number, an index out of range or
        repeated, a part empty, train and test overlap, or a (fold, seed) pair stands twice.
    """

    def refuse(cell: Cell, what: str) -> None:
        raise PluginError(
            f"evaluator returned a bad cell: {what}",
            where=f"{provider}, fold {safe_repr(cell.fold)}, seed {safe_repr(cell.seed)}",
            fix="check a plugin with qtlplat.testing.check_evaluator",
        )

    if not cells:
        raise PluginError("evaluator returned no cells", where=provider, fix="return at least one Cell for each seed")
    seen: set[tuple[int, int]] = set()
    for cell in cells:
        if not isinstance(cell, Cell):
            raise PluginError(
                f"evaluator returned a bad cell: {safe_repr(cell)}", where=provider, fix="return a list of qtlplat.Cell"
            )
        for name, number in (("fold", cell.fold), ("seed", cell.seed)):
            # NumPy's integers would seed other random numbers, and no database takes them
            if type(number) is not int or not 0 <= number < 2**63:
                refuse(cell, f"{name} must be an int in [0, 2^63), is {safe_repr(number)}")
        if (cell.fold, cell.seed) in seen:
            refuse(cell, "the pair (fold, seed) stands twice")
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
