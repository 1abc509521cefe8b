"""A circuit's function is one of a single sample; here it is called with one, and its tape brought into one form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pennylane as qml
import torch
from pennylane.measurements import ExpectationMP, MeasurementProcess, ProbabilityMP
from pennylane.operation import Operator
from pennylane.ops import StatePrep
from pennylane.tape import QuantumScript
from torch import Tensor

from qtlplat.contracts import Circuit
from qtlplat.errors import PluginError, safe_repr
from qtlplat.quantum.circuits.returned import RETURN
from qtlplat.quantum.circuits.warned import OF_CALLS, without

NUMBERS = (  # measurements that are real numbers, always as many
    ExpectationMP,
    ProbabilityMP,
    qml.measurements.VarianceMP,
    qml.measurements.PurityMP,
    qml.measurements.VnEntropyMP,
    qml.measurements.MutualInfoMP,
)
INPUTS = "let the function take one sample of shape (n_inputs,): inputs[i] or inputs[..., i] is one number"


class SampleFunction:
    """A circuit's function of one sample, whatever shape it expects that sample in.

    Most functions take a sample of shape (n_inputs,). Some are written for a batch (`inputs[:, i]`): these get a batch
    of one, shape (1, n_inputs). A trial decides, once; where both would do, a sample it is.

    counted: whether it must return n_outputs numbers; batch_of_one: which of the two it is.
    Raises what the function raises where it takes neither, PluginError if its result is not such numbers.
    """

    batch_of_one: bool

    def __init__(self, circuit: Circuit, *, counted: bool = True) -> None:
        self.circuit, self._counted = circuit, counted
        inputs, weights = trial_numbers(circuit, 1)
        found: dict[bool, Exception] = {}
        for self.batch_of_one in (False, True):
            try:
                self._check(self.tape(inputs[0], weights))
            except Exception as error:  # noqa: BLE001 -- whatever the function raises, told below
                found[self.batch_of_one] = error
            else:
                return
        # What a function written for batches says about a sample concerns its shape alone; the other is told.
        about_shape = isinstance(found[False], IndexError) and not isinstance(found[True], IndexError)
        raise found[about_shape]

    def given(self, sample: Tensor) -> Tensor:
        """A sample (n_inputs,) in the shape that the function expects."""
        return sample[None] if self.batch_of_one else sample

    def tape(self, sample: Tensor, weights: Mapping[str, Tensor]) -> QuantumScript:
        """Operations and measurements for one sample (n_inputs,); no parameter has a batch axis.

        Raises PluginError if the function does not return its measurements, in the order in which it makes them.
        """
        with qml.queuing.AnnotatedQueue() as queue, without(OF_CALLS):
            returned = self.circuit.function(self.given(sample), wires=range(self.circuit.qubits), **weights)
        tape = QuantumScript.from_queue(queue)
        _check_returned(returned, tape.measurements)
        operations = [_single(op) for op in tape.operations]
        return QuantumScript(operations, [self._single_measurement(m) for m in tape.measurements])

    def _single_measurement(self, measurement: MeasurementProcess) -> MeasurementProcess:
        if isinstance(measurement, ProbabilityMP) and not measurement.wires:
            return qml.probs(wires=range(self.circuit.qubits))  # not of the wires that deferred measurements take
        if measurement.obs is None or not any(isinstance(d, Tensor) for d in measurement.obs.data):
            return measurement
        return type(measurement)(obs=_single(measurement.obs))

    def _check(self, tape: QuantumScript) -> None:
        qubits = self.circuit.qubits
        for wire in tape.wires:
            if isinstance(wire, int | np.integer | str) and wire not in range(qubits):
                what = f"the circuit uses wire {safe_repr(wire)}, its {qubits} qubits are wires 0 to {qubits - 1}"
                raise PluginError(what, fix="take wires from the function's argument `wires`, or declare more qubits")
        for measurement in tape.measurements:
            if not isinstance(measurement, NUMBERS):
                name = type(measurement).__name__.removesuffix("MP")
                what = f"the circuit returns a {name}, which is no fixed list of real numbers"
                raise PluginError(what, fix="return expectation values, probabilities, variances, ...")
        if tape.batch_size is not None:
            what = f"the circuit is {tape.batch_size} circuits for one sample: a gate takes several angles at once"
            raise PluginError(what, fix=INPUTS)
        found = sum(torch.Size(m.shape(None, self.circuit.qubits)).numel() for m in tape.measurements)
        if self._counted and found != self.circuit.n_outputs:
            what = f"the circuit returned {found} values per sample, it declared {self.circuit.n_outputs}"
            raise PluginError(what, fix=RETURN)


def trial_numbers(circuit: Circuit, rows: int, seed: int = 1) -> tuple[Tensor, dict[str, Tensor]]:
    """Inputs (rows, n_inputs) and weights for a trial, float64, that the circuit's function takes; gradients wanted.

    Numbers in [-1.5, 1.5), or in [-1, 1) or [0, 1) where the function has no value for others; of norm 1 where it
    wants amplitudes; 0 and 1 where it wants bits. Weights lie in the circuit's initial range.
    """
    generator = torch.Generator().manual_seed(seed)
    low, high = circuit.initial_range

    def uniform(shape: tuple[int, ...], low: float, high: float) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64).mul_(high - low).add_(low)

    inputs = uniform((rows, circuit.n_inputs), -1.5, 1.5)
    weights = {n: uniform(tuple(s), low, high).requires_grad_() for n, s in circuit.weight_shapes.items()}
    within = inputs / 1.5  # of the square root of an input, for example, or of its arcsine
    kinds = (inputs, within, within.abs(), torch.nn.functional.normalize(inputs), (inputs > 0).to(inputs))
    for kind in kinds:
        samples = kind.detach()
        if any(all(takes(circuit, s, weights) for s in some) for some in (samples, samples[:, None])):
            return kind.clone().requires_grad_(), weights
    return inputs.requires_grad_(), weights


def takes(circuit: Circuit, sample: Tensor, weights: Mapping[str, Tensor]) -> bool:
    """Whether the circuit's function can be called with these numbers, and makes numbers of them."""
    try:
        with qml.queuing.AnnotatedQueue() as queue, without(OF_CALLS):
            circuit.function(sample, wires=range(circuit.qubits), **weights)
    except Exception:  # noqa: BLE001 -- other numbers are tried; what is wrong with all comes up where it is run
        return False
    tape = QuantumScript.from_queue(queue)
    traced = (p for p in tape.get_parameters(trainable_only=False) if isinstance(p, Tensor))
    # PennyLane's StatePrep lets amplitudes of any norm pass; devices do not.
    states = (op for op in tape.operations if isinstance(op, StatePrep))
    return all(bool(torch.isfinite(p).all()) for p in traced) and all(map(_is_state, states))


