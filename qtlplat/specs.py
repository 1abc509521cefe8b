"""What plugins return from hooks: a frozen, keyword-only spec for each component. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from qtlplat.contracts import Backbone, Cell, Circuit, NoOptions, Options, Samples
from qtlplat.errors import Problem
from qtlplat.images import ImageSet
from qtlplat.metrics import Metric

if TYPE_CHECKING:
    from pathlib import Path

    import click
    from torch import nn

    from qtlplat.catalog.catalog import Catalog
    from qtlplat.store.read.queries import Reader


class BackboneBuilder(Protocol):
    """Builds a backbone. Called with `input_shape` and `n_classes` by name."""

    def __call__(self, options: Any, /, *, input_shape: tuple[int, int, int], n_classes: int) -> Backbone:
        """A fresh backbone, initialised from torch's global generator, which the caller has seeded.

        Args:
            options: The validated options of the component.
            input_shape: (C, H, W) of an image.
            n_classes: K, the length of the logits.

        Raises:
            ConfigError: The shapes do not fit the network.
        """
        ...


class HeadBuilder(Protocol):
    """Builds a classical head. Called with `in_features` and `n_classes` by name."""

    def __call__(self, options: Any, /, *, in_features: int, n_classes: int) -> nn.Module:
        """A fresh module, float32 (B, F) -> logits float32 (B, K), initialised from torch's global generator.

        Args:
            options: The validated options of the component.
            in_features: F, numbers per sample.
            n_classes: K, the length of the logits.
        """
        ...


class QuantumHeadBuilder(Protocol):
    """Builds a head around a circuit. Called with `in_features`, `n_classes` and `circuit` by name."""

    def __call__(self, options: Any, /, *, in_features: int, n_classes: int, circuit: nn.Module) -> nn.Module:
        """A fresh module, float32 (B, F) -> logits float32 (B, K), initialised from torch's global generator.

        Args:
            options: The validated options of the component.
            in_features: F, numbers per sample.
            n_classes: K, the length of the logits.
            circuit: Runs what the spec's `circuit` declared and owns its weights: (B, n_inputs) -> (B, n_outputs).
        """
        ...


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A dataset that a plugin offers.

    Attributes:
        name: As typed by users, ``[a-z0-9][a-z0-9_-]*``, at most 64 characters.
        summary: One line.
        load: options -> ImageSet. Raises DataError with every problem found; never writes to the place of the data.
        options: The class of its options.
        check: options -> every problem found, warnings and errors alike; may take as long as a full read. If None,
            `load` is tried instead.
        is_available: options -> whether `load` can work now (a quick look: does the path exist?). It chooses a default
            dataset.
        locate_files: (options, sources) -> paths of the files of sources (groups), as text for people, by source.
            Unknown sources are left out. A quick look that decodes nothing. If None, no paths are shown.
        reads: options -> the files and directories that `load` reads, none for computed images. If given, prepared
            images are kept next to the store and reused until options, code or these files change. If None, `load` is
            called for every run.
        title: The name in messages; `name` if empty.
        notice: A sentence that is shown if it is used because no earlier default dataset was found.
    """

    name: str
    summary: str
    load: Callable[[Any], ImageSet]
    options: type[Options] = NoOptions
    check: Callable[[Any], Sequence[Problem]] | None = None
    is_available: Callable[[Any], bool] = lambda _options: True
    locate_files: Callable[[Any, Sequence[str]], Mapping[str, str]] | None = None
    reads: Callable[[Any], Iterable[str | PathLike[str]]] | None = None
    title: str = ""
    notice: str = ""
    kind: Literal["dataset"] = field(default="dataset", init=False)


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """A network family that a plugin offers.

    Attributes:
        name: As typed by users.
        summary: One line.
        build: Builds it, see `BackboneBuilder`.
        options: The class of its options.
    """

    name: str
    summary: str
    build: BackboneBuilder
    options: type[Options] = NoOptions
    kind: Literal["backbone"] = field(default="backbone", init=False)


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A classical head that a plugin offers.

    Attributes:
        name: As typed by users.
        summary: One line.
        build: Builds it, see `HeadBuilder`. Name the children `pre_net` and `post_net`: the parameter counts use these
            names.
        options: The class of its options.
    """

    name: str
    summary: str
    build: HeadBuilder
    options: type[Options] = NoOptions
    kind: Literal["head"] = field(default="head", init=False)


@dataclass(frozen=True, kw_only=True)
class QuantumHeadSpec:
    """A head with a circuit that a plugin offers.

    Attributes:
        name: As typed by users.
        summary: One line.
        circuit: options -> Circuit, what the head declares; quick enough to be called for `info`.
        build: Builds the layers around the circuit, see `QuantumHeadBuilder`.
        options: The class of its options.
        self_contained: Whether the options and the code of the plugin's Python modules decide the circuit: no file,
            no variable of the environment, no clock. If so, the compiled circuit is kept next to the store and reused
            until options, code, libraries or the processor change. If not, it is compiled and compared with
            `default.qubit` for every run.
    """

    name: str
    summary: str
    circuit: Callable[[Any], Circuit]
    build: QuantumHeadBuilder
    options: type[Options] = NoOptions
    self_contained: bool = False
    kind: Literal["head"] = field(default="head", init=False)


AnyHeadSpec = HeadSpec | QuantumHeadSpec


@dataclass(frozen=True, kw_only=True)
class EvaluatorSpec:
    """A splitting scheme that a plugin offers: the cells of a run, and metrics of its own.

    Attributes:
        name: As typed by users.
        summary: One line.
        cells: (options, Samples) -> the cells of a run, fold by fold for each seed; deterministic in its arguments.
        options: The class of its options.
        metrics: (labels int64 (n,), probabilities float64 (n, K)) -> values by name, computed per cell in addition to
            those that every cell has (``qtlplat.metrics.SHIPPED``).
        metric_info: For each of these metrics, its direction and bounds; stored with the run. Commands that compare
            runs ask for the direction of a metric that is not declared.
    """

    name: str
    summary: str
    cells: Callable[[Any, Samples], Sequence[Cell]]
    options: type[Options] = NoOptions
    metrics: Callable[[npt.NDArray[np.int64], npt.NDArray[np.float64]], Mapping[str, float]] | None = None
    metric_info: Sequence[Metric] = ()
    kind: Literal["evaluator"] = field(default="evaluator", init=False)


@dataclass(frozen=True, kw_only=True)
class Export:
    """What `qtlplat export --to` asks of an exporter.

    Attributes:
        reader: Reads the store.
        catalog: The installed components, to open a stored model or its dataset again.
        runs: Full ids of the runs; exactly one for an exporter of single runs.
        output: The file or directory to write.
        options: The exporter's validated options.
        sets: ``dataset.option=value`` texts, for data that was moved since the run.
        save: Writes bytes, or copies a finished file, to `output`, whole or not at all; for exporters of files.
        note: Shows a line to the user.
    """

    reader: Reader
    catalog: Catalog
    runs: Sequence[str]
    output: Path
    options: Any
    sets: Sequence[str]
    save: Callable[[bytes | Path], None]
    note: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ExporterSpec:
    """A format in which `qtlplat export --to NAME` writes runs.

    Attributes:
        name: As typed by users.
        summary: One line.
        write: `Export` -> facts; writes the runs. Facts about a file are by name, and printed; of a
            directory they are where each run was written, by its id.
        target: 'file' if it writes one run's model into a file, 'archive' if it writes any number of runs into a file,
            'directory' if it writes any number of runs into a directory.
        options: The class of its options.
        require: Raises ConfigError if a package that it needs is missing; called before anything is read.
    """

    name: str
    summary: str
    write: Callable[[Export], Mapping[str, Any]]
    target: Literal["file", "archive", "directory"]
    options: type[Options] = NoOptions
    require: Callable[[], None] = lambda: None
    kind: Literal["exporter"] = field(default="exporter", init=False)


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """A command of the command line that a plugin offers.

    Its name is declared in the package's metadata too, as an entry point in group ``qtlplat.commands`` that names the
    plugin's module, or one of its package: `qtlplat --help` lists commands without importing any plugin.

    Attributes:
        name: As typed by users after `qtlplat`. A command of qtlplat wins over one of another distribution; if several
            others offer a name, it is refused until all but one are disabled.
        summary: One line, the first one of the command's help and of the docstring of the module that the entry point
            names.
        load: Imports and returns the command, a `click.Command`; called if it is invoked.
    """

    name: str
    summary: str
    load: Callable[[], click.Command]
    options: type[Options] = field(default=NoOptions, init=False)
    kind: Literal["command"] = field(default="command", init=False)


def build_head(
    spec: AnyHeadSpec, options: Any, in_features: int, n_classes: int, circuit: nn.Module | None
) -> nn.Module:
    """Build a head of either sort.

    Args:
        spec: Of a classical or a quantum head.
        options: Its validated options.
        in_features: F, numbers per sample.
        n_classes: K, the length of the logits.
        circuit: Runs the circuit of a quantum head; None for a classical one.
    """
    if isinstance(spec, HeadSpec):
        return spec.build(options, in_features=in_features, n_classes=n_classes)
    assert circuit is not None
    return spec.build(options, in_features=in_features, n_classes=n_classes, circuit=circuit)
