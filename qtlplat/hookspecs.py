"""The doors through which plugins enter: each hook returns a list of specs and does no work.

A plugin is a module named by an entry point in group ``qtlplat``. It says ``qtlplat_api_version = 1`` and
implements any of these hooks with ``@qtlplat.hookimpl``. The host calls every hook once, when a command
needs the components; an exception costs that plugin its components and nobody else theirs. Keep the module
light: import torch and PennyLane inside the functions that build.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from qtlplat.contracts import BackboneSpec, DatasetSpec, EvaluatorSpec, HeadSpec
from qtlplat.recipes import RecipeSpec

ENTRY_POINT_GROUP = "qtlplat"

Spec = DatasetSpec | BackboneSpec | HeadSpec | EvaluatorSpec | RecipeSpec  # what hooks return

hookspec = pluggy.HookspecMarker("qtlplat")
hookimpl = pluggy.HookimplMarker("qtlplat")


@hookspec
def qtlplat_datasets() -> Sequence[DatasetSpec]:  # type: ignore[empty-body]
    """Return the datasets this plugin offers."""


@hookspec
def qtlplat_backbones() -> Sequence[BackboneSpec]:  # type: ignore[empty-body]
    """Return the backbones this plugin offers."""


@hookspec
def qtlplat_heads() -> Sequence[HeadSpec]:  # type: ignore[empty-body]
    """Return the heads this plugin offers."""


@hookspec
def qtlplat_evaluators() -> Sequence[EvaluatorSpec]:  # type: ignore[empty-body]
    """Return the evaluators this plugin offers."""


@hookspec
def qtlplat_recipes() -> Sequence[RecipeSpec]:  # type: ignore[empty-body]
    """Return the recipes this plugin offers: publications, what they claim and the runs that they need."""


HOOKS = {
    "dataset": "qtlplat_datasets",
    "backbone": "qtlplat_backbones",
    "head": "qtlplat_heads",
    "evaluator": "qtlplat_evaluators",
    "recipe": "qtlplat_recipes",
}
