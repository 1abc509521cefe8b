"""From a resolved plan to everything that training needs, with all checks that cost seconds rather than minutes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from qtlplat.catalog.calls import guarded, load_images
from qtlplat.catalog.device import parse_device
from qtlplat.catalog.plan import PretrainingPlan, RunPlan, canonical_json
from qtlplat.catalog.provider import Component
from qtlplat.catalog.resolve import Resolved
from qtlplat.contracts import (
    ROLES,
    Backbone,
    BackboneSpec,
    Cell,
    Circuit,
    DatasetSpec,
    EvaluatorSpec,
    HeadSpec,
    ImageSet,
    Options,
    Role,
    Samples,
    Split,
    check_cells,
)
from qtlplat.errors import PluginError, shown
from qtlplat.quantum.engines import Engine, choose_engine, idle_engine
from qtlplat.training.accelerator import check_accelerator
from qtlplat.training.controls import Variant, make_variants
from qtlplat.training.fit import Limits
from qtlplat.training.groups import source_groups
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
from qtlplat.training.pretrain import make_split


@dataclass(frozen=True, eq=False)
class Pretraining:
    """A backbone that cells of a run start from. positions: of these cells; seed: of its pretraining.

    within: indices of the only samples that it may see, None for all; split: what trains, chooses and tests among them.
    """

    positions: tuple[int, ...]
    seed: int
    within: npt.NDArray[np.int64] | None
    split: Split

    @property
    def whose(self) -> str:
        """'' for the backbone that the cells of a run share, else whose it is."""
        return "" if self.within is None else f" of cell {', '.join(map(str, self.positions))}"


@dataclass(frozen=True)
class Material:
    """What backbones are pretrained from: the data, the source of each sample, and what makes a fresh backbone."""

    images: ImageSet
    groups: tuple[str, ...]
    build_backbone: functools.partial[Backbone]


@dataclass(frozen=True)
class Prepared:
    """A run that can start: the plan bound to data that was read, and everything built once and tried.

    build_backbone: makes a fresh backbone; make_head: makes a fresh head; replaced: dense layers that go;
    parameters: the ledger; accelerator: where torch computes; limits: how much of the training fits into memory.
    groups: the source of each sample, duplicates joined; pretrainings: the backbones that its cells start from;
    variants: the head, then its controls; notes: what a user should be told.
    """

    plan: RunPlan
    images: ImageSet
    groups: tuple[str, ...]
    cells: tuple[Cell, ...]
    pretrainings: tuple[Pretraining, ...]
    evaluator: EvaluatorSpec
    build_backbone: functools.partial[Backbone]
    make_head: HeadFactory
    variants: tuple[Variant, ...]
    replaced: int
    parameters: dict[str, Any]
    accelerator: torch.device
    limits: Limits
    notes: tuple[str, ...]

    @property
    def material(self) -> Material:
        """What its backbones are pretrained from."""
        return Material(self.images, self.groups, self.build_backbone)

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
            "controls": [variant.name for variant in self.variants[1:]],
            "device": plan.device,
            "accelerator": plan.accelerator,
            "engine": self.engine_facts(),
            "dataset_digest": plan.dataset_digest,
        }


@dataclass(frozen=True)
class _Head:
    """A head on a cut backbone. parameters: the ledger; trainable: how many of the head's are trained."""

    make: HeadFactory
    replaced: int
    parameters: dict[str, Any]
    trainable: int


def prepare(resolved: Resolved, files: Path | None = None, images: ImageSet | None = None) -> Prepared:
    """Read the data, build and try backbone and head on a tiny batch, ask the evaluator for the cells.

    files: the store's, where what was found out about the data before is read and kept; images: the plan's dataset,
    where it has been read already.

    Raises ConfigError and DataError for what a user can mend, PluginError for what a plugin did wrong.
    """
    plan = resolved.plan
    accelerator = check_accelerator(plan.accelerator)
    dataset, _, head, evaluator = (resolved.specs[kind].spec for kind in ROLES)
    assert isinstance(dataset, DatasetSpec)
    assert isinstance(head, HeadSpec)
    assert isinstance(evaluator, EvaluatorSpec)
    engine = choose_for(head, resolved.options["head"], plan)
    if images is None:
        images = load_images(dataset, resolved.options["dataset"], plan.dataset.provider)
    plan = plan.bind(images.digest)
    n_classes = len(images.class_names)
    build_backbone, model = _build_backbone(
        resolved.specs["backbone"], resolved.options["backbone"], images.shape, n_classes
    )
    built = _build_head(resolved, engine, model, images.shape, n_classes)
    variants, notes = make_variants(
        plan.controls, built.make, built.trainable, plan.head.provider, lambda circuit: _choose(circuit, plan)
    )
    groups = source_groups(images, files / "groups" if files else None)
    cells, pretrainings = planned_cells(resolved, images, groups)
    return Prepared(
        plan=plan,
        images=images,
        groups=groups,
        cells=cells,
        pretrainings=pretrainings,
        evaluator=evaluator,
        build_backbone=build_backbone,
        make_head=built.make,
        variants=tuple(variants),
        replaced=built.replaced,
        parameters={
            **built.parameters,
            "controls": {variant.name: variant.trainable for variant in variants[1:]},
        },
        accelerator=accelerator,
        limits=limits(
            engine,
            n_cells=len(cells),
            batch=min(plan.training.batch_size, max(len(cell.train) for cell in cells)),
            n_in=built.make.n_in,
            n_samples=len(images) * len(pretrainings),
            n_variants=len(variants),
            device=accelerator,
        ),
        notes=tuple(notes),
    )


