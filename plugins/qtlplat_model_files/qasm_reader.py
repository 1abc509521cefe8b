"""Reads the OpenQASM that we write, from its text alone, and computes what it does: a check without PennyLane.

Only what `qasm_program` writes is understood; anything else is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.complex128]

_HEADER = re.compile(r"OPENQASM (\d)\.0;")
_QUBITS = re.compile(r"qreg q\[(\d+)\];|qubit\[(\d+)\] q;")
_BITS = re.compile(r"creg m(\d+)\[1\];|bit\[(\d+)\] m;")
_CONDITION = re.compile(r"if\(m(\d+)==([01])\) |if \(m\[(\d+)\] == (true|false)\) \{ ")
_MEASURE = re.compile(r"measure q\[(\d+)\] -> m(\d+)\[0\];|m\[(\d+)\] = measure q\[(\d+)\];")
_RESET = re.compile(r"reset q\[(\d+)\];")
_GATE = re.compile(r"([a-z]+\d?)(?:\(([-+.\de,]+)\))? (q\[\d+\](?:,q\[\d+\])*);")
MOST_BRANCHES = 2**10

_X: Array = np.array([[0, 1], [1, 0]], np.complex128)
_Y: Array = np.array([[0, -1j], [1j, 0]])
_Z: Array = np.array([[1, 0], [0, -1]], np.complex128)
_H: Array = (_X + _Z) / math.sqrt(2)


@dataclass(frozen=True)
class Line:
    """A statement as it was read. name: of a gate, 'measure' or 'reset'; bit: that a measurement writes."""

    name: str
    angles: tuple[float, ...]
    wires: tuple[int, ...]
    bit: int | None = None
    conditions: tuple[tuple[int, int], ...] = ()


@dataclass
class Branch:
    """One history of outcomes: its state (2, .., 2), whose squared norm is its probability, and its bits."""

    state: Array
    bits: dict[int, int]


def read(lines: Sequence[str]) -> tuple[int, list[Line]]:
    """How many qubits a program has, and its statements. Raises ValueError for a line that is not understood."""
    qubits, found = 0, []
    for line in lines:
        if not line or line.startswith(("//", "include ")) or _HEADER.fullmatch(line) or _BITS.fullmatch(line):
            continue
        if match := _QUBITS.fullmatch(line):
            qubits = int(match[1] or match[2])
        elif match := _MEASURE.fullmatch(line):
            wire, bit = (match[1], match[2]) if match[1] else (match[4], match[3])
            found.append(Line("measure", (), (int(wire),), int(bit)))
        elif match := _RESET.fullmatch(line):
            found.append(Line("reset", (), (int(match[1]),)))
        else:
            found.append(_gate(line))
    return qubits, found


def _gate(line: str) -> Line:
    rest, conditions = line, []
    while match := _CONDITION.match(rest):
        conditions.append((int(match[1] or match[3]), int((match[2] or match[4]) in ("1", "true"))))
        rest = rest[match.end() :]
    parsed = _GATE.fullmatch(rest.rstrip("} "))
    if parsed is None:
        raise ValueError(f"{line!r} is not understood")
    angles = tuple(float(angle) for angle in parsed[2].split(",")) if parsed[2] else ()
    wires = tuple(int(wire) for wire in re.findall(r"\[(\d+)\]", parsed[3]))
    if len(matrix(parsed[1], angles)) != 2 ** len(set(wires)):
        raise ValueError(f"{line!r} has another number of qubits")
    return Line(parsed[1], angles, wires, None, tuple(conditions))


def run(qubits: int, lines: Sequence[Line]) -> list[Branch]:
    """What statements leave behind, over all outcomes of their measurements.

    Raises ValueError if there are too many outcomes.
    """
    state = np.zeros((2,) * qubits, np.complex128)
    state[(0,) * qubits] = 1
    branches = [Branch(state, {})]
    for line in lines:
        if line.name == "measure":
            branches = [outcome for branch in branches for outcome in _measured(branch, line)]
        elif line.name == "reset":
            branches = [outcome for branch in branches for outcome in _reset(branch, line.wires[0])]
        else:
            gate = matrix(line.name, line.angles)
            for branch in branches:
                if all(branch.bits[bit] == value for bit, value in line.conditions):
                    branch.state = applied(branch.state, gate, line.wires)
        if len(branches) > MOST_BRANCHES:
            raise ValueError(f"more than {MOST_BRANCHES} outcomes of measurements")
    return branches


def matrix(name: str, angles: Sequence[float]) -> Array:
    """The matrix of a gate, with the first qubit as the leading one. Raises ValueError if there is no such gate."""
    fixed: Mapping[str, Array] = {
        "h": _H,
        "x": _X,
        "y": _Y,
        "z": _Z,
        "s": np.diag([1, 1j]),
        "sdg": np.diag([1, -1j]),
        "t": np.diag([1, np.exp(0.25j * math.pi)]),
        "tdg": np.diag([1, np.exp(-0.25j * math.pi)]),
        "cx": _controlled(_X),
        "cy": _controlled(_Y),
        "cz": _controlled(_Z),
        "ch": _controlled(_H),
        "ccx": _controlled(_controlled(_X)),
    }
    if name in fixed and not angles:
        return fixed[name]
    if len(angles) == 1:
        (angle,) = angles
        if name in ("rx", "ry", "rz"):
            return _rotation({"x": _X, "y": _Y, "z": _Z}[name[1]], angle)
        if name == "crz":
            return _controlled(_rotation(_Z, angle))
        if name == "u1":
            return np.diag([1, np.exp(1j * angle)])
    raise ValueError(f"there is no gate {name} with {len(angles)} angles")


def _rotation(pauli: Array, angle: float) -> Array:
    return np.asarray(math.cos(angle / 2) * np.eye(2) - 1j * math.sin(angle / 2) * pauli)


def _controlled(gate: Array) -> Array:
    full = np.eye(2 * len(gate), dtype=np.complex128)
    full[len(gate) :, len(gate) :] = gate
    return full


def applied(state: Array, gate: Array, wires: Sequence[int]) -> Array:
    """A matrix (2^k, 2^k) applied to k axes of a state (2, .., 2)."""
    k = len(wires)
    moved = np.tensordot(gate.reshape((2,) * (2 * k)), state, (range(k, 2 * k), wires))
    return np.moveaxis(moved, range(k), wires)


def _measured(branch: Branch, line: Line) -> list[Branch]:
    assert line.bit is not None
    states = enumerate(_projected(branch.state, line.wires[0]))
    return [Branch(state, {**branch.bits, line.bit: outcome}) for outcome, state in states if state.any()]


def _reset(branch: Branch, wire: int) -> list[Branch]:
    """Reset the qubit to 0, whatever it was: two branches that cannot be distinguished."""
    zero, one = _projected(branch.state, wire)
    return [Branch(state, branch.bits) for state in (zero, applied(one, _X, [wire])) if state.any()]


def _projected(state: Array, wire: int) -> list[Array]:
    return [applied(state, np.diag([1.0 - outcome, outcome]), [wire]) for outcome in (0, 1)]
