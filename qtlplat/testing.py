"""Conformance tests for plugin authors: subclass one in your tests, and pytest says what to correct.

``class TestRing(HeadConformance): spec = RING``. The checks are those that `qtlplat run` makes before training, and
some that are worth their time in a test only. The built-in components pass them. Tests import torch if they need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from qtlplat.catalog import plugin_calls
from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.host import load_plugins, offered_specs
from qtlplat.catalog.recipes import RecipeSelection, chosen_work
from qtlplat.catalog.registry import load_registry, shipped_registry
from qtlplat.catalog.verify import spec_problem
from qtlplat.contracts import Kind, Options, Samples, Split
from qtlplat.control_specs import AnyControlSpec, FittedControlSpec
from qtlplat.hookspecs import Spec
from qtlplat.recipes import RecipeSpec
from qtlplat.specs import AnyHeadSpec, BackboneSpec, CommandSpec, DatasetSpec, EvaluatorSpec, ExporterSpec, build_head

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "BackboneConformance",
    "CommandConformance",
    "ControlConformance",
    "DatasetConformance",
    "EvaluatorConformance",
    "ExporterConformance",
    "HeadConformance",
    "PluginConformance",
    "RecipeConformance",
]


class _Conformance:
    """What every component promises: a sound spec, and options that explain themselves.

    spec: under test; options: to test with, by default ``spec.options()``.
    """

    spec: ClassVar[Any]
    options: ClassVar[Options | None] = None

    def test_spec(self) -> None:
        """The spec is one that qtlplat accepts; every option has a description and a default."""
        problem = spec_problem(self.spec, self.spec.kind)
        _require(not problem, f"bad {self.spec.kind}: {problem}")
        for name, field in self.spec.options.model_fields.items():
            _require(bool(field.description), f"{self.spec.name}: option {name} needs a description, with its unit")
            _require(not field.is_required(), f"{self.spec.name}: option {name} needs a default")

    def _options(self) -> Any:
        self.test_spec()  # options of a class that is wrong cannot be made
        return self.spec.options() if self.options is None else self.options


class DatasetConformance(_Conformance):
    """A dataset loads, twice the same. If its data is not available, only its spec is tested.

    Attributes:
        spec: A `DatasetSpec`.
        options: To test with, by default ``spec.options()``; they must point to data that is available.
    """

    spec: ClassVar[DatasetSpec]

    def test_load(self) -> None:
        """Two reads give one dataset; `check` finds no problem in it, and `locate_files` returns text."""
        spec, options = self.spec, self._options()
        if not spec.is_available(options):
            import pytest

            pytest.skip(f"the data of {spec.name} is not available; set `options` to those that point to it")
        problems, first = plugin_calls.checked_dataset(spec, options, spec.name)
        _require(first is not None, f"{spec.name}: {'; '.join(map(str, problems))}")
        assert first is not None
        second = plugin_calls.load_images(spec, options, spec.name)
        _require(first.digest == second.digest, f"{spec.name}: load gave two different datasets for the same options")
        plugin_calls.source_files(spec, options, spec.name, sorted(set(first.groups)))


class BackboneConformance(_Conformance):
    """A backbone's parts fit together, can be cut anywhere, are trained, and are the same under the same seed.

    Attributes:
        spec: A `BackboneSpec`.
        options: To test with, by default ``spec.options()``.
        input_shape: (C, H, W) of the images to try.
        n_classes: Numbers of classes to try.
    """

    spec: ClassVar[BackboneSpec]
    input_shape: ClassVar[tuple[int, int, int]] = (1, 200, 200)
    n_classes: ClassVar[Sequence[int]] = (2, 3)

    def test_trial(self) -> None:
        """What a run tries before it pretrains; and every dense block has a layer that is trained."""
        from qtlplat.runs.preflight import try_backbone

        for k in self.n_classes:
            build = partial(self.spec.build, self._options(), input_shape=self.input_shape, n_classes=k)
            backbone = try_backbone(build, self.input_shape, k, self.spec.name, precision="double")
            for i, block in enumerate(backbone.dense):
                what = f"{self.spec.name}: dense[{i}] has no parameters; put it into the block of the layer before it"
                _require(any(p.requires_grad for p in block.parameters()), what)


class HeadConformance(_Conformance):
    """A head's shapes, dtype, gradients, state and seeding, for several widths and batch sizes.

    Attributes:
        spec: A `HeadSpec` or `QuantumHeadSpec`.
        options: To test with, by default ``spec.options()``.
        in_features: Values of F to try.
        n_classes: Values of K to try.
    """

    spec: ClassVar[AnyHeadSpec]
    in_features: ClassVar[Sequence[int]] = (3, 16)
    n_classes: ClassVar[Sequence[int]] = (2, 5)

    def test_trial(self) -> None:
        """What a run tries before it trains."""
        from qtlplat.runs.preflight import try_head

        for f, k in self._sizes():
            try_head(self._maker(f, k), f, k, self.spec.name)

    def test_state(self) -> None:
        """A head that is given the state of another one computes the same: the state holds everything."""
        import torch

        for f, k in self._sizes():
            head, other = (_seeded(self._maker(f, k), seed).eval() for seed in (0, 1))
            other.load_state_dict(head.state_dict())
            features = _features(4, f)
            with torch.no_grad():
                same = torch.equal(head(features), other(features))
            what = "state_dict does not hold everything; register weights as parameters, constants as buffers"
            _require(same, f"{self.spec.name}: {what}")

    def test_samples(self) -> None:
        """In evaluation, the logits of a sample do not depend on the other samples of its batch."""
        import torch

        for f, k in self._sizes():
            head, features = _seeded(self._maker(f, k)).eval(), _features(4, f)
            with torch.no_grad():
                alone = torch.cat([head(row) for row in features.split(1)])
                same = torch.allclose(head(features), alone, atol=1e-5)
            what = "a sample's logits depend on the other samples of its batch, also in eval mode"
            _require(same, f"{self.spec.name}: {what}")

    def _sizes(self) -> list[tuple[int, int]]:
        return [(f, k) for f in self.in_features for k in self.n_classes]

    def _maker(self, f: int, k: int) -> partial[nn.Module]:
        from qtlplat.quantum.devices.engines import choose_engine

        options = self._options()
        circuit = plugin_calls.declared_circuit(self.spec, options, self.spec.name)
        engine = choose_engine(circuit) if circuit else None

        def make() -> nn.Module:
            return build_head(self.spec, options, f, k, engine.layer() if engine else None)

        return partial(make)


class EvaluatorConformance(_Conformance):
    """An evaluator's cells are valid and depend on nothing but its arguments; and its metrics are numbers.

    Attributes:
        spec: An `EvaluatorSpec`.
        options: To test with, by default ``spec.options()``.
        n: Samples to try.
        n_groups: Groups that they belong to.
        classes: Classes that they belong to.
    """

    spec: ClassVar[EvaluatorSpec]
    n: ClassVar[int] = 120
    n_groups: ClassVar[int] = 40
    classes: ClassVar[int] = 2

    def test_cells(self) -> None:
        """What a run checks; every seed has cells, and the same arguments give the same cells."""
        samples, spec = self._samples(), self.spec
        cells = plugin_calls.evaluator_cells(spec, self._options(), samples, spec.name)
        found = sorted({cell.seed for cell in cells})
        _require(found == [3, 4], f"{spec.name}: cells must carry the seeds [3, 4], carry {found}")
        np.random.random()  # cells that depend on the global generator differ after this draw
        again = plugin_calls.evaluator_cells(spec, self._options(), samples, spec.name)
        same = [[(c.fold, c.seed, c.train.tobytes(), c.test.tobytes()) for c in part] for part in (cells, again)]
        what = "the same arguments gave different cells; draw from a generator made from the seed"
        _require(same[0] == same[1], f"{spec.name}: {what}")

    def test_metrics(self) -> None:
        """Its metrics are numbers by name, within the bounds that it declares."""
        from qtlplat.runs.preflight import try_metrics

        labels = np.arange(self.n, dtype=np.int64) % self.classes
        undeclared = try_metrics(self.spec, labels, self.classes, self.spec.name)
        _require(not undeclared, f"{'; '.join(undeclared)}; declare them in metric_info")

    def _samples(self) -> Samples:
        labels = np.arange(self.n, dtype=np.int64) % self.classes
        labels.setflags(write=False)
        groups = [f"group{i // self.classes % self.n_groups}" for i in range(self.n)]
        fifth = np.arange(self.n, dtype=np.int64) // (5 * self.classes) % 5 == 0  # whole groups, every class in them
        split = Split(np.flatnonzero(~fifth), np.zeros(0, dtype=np.int64), np.flatnonzero(fifth))
        return Samples(labels, groups, [3, 4], split)


class RecipeConformance(_Conformance):
    """A recipe is whole: its models resolve to plans, under every budget, and each claim can be judged.

    What it names (backbones, heads, evaluators, a protocol) is looked for among all installed plugins and the shipped
    registry.

    Attributes:
        spec: A `RecipeSpec`.
    """

    spec: ClassVar[RecipeSpec]

    def test_budgets(self) -> None:
        """Every budget trains something, and whatever it names exists."""
        registry, catalog = load_registry(str(shipped_registry())), Catalog(load_plugins())
        for budget in self.spec.budgets:
            work = chosen_work(self.spec, RecipeSelection(budget=budget.name), registry, catalog)
            _require(bool(work.models), f"{self.spec.name}: budget {budget.name} trains nothing")


class ControlConformance(_Conformance):
    """A control has the shapes, gradients and seeding of a head; a fitted one the same probabilities again."""

    spec: ClassVar[AnyControlSpec]

    def test_trial(self) -> None:
        """What a run tries before it trains; each candidate of a grid predicts the same alone as among all."""
        from qtlplat.runs.fitted_controls import fitted_problem
        from qtlplat.runs.preflight import try_head

        spec, name = self.spec, self.spec.name
        for f, k, trainable in ((3, 2, 10), (16, 5, 3000)):
            if isinstance(spec, FittedControlSpec):
                problem = fitted_problem(spec, name, f, k)
                _require(not problem, problem)
            else:
                try_head(partial(spec.build, in_features=f, n_classes=k, trainable=trainable), f, k, name)


class ExporterConformance(_Conformance):
    """An exporter's spec, an `ExporterSpec`, is sound. What it writes needs a store, and a test of your own."""

    spec: ClassVar[ExporterSpec]


