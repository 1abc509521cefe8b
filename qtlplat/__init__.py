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
        BackboneSpec,
        Cell,
        Circuit,
        DatasetSpec,
        EvaluatorSpec,
        HeadSpec,
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
        refused_data,
        safe_repr,
    )
    from qtlplat.hookspecs import hookimpl
    from qtlplat.preparation import AnnotatedImage, PreparationOptions, prepare
    from qtlplat.recipes import Budget, Claim, RecipeModel, RecipeSpec

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
    "ConfigError",
    "DataError",
    "DatasetSpec",
    "DecodedImage",
    "EvaluatorSpec",
    "HeadSpec",
    "ImageSet",
    "Metric",
    "NoOptions",
    "Options",
    "PluginError",
    "PreparationOptions",
    "Problem",
    "QtlplatError",
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
        "API_VERSION", "Backbone", "BackboneSpec", "Cell", "Circuit", "DatasetSpec", "EvaluatorSpec", "HeadSpec",
        "ImageSet", "Metric", "NoOptions", "Options", "Samples", "Split",
    ),
    "crops": ("Box",),
    "decoding": ("DecodedImage", "UnfitImageError", "decode_image"),
    "errors": (
        "ConfigError", "DataError", "PluginError", "Problem", "QtlplatError", "TrainingError", "UntrustedError",
        "refused_data", "safe_repr",
    ),
    "hookspecs": ("hookimpl",),
    "preparation": ("AnnotatedImage", "PreparationOptions", "prepare"),
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
