"""Exporters for experiment trackers: an MLflow store, and TensorBoard event files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from qtlplat import Export, ExporterSpec, Options, hookimpl

qtlplat_api_version = (1, 0)


class MlflowOptions(Options):
    """Options of `mlflow`."""

    weights: bool = Field(False, description="write the files of the runs too, weights among them")


def _require_mlflow() -> None:
    from qtlplat_trackers.to_mlflow import require_mlflow

    require_mlflow()


def _require_tensorboard() -> None:
    from qtlplat_trackers.to_tensorboard import require_tensorboard

    require_tensorboard()


def _mlflow(export: Export) -> Mapping[str, Any]:
    from qtlplat_trackers.to_mlflow import to_mlflow

    return to_mlflow(export.reader, export.runs, export.output, weights=export.options.weights)


def _tensorboard(export: Export) -> Mapping[str, Any]:
    from qtlplat_trackers.to_tensorboard import to_tensorboard

    return to_tensorboard(export.reader, export.runs, export.output)


@hookimpl
def qtlplat_exporters() -> list[ExporterSpec]:
    """The two trackers."""
    return [
        ExporterSpec(
            name="mlflow",
            summary="an MLflow store (mlflow.db and artifacts) with a nested run for each cell",
            write=_mlflow,
            target="directory",
            options=MlflowOptions,
            require=_require_mlflow,
        ),
        ExporterSpec(
            name="tensorboard",
            summary="TensorBoard event files, a directory for each run and cell",
            write=_tensorboard,
            target="directory",
            require=_require_tensorboard,
        ),
    ]
