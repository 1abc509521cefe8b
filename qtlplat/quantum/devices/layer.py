"""A circuit with its trainable weights as a torch module, whatever engine runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from qtlplat.contracts import Circuit
from qtlplat.errors import PluginError
from qtlplat.quantum.circuits.returned import RETURN


class Runner(Protocol):
    """What runs a circuit: (inputs (B, n_inputs), weights by name) -> (B, n_outputs), differentiable in both."""

    def __call__(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Measurements of the circuit for each row of `inputs`, radians where they feed rotations."""


class CircuitLayer(nn.Module):
    """A circuit with fresh trainable weights: (B, n_inputs) -> (B, n_outputs), in the dtype of its inputs.

    circuit: what was declared; run: the engine that computes it; reseeded: makes another one, seeded from torch's
    global generator, where shots are random.
    Raises PluginError (on the first batch) where the circuit returns something else than it declared.
    """

    def __init__(self, circuit: Circuit, run: Runner, reseeded: Callable[[], Runner] | None = None) -> None:
        super().__init__()
        self.circuit, self._run, self._reseeded = circuit, run, reseeded
        low, high = circuit.initial_range
        self.weights = nn.ParameterDict(
            {
                name: nn.Parameter(torch.empty(shape).uniform_(low, high))
                for name, shape in circuit.weight_shapes.items()
            }
        )

    def reseed(self) -> None:
        """Seed what is random about the engine from torch's global generator: what it draws then follows from that."""
        if self._reseeded is not None:
            self._run = self._reseeded()

    def forward(self, inputs: Tensor) -> Tensor:
        """Measurements (B, n_outputs) of the circuit for each row of `inputs` (B, n_inputs)."""
        outputs = self._run(inputs, dict(self.weights.items()))
        if outputs.shape[1] != self.circuit.n_outputs:
            raise PluginError(
                f"the circuit returned {outputs.shape[1]} values per sample, it declared {self.circuit.n_outputs}",
                fix=RETURN,
            )
        return outputs
