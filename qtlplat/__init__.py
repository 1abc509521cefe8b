"""qtlplat: experiments on hybrid quantum-classical transfer learning.

The names below are the public API for plugin authors and notebooks. They are imported on first use, so that
``import qtlplat`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtlplat.api.records import Records as Records
    from qtlplat.api.run import run as run
    from qtlplat.api.store import Store as Store, open_store as open_store
    from qtlplat.api.stored_run import Run as Run
    from qtlplat.contracts import (
        API_VERSION as API_VERSION,
        Backbone as Backbone,
        Cell as Cell,
        Circuit as Circuit,
        ImageSet as ImageSet,
        Metric as Metric,
        NoOptions as NoOptions,
        Options as Options,
        Samples as Samples,
        Split as Split,
    )
    from qtlplat.control_specs import (
        AnyControlSpec as AnyControlSpec,
        ControlSpec as ControlSpec,
        Embedding as Embedding,
        FittedControlSpec as FittedControlSpec,
        Predictor as Predictor,
    )
    from qtlplat.crops import Box as Box
    from qtlplat.decoding import (
        DecodedImage as DecodedImage,
        UnfitImageError as UnfitImageError,
        decode_image as decode_image,
    )
    from qtlplat.errors import (
        ConfigError as ConfigError,
        DataError as DataError,
        PluginError as PluginError,
        Problem as Problem,
        QtlplatError as QtlplatError,
        TrainingError as TrainingError,
        UntrustedError as UntrustedError,
        UsageError as UsageError,
        refused_data as refused_data,
        safe_repr as safe_repr,
    )
    from qtlplat.hookspecs import hookimpl as hookimpl
    from qtlplat.preparation import (
        AnnotatedImage as AnnotatedImage,
        PreparationOptions as PreparationOptions,
        prepare as prepare,
    )
    from qtlplat.recipes import Budget as Budget, Claim as Claim, RecipeModel as RecipeModel, RecipeSpec as RecipeSpec
    from qtlplat.specs import (
        BackboneSpec as BackboneSpec,
        CommandSpec as CommandSpec,
        DatasetSpec as DatasetSpec,
        EvaluatorSpec as EvaluatorSpec,
        Export as Export,
        ExporterSpec as ExporterSpec,
        HeadSpec as HeadSpec,
        QuantumHeadSpec as QuantumHeadSpec,
    )

_ROOM = {
    "api.records": ("Records",),
    "api.run": ("run",),
    "api.store": ("Store", "open_store"),
    "api.stored_run": ("Run",),
    "contracts": (
        "API_VERSION", "Backbone", "Cell", "Circuit", "ImageSet", "Metric", "NoOptions", "Options", "Samples", "Split",
    ),
    "control_specs": ("AnyControlSpec", "ControlSpec", "Embedding", "FittedControlSpec", "Predictor"),
    "crops": ("Box",),
    "decoding": ("DecodedImage", "UnfitImageError", "decode_image"),
    "errors": (
        "ConfigError", "DataError", "PluginError", "Problem", "QtlplatError", "TrainingError", "UntrustedError",
        "UsageError", "refused_data", "safe_repr",
    ),
    "hookspecs": ("hookimpl",),
    "preparation": ("AnnotatedImage", "PreparationOptions", "prepare"),
    "specs": (
        "BackboneSpec", "CommandSpec", "DatasetSpec", "EvaluatorSpec", "Export", "ExporterSpec", "HeadSpec",
        "QuantumHeadSpec",
    ),
    "recipes": ("Budget", "Claim", "RecipeModel", "RecipeSpec"),
}  # fmt: skip
_HOME = {name: room for room, names in _ROOM.items() for name in names}
__all__ = sorted([*_HOME, "__version__"])  # noqa: PLE0605 -- for type checkers the names are exported above


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("qtlplat")
    if name in _HOME:
        return getattr(import_module(f"qtlplat.{_HOME[name]}"), name)
    raise AttributeError(f"module 'qtlplat' has no attribute {name!r}")
