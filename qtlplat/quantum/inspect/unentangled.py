"""A circuit without its entangling gates: what its rotations can do alone, as a control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pennylane as qml
import torch
from pennylane.operation import Operator, StatePrepBase
from pennylane.tape import QuantumScript

from qtlplat.contracts import Circuit
from qtlplat.quantum.compiler.gates import CannotCompileError


def unentangled(circuit: Circuit) -> Circuit:
    """The same circuit without its gates on two and more qubits; a prepared initial state stays as it is.

    Templates are taken apart; what then still acts on several qubits is left out whole, and with it the angles that it
    takes: their weights stay, and nothing depends on them.
    """

    def function(inputs: Any, wires: Sequence[int], **weights: Any) -> list[Any]:
        operations, measurements = _gates(circuit, inputs, wires, weights)
        for op in operations:
            if not _entangles(op):
                qml.apply(op)
        return [qml.apply(measurement) for measurement in measurements]

    return replace(circuit, function=function)


def has_entangling_gates(circuit: Circuit) -> bool:
    """Whether `unentangled` would leave out anything."""
    weights = {name: torch.full(shape, 0.1) for name, shape in circuit.weight_shapes.items()}
    inputs = torch.full((circuit.n_inputs,), 0.1)
    operations, _ = _gates(circuit, inputs, range(circuit.qubits), weights)
    return any(_entangles(op) for op in operations)


def _gates(circuit: Circuit, inputs: Any, wires: Sequence[int], weights: Any) -> tuple[list[Operator], list[Any]]:
    """Gates and measurements of the circuit's function; none of them is queued."""
    with qml.QueuingManager.stop_recording():
        with qml.queuing.AnnotatedQueue() as queue:
            returned = circuit.function(inputs, wires=wires, **weights)
        (whole,), _ = qml.devices.preprocess.decompose(
            QuantumScript(QuantumScript.from_queue(queue).operations, []),
            stopping_condition=_is_gate,
            skip_initial_state_prep=True,
            error=CannotCompileError,
            name="the control without entanglement",
        )
    return list(whole.operations), list(returned) if isinstance(returned, list | tuple) else [returned]


def _is_gate(op: Operator) -> bool:
    return len(op.wires) < 2 or isinstance(op, StatePrepBase) or op.has_matrix or not op.has_decomposition


def _entangles(op: Operator) -> bool:
    return len(op.wires) > 1 and not isinstance(op, StatePrepBase)
