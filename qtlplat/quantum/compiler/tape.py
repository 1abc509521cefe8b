"""Runs a quantum function once and writes down what it did: gates, measurements, and where every angle comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml
import torch
from pennylane.operation import Channel, Operator, StatePrepBase
from pennylane.tape import QuantumScript
from torch import Tensor, fx

from qtlplat.compile.passes import is_random
from qtlplat.compile.private_torch import changes_arguments, untried
from qtlplat.compile.recorder import DependsOnValuesError, record_operations
from qtlplat.errors import QtlplatError, one_line
from qtlplat.quantum.circuits.readings import as_array
from qtlplat.quantum.circuits.samples import SampleFunction, trial_numbers
from qtlplat.quantum.compiler.gates import (
    TOLERANCE,
    CannotCompileError,
    Gate,
    Group,
    Matrix,
    as_monomial,
    one_parameter_group,
)

MOST_WIRES_DENSE = 6  # a fixed gate on more wires than this is decomposed where it can be
MOST_WIRES_ROTATION = 4
NEARLY_UNITARY = 1e-6  # matrices may have been rounded to single precision


@contextmanager
def compiling() -> Iterator[None]:
    """Inside, whatever fails is a CannotCompileError: a function that works does what devices alone know."""
    try:
        yield
    except (CannotCompileError, QtlplatError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise CannotCompileError(f"{type(error).__name__}: {one_line(error)}") from error


@dataclass(frozen=True, eq=False)
class Recording:
    """What a circuit does.

    values: torch graph of (inputs (n_inputs,), *weights), all float64, -> what gates take from them: angles (),
    matrices (2^k, 2^k), an initial state (2^Q,); gates: in order; start: the initial state, or the number of the value
    that is it; measurements: in the order in which they are returned.
    """

    values: fx.GraphModule
    gates: tuple[Gate, ...]
    start: Matrix | int
    measurements: tuple[Any, ...]


def record(function: SampleFunction) -> Recording:
    """Trace a circuit's function on one sample.

    Raises CannotCompileError, with the reason, for what is no fixed sequence of unitary gates followed by expectation
    values or probabilities. What the function itself raises passes through.
    """
    circuit = function.circuit
    notes: list[_Notes] = []
    groups = _Groups()

    def values(inputs: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        notes.append(_Notes(function, inputs, dict(zip(circuit.weight_shapes, weights, strict=True)), groups))
        return tuple(notes[-1].values)

    first, second = (
        [numbers[0][0].detach(), *(w.detach() for w in numbers[1].values())]
        for numbers in (trial_numbers(circuit, 1, seed) for seed in (1, 2))
    )
    if reason := untried():
        raise CannotCompileError(reason)
    values(*first)  # whatever is wrong with the function itself is said without tracing
    try:
        graph = record_operations(values, second)
    except CannotCompileError:
        raise
    except DependsOnValuesError as error:
        raise CannotCompileError(f"its structure depends on values: {error}") from error
    except Exception as error:
        text = (str(error).strip() or "no message").splitlines()[0][:160]
        raise CannotCompileError(f"its structure depends on values: {type(error).__name__}: {text}") from error
    if any(map(is_random, graph.graph.nodes)):
        raise CannotCompileError("it draws random numbers of torch")
    if any(changes_arguments(node.target) for node in graph.graph.nodes):
        raise CannotCompileError("it changes a tensor in place")
    plain, seen = notes
    if not plain.agrees(seen, graph(*first)):
        raise CannotCompileError("it turns inputs or weights into numbers that are not traced")
    return Recording(graph, tuple(seen.gates), seen.start, seen.measurements)


class _Notes:
    """One execution of a circuit's function, gate by gate."""

    def __init__(self, function: SampleFunction, inputs: Tensor, weights: dict[str, Tensor], groups: _Groups) -> None:
        self.values: list[Tensor] = []
        self.gates: list[Gate] = []
        self.start: Matrix | int = np.eye(1, 2**function.circuit.qubits, dtype=np.complex128)[0]
        operations, self.measurements = _run(function, inputs, weights, groups)
        for position, op in enumerate(operations):
            wires = tuple(int(w) for w in op.wires)
            if isinstance(op, StatePrepBase):
                if position:
                    raise CannotCompileError(f"{op.name} stands behind other gates")
                state = op.state_vector(wire_order=range(function.circuit.qubits))
                traced = isinstance(state, Tensor)
                self.start = self._new(state.reshape(-1)) if traced else np.asarray(state, np.complex128).reshape(-1)
            elif _is_fixed(op):
                self.gates.append(Gate(wires, matrix=_unitary(op)))
            elif (group := groups.of(op)) is not None:
                self.gates.append(Gate(wires, group=group, value=self._new(op.data[0])))
            else:
                matrix = qml.matrix(op, wire_order=op.wires)
                self.gates.append(Gate(wires, value=self._new(matrix.reshape(2 ** len(wires), -1))))

    def _new(self, value: Tensor) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def agrees(self, traced: _Notes, values: Sequence[Tensor]) -> bool:
        """Whether a traced execution with other numbers does the same, and its graph yields these values here."""
        return (
            len(self.gates) == len(traced.gates)
            and all(map(_same_gate, self.gates, traced.gates))
            and _close(self.start, traced.start)
            and len(self.values) == len(values)
            and all(map(_close, self.values, values))
            and len(self.measurements) == len(traced.measurements)
            and all(map(_same_measurement, self.measurements, traced.measurements))
        )


