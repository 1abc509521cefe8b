"""A trained head's circuit as OpenQASM: the weights of one cell, and the inputs of one sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError
from qtlplat.models.loaded import Trained
from qtlplat.quantum.devices.layer import CircuitLayer
from qtlplat_model_files.qasm import to_qasm
from qtlplat_model_files.qasm_program import Version


def head_qasm(
    trained: Trained,
    inputs: Sequence[float] | None = None,
    image: npt.NDArray[np.uint8] | None = None,
    version: Version = 2,
) -> tuple[str, list[float]]:
    """OpenQASM of the circuit of a model's only cell; and the inputs that are bound in it.

    inputs: (n_inputs,), all zero where neither they nor an image are given; image: uint8 (C, H, W), of which the layers
    in front of the circuit make its inputs.
    Raises ConfigError if the head has no circuit, or several, or takes another number of inputs, and as `to_qasm`.
    """
    (cell,) = trained.cells
    layers = [module for module in cell.head.modules() if isinstance(module, CircuitLayer)]
    if len(layers) != 1:
        what = "the head has no circuit" if not layers else f"the head has {len(layers)} circuits"
        raise ConfigError(what, where=f"run {trained.run}", fix="OpenQASM holds the circuit of a head with one")
    circuit = layers[0].circuit
    told = "all zero"
    if image is not None:
        inputs, told = _inputs_for(trained, cell.head, layers[0], image), "what the model makes of an image"
    elif inputs is not None:
        told = "as given"
    else:
        inputs = [0.0] * circuit.n_inputs
    endless = [x for x in inputs if not np.isfinite(x)]
    if len(inputs) != circuit.n_inputs or endless:
        given = f"{endless[0]} is no such number" if endless else f"{len(inputs)} are given"
        what = f"the circuit takes {circuit.n_inputs} finite inputs, {given}"
        raise ConfigError(what, where="--input", fix=f"for example: {','.join(['0.1'] * circuit.n_inputs)}")
    weights = {name: weight.detach().double().numpy() for name, weight in layers[0].weights.items()}
    comments = (
        f"circuit of {trained.plan.head.name}, run {trained.run}, cell {cell.position}",
        f"weights: as trained in that cell; inputs: {told}: {', '.join(f'{x:.17g}' for x in inputs)}",
    )
    try:
        text = to_qasm(circuit, weights, np.asarray(inputs, dtype=np.float64), comments, version)
    except ConfigError as error:
        if told == "all zero" and _is_written(circuit, weights, version):  # amplitudes cannot be zero
            error.fix = "choose inputs other than zeros: --input X,Y,.. or --image FILE"
        raise
    return text, [float(x) for x in inputs]


def _is_written(circuit: Circuit, weights: Mapping[str, npt.NDArray[np.float64]], version: Version) -> bool:
    """Whether it can be written for a sample of norm 1."""
    try:
        to_qasm(circuit, weights, np.full(circuit.n_inputs, circuit.n_inputs**-0.5), (), version)
    except ConfigError:
        return False
    return True


def _inputs_for(trained: Trained, head: nn.Module, layer: CircuitLayer, image: npt.NDArray[np.uint8]) -> list[float]:
    """What reaches the circuit for an image."""
    seen: list[Tensor] = []

    def note(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        seen.append(arguments[0])

    handle = layer.register_forward_pre_hook(note)
    try:
        with torch.no_grad():
            features = trained.backbones[0].kept(torch.from_numpy(image[None].copy()), trained.replaced).float()
            head(features)
    finally:
        handle.remove()
    return [float(x) for x in seen[0][0]]
