"""A circuit as PennyLane's own layer for torch: what everything else is measured against."""

from __future__ import annotations

from typing import Any

import pennylane as qml
import torch
from torch import Tensor, nn

from qtlplat.contracts import Circuit
from qtlplat.quantum.layer import CircuitLayer

DEVICE = "default.qubit"


def torch_layer(circuit: Circuit) -> Any:
    """``qml.qnn.TorchLayer`` on default.qubit, backprop, batched: (B, n_inputs) -> (B, n_outputs)."""

    def function(inputs: Tensor, **weights: Tensor) -> Any:
        return circuit.function(inputs, wires=range(circuit.qubits), **weights)

    node = qml.QNode(function, qml.device(DEVICE, wires=circuit.qubits), interface="torch", diff_method="backprop")
    return qml.qnn.TorchLayer(node, dict(circuit.weight_shapes))


def plain_names(head: nn.Module) -> dict[str, str]:
    """Names of a head's parameters -> names of the same ones where `torch_layer` is its circuit."""
    names = {name: name for name, _ in head.named_parameters()}
    for prefix, module in head.named_modules():
        if isinstance(module, CircuitLayer):
            start = f"{prefix}." if prefix else ""
            names |= {f"{start}weights.{weight}": f"{start}{weight}" for weight in module.weights}
    return names


def copy_state(head: nn.Module, plain: nn.Module) -> None:
    """Give `plain`, the same head around a `torch_layer`, the parameters and buffers of `head`."""
    names = plain_names(head)
    theirs = {**dict(plain.named_parameters()), **dict(plain.named_buffers())}
    with torch.no_grad():
        for name, tensor in [*head.named_parameters(), *head.named_buffers()]:
            theirs[names.get(name, name)].copy_(tensor)
