"""Before an engine is used, its values and gradients are compared with PennyLane's own QNode, sample by sample.

The reference is default.qubit (default.mixed where there are channels), with numbers of numpy. Its gradients are those
of backpropagation as far as they follow its values, and slopes of its values where they do not: with numbers of torch,
some of PennyLane's gates have other matrices or lose gradients. Batches of several sizes are run, so that no size can
be taken for another axis; samples repeat in larger ones, which costs nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pennylane as qml
import torch
from pennylane.operation import Channel
from torch import Tensor

from qtlplat.quantum.circuits.constancy import not_differentiated
from qtlplat.quantum.circuits.readings import as_array, as_real
from qtlplat.quantum.circuits.samples import SampleFunction, trial_numbers
from qtlplat.quantum.circuits.warned import OF_CALLS, without
from qtlplat.quantum.devices.layer import Runner

EXACT, WITH_CHANNELS = "default.qubit", "default.mixed"
MOST_QUBITS = {EXACT: 14, WITH_CHANNELS: 7}  # beyond these, the reference takes too long
MOST_QUBITS_THRICE = 10  # one sample alone beyond
SAMPLES = 3
MOST_NUMBERS = 2**18  # samples times amplitudes in one batch of the comparison
AGREEMENT = 1e-6  # in double precision; angles given in float32 differ by 1e-8
STEP = 1e-3  # of differences of the fourth order: off by 3e-14 times the fifth derivative
COARSE = {False: (1e-4, 1e-3), True: (1e-2, 2e-2)}  # step and tolerance; True: values in single precision

Values = Mapping[str, Tensor]


def has_channels(tape: Any) -> bool:
    """Whether a tape has noise written into it."""
    return any(isinstance(op, Channel) for op in tape.operations)


def plain_values(function: SampleFunction, name: str, *, noise: Any = None) -> Callable[[Tensor, Values], Tensor]:
    """What PennyLane's own QNode on a device gives: (sample (n_inputs,), weights by name) -> (n_outputs,), float64.

    noise: a PennyLane noise model. Gates get numbers of torch only where they do not take those of numpy.
    """

    def apply(tape: Any) -> Any:
        for operation in tape.operations:
            qml.apply(operation)
        return [qml.apply(measurement) for measurement in tape.measurements]

    node = _node(function, name, apply, noise, interface=None, diff_method=None)

    def values(sample: Tensor, weights: Values) -> Tensor:
        tape = function.tape(sample, weights)
        parameters = tape.get_parameters(trainable_only=False)
        tensors = {i: as_array(p) for i, p in enumerate(parameters) if isinstance(p, Tensor)}
        try:
            results = node(tape.bind_new_parameters(list(tensors.values()), list(tensors)))
        except Exception:  # noqa: BLE001 -- what is wrong with both is raised
            results = node(tape)
        return _row(results).detach()

    return values


def _node(function: SampleFunction, name: str, quantum_function: Any, noise: Any, **how: Any) -> Any:
    inputs, weights = trial_numbers(function.circuit, 1)
    measured = any(isinstance(op, qml.ops.MidMeasure) for op in function.tape(inputs[0], weights).operations)
    # Measurements within the circuit take wires of their own: the device is left to count them.
    device = qml.device(name, wires=None if measured else function.circuit.qubits)
    node = qml.QNode(quantum_function, device, cache=False, **how)
    return node if noise is None else qml.noise.add_noise(node, noise)


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
        self._fixed = {name: weight.detach() for name, weight in self.weights.items()}
        self._values = plain_values(function, name, noise=noise)
        self.outputs = torch.stack([self._values(sample, self._fixed) for sample in self.inputs.detach()])
        generator = torch.Generator().manual_seed(2)
        self.directions = torch.rand(self.outputs.shape, generator=generator, dtype=torch.float64)
        self.directions /= math.sqrt(circuit.n_outputs)
        self._hidden = not_differentiated(function)
        gradients = self._backpropagated(noise)
        # Along a random direction in the inputs and in each weight; None: gradients are known entry by entry.
        self._along = random_directions(self.inputs[0], self._fixed) if gradients is None else None
        self.gradients = self._slopes(self._along) if self._along else gradients or []

    def _backpropagated(self, noise: Any) -> list[list[Tensor]] | None:
        """Gradients of each sample in its inputs and each weight; None if they are not those of the values."""
        function, names = self.function, list(self.weights)
        wires = range(function.circuit.qubits)

        def circuit(sample: Tensor, weights: Values) -> Any:
            with without(OF_CALLS):
                return function.circuit.function(function.given(sample), wires=wires, **weights)

        node = _node(function, self.name, circuit, noise, interface="torch", diff_method="backprop")
        found = []
        try:
            for sample, direction, expected in zip(self.inputs, self.directions, self.outputs, strict=True):
                x = sample.detach().clone().requires_grad_()
                weights = {n: w.clone().requires_grad_() for n, w in self._fixed.items()}
                outputs = _row(node(x, weights))
                if not torch.allclose(outputs, expected, rtol=AGREEMENT, atol=AGREEMENT, equal_nan=True):
                    return None
                found.append(_gradients((direction * outputs).sum(), [x, *(weights[n] for n in names)]))
        except Exception:  # noqa: BLE001 -- a gate that does not take torch's numbers, for example
            return None
        if not all(bool(torch.isfinite(gradient).all()) for row in found for gradient in row):
            return None
        total = self._total(0)
        return None if contradicted(total, self.inputs[0], self._fixed, found[0], self._hidden) else found

    def _total(self, row: int) -> Callable[[Tensor, Values], float]:
        return lambda sample, weights: float((self.directions[row] * self._values(sample, weights)).sum())

    def _slopes(self, along: Values) -> list[list[Tensor]]:
        """The slope of each sample's total along each direction; NaN if that cannot be told."""
        rows = []
        for row, sample in enumerate(self.inputs.detach()):
            moves = {n: _moved(self._total(row), sample, self._fixed, {n: along[n]}) for n in along}
            slopes = [math.nan if (n or "inputs") in self._hidden else _slope(moved) for n, moved in moves.items()]
            rows.append([torch.tensor(slope, dtype=torch.float64) for slope in slopes])
        return rows

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
        if self._along:
            found = [f * d for f, d in zip(found, self._along.values(), strict=True)]
            found = [found[0].sum(1), *(f.sum() for f in found[1:])]
        yield "gradients in inputs", found[0], torch.stack([g[0] for g in of_rows])
        for number, name in enumerate(weights, start=1):
            yield f"gradients in {name}", found[number], torch.stack([g[number] for g in of_rows]).sum(0)