def prepare_pretraining(
    plan: PretrainingPlan, specs: Mapping[Role, Component], options: Mapping[Role, Options], files: Path
) -> tuple[PretrainingPlan, Material]:
    """What a backbone is pretrained from, where no run of heads needs it; and the plan, bound to that data.

    specs, options: of dataset and backbone; files: the store's. Raises as `prepare`.
    """
    check_accelerator(plan.accelerator)
    dataset = specs["dataset"].spec
    assert isinstance(dataset, DatasetSpec)
    images = load_images(dataset, options["dataset"], plan.dataset.provider)
    build, _ = _build_backbone(specs["backbone"], options["backbone"], images.shape, len(images.class_names))
    material = Material(images, source_groups(images, files / "groups"), build)
    return plan.model_copy(update={"dataset_digest": images.digest}), material


def _build_backbone(
    component: Component, options: Options, shape: tuple[int, int, int], n_classes: int
) -> tuple[functools.partial[Backbone], WholeBackbone]:
    """What builds a plan's backbone for images (C, H, W) of K classes, and one that was built and tried."""
    spec = component.spec
    assert isinstance(spec, BackboneSpec)
    build = functools.partial(spec.build, options, shape, n_classes)
    return build, WholeBackbone(try_backbone(build, shape, n_classes, component.provider.distribution), shape[0])


def _build_head(
    resolved: Resolved, engine: Engine | None, model: WholeBackbone, shape: tuple[int, int, int], n_classes: int
) -> _Head:
    """A plan's head on a backbone, built and tried."""
    plan, spec = resolved.plan, resolved.specs["head"].spec
    assert isinstance(spec, HeadSpec)
    replaced = replaced_layers(plan.replace, len(model.dense))
    make = HeadFactory(spec, resolved.options["head"], kept_width(model, replaced, shape), n_classes, engine)
    parts = head_parts(try_head(make, make.n_in, n_classes, plan.head.provider))
    return _Head(make, replaced, parameter_ledger(model, replaced, parts), sum(parts.values()))


def count_parameters(plans: Sequence[Resolved], shape: tuple[int, int, int], n_classes: int) -> list[dict[str, Any]]:
    """The ledgers of plans' models for images (C, H, W) of K classes; no data is needed. Raises as `prepare`.

    A backbone that several plans share is built once, and no circuit is run.
    """
    backbones: dict[str, WholeBackbone] = {}
    ledgers = []
    for resolved in plans:
        plan, head = resolved.plan, resolved.specs["head"].spec
        assert isinstance(head, HeadSpec)
        backbone = canonical_json(plan.backbone.identity())
        if backbone not in backbones:
            component, chosen = resolved.specs["backbone"], resolved.options["backbone"]
            backbones[backbone] = _build_backbone(component, chosen, shape, n_classes)[1]
        circuit = _circuit(head, resolved.options["head"], plan)
        engine = None if circuit is None else idle_engine(circuit)
        ledgers.append(_build_head(resolved, engine, backbones[backbone], shape, n_classes).parameters)
    return ledgers


def planned_cells(
    resolved: Resolved, images: ImageSet, groups: tuple[str, ...]
) -> tuple[tuple[Cell, ...], tuple[Pretraining, ...]]:
    """The evaluator's cells, and the backbones that they start from. groups: the source of each sample.

    Raises ConfigError where the data cannot be divided so, PluginError for cells that no honest training can use.
    """
    plan, evaluator = resolved.plan, resolved.specs["evaluator"].spec
    assert isinstance(evaluator, EvaluatorSpec)
    split = make_split(images.labels, groups, plan.pretraining, plan.seed)
    samples = Samples(images.labels, groups, tuple(range(plan.seed, plan.seed + plan.seeds)), split)
    cells = guarded(
        lambda: evaluator.cells(resolved.options["evaluator"], samples), plan.evaluator.provider, "making the cells"
    )
    check_cells(cells, len(images), plan.evaluator.provider)
    return tuple(cells), tuple(_pretrainings(cells, plan, samples))


def _pretrainings(cells: Sequence[Cell], plan: RunPlan, samples: Samples) -> Iterator[Pretraining]:
    """The backbones of cells; those that ask for none of their own share the plan's, whatever their seeds."""
    shared: dict[tuple[int, bytes] | None, list[int]] = {}
    for position, cell in enumerate(cells):
        key = None if cell.backbone is None else (cell.seed, np.sort(cell.backbone).tobytes())
        shared.setdefault(key, []).append(position)
    for key, positions in shared.items():
        if key is None:
            yield Pretraining(tuple(positions), plan.seed, None, samples.split)
        else:
            seed, within = key[0], np.frombuffer(key[1], dtype=np.int64)
            split = make_split(samples.labels, samples.groups, plan.pretraining, seed, within)
            yield Pretraining(tuple(positions), seed, within, split)


def choose_for(head: HeadSpec, options: Any, plan: RunPlan) -> Engine | None:
    """What runs a head's circuit on the plan's device; None for a classical head.

    Raises ConfigError where the device cannot be had, PluginError where the circuit breaks its contract.
    """
    circuit = _circuit(head, options, plan)
    return None if circuit is None else _choose(circuit, plan)


def _circuit(head: HeadSpec, options: Any, plan: RunPlan) -> Circuit | None:
    """What a quantum head declares, None for a classical head."""
    if head.circuit is None:
        return None
    declare, provider = head.circuit, plan.head.provider
    circuit = guarded(lambda: declare(options), provider, "declaring the circuit")
    if not isinstance(circuit, Circuit):
        raise PluginError(f"circuit must return a qtlplat.Circuit, returned {shown(circuit)}", where=provider)
    return circuit


def _choose(circuit: Circuit, plan: RunPlan) -> Engine:
    device = parse_device(plan.device)
    return guarded(
        lambda: choose_engine(circuit, device.name, device.options), plan.head.provider, "running the circuit"
    )
