"""The doors through which plugins enter: each hook returns a list of specs and does no work.

A plugin is a module named by an entry point in group ``qtlplat``. It says ``qtlplat_api_version = (1, 0)`` and
implements any of these hooks with ``@qtlplat.hookimpl``. The host calls every hook once, when a command needs the
components. A hook that raises costs the plugin its components; a spec that is wrong is left out alone. Other plugins
are never affected. Keep the module light: import torch and PennyLane inside the functions that build.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from qtlplat.control_specs import AnyControlSpec
from qtlplat.recipes import RecipeSpec
from qtlplat.specs import AnyHeadSpec, BackboneSpec, CommandSpec, DatasetSpec, EvaluatorSpec, ExporterSpec

ENTRY_POINT_GROUP = "qtlplat"

# what hooks return
Spec = (
    DatasetSpec | BackboneSpec | AnyHeadSpec | EvaluatorSpec | RecipeSpec | AnyControlSpec | ExporterSpec | CommandSpec
)

hookspec = pluggy.HookspecMarker("qtlplat")
hookimpl = pluggy.HookimplMarker("qtlplat")


@hookspec
def qtlplat_datasets() -> Sequence[DatasetSpec]:  # type: ignore[empty-body]
    """Return the datasets this plugin offers."""


@hookspec
def qtlplat_backbones() -> Sequence[BackboneSpec]:  # type: ignore[empty-body]
    """Return the backbones this plugin offers."""


@hookspec
def qtlplat_heads() -> Sequence[AnyHeadSpec]:  # type: ignore[empty-body]
    """Return the heads this plugin offers: a HeadSpec for a classical one, a QuantumHeadSpec for one with a circuit."""


@hookspec
def qtlplat_evaluators() -> Sequence[EvaluatorSpec]:  # type: ignore[empty-body]
    """Return the evaluators this plugin offers."""


@hookspec
def qtlplat_controls() -> Sequence[AnyControlSpec]:  # type: ignore[empty-body]
    """Return the controls this plugin offers: baselines next to any head, trained by epochs or fitted by a solver."""


@hookspec
def qtlplat_recipes() -> Sequence[RecipeSpec]:  # type: ignore[empty-body]
    """Return the recipes this plugin offers: publications, what they claim and the runs that they need."""


@hookspec
def qtlplat_exporters() -> Sequence[ExporterSpec]:  # type: ignore[empty-body]
    """Return the formats in which this plugin writes runs, for `qtlplat export --to NAME`."""


@hookspec
def qtlplat_commands() -> Sequence[CommandSpec]:  # type: ignore[empty-body]
    """Return the commands this plugin adds to the command line.

    Each name is also an entry point in group ``qtlplat.commands`` that names this module, or one in its package.
    """


HOOKS = {
    "dataset": "qtlplat_datasets",
    "backbone": "qtlplat_backbones",
    "head": "qtlplat_heads",
    "evaluator": "qtlplat_evaluators",
    "control": "qtlplat_controls",
    "recipe": "qtlplat_recipes",
    "exporter": "qtlplat_exporters",
    "command": "qtlplat_commands",
}
