"""What can be said about a circuit without training it: drawing, gate counts, depth, parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pennylane as qml

from qtlplat.contracts import Circuit


def describe(circuit: Circuit) -> dict[str, Any]:
    """Facts about a circuit as a device would run it.

    Returns ``drawing`` (text), ``gates`` (count by name), ``depth`` (layers of gates), ``parameters`` (trainable
    numbers by weight) and ``qubits``.
    """
    node = qml.QNode(_bound(circuit), qml.device("default.qubit", wires=circuit.qubits))
    inputs = np.full(circuit.n_inputs, 0.5)
    weights = {name: np.full(shape, 0.1) for name, shape in circuit.weight_shapes.items()}
    drawing = qml.draw(node, level="device", decimals=None, show_matrices=False, max_length=96)(inputs, **weights)
    resources = qml.specs(node, level="device")(inputs, **weights)["resources"]
    return {
        "drawing": drawing,
        "gates": {str(k): int(v) for k, v in sorted(resources.gate_types.items())},
        "depth": resources.depth,
        "parameters": {name: math.prod(shape) for name, shape in circuit.weight_shapes.items()},
        "qubits": circuit.qubits,
    }


def _bound(circuit: Circuit) -> Any:
    def quantum_function(inputs: Any, **weights: Any) -> Any:
        return circuit.function(inputs, wires=range(circuit.qubits), **weights)

    return quantum_function
