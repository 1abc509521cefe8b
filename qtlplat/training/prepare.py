"""From a resolved plan to everything that training needs, with all checks that cost seconds rather than minutes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch

from qtlplat.catalog.calls import guarded, load_images
from qtlplat.catalog.device import parse_device
from qtlplat.catalog.plan import RunPlan
from qtlplat.catalog.resolve import Resolved
from qtlplat.contracts import (
    KINDS,
    Backbone,
    BackboneSpec,
    Cell,
    Circuit,
    DatasetSpec,
    EvaluatorSpec,
    HeadSpec,
    ImageSet,
    check_cells,
)
from qtlplat.errors import PluginError, shown
from qtlplat.quantum.engines import Engine, choose_engine
from qtlplat.training.accelerator import check_accelerator
from qtlplat.training.fit import Limits
from qtlplat.training.memory import limits
from qtlplat.training.model import (
    HeadFactory,
    WholeBackbone,
    head_parts,
    kept_width,
    parameter_ledger,
    replaced_layers,
)
from qtlplat.training.preflight import try_backbone, try_head


@dataclass(frozen=True)
class Prepared:
    """A run that can start: the plan bound to data that was read, and everything built once and tried.

    build_backbone: makes a fresh backbone; make_head: makes a fresh head; replaced: dense layers that go;
    parameters: the ledger; accelerator: where torch computes; limits: how much of the training fits into memory.
    """

    plan: RunPlan
    images: ImageSet
    cells: tuple[Cell, ...]
    evaluator: EvaluatorSpec
    build_backbone: functools.partial[Backbone]
    make_head: HeadFactory
    replaced: int
    parameters: dict[str, Any]
    accelerator: torch.device
    limits: Limits

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.images.class_names)

    def engine_facts(self) -> dict[str, Any] | None:
        """What runs the circuit and why, or None for a classical head."""
        engine = self.make_head.engine
        if engine is None:
            return None
        return {"name": engine.name, "why": engine.why, "gradient": engine.gradient}

    def dry_run(self) -> dict[str, Any]:
        """The fixed shape of ``run --dry-run --json``."""
        plan = self.plan
        return {
            "fingerprint": plan.fingerprint,
            "dataset": plan.dataset.public(),
            "backbone": plan.backbone.public(),
            "head": plan.head.public(),
            "evaluator": plan.evaluator.public(),
            "cells": [
                {"fold": c.fold, "seed": c.seed, "n_train": len(c.train), "n_test": len(c.test)} for c in self.cells
            ],
            "parameters": self.parameters,
            "training": plan.training.model_dump(mode="json"),
            "pretraining": plan.pretraining.model_dump(mode="json"),
            "pretraining_fingerprint": plan.pretraining_fingerprint,
            "seed": plan.seed,
            "device": plan.device,
            "accelerator": plan.accelerator,
            "engine": self.engine_facts(),
            "dataset_digest": plan.dataset_digest,
        }


def prepare(resolved: Resolved) -> Prepared:
    """Read the data, build and try backbone and head on a tiny batch, ask the evaluator for the cells.

    Raises ConfigError and DataError for what a user can mend, PluginError for what a plugin did wrong.
    """
    plan = resolved.plan
    accelerator = check_accelerator(plan.accelerator)
    dataset, backbone, head, evaluator = (resolved.specs[kind].spec for kind in KINDS)
    assert isinstance(dataset, DatasetSpec)
    assert isinstance(backbone, BackboneSpec)
    assert isinstance(head, HeadSpec)
    assert isinstance(evaluator, EvaluatorSpec)
    engine = choose_for(head, resolved.options["head"], plan)
    images = load_images(dataset, resolved.options["dataset"], plan.dataset.provider)
    plan = plan.bind(images.digest)
    n_classes = len(images.class_names)

    build_backbone = functools.partial(backbone.build, resolved.options["backbone"], images.shape, n_classes)
    model = WholeBackbone(
        try_backbone(build_backbone, images.shape, n_classes, plan.backbone.provider), images.shape[0]
    )
    replaced = replaced_layers(plan.replace, len(model.dense))
    n_in = kept_width(model, replaced, images.shape)
    make_head = HeadFactory(head, resolved.options["head"], n_in, n_classes, engine)
    parts = head_parts(try_head(make_head, n_in, n_classes, plan.head.provider))

    seeds = range(plan.seed, plan.seed + plan.seeds)
    cells = guarded(
        lambda: evaluator.cells(resolved.options["evaluator"], images.labels, images.groups, tuple(seeds)),
        plan.evaluator.provider,
        "making the cells",
    )
    check_cells(cells, len(images), plan.evaluator.provider)
    return Prepared(
        plan=plan,
        images=images,
        cells=tuple(cells),
        evaluator=evaluator,
        build_backbone=build_backbone,
        make_head=make_head,
        replaced=replaced,
        parameters=parameter_ledger(model, replaced, parts),
        accelerator=accelerator,
        limits=limits(
            engine,
            n_cells=len(cells),
            batch=min(plan.training.batch_size, max(len(cell.train) for cell in cells)),
            n_in=n_in,
            n_samples=len(images),
            device=accelerator,
        ),
    )


def choose_for(head: HeadSpec, options: Any, plan: RunPlan) -> Engine | None:
    """What runs a head's circuit on the plan's device; None for a classical head.

    Raises ConfigError where the device cannot be had, PluginError where the circuit breaks its contract.
    """
    if head.circuit is None:
        return None
    declare, provider = head.circuit, plan.head.provider
    circuit = guarded(lambda: declare(options), provider, "declaring the circuit")
    if not isinstance(circuit, Circuit):
        raise PluginError(f"circuit must return a qtlplat.Circuit, returned {shown(circuit)}", where=provider)
    device = parse_device(plan.device)
    return guarded(lambda: choose_engine(circuit, device.name, device.options), provider, "running the circuit")
