"""More circuits as people write them, whose form differs from those of `written_circuits` in one way or another."""

from __future__ import annotations

import math

import pennylane as qml
from quantum.written_circuits import ring, signs, written


@written(2, 2, 2, weights=(3, 2, 3))
def a_tuple_of_two(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return qml.expval(qml.Z(0)), qml.expval(qml.Z(1))


@written(2, 2, 1, weights=(1, 2))
def no_list_of_two_qubits(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.BasicEntanglerLayers(weights, wires=wires)
    return qml.expval(qml.Z(0))


@written(4, 4, 4, weights=(4,))
def elements_of_quarter_turns(inputs, weights, wires):
    for wire in range(4):
        qml.Hadamard(wire)
        qml.RY(inputs[wire] * math.pi / 2, wires=wire)
    for wire in range(3):
        qml.CNOT([wire, wire + 1])
    for wire in range(4):
        qml.RY(weights[wire], wire)
    return signs(wires)


@written(2, 2, 2, weights=(2,))
def elements_and_a_measurement(inputs, weights, wires):
    for wire in range(2):
        qml.RY(inputs[wire], wires=wire)
    outcome = qml.measure(0)
    qml.cond(outcome, qml.RY)(weights[0], 1)
    qml.RY(weights[1], 1)
    return [qml.expval(qml.PauliZ(1)), qml.expval(qml.PauliX(1))]


@written(2, 2, 4, weights=(1, 2))
def chances_of_an_operator(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.BasicEntanglerLayers(weights, wires=wires)
    return [qml.probs(op=qml.X(0)), qml.probs(wires=1)]


@written(4, 4, 2, convolution=(9,), pool=(3,), dense=(1, 2, 3))
def convolutions_and_pooling(inputs, convolution, pool, dense, wires):
    qml.AngleEmbedding(inputs, wires=wires, rotation="Y")
    for a, b in ((0, 1), (2, 3), (1, 2)):
        qml.IsingXX(convolution[0], [a, b])
        qml.IsingYY(convolution[1], [a, b])
        qml.IsingZZ(convolution[2], [a, b])
        qml.U3(*convolution[3:6], wires=a)
        qml.U3(*convolution[6:9], wires=b)
    for a, b in ((0, 1), (2, 3)):
        qml.cond(qml.measure(a), qml.U3)(*pool, wires=b)
    qml.StronglyEntanglingLayers(dense, wires=[1, 3])
    return [qml.expval(qml.Z(1)), qml.expval(qml.Z(3))]


@written(3, 3, 3, weights=(2, 3))
def a_gate_if_an_input_is_positive(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    if inputs[..., 0] > 0:
        qml.PauliX(0)
    return ring(weights, wires)


@written(2, 2, 2, c=(2,))
def weights_in_gates_and_observables(inputs, c, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.RY(c[0], 0)
    qml.RY(c[1], 1)
    qml.CNOT([0, 1])
    return [qml.expval(c[0] * qml.Z(0)), qml.expval(c[1] * qml.Z(1))]


@written(2, 2, 3, weights=(1, 2))
def multiples_and_products(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.BasicEntanglerLayers(weights, wires=wires)
    return [qml.expval(2 * qml.Z(0) + 0.5 * qml.X(1)), qml.expval(qml.Z(0) @ qml.Z(0)), qml.expval(qml.Identity(1))]


@written(4, 3, 3, first=(1, 3, 3), second=(7,))
def controlled_and_adjoint_layers(inputs, first, second, wires):
    three = wires[:3]
    qml.AngleEmbedding(inputs, wires=three, rotation="Y")
    qml.ctrl(qml.StronglyEntanglingLayers, control=3, control_values=0)(first, wires=three)
    qml.adjoint(qml.AngleEmbedding)(inputs, wires=[1, 2, 0], rotation="X")
    qml.adjoint(qml.SimplifiedTwoDesign)(second[:3], second[3:].reshape(1, 2, 2), wires=three)
    qml.QFT(three)
    qml.ctrl(qml.GlobalPhase, control=2)(inputs[..., 0])
    qml.Barrier([0, 1])
    matrix = [[1.0, 0.5j], [-0.5j, 0.2]]
    return [qml.expval(qml.Z(0)), qml.expval(qml.Hermitian(matrix, 1)), qml.expval(qml.Projector([1, 0], [2, 0]))]
