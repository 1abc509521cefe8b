"""qtlplat: experiments on hybrid quantum-classical transfer learning.

The names below are the public API for plugin authors and notebooks. They are imported on first use, so that
``import qtlplat`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtlplat.api.records import Records
    from qtlplat.api.run import run
    from qtlplat.api.store import Run, Store, open_store
    from qtlplat.contracts import (
        API_VERSION,
        Backbone,
        Cell,
        Circuit,
        ImageSet,
        Metric,
        NoOptions,
        Options,
        Samples,
        Split,
    )
    from qtlplat.crops import Box
    from qtlplat.decoding import DecodedImage, UnfitImageError, decode_image
    from qtlplat.errors import (
        ConfigError,
        DataError,
        PluginError,
        Problem,
        QtlplatError,
        TrainingError,
        UntrustedError,
        UsageError,
        refused_data,
        safe_repr,
    )
    from qtlplat.exchange.request import Export
    from qtlplat.hookspecs import hookimpl
    from qtlplat.preparation import AnnotatedImage, PreparationOptions, prepare
    from qtlplat.recipes import Budget, Claim, RecipeModel, RecipeSpec
    from qtlplat.specs import (
        BackboneSpec,
        CommandSpec,
        ControlSpec,
        DatasetSpec,
        EvaluatorSpec,
        ExporterSpec,
        HeadSpec,
        QuantumHeadSpec,
    )

__all__ = [
    "API_VERSION",
    "AnnotatedImage",
    "Backbone",
    "BackboneSpec",
    "Box",
    "Budget",
    "Cell",
    "Circuit",
    "Claim",
    "CommandSpec",
    "ConfigError",
    "ControlSpec",
    "DataError",
    "DatasetSpec",
    "DecodedImage",
    "EvaluatorSpec",
    "Export",
    "ExporterSpec",
    "HeadSpec",
    "ImageSet",
    "Metric",
    "NoOptions",
    "Options",
    "PluginError",
    "PreparationOptions",
    "Problem",
    "QtlplatError",
    "QuantumHeadSpec",
    "RecipeModel",
    "RecipeSpec",
    "Records",
    "Run",
    "Samples",
    "Split",
    "Store",
    "TrainingError",
    "UnfitImageError",
    "UntrustedError",
    "UsageError",
    "__version__",
    "decode_image",
    "hookimpl",
    "open_store",
    "prepare",
    "refused_data",
    "run",
    "safe_repr",
]

_ROOM = {
    "api.records": ("Records",),
    "api.run": ("run",),
    "api.store": ("Run", "Store", "open_store"),
    "contracts": (
        "API_VERSION", "Backbone", "Cell", "Circuit", "ImageSet", "Metric", "NoOptions", "Options", "Samples", "Split",
    ),
    "crops": ("Box",),
    "decoding": ("DecodedImage", "UnfitImageError", "decode_image"),
    "exchange.request": ("Export",),
    "errors": (
        "ConfigError", "DataError", "PluginError", "Problem", "QtlplatError", "TrainingError", "UntrustedError",
        "UsageError", "refused_data", "safe_repr",
    ),
    "hookspecs": ("hookimpl",),
    "preparation": ("AnnotatedImage", "PreparationOptions", "prepare"),
    "specs": (
        "BackboneSpec", "CommandSpec", "ControlSpec", "DatasetSpec", "EvaluatorSpec", "ExporterSpec",
        "HeadSpec", "QuantumHeadSpec",
    ),
    "recipes": ("Budget", "Claim", "RecipeModel", "RecipeSpec"),
}  # fmt: skip
_HOME = {name: room for room, names in _ROOM.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("qtlplat")
    if name in _HOME:
        return getattr(import_module(f"qtlplat.{_HOME[name]}"), name)
    raise AttributeError(f"module 'qtlplat' has no attribute {name!r}")
