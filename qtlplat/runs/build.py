"""Backbones and heads as a plan asks for them: built once, and tried on a tiny batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qtlplat.backbones.model import (
    BackboneFactory,
    HeadFactory,
    WholeBackbone,
    counts_of_model,
    head_parts,
    kept_width,
    replaced_layers,
)
from qtlplat.catalog.plan import canonical_json
from qtlplat.catalog.plugin_calls import declared_circuit
from qtlplat.catalog.provider import Component
from qtlplat.catalog.resolve import Resolved
from qtlplat.contracts import Options
from qtlplat.plugin_modules import guarded_build
from qtlplat.quantum.devices.engine import Engine, idle_engine
from qtlplat.runs.preflight import try_backbone, try_head
from qtlplat.specs import BackboneSpec


@dataclass(frozen=True)
class BuiltHead:
    """A head on a cut backbone. parameters: their counts; trainable: how many of the head's are trained."""

    make: HeadFactory
    replaced: int
    parameters: dict[str, Any]
    trainable: int


def built_backbone(
    component: Component[BackboneSpec],
    options: Options,
    shape: tuple[int, int, int],
    n_classes: int,
    precision: Literal["single", "double"] = "single",
) -> tuple[BackboneFactory, WholeBackbone]:
    """What builds a plan's backbone for images (C, H, W) of K classes, and one that was built and tried."""
    spec = component.spec
    provider = component.provider.distribution
    build = BackboneFactory(spec, options, shape, n_classes, provider)
    return build, WholeBackbone(try_backbone(build, shape, n_classes, provider, precision), shape[0])


def built_head(
    resolved: Resolved,
    engine: Engine | None,
    model: WholeBackbone,
    shape: tuple[int, int, int],
    n_classes: int,
    *,
    counted: bool = False,
) -> BuiltHead:
    """A plan's head on a backbone, built and tried; counted: whether its engine is an idle one."""
    plan, spec = resolved.plan, resolved.specs["head"].spec
    replaced = replaced_layers(plan.replace, len(model.dense))
    in_features = guarded_build(
        lambda: kept_width(model, replaced, shape), plan.backbone.provider, "running the kept layers"
    )
    make = HeadFactory(spec, resolved.options["head"], in_features, n_classes, engine, plan.head.provider)
    parts = head_parts(try_head(make, in_features, n_classes, plan.head.provider, counted=counted))
    return BuiltHead(make, replaced, counts_of_model(model, replaced, parts), sum(parts.values()))


def count_parameters(plans: Sequence[Resolved], shape: tuple[int, int, int], n_classes: int) -> list[dict[str, Any]]:
    """The parameter counts of plans' models for images (C, H, W) of K classes; needs no data. Raises as `prepare`.

    A backbone that several plans share is built once, and no circuit is run.
    """
    backbones: dict[str, WholeBackbone] = {}
    found = []
    for resolved in plans:
        plan, head = resolved.plan, resolved.specs["head"].spec
        backbone = canonical_json(plan.backbone.identity())
        if backbone not in backbones:
            component, chosen = resolved.specs["backbone"], resolved.options["backbone"]
            backbones[backbone] = built_backbone(component, chosen, shape, n_classes)[1]
        circuit = declared_circuit(head, resolved.options["head"], plan.head.provider)
        engine = None if circuit is None else idle_engine(circuit)
        own = built_head(resolved, engine, backbones[backbone], shape, n_classes, counted=True)
        found.append(own.parameters)
    return found