def random_directions(inputs: Tensor, weights: Values) -> dict[str, Tensor]:
    """A direction in the inputs ('') and in each weight, of their shapes, with entries in [0.5, 1.5)."""
    generator = torch.Generator().manual_seed(5)
    shapes = {"": inputs.shape, **{name: weight.shape for name, weight in weights.items()}}
    return {n: torch.rand(s, generator=generator, dtype=torch.float64) + 0.5 for n, s in shapes.items()}


def contradicted(
    total: Callable[[Tensor, Values], float],
    inputs: Tensor,
    weights: Values,
    gradients: Sequence[Tensor | None],
    hidden: Collection[str],
    *,
    coarse: bool = False,
) -> bool:
    """Whether gradients are not those of `total`, which differs along a direction by something else.

    gradients: in the inputs and in each weight, None for zero; hidden: which of `inputs` and the weights by name are
    left out; coarse: whether values are rounded to single precision. False if it cannot be told.
    """
    along = random_directions(inputs, weights)
    visible = [name for name in along if (name or "inputs") not in hidden]
    step, tolerance = COARSE[coarse]
    moved = _moved(total, inputs.detach(), weights, {name: along[name] for name in visible})
    try:
        slope = (moved(step) - moved(-step)) / (2 * step)
    except Exception:  # noqa: BLE001 -- other numbers than these may be refused, amplitudes for example
        return False
    parts = [g * along[n] for n, g in zip(along, gradients, strict=True) if g is not None and n in visible]
    told, most = sum(float(p.sum()) for p in parts), sum(float(p.abs().sum()) for p in parts)
    return math.isfinite(slope) and abs(told - slope) > tolerance * max(1.0, most)


def _moved(
    total: Callable[[Tensor, Values], float], inputs: Tensor, weights: Values, along: Values
) -> Callable[[float], float]:
    """A total as a function of how far its numbers are moved along directions, each by name."""

    def moved(step: float) -> float:
        steps = {name: step * direction for name, direction in along.items()}
        named = {name: weight.detach() + steps.get(name, 0) for name, weight in weights.items()}
        return total(inputs + steps.get("", 0), named)

    return moved


def _slope(moved: Callable[[float], float]) -> float:
    """The derivative at 0 of a function of a step, NaN where steps of two lengths tell different ones."""
    try:
        once, twice, further = ((moved(k * STEP) - moved(-k * STEP)) / (2 * k * STEP) for k in (1, 2, 4))
    except Exception:  # noqa: BLE001 -- other numbers than these may be refused, amplitudes for example
        return math.nan
    fine, coarse = (4 * once - twice) / 3, (4 * twice - further) / 3
    return fine if abs(fine - coarse) <= AGREEMENT * max(1.0, abs(fine)) else math.nan


def _gradients(value: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    if not value.requires_grad:
        return [torch.zeros_like(t) for t in wanted]
    return list(torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True))


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0


def _row(results: Any) -> Tensor:
    """Results of a QNode in one row, (n_outputs,), float64."""
    parts = (r if isinstance(r, Tensor) else torch.as_tensor(np.asarray(r)) for r in _flat(results))
    return torch.cat([as_real(part).to(torch.float64).reshape(-1) for part in parts])


def _flat(results: Any) -> list[Any]:
    if isinstance(results, Mapping):
        results = list(results.values())
    if isinstance(results, list | tuple):
        return [flat for result in results for flat in _flat(result)]
    return [results]
