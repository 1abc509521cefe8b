"""The control without entanglement: which gates go, which stay, and that it runs everywhere a circuit runs."""

import math

import pennylane as qml
import pytest
import torch
from circuits import errors

from qtlplat.contracts import Circuit
from qtlplat.quantum.compiler.compile import compile_circuit
from qtlplat.quantum.devices.choice import DeviceRunner
from qtlplat.quantum.inspect.unentangled import has_entangling_gates, unentangled

QUBITS = 3


def entangling(inputs, wires, weights):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    qml.IsingXX(inputs[..., 0], wires=wires[:2])
    return [qml.expval(qml.Z(w)) for w in wires]


def rotations_only(inputs, wires, weights):
    qml.AngleEmbedding(inputs, wires=wires)
    for layer in range(2):
        for wire in wires:
            qml.Rot(*weights[layer, wire], wires=wire)
    return [qml.expval(qml.Z(w)) for w in wires]


def amplitudes(inputs, wires, weights):
    qml.AmplitudeEmbedding(inputs, wires=wires, pad_with=0.3, normalize=True)
    qml.RX(weights[0, 0, 0], wires[0])
    qml.CNOT(wires[:2])
    return [qml.expval(qml.Z(w)) for w in wires]


def circuit(function):
    return Circuit(function, QUBITS, {"weights": (2, QUBITS, 3)}, n_inputs=QUBITS, n_outputs=QUBITS)


def test_it_computes_what_the_rotations_alone_compute():
    program = compile_circuit(unentangled(circuit(entangling)), double=True)
    assert max(errors(program, circuit(rotations_only))) < 1e-10


def test_it_factorises():
    """Without entanglement <Z> on a qubit depends on that qubit's input alone."""
    program = compile_circuit(unentangled(circuit(entangling)), double=True)
    weights = {"weights": torch.rand(2, QUBITS, 3, dtype=torch.float64) * 2 * math.pi}
    inputs = torch.tensor([[0.1, 0.2, 0.3], [0.9, 0.2, 0.3]], dtype=torch.float64)
    one, other = program(inputs, weights)
    assert not torch.isclose(one[0], other[0])
    torch.testing.assert_close(one[1:], other[1:], rtol=0, atol=1e-12)


def test_a_prepared_state_stays_and_the_gates_behind_it_go():
    def expected(inputs, wires, weights):
        qml.AmplitudeEmbedding(inputs, wires=wires, pad_with=0.3, normalize=True)
        qml.RX(weights[0, 0, 0], wires[0])
        return [qml.expval(qml.Z(w)) for w in wires]

    program = compile_circuit(unentangled(circuit(amplitudes)), double=True)
    assert max(errors(program, circuit(expected))) < 1e-10


def test_it_runs_on_a_device_too():
    given = unentangled(circuit(entangling))
    weights = {"weights": torch.rand(2, QUBITS, 3, dtype=torch.float64)}
    inputs = torch.rand(4, QUBITS, dtype=torch.float64)
    on_device = DeviceRunner(given, "default.qubit", {})(inputs, weights)
    torch.testing.assert_close(on_device, compile_circuit(given, double=True)(inputs, weights), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("function", "there"), [(entangling, True), (rotations_only, False), (amplitudes, True)])
def test_whether_there_is_anything_to_leave_out(function, there):
    assert has_entangling_gates(circuit(function)) is there
