"""Running a declared circuit on a PennyLane device, as a torch module; the seam where a faster engine will fit."""

from __future__ import annotations

from typing import Any

import pennylane as qml
import torch
from torch import Tensor, nn

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, PluginError, shown

DEFAULT_DEVICE = "default.qubit"


class CircuitLayer(nn.Module):
    """A circuit with its trainable weights: (B, n_inputs) -> (B, n_outputs), in the dtype of its inputs.

    The whole batch runs as one broadcast execution with gradients by backpropagation through the simulator.
    It can be stacked over cells with ``torch.func.vmap``.

    circuit: what to run; device: name of a PennyLane device.
    Raises ConfigError for an unknown device, PluginError (on the first batch) where the circuit returns
    something else than it declared.
    """

    def __init__(self, circuit: Circuit, device: str = DEFAULT_DEVICE) -> None:
        super().__init__()
        self.circuit = circuit
        low, high = circuit.initial_range
        self.weights = nn.ParameterDict(
            {
                name: nn.Parameter(torch.empty(shape).uniform_(low, high))
                for name, shape in circuit.weight_shapes.items()
            }
        )
        try:
            target = qml.device(device, wires=circuit.qubits)
        except qml.exceptions.DeviceError as error:
            raise ConfigError(f"PennyLane has no device {shown(device)}", fix="use default.qubit") from error

        def quantum_function(inputs: Tensor, **weights: Tensor) -> Any:
            return circuit.function(inputs, wires=range(circuit.qubits), **weights)

        # Caching compares parameter values between calls; training never repeats them.
        self._node = qml.QNode(quantum_function, target, interface="torch", diff_method="backprop", cache=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Measurements of the circuit for each row of `inputs` (B, n_inputs), radians where they feed rotations."""
        results = self._node(inputs, **dict(self.weights.items()))
        if not isinstance(results, list | tuple):
            results = [results]
        batch = inputs.shape[0]
        columns = [r.reshape(batch, -1) if r.dim() else r.expand(batch, 1) for r in results]
        outputs = torch.cat(columns, dim=1).to(inputs.dtype)
        if outputs.shape[1] != self.circuit.n_outputs:
            raise PluginError(
                f"the circuit returned {outputs.shape[1]} values per sample, it declared {self.circuit.n_outputs}",
                fix="let the circuit's function return a list of n_outputs measurements",
            )
        return outputs


def circuit_layer(circuit: Circuit, device: str = DEFAULT_DEVICE) -> nn.Module:
    """The module that runs `circuit`: (B, n_inputs) -> (B, n_outputs); its weights are fresh and trainable."""
    return CircuitLayer(circuit, device)
