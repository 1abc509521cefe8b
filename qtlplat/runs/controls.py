"""Baselines and ablations of a head, trained on the same cells with the same batches.

Baselines (`linear`, `mlp`) are components that plugins offer. Ablations change the head itself: `identity` replaces its
circuit by the identity, `unentangled` takes its entangling gates out, `frozen` leaves the circuit's weights as they
were drawn, `shuffled` permutes the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from qtlplat.backbones.batches import Batches
from qtlplat.backbones.model import HeadFactory, trainable_count
from qtlplat.catalog.plan import ABLATIONS, AUTO_CONTROLS, CONTROLS
from qtlplat.catalog.provider import Component
from qtlplat.contracts import Circuit
from qtlplat.control_specs import AnyControlSpec, ControlSpec
from qtlplat.errors import ConfigError, PluginError
from qtlplat.heads.stack_pool import StackPool
from qtlplat.portable_random import PortableRandom
from qtlplat.quantum.devices.engine import Engine
from qtlplat.quantum.devices.layer import CircuitLayer
from qtlplat.runs.preflight import try_batches, try_head
from qtlplat.specs import build_head
from qtlplat.store.core.records import HEAD


@dataclass(frozen=True)
class Variant:
    """One way to train all cells. name: `head`, or that of a control; shuffled: whether labels are permuted.

    why_not_stackable: why its cells cannot be trained in one stack, as far as its circuit is concerned; '' if they can.
    smallest: batch that it can be trained on; pool: what of its training is used again by the next run.
    """

    name: str
    make_head: Callable[[], nn.Module]
    trainable: int
    why_not_stackable: str = ""
    shuffled: bool = False
    smallest: int = 1
    pool: StackPool = field(default_factory=StackPool)


def make_variants(
    names: Sequence[str],
    make_head: HeadFactory,
    trainable: int,
    provider: str,
    choose: Callable[[Circuit], Engine],
    baselines: Mapping[str, Component[AnyControlSpec]],
) -> tuple[list[Variant], list[str]]:
    """The head itself, then its controls; and notes on those that `auto` leaves out.

    names: of controls, or `auto`; trainable: the head's parameters; provider: of the head; choose: what runs a circuit;
    baselines: the controls that plugins offer, by name; those that are fitted are left out, see `fitted_controls`.
    Raises ConfigError if a control that was asked for by name does not fit the head.
    """
    engine = make_head.engine
    variants = [Variant(HEAD, make_head, trainable, engine.why_not_stackable if engine else "")]
    notes: list[str] = []
    automatic = AUTO_CONTROLS in names
    for name in CONTROLS if automatic else names:
        try:
            if (control := baselines.get(name)) and isinstance(control.spec, ControlSpec):
                variants.append(_baseline(name, variants[0], make_head, control.spec, control.provider.distribution))
            elif name in ABLATIONS:
                variants.append(_ablation(name, variants[0], make_head, provider, choose))
        except _UnfitError as error:
            if not automatic:
                raise ConfigError(
                    f"control {name} does not fit the head {make_head.spec.name}: {error}",
                    where="--controls",
                    fix="leave it out, or use --controls auto",
                ) from error
            notes.append(f"no control {name}: {error}")
    return variants, notes


def with_batches(variant: Variant, head: HeadFactory, batches: Batches) -> Variant:
    """A variant that was tried on batches as its training will have them."""
    what = HEAD if variant.name == HEAD else f"control {variant.name}"
    make, in_features = variant.make_head, head.in_features
    smallest = try_batches(
        make, lambda n: torch.rand(n, in_features), batches, what, head.provider, full=head.engine is None
    )
    return replace(variant, smallest=smallest)


class _UnfitError(Exception):
    """Why a control does not fit a head."""


def _baseline(name: str, head: Variant, make_head: HeadFactory, spec: ControlSpec, provider: str) -> Variant:
    f, k = make_head.in_features, make_head.n_classes
    make = _portable(lambda: spec.build(in_features=f, n_classes=k, trainable=head.trainable))
    try:
        built = try_head(make, f, k, f"{provider}, control {name}")
    except ConfigError as error:
        raise _UnfitError(error.what) from error
    return Variant(name, make, trainable_count(built))


def _ablation(
    name: str, head: Variant, make_head: HeadFactory, provider: str, choose: Callable[[Circuit], Engine]
) -> Variant:
    if name == "shuffled":
        return replace(head, name=name, shuffled=True)
    if name == "unentangled":
        make, why_not_stackable = _unentangled(make_head, choose)
    else:
        own, why_not_stackable = _MAKERS[name](make_head)
        make = _portable(own)
    try:
        built = try_head(make, make_head.in_features, make_head.n_classes, f"{provider}, control {name}")
    except PluginError as error:
        raise _UnfitError(error.what) from error
    return Variant(name, make, trainable_count(built), why_not_stackable)


Made = tuple[Callable[[], nn.Module], str]


def _portable(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """The same head, whose initial weights have the same bits on every processor, as those of the head itself."""

    def portable() -> nn.Module:
        with PortableRandom():
            return make()

    return portable


def _identity(head: HeadFactory) -> Made:
    if head.engine is None:
        raise _UnfitError("it has no circuit")
    engine = head.engine
    n_inputs, n_outputs = engine.circuit.n_inputs, engine.circuit.n_outputs
    if n_inputs != n_outputs:
        raise _UnfitError(f"its circuit takes {n_inputs} numbers and returns {n_outputs}")

    def make() -> nn.Module:
        engine.layer()  # its weights are drawn all the same, so that the layers around it start as the head's do
        return build_head(head.spec, head.options, head.in_features, head.n_classes, nn.Identity())

    return make, ""


def _unentangled(head: HeadFactory, choose: Callable[[Circuit], Engine]) -> Made:
    if head.engine is None:
        raise _UnfitError("it has no circuit")
    from qtlplat.quantum.inspect.unentangled import has_entangling_gates, unentangled

    if not has_entangling_gates(head.engine.circuit):
        raise _UnfitError("its circuit has no entangling gates")
    engine = choose(unentangled(head.engine.circuit))
    return replace(head, engine=engine), engine.why_not_stackable


def _frozen(head: HeadFactory) -> Made:
    if head.engine is None:
        raise _UnfitError("it has no circuit")

    def make() -> nn.Module:
        built = head()
        for module in built.modules():
            if isinstance(module, CircuitLayer):
                module.requires_grad_(False)
        return built

    return make, head.engine.why_not_stackable


_MAKERS: dict[str, Callable[[HeadFactory], Made]] = {
    "identity": _identity,
    "frozen": _frozen,
}