class _Groups:
    """The one-parameter groups of gates, each found out once."""

    def __init__(self) -> None:
        self._known: dict[Any, Group | None] = {}

    def of(self, op: Operator) -> Group | None:
        """The group of a gate with a single real angle, None if it is none."""
        if len(op.data) != 1 or op.data[0].ndim or op.data[0].is_complex():
            return None
        kind = _kind(op)
        if kind is None:
            return _group(op)
        if kind not in self._known:
            self._known[kind] = _group(op)
        return self._known[kind]


def _kind(op: Operator) -> Any:
    """Other values that a gate's matrix depends on, in addition to its angle; None if they are unknown."""
    settings = sorted(op.hyperparameters.items())
    if not type(op).__module__.startswith("pennylane.") or not all(isinstance(v, str | int) for _, v in settings):
        return None
    return type(op), len(op.wires), tuple(settings)


def _group(op: Operator) -> Group | None:
    leaves, structure = qml.pytrees.flatten(op)
    is_angle = [leaf is op.data[0] for leaf in leaves]
    if sum(is_angle) != 1:
        return None

    def matrix(angle: float) -> Matrix:
        changed = [np.float64(angle) if here else leaf for here, leaf in zip(is_angle, leaves, strict=True)]
        return _matrix(qml.pytrees.unflatten(changed, structure))

    return one_parameter_group(matrix)


def _same_gate(one: Gate, other: Gate) -> bool:
    groups_agree = one.group is other.group or (
        one.group is not None
        and other.group is not None
        and _close(one.group.basis, other.group.basis)
        and _close(one.group.frequencies, other.group.frequencies)
    )
    return one.wires == other.wires and one.value == other.value and groups_agree and _close(one.matrix, other.matrix)


def _same_measurement(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or not isinstance(one, qml.measurements.MeasurementProcess):
        return type(one) is type(other)
    if one.obs is None or other.obs is None:
        return one.obs is other.obs and one.wires == other.wires
    data = [*zip(one.obs.data, other.obs.data, strict=False)]
    fixed = (pair for pair in data if not any(isinstance(datum, Tensor) for datum in pair))
    return one.wires == other.wires and len(one.obs.data) == len(other.obs.data) and all(_close(*p) for p in fixed)


def _close(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    a, b = (as_array(v) if isinstance(v, Tensor) else np.asarray(v) for v in (one, other))
    return a.shape == b.shape and np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)


def _run(
    function: SampleFunction, inputs: Tensor, weights: dict[str, Tensor], groups: _Groups
) -> tuple[list[Operator], tuple[Any, ...]]:
    """Elementary operations and measurements of the circuit's function."""
    tape = function.tape(inputs, weights)
    for op in tape.operations:
        _refuse(op)

    def is_elementary(op: Operator) -> bool:
        return _is_elementary(op, groups)

    (decomposed,), _ = qml.devices.preprocess.decompose(
        QuantumScript(tape.operations, []),
        stopping_condition=is_elementary,
        error=CannotCompileError,
        name="the compiler",
    )
    for op in decomposed.operations:
        _refuse(op)
    return list(decomposed.operations), tuple(tape.measurements)


def _refuse(op: Any) -> None:
    if isinstance(op, Channel):
        raise CannotCompileError(f"{op.name} is a noise channel")
    if isinstance(op, qml.ops.MidMeasure | qml.ops.Conditional):
        raise CannotCompileError("it measures in the middle of the circuit")
    if not isinstance(op, Operator):
        raise CannotCompileError(f"{type(op).__name__} is no gate")
    if op.batch_size is not None:
        raise CannotCompileError(f"{op.name} takes several angles at once")


def _is_elementary(op: Operator, groups: _Groups) -> bool:
    if not op.has_matrix:
        return False
    if _is_fixed(op):
        if len(op.wires) <= MOST_WIRES_DENSE or as_monomial(_matrix(op)) is not None:
            return True
    elif (group := groups.of(op)) is not None:
        if group.is_diagonal or len(op.wires) <= MOST_WIRES_ROTATION:
            return True
    elif len(op.wires) <= MOST_WIRES_DENSE and any(_is_matrix(datum) for datum in op.data):
        return True  # matrices of values: to take them apart, PennyLane would look at their numbers
    return not op.has_decomposition


def _is_fixed(op: Operator) -> bool:
    return not any(isinstance(datum, Tensor) for datum in op.data)


def _is_matrix(datum: Any) -> bool:
    return isinstance(datum, Tensor) and bool(datum.ndim or datum.is_complex())


def _matrix(op: Operator) -> Matrix:
    # The wires' own order: a product of operators may otherwise sort them.
    return np.asarray(qml.matrix(op, wire_order=op.wires), dtype=np.complex128)


def _unitary(op: Operator) -> Matrix:
    matrix = _matrix(op)
    if not np.allclose(matrix @ matrix.conj().T, np.eye(len(matrix)), atol=NEARLY_UNITARY):
        raise CannotCompileError(f"{op.name} is not unitary")
    return matrix
