"""Conformance suites for plugin authors: call them in your tests, they say what to mend. Our built-ins pass them.

Each `check_*` raises AssertionError or PluginError at the first broken promise and returns nothing. torch is
imported when a suite that needs it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from qtlplat.catalog.host import offered_specs
from qtlplat.catalog.verify import spec_problem
from qtlplat.contracts import (
    Backbone,
    BackboneSpec,
    Circuit,
    DatasetSpec,
    EvaluatorSpec,
    HeadSpec,
    ImageSet,
    Options,
    Samples,
    Split,
    check_cells,
)
from qtlplat.errors import Problem, safe_repr
from qtlplat.hookspecs import Spec
from qtlplat.recipes import RecipeSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["check_backbone", "check_dataset", "check_evaluator", "check_head", "check_plugin", "check_recipe"]


def check_plugin(module: ModuleType | str) -> list[Spec]:
    """Check a plugin module: API version, hooks, and everything that it offers, with default options.

    module: the module that the entry point names, or its name. A dataset whose data is not at hand is checked
    without being loaded. Returns the specs that were checked.
    """
    plugin = import_module(module) if isinstance(module, str) else module
    specs = offered_specs(plugin, plugin.__name__)
    _require(bool(specs), f"{plugin.__name__} offers nothing: return specs from a hook marked with @hookimpl")
    for spec in specs:
        if isinstance(spec, DatasetSpec):
            options = _checked_options(spec, None)
            if _is_available(spec, options):
                check_dataset(spec, options)
        elif isinstance(spec, BackboneSpec):
            check_backbone(spec)
        elif isinstance(spec, HeadSpec):
            check_head(spec)
        elif isinstance(spec, RecipeSpec):
            check_recipe(spec)
        else:
            check_evaluator(spec)
    return specs


def check_dataset(spec: DatasetSpec, options: Options | None = None) -> None:
    """Check that a dataset loads, twice the same, and that `check` returns problems.

    options: by default ``spec.options()``; they must point to data that is at hand.
    """
    options = _checked_options(spec, options)
    _require(_is_available(spec, options), f"{spec.name}: the data is not at hand; pass options that point to it")
    first, second = spec.load(options), spec.load(options)
    _require(isinstance(first, ImageSet), f"{spec.name}: load must return an ImageSet, returned {safe_repr(first)}")
    _require(first.digest == second.digest, f"{spec.name}: load gave two different datasets for the same options")
    if spec.check is not None:
        problems = spec.check(options)
        _require(
            isinstance(problems, Sequence) and all(isinstance(p, Problem) for p in problems),
            f"{spec.name}: check must return a list of qtlplat.Problem, returned {safe_repr(problems)}",
        )
    if spec.files is not None:
        found = spec.files(options, sorted(set(first.groups)))
        _require(
            isinstance(found, Mapping) and all(isinstance(part, str) for pair in found.items() for part in pair),
            f"{spec.name}: files must return a mapping of sources to text, returned {safe_repr(found)}",
        )


def check_backbone(
    spec: BackboneSpec,
    options: Options | None = None,
    *,
    input_shape: tuple[int, int, int] = (1, 200, 200),
    n_classes: Sequence[int] = (2, 3),
) -> None:
    """Check that a backbone's parts fit together, can be cut anywhere and are the same under the same seed.

    options: by default ``spec.options()``; input_shape: (C, H, W) to try; n_classes: numbers of classes to try.
    """
    import torch

    options = _checked_options(spec, options)
    images = torch.rand(2, *input_shape, generator=torch.Generator().manual_seed(0))
    for k in n_classes:
        where = f"{spec.name} for {k} classes"
        backbone, again = (_seeded(lambda: spec.build(options, input_shape, k)) for _ in range(2))  # noqa: B023
        _require(
            isinstance(backbone, Backbone), f"{where}: build must return a Backbone, returned {safe_repr(backbone)}"
        )
        _require(
            isinstance(backbone.dense, tuple) and bool(backbone.dense), f"{where}: dense must be a tuple of modules"
        )
        parts, twins = [backbone.features, *backbone.dense], [again.features, *again.dense]
        for part, twin in zip(parts, twins, strict=True):
            _require_same(part.state_dict(), twin.state_dict(), f"{where}: the same seed gave different weights")
            part.eval()
        with torch.no_grad():
            for batch in (images, images[:1]):
                flow = backbone.features(batch)
                _require_matrix(flow, len(batch), None, f"{where}: features")
                for i, block in enumerate(backbone.dense):
                    _require(
                        any(p.requires_grad for p in block.parameters()),
                        f"{where}: dense[{i}] has no parameters; put it into the block of the dense layer before it",
                    )
                    flow = block(flow)
                    last = i == len(backbone.dense) - 1
                    _require_matrix(flow, len(batch), k if last else None, f"{where}: dense[{i}]")


def check_head(
    spec: HeadSpec,
    options: Options | None = None,
    *,
    in_features: Sequence[int] = (3, 16),
    n_classes: Sequence[int] = (2, 5),
    batches: Sequence[int] = (1, 4),
) -> None:
    """Check a head's shapes, dtype, gradients, state and seeding for several widths and batch sizes.

    options: by default ``spec.options()``; in_features, n_classes, batches: values of F, K and B to try.
    """
    options = _checked_options(spec, options)
    for f in in_features:
        for k in n_classes:
            _check_head_at(spec, options, f, k, batches)


def check_evaluator(
    spec: EvaluatorSpec, options: Options | None = None, *, n: int = 120, n_groups: int = 40, n_classes: int = 2
) -> None:
    """Check that an evaluator's cells are honest and depend on nothing but its arguments; and its metrics.

    options: by default ``spec.options()``; n, n_groups, n_classes: size of the labels to try.
    """
    options = _checked_options(spec, options)
    labels = np.arange(n, dtype=np.int64) % n_classes
    labels.setflags(write=False)
    groups = [f"group{i // n_classes % n_groups}" for i in range(n)]
    seeds = [3, 4]
    fifth = np.arange(n, dtype=np.int64) // (5 * n_classes) % 5 == 0  # whole groups, every class in them
    split = Split(np.flatnonzero(~fifth), np.zeros(0, dtype=np.int64), np.flatnonzero(fifth))
    samples = Samples(labels, groups, seeds, split)
    cells = list(spec.cells(options, samples))
    check_cells(cells, n, spec.name)
    _require(
        {cell.seed for cell in cells} == set(seeds),
        f"{spec.name}: cells must carry the seeds {seeds}, carry {sorted({cell.seed for cell in cells})}",
    )
    np.random.random()  # cells that depend on the global generator differ after this draw
    again = list(spec.cells(options, samples))
    same = len(cells) == len(again) and all(
        (a.fold, a.seed) == (b.fold, b.seed) and np.array_equal(a.train, b.train) and np.array_equal(a.test, b.test)
        for a, b in zip(cells, again, strict=True)
    )
    _require(same, f"{spec.name}: the same arguments gave different cells; draw from a generator made from the seed")
    if spec.metrics is not None:
        probabilities = np.full((n, n_classes), 1 / n_classes)
        metrics = spec.metrics(labels, probabilities)
        _require(
            isinstance(metrics, Mapping) and all(isinstance(v, int | float) for v in metrics.values()),
            f"{spec.name}: metrics must return numbers by name, returned {safe_repr(metrics)}",
        )


def check_recipe(spec: RecipeSpec) -> None:
    """Check that a recipe is whole: its models resolve to plans, under every budget, and each claim can be judged.

    What it names (backbones, heads, evaluators, a protocol) is looked for among all installed plugins and the shipped
    registry.
    """
    from qtlplat.catalog.catalog import Catalog
    from qtlplat.catalog.host import load_plugins
    from qtlplat.catalog.recipes import RecipeSelection, chosen_work
    from qtlplat.catalog.registry import load_registry, shipped_registry

    _checked_options(spec, None)
    registry, catalog = load_registry(str(shipped_registry())), Catalog(load_plugins())
    for budget in spec.budgets:
        work = chosen_work(spec, RecipeSelection(budget=budget.name), registry, catalog)
        _require(bool(work.models), f"{spec.name}: budget {budget.name} trains nothing")


def _check_head_at(spec: HeadSpec, options: Options, f: int, k: int, batches: Sequence[int]) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    where = f"{spec.name} with in_features={f}, n_classes={k}"
    head, twin = (_seeded(lambda: _built(spec, options, f, k)) for _ in range(2))
    other = _seeded(lambda: _built(spec, options, f, k), seed=1)
    _require(
        isinstance(head, torch.nn.Module), f"{where}: build must return a torch module, returned {safe_repr(head)}"
    )
    _require(any(p.requires_grad for p in head.parameters()), f"{where}: has nothing to train")
    _require_same(head.state_dict(), twin.state_dict(), f"{where}: the same seed gave different weights")
    generator = torch.Generator().manual_seed(0)
    for b in batches:
        features = torch.randn(b, f, generator=generator)
        head.train()
        head.zero_grad()
        logits = head(features)
        _require_matrix(logits, b, k, f"{where}, batch of {b}")
        cross_entropy(logits, torch.arange(b) % k).backward()
        for name, parameter in head.named_parameters():
            if parameter.requires_grad:
                _require(parameter.grad is not None, f"{where}: no gradient reaches {name}; is it used in forward?")
                _require(bool(torch.isfinite(parameter.grad).all()), f"{where}: gradient of {name} is not finite")
    head.eval()
    other.eval()
    other.load_state_dict(head.state_dict())
    with torch.no_grad():
        features = torch.randn(max(batches), f, generator=generator)
        expected = head(features)
        restored = other(features)
        alone = torch.cat([head(row) for row in features.split(1)])
    _require(
        torch.equal(expected, restored),
        f"{where}: state_dict does not hold everything; register weights as parameters, constants as buffers",
    )
    _require(
        torch.allclose(expected, alone, atol=1e-5),
        f"{where}: a sample's logits depend on the other samples of its batch, also in eval mode",
    )


def _built(spec: HeadSpec, options: Options, f: int, k: int) -> nn.Module:
    if spec.circuit is None:
        return spec.build(options, f, k, None)
    from qtlplat.quantum.devices.engines import choose_engine

    circuit = spec.circuit(options)
    _require(isinstance(circuit, Circuit), f"{spec.name}: circuit must return a Circuit, returned {safe_repr(circuit)}")
    return spec.build(options, f, k, choose_engine(circuit).layer())


def _checked_options(spec: Spec, options: Options | None) -> Options:
    problem = spec_problem(spec, spec.kind)
    _require(not problem, f"bad {spec.kind}: {problem}")
    for name, field in spec.options.model_fields.items():
        _require(bool(field.description), f"{spec.name}: option {name} needs a description, with its unit")
        _require(not field.is_required(), f"{spec.name}: option {name} needs a default")
    return spec.options() if options is None else options


def _is_available(spec: DatasetSpec, options: Options) -> bool:
    answer = spec.is_available(options)
    _require(
        isinstance(answer, bool), f"{spec.name}: is_available must return True or False, returned {safe_repr(answer)}"
    )
    return answer


def _seeded(build: Callable[[], Any], seed: int = 0) -> Any:
    """What `build` makes under a seed; the caller's random state is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _require(holds: bool, sentence: str) -> None:
    # Not `assert`: the suites must also find something under python -O.
    if not holds:
        raise AssertionError(sentence)


def _require_matrix(value: Tensor, rows: int, columns: int | None, where: str) -> None:
    import torch

    wanted = f"float32 ({rows}, {'F' if columns is None else columns})"
    _require(isinstance(value, torch.Tensor), f"{where}: must give {wanted}, gave {safe_repr(value)}")
    fits = value.ndim == 2 and value.shape[0] == rows and columns in (None, value.shape[1])
    _require(
        fits and value.dtype == torch.float32,
        f"{where}: must give {wanted}, gave {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}",
    )
    _require(bool(torch.isfinite(value).all()), f"{where}: gave values that are not finite")


def _require_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], sentence: str) -> None:
    import torch

    same = one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    _require(same, f"{sentence}; draw them from torch's global generator, which is seeded before build")
