"""Exporters for a run's trained model: ONNX, and its circuit as OpenQASM 2.0 or 3.0. Torch is imported on use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from qtlplat import ConfigError, Export, ExporterSpec, Options, QuantumHeadSpec, UsageError, hookimpl, safe_repr

if TYPE_CHECKING:
    from qtlplat_model_files.qasm_program import Version

qtlplat_api_version = (1, 0)
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


class OnnxOptions(Options):
    """Options of `onnx`."""

    cell: int | None = Field(None, ge=0, description="position of the only cell in the model; none: all cells")


class QasmOptions(Options):
    """Options of `qasm` and `qasm3`."""

    cell: int = Field(0, ge=0, description="position of the cell whose weights are bound")
    inputs: str | None = Field(None, description="inputs of the circuit, separated by commas; none: all zero")
    image: Path | None = Field(None, description="file of an image; the model computes the circuit's inputs from it")


def _require_onnx() -> None:
    from qtlplat.extras import require_packages

    require_packages("onnx", "exporting to ONNX", "qtlplat export --to onnx", modules=PACKAGES)


def _onnx(export: Export) -> Mapping[str, Any]:
    """The model of a run as ONNX, checked on the run's own images; raises as `onnx_model`."""
    from qtlplat.catalog.reopen import stored_images
    from qtlplat.models.trained_run import look_up

    record = export.reader.run(export.runs[0])
    cells = () if export.options.cell is None else (export.options.cell,)
    look_up(export.reader, record, export.catalog, cells=cells, sets=export.sets)
    from qtlplat.models.loaded import open_trained
    from qtlplat_model_files.to_onnx import TOLERANCE, onnx_model  # torch, which takes seconds

    trained = open_trained(export.reader, record, export.catalog, cells=cells, sets=export.sets)
    images = stored_images(record.plan, record.dataset_digest, export.catalog, export.sets)
    model = onnx_model(trained, images.images)
    export.save(model.data)
    return {
        "bytes": len(model.data),
        "cells": [cell.position for cell in trained.cells],
        "images": model.images,
        "max_difference": model.max_difference,
        "tolerance": TOLERANCE,
    }


def _qasm(export: Export, version: Version) -> Mapping[str, Any]:
    """The circuit of a run's cell, its trained weights and one sample's inputs bound; raises as `head_qasm`."""
    from qtlplat.models.image_files import read_pictures
    from qtlplat.models.trained_run import look_up

    options: QasmOptions = export.options
    if options.inputs is not None and options.image is not None:
        raise UsageError("--input and --image are both given", where="--input", fix="leave one of them out")
    numbers = None if options.inputs is None else _numbers(options.inputs)
    record = export.reader.run(export.runs[0])
    known = look_up(export.reader, record, export.catalog, cells=(options.cell,), sets=export.sets)
    if not isinstance(known.resolved.specs["head"].spec, QuantumHeadSpec):
        fix = "OpenQASM holds the circuit of a head with one"
        raise ConfigError("the head has no circuit", where=f"run {record.id}", fix=fix)
    images, notes = ([None], []) if options.image is None else read_pictures([options.image], known.shape)
    for line in notes:
        export.note(line)
    from qtlplat.models.loaded import open_trained
    from qtlplat_model_files.to_qasm import head_qasm  # torch, which takes seconds

    trained = open_trained(export.reader, record, export.catalog, cells=(options.cell,), sets=export.sets)
    text, bound = head_qasm(trained, numbers, images[0], version)
    export.save(text.encode())
    return {"bytes": len(text.encode()), "cells": [options.cell], "inputs": bound}


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        what = f"{safe_repr(text)} must be numbers with commas between them"
        raise UsageError(what, where="--input", fix="for example: --input 0.1,0.2") from None


@hookimpl
def qtlplat_exporters() -> list[ExporterSpec]:
    """One for models, two for circuits."""
    return [
        ExporterSpec(
            name="onnx",
            summary="the trained model as ONNX: backbone, head and circuit, checked against torch",
            write=_onnx,
            target="file",
            options=OnnxOptions,
            require=_require_onnx,
        ),
        ExporterSpec(
            name="qasm",
            summary="the trained circuit as OpenQASM 2.0",
            write=partial(_qasm, version=2),
            target="file",
            options=QasmOptions,
        ),
        ExporterSpec(
            name="qasm3",
            summary="the trained circuit as OpenQASM 3.0",
            write=partial(_qasm, version=3),
            target="file",
            options=QasmOptions,
        ),
    ]
