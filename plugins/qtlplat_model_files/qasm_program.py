"""A circuit as a list of simple statements, and these as OpenQASM 2.0 or 3.0."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pennylane as qml
import torch
from pennylane.tape import QuantumScript

Version = Literal[2, 3]

# PennyLane's name of a gate -> its name in both versions' standard libraries, which other readers know by heart
NAMES = {
    "Hadamard": "h",
    "PauliX": "x",
    "PauliY": "y",
    "PauliZ": "z",
    "S": "s",
    "Adjoint(S)": "sdg",
    "T": "t",
    "Adjoint(T)": "tdg",
    "RX": "rx",
    "RY": "ry",
    "RZ": "rz",
    "PhaseShift": "u1",
    "CNOT": "cx",
    "CY": "cy",
    "CZ": "cz",
    "CH": "ch",
    "CRZ": "crz",
    "Toffoli": "ccx",
}
# nothing that is measured depends on them
LEFT_OUT = ("Identity", "GlobalPhase", "Barrier", "Snapshot")
MOST_CONDITIONS = 6  # measurements that one gate may depend on
LIBRARY = {2: "qelib1.inc", 3: "stdgates.inc"}


class CannotWriteError(Exception):
    """Why a circuit has no such text, in words for a user; other: whether the other version can say it."""

    def __init__(self, what: str, *, other: bool = False) -> None:
        super().__init__(what)
        self.other = other


@dataclass(frozen=True)
class Gate:
    """A gate on `wires`; conditions: (number of a bit, its value), all of which must hold."""

    name: str
    angles: tuple[float, ...]
    wires: tuple[int, ...]
    conditions: tuple[tuple[int, bool], ...] = ()


@dataclass(frozen=True)
class Measure:
    """A measurement of a qubit into a bit."""

    wire: int
    bit: int


@dataclass(frozen=True)
class Reset:
    """A qubit is put into the state 0."""

    wire: int


Statement = Gate | Measure | Reset


@dataclass(frozen=True)
class Program:
    """Statements on qubits 0 .. Q-1. bits: those that measurements write, by PennyLane's id of the measurement."""

    qubits: int
    statements: tuple[Statement, ...]
    bits: dict[Any, int]


def lower(operations: Sequence[Any], qubits: int) -> Program:
    """Operations of a circuit on wires 0 .. Q-1, all numbers bound, taken apart into statements.

    Raises CannotWriteError for what neither version has.
    """
    bits: dict[Any, int] = {}
    statements: list[Statement] = []
    for operation in operations:
        if isinstance(operation, qml.ops.MidMeasure):
            if operation.postselect is not None:
                raise CannotWriteError("it chooses the outcome of a measurement (postselect)")
            bits[operation.meas_uid] = len(bits)
            statements.append(Measure(operation.wires[0], bits[operation.meas_uid]))
            statements += [Reset(operation.wires[0])] if operation.reset else []
        elif isinstance(operation, qml.ops.Conditional):
            gates = list(_gates(operation.base))
            statements += [
                Gate(gate.name, gate.angles, gate.wires, conditions)
                for conditions in _conditions(operation.meas_val, bits)
                for gate in gates
            ]
        else:
            statements += _gates(operation)
    return Program(qubits, tuple(statements), bits)


def write(program: Program, version: Version) -> list[str]:
    """The lines of a program. Raises CannotWriteError for what this version cannot say."""
    n = len(program.bits)
    lines = [f"OPENQASM {version}.0;", f'include "{LIBRARY[version]}";']
    if version == 2:
        # Conditions ask for the value of a whole register: each bit has one of its own.
        lines += [f"qreg q[{program.qubits}];", *(f"creg m{bit}[1];" for bit in range(n))]
    else:
        lines += [f"qubit[{program.qubits}] q;", *([f"bit[{n}] m;"] if n else [])]
    return lines + [_line(statement, version) for statement in program.statements]


def _gates(operation: Any) -> Iterator[Gate]:
    def is_known(op: Any) -> bool:
        return op.name in NAMES or op.name in LEFT_OUT

    (tape,), _ = qml.devices.preprocess.decompose(
        QuantumScript([operation], []),
        stopping_condition=is_known,
        skip_initial_state_prep=False,
        error=CannotWriteError,
        name="OpenQASM",
    )
    for op in tape.operations:
        if op.name in LEFT_OUT:
            continue
        angles = tuple(float(x) for x in op.data)
        if not all(map(math.isfinite, angles)):
            raise CannotWriteError(f"an angle of {op.name} is {angles[0]}")
        yield Gate(NAMES[op.name], angles, tuple(int(w) for w in op.wires))


def with_numbers(operation: Any) -> Any:
    """The same operation with numpy's numbers, where torch's are; PennyLane fails at some that hold torch's."""

    def is_within(value: Any) -> bool:
        return value is not operation and isinstance(value, qml.operation.Operator)

    with qml.QueuingManager.stop_recording():
        if isinstance(operation, qml.ops.Conditional):
            return qml.ops.Conditional(operation.meas_val, with_numbers(operation.base))
        if isinstance(operation, qml.ops.op_math.SymbolicOp | qml.ops.CompositeOp):
            # One by one: bind_new_parameters takes the numbers of an evolution's scaled observable for none.
            parts, structure = qml.pytrees.flatten(operation, is_leaf=is_within)
            return qml.pytrees.unflatten([with_numbers(x) if is_within(x) else _number(x) for x in parts], structure)
        if not operation.data:
            return operation
        return qml.ops.functions.bind_new_parameters(operation, [_number(x) for x in operation.data])


def _number(value: Any) -> Any:
    return value.resolve_conj().resolve_neg().numpy() if isinstance(value, torch.Tensor) else value


def _conditions(value: Any, bits: dict[Any, int]) -> Iterator[tuple[tuple[int, bool], ...]]:
    """The outcomes, as conditions on bits, for which a value of measurements is true."""
    numbers = [bits[measurement.meas_uid] for measurement in value.measurements]
    if len(numbers) > MOST_CONDITIONS:
        raise CannotWriteError(
            f"a gate depends on {len(numbers)} measurements, at most {MOST_CONDITIONS} can be written"
        )
    for outcome in itertools.product((False, True), repeat=len(numbers)):
        if value.processing_fn(*map(int, outcome)):
            yield tuple(zip(numbers, outcome, strict=True))


def _line(statement: Statement, version: Version) -> str:
    if isinstance(statement, Measure):
        if version == 2:
            return f"measure q[{statement.wire}] -> m{statement.bit}[0];"
        return f"m[{statement.bit}] = measure q[{statement.wire}];"
    if isinstance(statement, Reset):
        return f"reset q[{statement.wire}];"
    angles = f"({','.join(map(number, statement.angles))})" if statement.angles else ""
    gate = f"{statement.name}{angles} {','.join(f'q[{w}]' for w in statement.wires)};"
    if not statement.conditions:
        return gate
    if version == 3:
        opened = " ".join(f"if (m[{bit}] == {str(value).lower()}) {{" for bit, value in statement.conditions)
        return f"{opened} {gate} {'}' * len(statement.conditions)}"
    if len(statement.conditions) > 1:
        raise CannotWriteError("a gate depends on several measurements, OpenQASM 2.0 has one condition", other=True)
    ((bit, value),) = statement.conditions
    return f"if(m{bit}=={int(value)}) {gate}"


def number(value: float) -> str:
    """A float as OpenQASM 2.0 writes real numbers: with a point, and all digits."""
    mantissa, exponent, power = repr(value).partition("e")
    return mantissa + ("" if "." in mantissa else ".0") + exponent + power
