"""How much memory a circuit takes, estimated before anything is allocated."""

from __future__ import annotations

from qtlplat.contracts import Circuit
from qtlplat.quantum.layout import Layer
from qtlplat.quantum.program import Program
from qtlplat.quantum.schedule import Dense, Diagonal

OPERATIONS_PER_QUBIT = 8  # a guess at the gates of a circuit that runs on a device, whose tape is not looked at


def program_bytes(program: Program, rows: int, *, gradients: bool) -> int:
    """Bytes for states of `rows` samples: those kept for the backward pass, and what one operation needs."""
    states = saved_states(program) if gradients else 0
    return int((states + 4) * rows * 2**program.qubits * _amplitude_bytes(program)) + program.table_bytes


def saved_states(program: Program) -> float:
    """How many states the backward pass needs, in states."""
    saved = 2.0  # the product state, the measurement
    for step in program.layout.steps:
        if isinstance(step, Layer):
            saved += 2 * len(program.groups) if len(program.groups) > 1 else 1
        elif isinstance(step, Diagonal):
            saved += 3 if step.of_inputs else 1
        elif isinstance(step, Dense):
            saved += 3
        else:
            saved += 1
    return saved


def _amplitude_bytes(program: Program) -> int:
    return program.dtype.itemsize * (1 if program.real else 2)


def device_bytes(circuit: Circuit, rows: int, *, gradients: bool) -> int:
    """Bytes on a PennyLane simulator: complex128 states, one kept for each gate where gradients are wanted."""
    weights = sum(_size(shape) for shape in circuit.weight_shapes.values())
    kept = circuit.n_inputs + weights + OPERATIONS_PER_QUBIT * circuit.qubits if gradients else 4
    return int(kept * rows * 2**circuit.qubits * 16)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
