"""What can be said about a circuit without training it: drawing, gate counts, depth, parameters, what would run it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pennylane as qml
import torch
from pennylane.operation import Channel
from pennylane.tape import QuantumScript
from torch import Tensor

from qtlplat.contracts import Circuit
from qtlplat.quantum.circuits.samples import SampleFunction
from qtlplat.quantum.compiler.layout import Layer
from qtlplat.quantum.compiler.program import Program
from qtlplat.quantum.compiler.schedule import Diagonal, Permutation
from qtlplat.quantum.devices.engine import Engine
from qtlplat.quantum.inspect.drawing import draw_svg


def describe(circuit: Circuit) -> dict[str, Any]:
    """Facts about a circuit as a device would run it.

    Returns ``drawing`` (text), ``gates`` (count by name), ``depth`` (layers of gates), ``parameters`` (trainable
    numbers by weight) and ``qubits``.
    """
    node = _node(circuit)
    inputs, weights = _inputs(circuit, 0), _weights(circuit, 0)
    drawing = qml.draw(node, level="device", decimals=None, show_matrices=False, max_length=96)(inputs, **weights)
    resources = qml.specs(node, level="device")(inputs, **weights)["resources"]
    return {
        "drawing": drawing,
        "gates": {str(k): int(v) for k, v in sorted(resources.gate_types.items())},
        "depth": resources.depth,
        "parameters": {name: math.prod(shape) for name, shape in circuit.weight_shapes.items()},
        "qubits": circuit.qubits,
    }


def describe_engine(engine: Engine) -> dict[str, Any]:
    """What runs a circuit, JSON-able: ``name``, ``why``, ``gradient``, ``shots`` and ``steps``.

    ``shots`` is None where values are exact, ``steps`` for all but a compiled circuit.
    """
    steps = count_steps(engine.run) if isinstance(engine.run, Program) else None
    shots = engine.traits.form()
    return {"name": engine.name, "why": engine.why, "gradient": engine.gradient, "shots": shots, "steps": steps}


def count_steps(program: Program) -> dict[str, Any]:
    """What the compiler made of a circuit.

    ``product_state``: whether it starts with one, made by its input rotations; ``layers`` of single-qubit gates behind
    it, ``permutations`` of basis states, ``phases``, and ``matrices`` on several qubits: how many of each.
    """
    steps = program.layout.steps
    layers, permutations, phases = (
        sum(isinstance(step, kind) for step in steps) for kind in (Layer, Permutation, Diagonal)
    )
    return {
        "product_state": program.layout.product is not None,
        "layers": layers,
        "permutations": permutations,
        "phases": phases,
        "matrices": len(steps) - layers - permutations - phases,
    }


def picture(circuit: Circuit) -> str:
    """The circuit as a device would run it, drawn as SVG; shaded boxes take inputs or weights."""
    tape = _tape(circuit, 0, 0)
    of_inputs = _moving(tape, _tape(circuit, 1, 0))
    of_weights = _moving(tape, _tape(circuit, 0, 1))
    kinds = ["input" if i in of_inputs else "weight" if i in of_weights else "" for i in range(len(tape.operations))]
    return draw_svg(tape, max([circuit.qubits, *(wire + 1 for wire in tape.wires)]), kinds)


def _tape(circuit: Circuit, which_inputs: int, which_weights: int) -> QuantumScript:
    batch, _ = qml.workflow.construct_batch(_node(circuit), level="device")(
        _inputs(circuit, which_inputs), **_weights(circuit, which_weights)
    )
    return batch[0]


def _moving(tape: QuantumScript, other: QuantumScript) -> set[int]:
    """Positions of the operations whose parameters differ between two executions."""
    pairs = enumerate(zip(tape.operations, other.operations, strict=False))
    return {i for i, (a, b) in pairs if any(not np.allclose(x, y) for x, y in zip(a.data, b.data, strict=False))}


def _node(circuit: Circuit) -> Any:
    function = SampleFunction(circuit, counted=False)

    def quantum_function(inputs: Any, **weights: Any) -> Any:
        return circuit.function(function.given(inputs), wires=range(circuit.qubits), **weights)

    tape = qml.tape.make_qscript(quantum_function)(_inputs(circuit, 0), **_weights(circuit, 0))
    noisy = any(isinstance(op, Channel) for op in tape.operations)
    # A measurement within the circuit is deferred, onto a wire of its own.
    measured = sum(isinstance(op, qml.ops.MidMeasure) for op in tape.operations)
    name = "default.mixed" if noisy else "default.qubit"
    device = qml.device(name, wires=circuit.qubits + measured, seed=0)  # without: from numpy's global generator
    return qml.QNode(quantum_function, device, mcm_method="deferred" if measured else None)


def _inputs(circuit: Circuit, which: int) -> Tensor:
    """One sample of norm 1, so that it also serves as amplitudes; which: one of two that differ everywhere."""
    n = circuit.n_inputs
    flat = torch.ones(n, dtype=torch.float64)
    if which:
        flat = -torch.linspace(1.5, 2.5, n, dtype=torch.float64)
    # A single input is no amplitude, and must not differ in its sign alone.
    return flat / (torch.linalg.vector_norm(flat) if n > 1 else 3.0)


def _weights(circuit: Circuit, which: int) -> dict[str, Tensor]:
    value = (0.1, 0.2)[which]
    return {name: torch.full(shape, value, dtype=torch.float64) for name, shape in circuit.weight_shapes.items()}
