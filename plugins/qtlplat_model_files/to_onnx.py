"""A trained model as an ONNX file: backbone, head and circuit, compared with torch before it is written."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from qtlplat.errors import ConfigError, TrainingError, describe_exception
from qtlplat.models.loaded import Trained
from qtlplat.quantum.devices.layer import CircuitLayer
from qtlplat_model_files.real_valued import RealCircuit

INPUT, OUTPUT = "images", "probabilities"
# Both compute in single precision and add up in another order; probabilities are at most 1.
TOLERANCE = 1e-5
CHECKED, CHECKED_AT_ONCE = 256, 64  # images, evenly out of those of the run


@dataclass(frozen=True)
class OnnxModel:
    """A model as the bytes of a file. max_difference: from torch, over the probabilities of `images` images."""

    data: bytes
    max_difference: float
    images: int


class _Whole(nn.Module):
    """uint8 images (B, C, H, W) -> probabilities (B, K) float32, means over the cells; in operations that ONNX has."""

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(trained.backbones)
        self.heads = nn.ModuleList(_with_real_circuits(copy.deepcopy(cell.head)) for cell in trained.cells)
        self.sources = [cell.backbone for cell in trained.cells]
        self.replaced = trained.replaced

    def forward(self, images: Tensor) -> Tensor:
        features = []
        for backbone in self.backbones:
            x = backbone.features(backbone.standardize(images))  # type: ignore[operator]
            for block in backbone.dense[: len(backbone.dense) - self.replaced]:  # type: ignore[index,arg-type]
                x = block(x)
            features.append(x.float())
        logits = [head(features[source]) for head, source in zip(self.heads, self.sources, strict=True)]
        return torch.stack([torch.softmax(one, -1) for one in logits]).mean(0)


def onnx_model(trained: Trained, images: npt.NDArray[np.uint8]) -> OnnxModel:
    """The model with its weights: input "images" uint8 (N, C, H, W), output "probabilities" float32 (N, K).

    images: uint8 (n, C, H, W), those of the run; on 256 of them, evenly spaced, the model is compared with torch.

    Raises:
        ConfigError: the circuit cannot be expressed in ONNX, or draws shots.
        TrainingError: it cannot be written in ONNX's operations, or its results differ from torch's.
    """
    if trained.draws_shots:
        raise ConfigError(
            "the circuit draws shots, which ONNX does not support",
            where=f"run {trained.run}",
            fix="export a run of a head without shots",
        )
    with torch.no_grad():
        whole = _Whole(trained).eval()
    data = _written(whole, trained)
    images = images[np.unique(np.linspace(0, len(images) - 1, CHECKED).astype(np.int64))]
    found = _differences(data, trained, images)
    if not found <= TOLERANCE:
        raise TrainingError(
            f"the ONNX model differs from torch by {found:.1e}, more than {TOLERANCE:g}: it is not written",
            where=f"run {trained.run}, {len(images)} images",
            fix="run again with --debug and report the components of the run",
        )
    return OnnxModel(data, found, len(images))


def _with_real_circuits(head: nn.Module) -> nn.Module:
    """The head with every circuit layer in real arithmetic."""
    if isinstance(head, CircuitLayer):
        return RealCircuit(head.circuit, dict(head.weights.items()))
    for name, child in head.named_children():
        setattr(head, name, _with_real_circuits(child))
    return head


def _written(whole: nn.Module, trained: Trained) -> bytes:
    """The file, without the places in our source that torch would write into it."""
    import onnx

    example = torch.zeros((2, *trained.shape), dtype=torch.uint8)
    try:
        with _quiet():
            program: Any = torch.onnx.export(
                whole,
                (example,),
                None,
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("N")},),
            )
    except Exception as error:
        what = f"the model cannot be written in ONNX's operations: {describe_exception(error)}"
        raise TrainingError(what, where=f"run {trained.run}", fix="run again with --debug to see which one") from error
    model = program.model_proto
    for node in _nodes(model):
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:]
    facts = {
        "run": trained.run,
        "cells": json.dumps([cell.position for cell in trained.cells]),
        "classes": json.dumps(list(trained.class_names)),
        "qtlplat": version("qtlplat"),
    }
    onnx.helper.set_model_props(model, facts)
    model.producer_name = "qtlplat"
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _nodes(model: Any) -> Iterator[Any]:
    yield from model.graph.node
    yield from model.graph.value_info
    for function in model.functions:
        del function.metadata_props[:]
        yield from function.node


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter says about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _differences(data: bytes, trained: Trained, images: npt.NDArray[np.uint8]) -> float:
    """Largest difference of the mean probabilities between onnxruntime and torch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    expected = trained.probabilities(images).mean(0)
    parts = [
        session.run([OUTPUT], {INPUT: images[start : start + CHECKED_AT_ONCE]})[0]
        for start in range(0, len(images), CHECKED_AT_ONCE)
    ]
    found: npt.NDArray[np.float64] = np.concatenate(parts).astype(np.float64)
    return float(np.abs(found - expected).max())
