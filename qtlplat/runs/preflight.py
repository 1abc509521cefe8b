"""Check components on one tiny batch before any work: shape, dtype, device and gradients of their outputs.

Every problem is a PluginError that names the plugin, the returned value and the fix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from qtlplat.backbones.batches import Batches, why_not_trainable
from qtlplat.catalog import plugin_calls, returned
from qtlplat.catalog.contained import contained
from qtlplat.contracts import Backbone
from qtlplat.errors import ConfigError, PluginError, safe_repr
from qtlplat.metrics import SHIPPED
from qtlplat.plugin_modules import guarded_build
from qtlplat.quantum.devices.layer import CircuitLayer
from qtlplat.seeding import isolated_rng, seed_torch
from qtlplat.specs import EvaluatorSpec
from qtlplat.state.weights import why_not_storable

SEED = 715_160_931_407  # of the trial; a plugin that seeds torch's generator itself shows by another one
SIZES = (3, 5, 6, 7, 9, 10, 11, 12)  # of the batch that is tried; a head with a circuit has at most five other axes
LONGEST_NAME = 64  # of a metric, characters
DTYPE = "compute in the dtype of the input"
ANY_SIZE = "let forward take batches of any size"
DRAWS = "draw from torch's global generator, which is seeded before every build"


def try_backbone(
    build: Callable[[], Backbone],
    shape: tuple[int, int, int],
    n_classes: int,
    provider: str,
    precision: Literal["single", "double"] = "single",
) -> Backbone:
    """Build a backbone twice, send a few images through it and back; raises PluginError naming `provider`.

    precision: of its pretraining; features are always computed in single precision.
    """
    with _trial("backbone", provider):
        backbone = tried_backbone(build, provider)
        whole, twin = (nn.ModuleList([b.features, *b.dense]) for b in (backbone, tried_backbone(build, provider)))
        _check_twin(whole, twin, "backbone", provider)
        x = torch.rand(_rows(*shape, n_classes), *shape).contiguous(memory_format=torch.channels_last)
        _train_parts(whole, x, n_classes, provider)
        if precision == "double":
            try:
                _train_parts(twin.double(), x.double(), n_classes, provider)
            except PluginError as error:
                fix = f"{DTYPE}, or pretrain in single precision: -S pretraining.precision=single"
                raise _fault(f"in double precision, {error.what}", provider, fix) from error
        whole.eval()
        x = torch.rand(1, *shape).contiguous(memory_format=torch.channels_last)
        for number, part in enumerate(whole):
            x = _run(part, x, None, f"dense block {number}" if number else "features", provider, "evaluating one image")
        whole.train()
    return backbone


def _train_parts(whole: nn.ModuleList, x: Tensor, n_classes: int, provider: str) -> None:
    """Send images through a backbone's features and dense blocks, and back."""
    for number, part in enumerate(whole):
        what = f"dense block {number}" if number else "features"
        width = n_classes if number == len(whole) - 1 else None
        x = _run(part, x, width, what, provider, doing=f"running {what if number else 'the features'}")
    _differentiate(whole, x, "backbone", provider)


def try_head(
    make: Callable[[], nn.Module], in_features: int, n_classes: int, provider: str, *, counted: bool = False
) -> nn.Module:
    """Build a head twice, send a few vectors through it and back; raises PluginError naming `provider`.

    counted: whether only its parameters are wanted, and its circuit runs idly: no gradient passes through that.
    """
    with _trial("head", provider):
        head, twin = (_built_head(make, provider) for _ in range(2))
        _check_twin(head, twin, "head", provider)
        circuits = [m.circuit for m in head.modules() if isinstance(m, CircuitLayer)]
        axes = (number for c in circuits for number in (c.qubits, c.n_inputs, c.n_outputs))
        features = torch.rand(_rows(in_features, n_classes, *axes), in_features)
        given = features.clone()
        head.train()
        logits = _run(head, features, n_classes, "logits", provider)
        if not torch.equal(given, features):
            raise _fault("the head changes its input in place", provider, "work on a copy: other cells read it, too")
        if not counted:
            _differentiate(head, logits, "head", provider)
        head.eval()
        judged = _run(head, features, n_classes, "logits in evaluation", provider)
        # a circuit on a device that draws shots has numbers of its own
        if not any(isinstance(module, CircuitLayer) for module in head.modules()):
            again = _run(head, features, n_classes, "logits in evaluation", provider)
            if not torch.equal(judged, again):
                raise _fault(
                    "the head gives other logits for the same features in evaluation",
                    provider,
                    "draw nothing in eval()",
                )
        _run(head, features[:1], n_classes, "logits in evaluation", provider, "evaluating one sample")
        head.train()
    return head


