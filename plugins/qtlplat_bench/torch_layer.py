"""A circuit as PennyLane's own layer for torch: what everything else is measured against."""

from __future__ import annotations

from typing import Any

import pennylane as qml
import torch
from torch import Tensor, nn

from qtlplat.contracts import Circuit
from qtlplat.quantum.circuits.samples import SampleFunction, trial_numbers
from qtlplat.quantum.devices.layer import CircuitLayer

DEVICE = "default.qubit"


class PlainLayer(qml.qnn.TorchLayer):  # type: ignore[misc]
    """``qml.qnn.TorchLayer`` on default.qubit, backprop: (B, n_inputs) -> (B, n_outputs).

    batched: whether it runs a batch at once. It does where that gives what samples alone give; a function that reads
    `inputs[i]`, or normalises its sample, would be another one of a batch.
    """

    batched = True

    def __init__(self, circuit: Circuit) -> None:
        sample = SampleFunction(circuit)

        def function(inputs: Tensor, **weights: Tensor) -> Any:
            given = inputs if inputs.ndim > 1 else sample.given(inputs)
            return circuit.function(given, wires=range(circuit.qubits), **weights)

        node = qml.QNode(function, qml.device(DEVICE, wires=circuit.qubits), interface="torch", diff_method="backprop")
        super().__init__(node, dict(circuit.weight_shapes))
        self.batched = all(self._holds(circuit, size) for size in {2, 3, circuit.n_inputs})

    def forward(self, inputs: Tensor) -> Tensor:
        """What the circuit returns for each row of `inputs`."""
        run = super().forward
        outputs: Tensor = run(inputs) if self.batched else torch.stack([run(sample).reshape(-1) for sample in inputs])
        return outputs

    def _holds(self, circuit: Circuit, size: int) -> bool:
        inputs = trial_numbers(circuit, size)[0].detach()
        run = super().forward
        with torch.no_grad():
            alone = torch.stack([run(sample).reshape(-1) for sample in inputs])
            try:
                together: Tensor = run(inputs)
            except Exception:  # noqa: BLE001 -- a function of one sample may raise anything for a batch
                return False
        return together.shape == alone.shape and torch.allclose(together, alone, atol=1e-5)


def plain_names(head: nn.Module) -> dict[str, str]:
    """Names of a head's parameters -> names of the same ones where a `PlainLayer` is its circuit."""
    names = {name: name for name, _ in head.named_parameters()}
    for prefix, module in head.named_modules():
        if isinstance(module, CircuitLayer):
            start = f"{prefix}." if prefix else ""
            names |= {f"{start}weights.{weight}": f"{start}{weight}" for weight in module.weights}
    return names


def copy_state(head: nn.Module, plain: nn.Module) -> None:
    """Give `plain`, the same head around a `PlainLayer`, the parameters and buffers of `head`."""
    names = plain_names(head)
    theirs = {**dict(plain.named_parameters()), **dict(plain.named_buffers())}
    with torch.no_grad():
        for name, tensor in [*head.named_parameters(), *head.named_buffers()]:
            theirs[names.get(name, name)].copy_(tensor)
