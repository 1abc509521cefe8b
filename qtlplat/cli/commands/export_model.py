"""A run's trained model as a file for other programs: ONNX, or its circuit as OpenQASM. No SQL here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtlplat.cli.render.files import refuse, write_output
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings
from qtlplat.contracts import HeadSpec
from qtlplat.errors import ConfigError, UsageError, safe_repr

if TYPE_CHECKING:
    from qtlplat.quantum.inspect.qasm_program import Version
    from qtlplat.store.read.queries import Reader


@dataclass(frozen=True)
class ModelOptions:
    """Options of an export, in addition to run and file. cell: position, None for all cells (OpenQASM: the first).

    inputs: comma-separated numbers, bound as the circuit's inputs; image: a file to compute them from; sets:
    ``dataset.option=value``, for data that was moved; force: overwrite the file.
    """

    cell: int | None = None
    inputs: str | None = None
    image: Path | None = None
    sets: Sequence[str] = ()
    force: bool = False


def export_onnx(settings: Settings, reader: Reader, run: str, output: Path, options: ModelOptions) -> dict[str, Any]:
    """Write the model of a run (by its full id) as ONNX, checked on the run's own images; returns facts about it.

    Raises UsageError where the file exists, and as `qtlplat.models.to_onnx.onnx_model`.
    """
    from qtlplat.catalog.reopen import stored_images
    from qtlplat.cli.components import open_components
    from qtlplat.extras import require_packages
    from qtlplat.models.trained_run import look_up

    if options.inputs is not None or options.image is not None:
        raise UsageError("an ONNX model takes any images", where="--input, --image", fix="leave them out")
    refuse(output, options.force)
    require_packages("onnx", "exporting to ONNX", "qtlplat export --to onnx")
    _, catalog = open_components(settings)
    record = reader.run(run)
    cells = () if options.cell is None else (options.cell,)
    look_up(reader, record, catalog, cells=cells, sets=options.sets)
    from qtlplat.models.loaded import open_trained
    from qtlplat.models.to_onnx import TOLERANCE, onnx_model  # torch, which takes seconds

    trained = open_trained(reader, record, catalog, cells=cells, sets=options.sets)
    images = stored_images(record.plan, record.dataset_digest, catalog, options.sets)
    model = onnx_model(trained, images.images)
    write_output(output, model.data, options.force)
    return {
        "to": "onnx",
        "run": run,
        "file": str(output),
        "bytes": len(model.data),
        "cells": [cell.position for cell in trained.cells],
        "images": model.images,
        "max_difference": model.max_difference,
        "tolerance": TOLERANCE,
    }


def export_qasm(
    settings: Settings, reader: Reader, run: str, output: Path, options: ModelOptions, version: Version = 2
) -> dict[str, Any]:
    """Write the circuit of a run's cell as OpenQASM, its trained weights and one sample's inputs bound.

    Raises UsageError where the file exists, and as `qtlplat.models.to_qasm.head_qasm`.
    """
    from qtlplat.cli.components import open_components
    from qtlplat.models.image_files import read_pictures
    from qtlplat.models.trained_run import look_up

    if options.inputs is not None and options.image is not None:
        raise UsageError("--input and --image are both given", where="--input", fix="leave one of them out")
    refuse(output, options.force)
    numbers = None if options.inputs is None else _numbers(options.inputs)
    cell = 0 if options.cell is None else options.cell
    _, catalog = open_components(settings)
    record = reader.run(run)
    known = look_up(reader, record, catalog, cells=(cell,), sets=options.sets)
    spec = known.resolved.specs["head"].spec
    if isinstance(spec, HeadSpec) and spec.circuit is None:
        fix = "OpenQASM holds the circuit of a head with one"
        raise ConfigError("the head has no circuit", where=f"run {run}", fix=fix)
    images, notes = ([None], []) if options.image is None else read_pictures([options.image], known.shape)
    for line in notes if settings.verbosity >= 0 else ():
        note(line)
    from qtlplat.models.loaded import open_trained
    from qtlplat.models.to_qasm import head_qasm  # torch, which takes seconds

    trained = open_trained(reader, record, catalog, cells=(cell,), sets=options.sets)
    text, bound = head_qasm(trained, numbers, images[0], version)
    write_output(output, text.encode(), options.force)
    return {
        "to": "qasm" if version == 2 else "qasm3",
        "run": run,
        "file": str(output),
        "bytes": len(text.encode()),
        "cells": [cell],
        "inputs": bound,
    }


# What `qtlplat export --to` writes of a single run's model.
Export = Callable[[Settings, "Reader", str, Path, ModelOptions], dict[str, Any]]
MODELS: Mapping[str, Export] = {"onnx": export_onnx, "qasm": export_qasm, "qasm3": partial(export_qasm, version=3)}


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        what = f"{safe_repr(text)} must be numbers with commas between them"
        raise UsageError(what, where="--input", fix="for example: --input 0.1,0.2") from None
