"""A circuit with its weights as OpenQASM 2.0, which other programs and machines read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pennylane as qml
from pennylane.tape import QuantumScript

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, inert, told

# OpenQASM 2.0 has no such statement, and nothing that is measured depends on it.
GLOBAL_PHASE = "gphase("


def to_qasm(
    circuit: Circuit,
    weights: Mapping[str, npt.NDArray[np.float64]],
    inputs: npt.NDArray[np.float64],
    comments: Sequence[str] = (),
) -> str:
    """The circuit's gates for these weights and one sample's inputs (n_inputs,), all numbers bound.

    What the circuit returns stands in comments: OpenQASM 2.0 measures in the computational basis alone. comments: lines
    above the program. Raises ConfigError where it has operations that OpenQASM 2.0 cannot hold.
    """
    with qml.queuing.AnnotatedQueue() as queue:
        returned = circuit.function(inputs, wires=range(circuit.qubits), **weights)
    operations = QuantumScript.from_queue(queue).operations
    try:
        text: str = qml.to_openqasm(
            QuantumScript(operations, []),
            wires=qml.wires.Wires(range(circuit.qubits)),
            rotations=False,
            measure_all=False,
        )
    except Exception as error:
        what = f"the circuit cannot be written as OpenQASM 2.0: {told(error)}"
        raise ConfigError(what, where="the circuit's gates", fix="unitary gates can be written") from error
    measurements = returned if isinstance(returned, list | tuple) else [returned]
    notes = [*comments, *(f"output {i}: {measurement!r}" for i, measurement in enumerate(measurements))]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(GLOBAL_PHASE)]
    return "\n".join([*(f"// {inert(note)}" for note in notes), *lines, ""])