class CommandConformance(_Conformance):
    """A command, a `CommandSpec`, can be imported, and its help begins with the spec's summary."""

    spec: ClassVar[CommandSpec]

    def test_help(self) -> None:
        """`load` returns a click command whose first line of help is the summary."""
        import click

        command = plugin_calls.guarded(self.spec.load, self.spec.name, f"loading command {self.spec.name}")
        _require(isinstance(command, click.Command), f"{self.spec.name}: load must return a click.Command")
        first = " ".join((command.help or "").strip().split("\n\n")[0].split())
        _require(first == self.spec.summary, f"{self.spec.name}: summary and the command's help differ: {first}")


class PluginConformance:
    """A plugin module is accepted, and everything that it offers passes its tests with default options.

    Attributes:
        module: The module that the entry point names, or its name.
    """

    module: ClassVar[ModuleType | str]

    def test_components(self) -> None:
        """API version, hooks and specs; then the tests of each component."""
        plugin = import_module(self.module) if isinstance(self.module, str) else self.module
        specs = offered_specs(plugin, plugin.__name__)
        _require(bool(specs), f"{plugin.__name__} offers nothing: return specs from a hook marked with @hookimpl")
        for spec in specs:
            _run_all(spec)


_SUITES: Mapping[Kind, type[_Conformance]] = {
    "dataset": DatasetConformance,
    "backbone": BackboneConformance,
    "head": HeadConformance,
    "evaluator": EvaluatorConformance,
    "control": ControlConformance,
    "recipe": RecipeConformance,
    "exporter": ExporterConformance,
    "command": CommandConformance,
}


def _run_all(spec: Spec) -> None:
    """The tests of a component with its default options; those of a dataset without data end after its spec."""
    own: Any = type("Own", (_SUITES[spec.kind],), {"spec": spec})()
    own.test_spec()
    if isinstance(spec, DatasetSpec) and not spec.is_available(spec.options()):
        return
    for name in dir(own):
        if name.startswith("test_") and name != "test_spec":
            getattr(own, name)()


def _features(rows: int, f: int) -> Tensor:
    import torch

    return torch.randn(rows, f, generator=torch.Generator().manual_seed(0))


def _seeded(build: partial[nn.Module], seed: int = 0) -> nn.Module:
    """What `build` makes under a seed; the caller's random state is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _require(holds: bool, sentence: str) -> None:
    # Not `assert`: the suites must also find something under python -O.
    if not holds:
        raise AssertionError(sentence)
