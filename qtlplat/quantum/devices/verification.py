"""Before an engine is used, its values and gradients are compared with PennyLane's own QNode, sample by sample.

The reference is default.qubit (default.mixed where there are channels) with backpropagation. Batches of several sizes
are run, so that no size can be taken for another axis; samples repeat in larger ones, which costs nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pennylane as qml
import torch
from pennylane.operation import Channel
from torch import Tensor

from qtlplat.quantum.circuits.samples import SampleFunction, trial_numbers
from qtlplat.quantum.devices.layer import Runner

EXACT, WITH_CHANNELS = "default.qubit", "default.mixed"
MOST_QUBITS = {EXACT: 14, WITH_CHANNELS: 7}  # beyond these, the reference takes too long
MOST_QUBITS_THRICE = 10  # one sample alone beyond
SAMPLES = 3
MOST_NUMBERS = 2**18  # samples times amplitudes in one batch of the comparison
AGREEMENT = 1e-6  # in double precision; angles given in float32 differ by 1e-8


def has_channels(tape: Any) -> bool:
    """Whether a tape has noise written into it."""
    return any(isinstance(op, Channel) for op in tape.operations)


def plain_node(function: SampleFunction, name: str, *, differentiated: bool = True) -> Any:
    """PennyLane's own QNode of (sample (n_inputs,), weights by name) on a device, with backpropagation."""
    circuit = function.circuit
    inputs, weights = trial_numbers(circuit, 1)
    measured = any(isinstance(op, qml.ops.MidMeasure) for op in function.tape(inputs[0], weights).operations)
    return qml.QNode(
        lambda sample, weights: circuit.function(function.given(sample), wires=range(circuit.qubits), **weights),
        # Measurements within the circuit take wires of their own: the device is left to count them.
        qml.device(name, wires=None if measured else circuit.qubits),
        interface="torch",
        diff_method="backprop" if differentiated else None,
        cache=False,
    )


class Reference:
    """What a circuit is, for a few samples: values (n, n_outputs), gradients of their sums along given directions.

    name: of the device that computed it. noise: a PennyLane noise model.
    Raises what the circuit's function or the device raises.
    """

    def __init__(self, function: SampleFunction, name: str = EXACT, *, noise: Any = None) -> None:
        circuit = function.circuit
        self.name, self.function = name, function
        rows = SAMPLES if circuit.qubits <= MOST_QUBITS_THRICE else 1
        self.inputs, self.weights = trial_numbers(circuit, rows)
        self._node = plain_node(function, name)
        if noise is not None:
            self._node = qml.noise.add_noise(self._node, noise)
        generator = torch.Generator().manual_seed(2)
        shape = (rows, circuit.n_outputs)
        self.directions = torch.rand(shape, generator=generator, dtype=torch.float64) / math.sqrt(circuit.n_outputs)
        self.outputs, self.gradients = self._compute()

    def _compute(self) -> tuple[Tensor, list[list[Tensor]]]:
        outputs, gradients = [], []
        names = list(self.weights)
        for sample, direction in zip(self.inputs, self.directions, strict=True):
            x = sample.detach().clone().requires_grad_()
            weights = {n: w.detach().clone().requires_grad_() for n, w in self.weights.items()}
            results = _flat(self._node(x, weights))
            out = torch.cat([torch.as_tensor(r).to(torch.float64).reshape(-1) for r in results])
            outputs.append(out.detach())
            gradients.append(_gradients((direction * out).sum(), [x, *(weights[n] for n in names)]))
        return torch.stack(outputs), gradients

    def sizes(self) -> list[int]:
        """Batches to compare: 1, 2, 3 and as many samples as there are inputs."""
        circuit = self.function.circuit
        most = max(SAMPLES, MOST_NUMBERS // 2**circuit.qubits)
        return sorted({1, 2, SAMPLES, circuit.n_inputs} - set(range(most + 1, circuit.n_inputs + 1)))

    def batch(self, size: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Inputs (size, n_inputs) and weights, gradients wanted."""
        inputs = self.inputs.detach()[self._rows(size)].requires_grad_()
        return inputs, {n: w.detach().clone().requires_grad_() for n, w in self.weights.items()}

    def _rows(self, size: int) -> list[int]:
        return [row % len(self.inputs) for row in range(size)]

    def disagreement(
        self, run: Runner, *, tolerance: float = AGREEMENT, gradients_at: Sequence[int] | None = None
    ) -> str:
        """Where a runner differs in values or gradients, in training or evaluation; '' where it does not.

        gradients_at: sizes of batches to compare gradients at, None for all.
        """
        for size in self.sizes():
            trained = gradients_at is None or size in gradients_at
            for what, found, expected in self._pairs(run, size, trained=trained):
                if found.shape != expected.shape:
                    return f"it returns {found.shape[-1]} values, on {self.name} {expected.shape[-1]}"
                if not torch.isfinite(found).all():
                    return f"its {what} are not finite"
                # Backpropagation has no derivative at the root of 0, where others have one.
                known = torch.isfinite(expected)
                difference = _largest((found.detach() - expected)[known])
                if difference > tolerance * max(1.0, _largest(expected[known])):
                    return f"its {what} differ from {self.name}'s by {difference:.1e}"
        return ""

    def _pairs(self, run: Runner, size: int, *, trained: bool) -> Iterator[tuple[str, Tensor, Tensor]]:
        rows = self._rows(size)
        inputs, weights = self.batch(size)
        expected = self.outputs[rows]
        with torch.no_grad():
            yield "values", run(inputs, weights), expected
        if not trained:
            return
        outputs = run(inputs, weights)
        yield "values in training", outputs, expected
        of_rows = [self.gradients[row] for row in rows]
        found = _gradients((self.directions[rows] * outputs).sum(), [inputs, *weights.values()])
        yield "gradients in inputs", found[0], torch.stack([g[0] for g in of_rows])
        for number, name in enumerate(weights, start=1):
            yield f"gradients in {name}", found[number], torch.stack([g[number] for g in of_rows]).sum(0)


def _gradients(value: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    if not value.requires_grad:
        return [torch.zeros_like(t) for t in wanted]
    return list(torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True))


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0


def _flat(results: Any) -> list[Any]:
    if isinstance(results, Mapping):
        results = list(results.values())
    if isinstance(results, list | tuple):
        return [flat for result in results for flat in _flat(result)]
    return [results]
