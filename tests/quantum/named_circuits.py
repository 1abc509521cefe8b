"""Circuits by name: templates of PennyLane, every kind of measurement, and what is out of the ordinary."""

import pennylane as qml
import torch
from circuits import unitary

from qtlplat.contracts import Circuit
from qtlplat_dressed import circuit
from qtlplat_dressed.options import DressedOptions


def z_on_all(wires):
    return [qml.expval(qml.Z(w)) for w in wires]


def angle_embedding(axis):
    def function(inputs, weights, wires):
        qml.AngleEmbedding(inputs, wires=wires, rotation=axis)
        qml.StronglyEntanglingLayers(weights, wires=wires)
        return z_on_all(wires)

    return Circuit(function, 4, {"weights": (2, 4, 3)}, 4, 4)


def fewer_angles_than_qubits(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires[1:])
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return z_on_all(wires)


def amplitude_embedding(inputs, weights, wires):
    qml.AmplitudeEmbedding(inputs, wires=wires, normalize=True)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return z_on_all(wires)


def sums_at_the_start(inputs, weights, wires):
    for w in wires:
        qml.RX(2 * inputs[w] + inputs[0] * weights[0, w, 0], wires=w)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return z_on_all(wires)


def unlike_embeddings(inputs, weights, wires):
    """A rotation of each kind: one that changes no more than a phase, one that is none, and what they stand behind."""
    qml.Hadamard(0)
    qml.RX(inputs[0], wires=0)
    qml.RY(0.4, wires=1)
    qml.RZ(inputs[1], wires=1)
    qml.RY(inputs[2], wires=3)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return z_on_all(wires)


def gates_before_the_first_layer(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires, rotation="Y")
    qml.CNOT([0, 1])
    qml.ISWAP([1, 2])
    qml.CRZ(weights[0, 0, 0], wires=[0, 2])
    qml.CRY(0.3, wires=[2, 0])
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return z_on_all(wires)


def padded_amplitudes(inputs, weights, wires):
    qml.AmplitudeEmbedding(inputs, wires=[2, 0, 1], normalize=True, pad_with=0.2)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return [qml.expval(qml.Y(0) @ qml.X(1)), qml.probs(wires=[2, 1])]


def iqp_embedding(inputs, weights, wires):
    qml.IQPEmbedding(inputs, wires=wires, n_repeats=2)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return z_on_all(wires)


def basic_entangler(rotation):
    def function(inputs, weights, wires):
        qml.AngleEmbedding(inputs, wires=wires, rotation="Y")
        qml.BasicEntanglerLayers(weights, wires=wires, rotation=rotation)
        return z_on_all(wires)

    return Circuit(function, 4, {"weights": (3, 4)}, 4, 4)


def longer_ranges(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires, ranges=[2, 3], imprimitive=qml.CZ)
    return [qml.expval(qml.X(w)) for w in wires]