def try_batches(
    make: Callable[[], nn.Module],
    samples: Callable[[int], Tensor],
    batches: Batches,
    what: str,
    provider: str,
    *,
    full: bool,
) -> int:
    """Try a model on batches as its training will have them; returns how small the smallest one may be, 1 or 2.

    make: builds a fresh one; samples: so many inputs; full: whether the largest batch, and the smallest one of
    several samples, are tried.

    Raises ConfigError if it must be trained on a single sample and cannot be, PluginError for another batch.
    """
    with _trial(what, provider):

        def why_not(n: int) -> str:
            seed_torch(SEED)
            return why_not_trainable(make(), samples(n))

        smallest, sizes = 1, batches.sizes()
        if 1 in sizes and (why := why_not(1)):
            smallest, sizes = 2, batches.sizes(2)
            if 1 in sizes:
                raise ConfigError(
                    f"the {what} cannot be trained on a batch of a single sample: {why}",
                    where=f"{batches.option}={batches.size}, {min(batches.lengths)} samples in training",
                    fix=f"-S {batches.option}={max(2, min(batches.size, 64))}, and at least two samples in training",
                )
        for n in sorted({min(sizes), max(sizes)} - {1}) if full else ():
            if why := why_not(n):
                raise _fault(f"the {what} fails in training on a batch of {n} samples: {why}", provider, ANY_SIZE)
    return smallest


def own_metrics(
    evaluator: EvaluatorSpec, labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64], provider: str
) -> dict[str, float]:
    """An evaluator's own metrics of one cell, {} where it has none; raises PluginError naming `provider`.

    labels: int64 (n,); probabilities: float64 (n, K).
    """
    compute = evaluator.metrics
    if compute is None:
        return {}

    def computed() -> dict[str, float]:
        found: dict[str, float] = {}
        for given, value in returned.pairs(
            compute(labels.copy(), probabilities.copy()), "metrics must return numbers by name"
        ):
            name = str.__str__(given) if isinstance(given, str) else ""
            if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME or name in SHIPPED or name in found:
                fix = f"choose printable names of at most {LONGEST_NAME} characters, but none of {', '.join(SHIPPED)}"
                raise _fault(f"{evaluator.name} has a metric that cannot be called {safe_repr(given)}", provider, fix)
            found[name] = returned.number(value, f"{evaluator.name}: metric {name}")
        return found

    values = plugin_calls.guarded(computed, provider, f"computing the metrics of {evaluator.name}")
    for metric in evaluator.metric_info:
        if not metric.allows(value := values.get(metric.name, math.nan)):
            low, high = metric.possible
            fix = "correct the bounds in metric_info, or what metrics returns"
            raise _fault(f"metric {metric.name} is {value:g}, declared to lie in {low:g} to {high:g}", provider, fix)
    return values


def try_metrics(evaluator: EvaluatorSpec, labels: npt.NDArray[np.int64], n_classes: int, provider: str) -> list[str]:
    """Compute an evaluator's metrics once, for labels int64 (n,) and even probabilities; raises as `own_metrics`.

    Returns what to tell the user: the metrics whose direction is not declared.
    """
    found = own_metrics(evaluator, labels, np.full((len(labels), n_classes), 1 / n_classes), provider)
    unknown = [name for name in found if name not in {metric.name for metric in evaluator.metric_info}]
    if not unknown:
        return []
    return [
        f"evaluator {evaluator.name} does not declare whether more or less of {', '.join(map(safe_repr, unknown))} is "
        "better: best, pareto and compare will ask for it"
    ]


def _rows(*axes: int) -> int:
    """How many samples to try: as many as no other axis is long, so that none is taken for the batch."""
    return next(number for number in SIZES if number not in axes)


def _fault(what: str, provider: str, fix: str) -> PluginError:
    return PluginError(what, where=provider, fix=fix)


@contextmanager
def _trial(what: str, provider: str) -> Iterator[None]:
    """Enable gradients, isolate random numbers, and detect code that seeds them."""
    with contained(), isolated_rng(), torch.enable_grad():
        seed_torch(SEED)
        yield
        if torch.initial_seed() != SEED:
            raise _fault(f"the {what} seeds torch's global generator: all cells would start alike", provider, DRAWS)


def tried_backbone(build: Callable[[], Backbone], provider: str) -> Backbone:
    """Build a backbone; raises PluginError naming `provider` where what comes back is none."""
    seed_torch(SEED)
    backbone = guarded_build(build, provider, "building the backbone")
    sound = isinstance(backbone, Backbone) and isinstance(backbone.dense, list | tuple) and len(backbone.dense) > 0
    if not sound or not all(isinstance(part, nn.Module) for part in (backbone.features, *backbone.dense)):
        raise _fault(
            "the backbone's build must return qtlplat.Backbone with at least one dense block, all torch modules",
            provider,
            "return Backbone(features, dense) with a module and a tuple of modules",
        )
    return backbone