def _is_state(op: StatePrep) -> bool:
    norms = torch.linalg.vector_norm(torch.as_tensor(op.data[0]).detach(), dim=-1)
    return bool(torch.allclose(norms, torch.ones_like(norms)))


def _check_returned(returned: Any, measured: list[MeasurementProcess]) -> None:
    if not measured:
        raise PluginError("the circuit measures nothing", fix=RETURN)
    flat = list(_flat(returned))
    for one in flat:
        if not isinstance(one, MeasurementProcess):
            raise PluginError(f"the circuit returns {safe_repr(one)}, which is no measurement", fix=RETURN)
    if [id(m) for m in flat] != [id(m) for m in measured]:
        what = "the circuit does not return all of its measurements in the order in which it makes them"
        raise PluginError(what, fix=RETURN)


def _flat(returned: Any) -> Iterator[Any]:
    if isinstance(returned, list | tuple):
        for one in returned:
            yield from _flat(one)
    elif isinstance(returned, Mapping):
        yield from _flat(list(returned.values()))
    else:
        yield returned


def _single(op: Any) -> Any:
    """An operator whose parameters have a batch axis of length 1, without it."""
    if not isinstance(op, Operator) or op.batch_size != 1:
        return op
    axes = ranks(op)
    data = [d[0] if qml.math.ndim(d) > rank else d for d, rank in zip(op.data, axes, strict=True)]
    with qml.QueuingManager.stop_recording():
        return qml.ops.functions.bind_new_parameters(op, data)


def ranks(op: Any) -> tuple[int, ...]:
    """Number of axes of each parameter without a batch."""
    if isinstance(op, qml.ops.LinearCombination):
        return (0,) * len(op.data)
    if isinstance(op, qml.ops.CompositeOp):
        return tuple(rank for operand in op.operands for rank in ranks(operand))
    if isinstance(op, qml.ops.SymbolicOp):
        own = len(op.data) - len(op.base.data)
        return (0,) * own + ranks(op.base)
    axes: tuple[int, ...] = op.ndim_params if op.data else ()
    return axes
