"""The circuit layer agrees with an independent simulation, sample by sample, in values and gradients."""

import functools

import numpy as np
import pennylane as qml
import pytest
import torch

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, PluginError
from qtlplat.quantum.devices import circuit_layer
from qtlplat.quantum.inspect import describe
from qtlplat_dressed import DressedOptions, circuit


def matrix_simulation(options: DressedOptions, inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """<Z> on every qubit by plain matrix products: no PennyLane."""
    q = options.qubits
    x, y, z = (np.array(m) for m in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]))
    axis = {"X": x, "Y": y, "Z": z}[options.axis]

    def rotation(pauli, angle):
        return np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * pauli

    def on(matrix, wire):
        return functools.reduce(np.kron, [matrix if w == wire else np.eye(2) for w in range(q)])

    def cnot(control, target):
        zero, one = np.diag([1, 0]), np.diag([0, 1])
        return on(zero, control) + on(one, control) @ on(x, target)

    state = np.zeros(2**q, dtype=complex)
    state[0] = 1
    for wire in range(q):
        state = on(rotation(axis, inputs[wire]), wire) @ state
    for layer in range(options.layers):
        for wire in range(q):
            phi, theta, omega = weights[layer, wire]
            state = on(rotation(z, omega) @ rotation(y, theta) @ rotation(z, phi), wire) @ state
        if q > 1:
            for wire in range(q):
                state = cnot(wire, (wire + layer % (q - 1) + 1) % q) @ state
    return np.array([np.real(state.conj() @ on(z, wire) @ state) for wire in range(q)])


@pytest.mark.parametrize("axis", ["X", "Y", "Z"])
def test_a_batch_equals_plain_matrix_products(axis):
    options = DressedOptions(qubits=3, layers=2, axis=axis)
    torch.manual_seed(0)
    layer = circuit_layer(circuit(options))
    inputs = torch.rand(4, 3)
    weights = layer.weights["weights"].detach().double().numpy()
    expected = [matrix_simulation(options, row, weights) for row in inputs.double().numpy()]
    np.testing.assert_allclose(layer(inputs).detach().numpy(), expected, atol=1e-6)


def test_gradients_equal_finite_differences():
    options = DressedOptions(qubits=2, layers=1)
    torch.manual_seed(0)
    layer = circuit_layer(circuit(options)).double()
    inputs = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (inputs,), eps=1e-6, atol=1e-6)


def test_a_circuit_that_returns_something_else_than_declared_is_named():
    def function(inputs, wires):
        qml.AngleEmbedding(inputs, wires=wires)
        return [qml.expval(qml.PauliZ(0))]

    layer = circuit_layer(Circuit(function, qubits=2, weight_shapes={}, n_inputs=2, n_outputs=2))
    with pytest.raises(PluginError, match="returned 1 values per sample, it declared 2"):
        layer(torch.rand(3, 2))


def test_probabilities_and_fixed_outputs_keep_the_batch():
    def function(inputs, wires):
        qml.AngleEmbedding(inputs, wires=wires[:1])
        return [qml.probs(wires=wires[:1]), qml.expval(qml.PauliZ(1))]

    layer = circuit_layer(Circuit(function, qubits=2, weight_shapes={}, n_inputs=1, n_outputs=3))
    angles = torch.tensor([[0.0], [np.pi]])
    torch.testing.assert_close(layer(angles), torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))


def test_an_unknown_device_is_a_config_error():
    with pytest.raises(ConfigError, match="no device"):
        circuit_layer(circuit(DressedOptions()), "default.nothing")


def test_description_counts_gates_depth_and_parameters():
    facts = describe(circuit(DressedOptions(qubits=5, layers=3)))
    assert facts["gates"] == {"CNOT": 15, "RX": 5, "Rot": 15}
    assert facts["parameters"] == {"weights": 45}
    assert facts["drawing"].count("\n") == 4