def _built_head(make: Callable[[], nn.Module], provider: str) -> nn.Module:
    seed_torch(SEED)
    head = guarded_build(make, provider, "building the head")
    if not isinstance(head, nn.Module):
        raise _fault(
            f"the head's build must return a torch module, it returned {type(head).__name__}",
            provider,
            "return an nn.Module from build",
        )
    return head


def _check_twin(one: nn.Module, other: nn.Module, what: str, provider: str) -> None:
    """Two that were built from one seed are equal, and have nothing in common."""
    states = [guarded_build(module.state_dict, provider, f"reading the state of the {what}") for module in (one, other)]
    if {id(p) for p in one.parameters()} & {id(p) for p in other.parameters()}:
        raise _fault(
            f"the {what}'s build returns the same parameters again: all cells would train one",
            provider,
            "make new layers in every call",
        )
    here = {name: t for name, t in states[0].items() if not isinstance(t, Tensor) or t.device.type != "meta"}
    if why := why_not_storable(here):
        raise _fault(f"the {what} cannot be stored: {why}", provider, "keep dense tensors of numbers in its state")
    same = states[0].keys() == states[1].keys() and all(
        isinstance(tensor, Tensor) and tensor.shape == states[1][name].shape and _equal(tensor, states[1][name])
        for name, tensor in states[0].items()
    )
    if not same:
        raise _fault(f"the {what} is built with other weights from the same seed", provider, DRAWS)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.device.type == "meta" or torch.equal(one.nan_to_num(), other.nan_to_num())


def _run(
    module: nn.Module, x: Tensor, width: int | None, what: str, provider: str, doing: str = "running the head"
) -> Tensor:
    """What a module makes of n samples, checked: (n, width), any width if None."""
    y = guarded_build(lambda: module(x), provider, doing)
    if not isinstance(y, Tensor):
        raise _fault(f"{what} must be a tensor, is {type(y).__name__}", provider, "return one tensor from forward")
    n, of = len(x), "one sample" if len(x) == 1 else f"{len(x)} samples"
    expected = f"({n}, {width if width is not None else 'F'})"
    if y.dim() != 2 or y.shape[0] != n or (width is not None and y.shape[1] != width) or 0 in y.shape:
        found = tuple(y.shape)
        raise _fault(f"{what} of {of} must have shape {expected}, has {found}", provider, f"return {expected}")
    if y.dtype != x.dtype:
        wanted, returned_dtype = (str(dtype).removeprefix("torch.") for dtype in (x.dtype, y.dtype))
        raise _fault(f"{what} must be {wanted}, is {returned_dtype}", provider, DTYPE)
    if y.device != x.device or y.layout != torch.strided:
        raise _fault(
            f"{what} must lie on {x.device}, is a {y.layout} tensor on {y.device}".replace("torch.", ""),
            provider,
            "make tensors and parameters on the device of the input",
        )
    if not torch.isfinite(y).all():
        raise _fault(f"{what} of {of} are not finite", provider, "check the initial weights")
    return y


def _differentiate(module: nn.Module, logits: Tensor, what: str, provider: str) -> None:
    """Every trained parameter gets a finite gradient, and nothing else is trained."""
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not trained or not logits.requires_grad:
        raise _fault(
            f"the {what} has nothing to train: no gradient reaches its parameters", provider, "use them in forward"
        )
    own = {id(parameter) for parameter in trained.values()}
    for leaf in _leaves(logits):
        if id(leaf) not in own:
            raise _fault(
                f"the {what} computes with a tensor of shape {tuple(leaf.shape)} that is none of its parameters",
                provider,
                "register it: nn.Parameter as an attribute, layers in nn.ModuleList",
            )
    guarded_build(lambda: logits.sum().backward(), provider, f"differentiating the {what}")
    for name, parameter in trained.items():
        if parameter.grad is None:
            raise _fault(f"no gradient reaches {name} of the {what}", provider, "use it in forward, or leave it out")
        if not torch.isfinite(parameter.grad).all():
            raise _fault(f"the gradient of {name} is not finite", provider, "check forward where its input is 0")
    module.zero_grad(set_to_none=True)


def _leaves(result: Tensor) -> Iterator[Tensor]:
    """The tensors that a result is differentiated in."""
    seen: set[Any] = set()
    waiting: list[Any] = [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting += [following for following, _ in node.next_functions]
