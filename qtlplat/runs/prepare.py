"""From a resolved plan to everything that training needs, with all checks that cost seconds rather than minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from qtlplat.analysis.metrics import undefined_metrics
from qtlplat.backbones.batches import Batches, keeps_statistics
from qtlplat.backbones.groups import source_groups
from qtlplat.backbones.model import (
    BackboneFactory,
    HeadFactory,
    WholeBackbone,
)
from qtlplat.catalog.plan import ComponentChoice, PretrainingPlan, RunPlan
from qtlplat.catalog.plugin_calls import written_options
from qtlplat.catalog.provider import Component
from qtlplat.catalog.resolve import Resolved
from qtlplat.contracts import ROLES, Cell, ImageSet, Options, Role
from qtlplat.conventions import counted
from qtlplat.errors import PluginError
from qtlplat.heads.fit import Limits
from qtlplat.heads.memory import limits
from qtlplat.heads.tuning import inner_cells
from qtlplat.runs.accelerator import check_accelerator
from qtlplat.runs.build import built_backbone, built_head
from qtlplat.runs.cells import Pretraining, planned_cells
from qtlplat.runs.controls import Variant, make_variants, with_batches
from qtlplat.runs.engine_choice import choose, kept_or_chosen
from qtlplat.runs.fitted_controls import FittedControl, fitted_controls
from qtlplat.runs.preflight import try_batches, try_metrics
from qtlplat.runs.prepared_images import Dataset
from qtlplat.runs.tried import Tried
from qtlplat.seeding import isolated_rng
from qtlplat.specs import EvaluatorSpec


@dataclass(frozen=True)
class Material:
    """What backbones are pretrained from: the data, the source of each sample, and what makes a fresh backbone."""

    images: ImageSet
    groups: tuple[str, ...]
    build_backbone: BackboneFactory


@dataclass(frozen=True)
class Prepared:
    """A run that can start: the plan bound to its data, and all components built and tried once.

    build_backbone: makes a fresh backbone; make_head: makes a fresh head; replaced: number of replaced dense
    layers; parameters: their counts; accelerator: torch's device; limits: how much of the training fits into memory.
    groups: the source of each sample, duplicates joined; pretrainings: the backbones that its cells start from;
    variants: the head, then its controls; fitted: those that follow, fitted by solvers of their own; notes: messages
    for the user.
    """

    plan: RunPlan
    images: ImageSet
    groups: tuple[str, ...]
    cells: tuple[Cell, ...]
    pretrainings: tuple[Pretraining, ...]
    evaluator: EvaluatorSpec
    build_backbone: BackboneFactory
    make_head: HeadFactory
    variants: tuple[Variant, ...]
    fitted: tuple[FittedControl, ...]
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
    def every_variant(self) -> tuple[Variant | FittedControl, ...]:
        """The head, then all controls, by number."""
        return (*self.variants, *self.fitted)

    @property
    def heads(self) -> str:
        """What is trained, in words."""
        controls = len(self.variants) - 1
        return f"heads and {counted(controls, 'control')}" if controls else "heads"

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.images.class_names)

    def engine_facts(self) -> dict[str, Any] | None:
        """What runs the circuit and why, or None for a classical head."""
        engine = self.make_head.engine
        if engine is None:
            return None
        shots = engine.traits.form()
        return {"name": engine.name, "why": engine.why, "gradient": engine.gradient, "shots": shots}

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
                {
                    "backbone_index": wanted.index,
                    "fold": self.cells[i].fold,
                    "seed": self.cells[i].seed,
                    "n_train": len(self.cells[i].train),
                    "n_test": len(self.cells[i].test),
                }
                for i, wanted in sorted((i, wanted) for wanted in self.pretrainings for i in wanted.positions)
            ],
            "parameters": self.parameters,
            "training": plan.training.model_dump(mode="json"),
            "pretraining": plan.pretraining.model_dump(mode="json"),
            **({"tuning": plan.tuning.model_dump(mode="json")} if plan.tuning else {}),
            "pretraining_fingerprint": plan.pretraining_fingerprint,
            "seed": plan.seed,
            "backbones": plan.backbones,
            "train_sizes": plan.train_sizes,
            "controls": [one.name for one in self.every_variant[1:]],
            "device": plan.device,
            "accelerator": plan.accelerator,
            "engine": self.engine_facts(),
            "dataset_digest": plan.dataset_digest,
        }


def prepare(
    resolved: Resolved,
    files: Path | None = None,
    images: ImageSet | None = None,
    *,
    keep: bool = True,
    compile_anew: bool = False,
    tried: Tried | None = None,
) -> Prepared:
    """Read the data, build and try backbone and head on a tiny batch, ask the evaluator for the cells.

    files: the store's directory of files, which caches facts about the data; images: the plan's dataset, if it has been
    read already; keep: whether anything may be written; compile_anew: whether a circuit that is kept is not used;
    tried: what this process has built and tried before.

    Raises ConfigError and DataError for errors of the user, PluginError for errors of a plugin.
    """
    plan = resolved.plan
    accelerator = check_accelerator(plan.accelerator)
    evaluator = resolved.specs["evaluator"].spec
    tried = tried or Tried()
    of_head: list[Any] = [plan.head.identity(), plan.device, plan.accelerator]
    places = None if compile_anew else files
    engine = tried.once("engine", of_head, lambda: kept_or_chosen(resolved, places, keep=keep))
    if images is None:
        images = Dataset(resolved.specs["dataset"], resolved.options["dataset"], files).images(keep=keep)
    plan = plan.bind(images.digest)
    n_classes = len(images.class_names)
    of_backbone = [plan.backbone.identity(), images.shape, n_classes, plan.pretraining.precision]
    build_backbone, model = tried.once(
        "backbone",
        of_backbone,
        lambda: built_backbone(
            resolved.specs["backbone"],
            resolved.options["backbone"],
            images.shape,
            n_classes,
            plan.pretraining.precision,
        ),
    )
    of_head += [plan.replace, of_backbone]
    built = tried.once("head", of_head, lambda: built_head(resolved, engine, model, images.shape, n_classes))
    of_head += [plan.controls, plan.control_code]
    variants, notes = tried.once(
        "variants",
        of_head,
        lambda: make_variants(
            plan.controls,
            built.make,
            built.trainable,
            plan.head.provider,
            lambda circuit: choose(circuit, plan),
            resolved.controls,
        ),
    )
    groups = source_groups(images, files / "groups" if files else None, keep=keep)
    cells, pretrainings = planned_cells(resolved, images, groups)
    inner = [inner_cells(cell, images.labels, groups, plan.tuning.folds) for cell in cells] if plan.tuning else []
    every_cell = (*cells, *chain(*inner))
    fitted = fitted_controls(resolved.controls, built.make, images.labels, every_cell, tuned=bool(inner))
    if inner:
        notes = [*notes, *(f"control {one.name} has no grid: it is not tuned" for one in fitted if not one.spec.grid)]
    seen = sorted({len(wanted.split.train) for wanted in pretrainings})
    tried.once(
        "batches of a backbone",
        [of_backbone, seen, plan.pretraining.batch_size],
        lambda: _try_backbone_batches(build_backbone, pretrainings, plan),
    )
    lengths = tuple(len(cell.train) for cell in every_cell)
    batches = Batches(lengths, plan.training.batch_size, "training.batch_size")
    variants = tried.once(
        "batches of variants",
        [of_head, sorted(set(lengths)), batches.size],
        lambda: [with_batches(variant, built.make, batches) for variant in variants],
    )
    of_metrics = try_metrics(evaluator, images.labels[cells[0].test], n_classes, plan.evaluator.provider)
    tests = {f"fold {cell.fold}, seed {cell.seed}": images.labels[cell.test] for cell in cells}
    of_metrics += undefined_metrics(tests, images.class_names)
    _check_unchanged(resolved)
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
        fitted=tuple(fitted),
        replaced=built.replaced,
        parameters={
            **built.parameters,
            "controls": {one.name: one.trainable for one in variants[1:]} | {one.name: one.trainable for one in fitted},
        },
        accelerator=accelerator,
        limits=limits(
            engine,
            n_cells=len(cells),
            batch=min(plan.training.batch_size, max(len(cell.train) for cell in cells)),
            in_features=built.make.in_features,
            n_samples=len(images) * len(pretrainings),
            n_variants=len(variants),
            device=accelerator,
        ),
        notes=(*images.remarks(), *(engine.notes if engine else ()), *notes, *of_metrics),
    )


def _try_backbone_batches(build: BackboneFactory, pretrainings: Sequence[Pretraining], plan: RunPlan) -> None:
    """Try the backbone on such batches; large ones only if a layer computes with the whole batch: they take a while."""
    lengths = tuple(len(wanted.split.train) for wanted in pretrainings)
    batches = Batches(lengths, plan.pretraining.batch_size, "pretraining.batch_size")

    def make() -> WholeBackbone:
        return WholeBackbone(build(), build.shape[0])

    def samples(n: int) -> torch.Tensor:
        return torch.randint(256, (n, *build.shape), dtype=torch.uint8)

    with isolated_rng():
        full = bool(keeps_statistics(make()))
    try_batches(make, samples, batches, "backbone", build.provider, full=full)


def prepare_pretraining(
    plan: PretrainingPlan, specs: Mapping[Role, Component[Any]], options: Mapping[Role, Options], files: Path
) -> tuple[PretrainingPlan, Material]:
    """What a backbone is pretrained from, where no run of heads needs it; and the plan, bound to that data.

    specs, options: of dataset and backbone; files: the store's. Raises as `prepare`.
    """
    check_accelerator(plan.accelerator)
    images = Dataset(specs["dataset"], options["dataset"], files).images()
    n_classes, precision = len(images.class_names), plan.pretraining.precision
    build, _ = built_backbone(specs["backbone"], options["backbone"], images.shape, n_classes, precision)
    material = Material(images, source_groups(images, files / "groups"), build)
    return plan.model_copy(update={"dataset_digest": images.digest}), material


def _check_unchanged(resolved: Resolved) -> None:
    """A plan is frozen: what a component was asked for is what it still is after it was built and tried."""
    for role in ROLES:
        choice: ComponentChoice = getattr(resolved.plan, role)
        if written_options(resolved.options[role], choice.provider) != choice.options:
            raise PluginError(
                f"{role} {choice.component} changes its own options",
                where=choice.provider,
                fix="copy a list or a mapping before changing it",
            )