def simplified_two_design(inputs, initial, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.SimplifiedTwoDesign(initial, weights, wires=wires)
    return z_on_all(wires)


def random_layers(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.RandomLayers(weights, wires=wires, seed=5)
    return z_on_all(wires)


def reuploading(inputs, weights, wires):
    for layer in weights:
        qml.AngleEmbedding(inputs, wires=wires)
        qml.StronglyEntanglingLayers(layer[None], wires=wires)
    return z_on_all(wires)


def trainable_reuploading(inputs, scale, shift, wires):
    for w, b in zip(scale, shift, strict=True):
        for k, wire in enumerate(wires):
            qml.Rot(*(w[k] * inputs[k] + b[k]), wires=wire)
        for k in range(len(wires) - 1):
            qml.CZ([wires[k], wires[k + 1]])
    return z_on_all(wires)


def qaoa_embedding(inputs, weights, wires):
    qml.QAOAEmbedding(inputs, weights, wires=wires)
    return z_on_all(wires)


def hamiltonian(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    ising = qml.Hamiltonian([0.4, -1.2, 0.7, 2.0], [qml.Z(0) @ qml.Z(1), qml.X(2), qml.Y(0) @ qml.X(1), qml.I(0)])
    return [qml.expval(ising), qml.expval(0.5 * qml.Z(0) + qml.X(1) @ qml.X(2))]


def pauli_words(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    words = [qml.X(0), qml.Y(1) @ qml.Y(2), qml.Z(2) @ qml.X(0), qml.X(0) @ qml.Y(1) @ qml.Z(2), qml.I(1)]
    return [qml.expval(word) for word in words]


def measured_along_one_axis_each(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return [qml.expval(qml.X(0)), qml.expval(qml.Y(1) @ qml.X(0)), qml.expval(qml.Z(2))]


def hermitian_observables(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    one, two = unitary(1, 2), unitary(2, 4)
    return [
        qml.expval(qml.Hermitian(one + one.conj().T, 1)),
        qml.expval(qml.Hermitian((two + two.conj().T) / 2, [2, 0])),
        qml.expval(qml.Projector([1, 0], [0, 2])),
    ]


def probabilities(*parts):
    def function(inputs, weights, wires):
        qml.AngleEmbedding(inputs, wires=wires)
        qml.StronglyEntanglingLayers(weights, wires=wires)
        return [qml.probs(wires=part) if part else qml.probs() for part in parts]

    return Circuit(function, 3, {"weights": (2, 3, 3)}, 3, sum(2 ** (len(part) or 3) for part in parts))


def mixed_outputs(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return [
        qml.expval(qml.Z(0)),
        qml.probs(wires=[2, 0]),
        qml.expval(qml.X(1)),
        qml.probs(wires=wires),
        qml.expval(qml.Y(2)),
    ]


def without_weights(inputs, wires):
    qml.IQPEmbedding(inputs, wires=wires)
    qml.QFT(wires=wires)
    return z_on_all(wires)


def without_inputs(inputs, weights, wires):
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return [qml.expval(qml.Z(0)), qml.expval(qml.X(1)), qml.probs(wires=[2])]


def nothing_at_all(inputs, wires):
    qml.Hadamard(wires[0])
    return z_on_all(wires)


def basis_state(inputs, weights, wires):
    qml.BasisState([1, 0, 1], wires=wires)
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return z_on_all(wires)


def unitaries_of_inputs(inputs, weights, wires):
    c, s = torch.cos(inputs[0]), torch.sin(inputs[0])
    qml.QubitUnitary(torch.stack([torch.stack([c, -s]), torch.stack([s, c])]), wires=1)
    generator = torch.einsum("i,j->ij", inputs, weights) + 0j
    qml.QubitUnitary(torch.linalg.matrix_exp(1j * (generator + generator.T)), wires=[2, 0])
    return [qml.expval(qml.X(w)) for w in wires]


def matrices_of_weights_only(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.QubitUnitary(torch.linalg.matrix_exp(1j * (weights + weights.T + 0j)), wires=[2, 0])
    return [qml.expval(qml.X(w)) for w in wires]


def two_qubit_amplitudes(inputs, weights, wires):
    qml.AmplitudeEmbedding(inputs, wires=wires, normalize=True)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return z_on_all(wires)


def trained_amplitudes(inputs, weights, wires):
    qml.AmplitudeEmbedding(weights, wires=wires, normalize=True)
    qml.AngleEmbedding(inputs, wires=wires)
    return z_on_all(wires)


def several_angles_on_one_qubit(inputs, weights, wires):
    for x, w in zip(inputs, weights, strict=True):
        qml.RX(x, wires=0)
        qml.RX(w, wires=0)
        qml.RX(x, wires=1)
        qml.CNOT([0, 1])
    return z_on_all(wires)


def long_runs_of_turns(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    for w in weights:
        qml.RX(w, wires=0)
        qml.RY(0.3 * w, wires=0)
        qml.Hadamard(wires=0)
    qml.CNOT([0, 1])
    qml.RZ(weights[0], wires=1)
    qml.RX(weights[1], wires=1)
    return z_on_all(wires)


def stops_a_gradient(inputs, weights, wires):
    qml.RX(inputs[0] * weights[0].detach(), wires=0)
    qml.RY(weights[1].detach() + weights[2], wires=0)
    return [qml.expval(qml.Z(0)), qml.expval(qml.X(0))]


def rounds_a_value(inputs, weights, wires):
    qml.RX(inputs[0].round() * weights[0], wires=0)
    qml.RY(inputs[1].long().double() + weights[1], wires=0)
    return [qml.expval(qml.Z(0)), qml.expval(qml.X(0))]


def cancelling_angles(inputs, weights, wires):
    qml.CRX(weights[0] - weights[0], wires=[0, 1])
    qml.RX(inputs[0] * weights[0] - weights[0] * inputs[0] + weights[1], wires=1)
    qml.CRY(0 * inputs[1], wires=[1, 0])
    return [qml.expval(qml.Z(1)), qml.expval(qml.Y(1)), qml.expval(qml.X(0))]


def evolution(inputs, weights, wires):
    qml.evolve(qml.X(0) + 0.5 * qml.Z(0) @ qml.Z(1), inputs[0])
    qml.evolve(qml.X(1) @ qml.Y(0), weights[0] * inputs[1])
    qml.adjoint(qml.evolve(0.3 * qml.Y(0) - qml.Z(1), weights[1]))
    qml.exp(qml.Z(0) @ qml.X(1), 1j * weights[2])
    return [qml.expval(qml.Z(0)), qml.expval(qml.Y(1)), qml.expval(qml.X(0))]


def global_phases(inputs, weights, wires):
    qml.GlobalPhase(inputs[0])
    qml.PauliRot(inputs[0], "I", wires=0)
    qml.Hadamard(wires=1)
    qml.PauliRot(weights[0], "II", wires=[0, 1])
    qml.ctrl(qml.GlobalPhase(inputs[0] - weights[1]), control=1)
    return [qml.expval(qml.Z(0)), qml.expval(qml.X(1)), qml.expval(qml.Y(1))]


def no_operations(inputs, weights, wires):
    qml.RX(0 * inputs[0] * weights[0], wires=0)
    qml.GlobalPhase(inputs[0])
    qml.Barrier(wires)
    qml.Snapshot()
    return [qml.expval(qml.Z(0)), qml.expval(0 * qml.X(0))]


CIRCUITS = {
    "AngleEmbedding(X)": angle_embedding("X"),
    "AngleEmbedding(Y)": angle_embedding("Y"),
    "AngleEmbedding(Z)": angle_embedding("Z"),
    "AngleEmbedding of fewer angles": Circuit(fewer_angles_than_qubits, 4, {"weights": (2, 4, 3)}, 3, 4),
    "AngleEmbedding of sums": Circuit(sums_at_the_start, 3, {"weights": (2, 3, 3)}, 3, 3),
    "unlike embeddings": Circuit(unlike_embeddings, 4, {"weights": (2, 4, 3)}, 3, 4),
    "gates before the first layer": Circuit(gates_before_the_first_layer, 3, {"weights": (2, 3, 3)}, 3, 3),
    "AmplitudeEmbedding": Circuit(amplitude_embedding, 3, {"weights": (2, 3, 3)}, 8, 3),
    "AmplitudeEmbedding, two qubits": Circuit(two_qubit_amplitudes, 2, {"weights": (2, 2, 3)}, 4, 2),
    "AmplitudeEmbedding, padded": Circuit(padded_amplitudes, 3, {"weights": (2, 3, 3)}, 5, 5),
    "AmplitudeEmbedding of weights": Circuit(trained_amplitudes, 2, {"weights": (4,)}, 2, 2),
    "BasisState": Circuit(basis_state, 3, {"weights": (2, 3, 3)}, 3, 3),
    "IQPEmbedding": Circuit(iqp_embedding, 4, {"weights": (2, 4, 3)}, 4, 4),
    "BasicEntanglerLayers(RX)": basic_entangler(qml.RX),
    "BasicEntanglerLayers(RY)": basic_entangler(qml.RY),
    "StronglyEntanglingLayers": circuit(DressedOptions(qubits=5, layers=3)),
    "StronglyEntanglingLayers, ranges and CZ": Circuit(longer_ranges, 4, {"weights": (2, 4, 3)}, 4, 4),
    "SimplifiedTwoDesign": Circuit(simplified_two_design, 4, {"initial": (4,), "weights": (3, 3, 2)}, 4, 4),
    "RandomLayers": Circuit(random_layers, 4, {"weights": (3, 8)}, 4, 4),
    "QAOAEmbedding": Circuit(qaoa_embedding, 4, {"weights": (2, 8)}, 4, 4),
    "data re-uploading": Circuit(reuploading, 4, {"weights": (3, 4, 3)}, 4, 4),
    "data re-uploading, w * x + b": Circuit(trainable_reuploading, 3, {"scale": (3, 3, 3), "shift": (3, 3, 3)}, 3, 3),
    "Hamiltonian": Circuit(hamiltonian, 3, {"weights": (2, 3, 3)}, 3, 2),
    "Pauli words": Circuit(pauli_words, 3, {"weights": (2, 3, 3)}, 3, 5),
    "one axis each": Circuit(measured_along_one_axis_each, 3, {"weights": (2, 3, 3)}, 3, 3),
    "Hermitian": Circuit(hermitian_observables, 3, {"weights": (2, 3, 3)}, 3, 3),
    "probabilities": probabilities([]),
    "probabilities, reordered": probabilities([2, 0, 1]),
    "probabilities of some": probabilities([1], [2, 0]),
    "mixed outputs": Circuit(mixed_outputs, 3, {"weights": (2, 3, 3)}, 3, 15),
    "no weights": Circuit(without_weights, 3, {}, 3, 3),
    "no inputs": Circuit(without_inputs, 3, {"weights": (2, 3, 3)}, 3, 4),
    "nothing": Circuit(nothing_at_all, 2, {}, 1, 2),
    "nothing to speak of": Circuit(no_operations, 1, {"weights": (1,)}, 1, 2),
    "QubitUnitary of inputs": Circuit(unitaries_of_inputs, 3, {"weights": (4,)}, 4, 3),
    "QubitUnitary of weights": Circuit(matrices_of_weights_only, 3, {"weights": (4, 4)}, 3, 3),
    "several angles on one qubit": Circuit(several_angles_on_one_qubit, 2, {"weights": (3,)}, 3, 2),
    "long runs of turns": Circuit(long_runs_of_turns, 2, {"weights": (5,)}, 2, 2),
    "global phases": Circuit(global_phases, 2, {"weights": (2,)}, 1, 3),
    "angles that cancel": Circuit(cancelling_angles, 2, {"weights": (2,)}, 2, 3),
    "evolution under a Hamiltonian": Circuit(evolution, 2, {"weights": (3,)}, 2, 3),
    "detached values": Circuit(stops_a_gradient, 1, {"weights": (3,)}, 1, 2),
    "rounded values": Circuit(rounds_a_value, 1, {"weights": (2,)}, 2, 2),
}
