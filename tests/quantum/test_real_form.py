"""Circuits in real arithmetic compute what default.qubit computes, or are refused."""

import numpy as np
import pennylane as qml
import pytest
import torch
from circuits import numbers, random_circuit, reference
from named_circuits import CIRCUITS

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError
from qtlplat_model_files.real_valued import MOST_QUBITS, RealCircuit

SINGLE = 5e-6  # single precision, through a dozen products of matrices
REFUSED = {
    "AmplitudeEmbedding",
    "AmplitudeEmbedding, padded",
    "AmplitudeEmbedding, two qubits",
    "QubitUnitary of inputs",
}


def difference(circuit: Circuit, seed: int) -> float | None:
    """From default.qubit in double precision; None where the circuit has no real form."""
    inputs, weights = numbers(circuit, 3, seed)
    try:
        real = RealCircuit(circuit, weights)
    except ConfigError:
        return None
    with torch.no_grad():
        found, expected = real(inputs), reference(circuit, inputs, weights)
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    return float((found - expected).abs().max())


@pytest.mark.slow
def test_named_circuits():
    found = {name: difference(circuit, seed=3) for name, circuit in CIRCUITS.items()}
    assert {name for name, value in found.items() if value is None} == REFUSED
    assert {name: value for name, value in found.items() if value is not None and not value < SINGLE} == {}


def test_random_circuits():
    found = []
    for k in range(20):
        choice = random_circuit(np.random.default_rng([7, k]), 12)
        found.append(difference(choice.circuit(), choice.seed))
    differences = [value for value in found if value is not None]
    assert len(differences) >= 10
    assert max(differences) < SINGLE


def test_rotations_side_by_side_are_one_step_and_those_behind_each_other_are_not():
    def function(inputs, weights, wires):
        for _ in range(3):
            qml.AngleEmbedding(inputs, wires=wires, rotation="Y")
            qml.StronglyEntanglingLayers(weights, wires=wires)
        return [qml.expval(qml.Z(w)) for w in wires]

    circuit = Circuit(function, 3, {"weights": (1, 3, 3)}, 3, 3)
    _, weights = numbers(circuit, 1, 0)
    assert sorted(name for name, _ in RealCircuit(circuit, weights).named_buffers() if name.startswith("matrix")) == [
        "matrix1",
        "matrix2",
    ]
    assert difference(circuit, 0) < SINGLE


def test_a_circuit_that_takes_no_inputs_gives_everybody_the_same():
    def function(inputs, weights, wires):
        qml.RX(weights[0], wires=0)
        return [qml.expval(qml.Z(0)), qml.expval(qml.Y(1))]

    assert difference(Circuit(function, 2, {"weights": (1,)}, 1, 2), 0) < SINGLE


def test_states_from_inputs_and_many_qubits_are_refused():
    amplitudes = CIRCUITS["AmplitudeEmbedding"]
    with pytest.raises(ConfigError, match="takes a state or a whole matrix"):
        RealCircuit(amplitudes, numbers(amplitudes, 1, 0)[1])

    def wide(inputs, wires):
        qml.AngleEmbedding(inputs, wires=wires)
        return [qml.expval(qml.Z(0))]

    many = MOST_QUBITS + 1
    with pytest.raises(ConfigError, match=f"has {many} qubits"):
        RealCircuit(Circuit(wide, many, {}, many, 1), {})
