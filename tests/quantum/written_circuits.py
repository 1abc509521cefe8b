"""Circuits as people write them: each reads its sample, or measures, in another way than the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pennylane as qml
import torch

from qtlplat.contracts import Circuit

CIRCUITS: dict[str, Circuit] = {}


def written(qubits: int, n_inputs: int, n_outputs: int, **weights: tuple[int, ...]) -> Callable[[Any], Any]:
    """Declares a function as a circuit, by its name."""

    def declare(function: Any) -> Any:
        CIRCUITS[function.__name__] = Circuit(function, qubits, weights, n_inputs, n_outputs)
        return function

    return declare


def signs(wires: Sequence[int]) -> list[Any]:
    return [qml.expval(qml.Z(wire)) for wire in wires]


def ring(weights: Any, wires: Sequence[int]) -> list[Any]:
    qml.BasicEntanglerLayers(weights, wires=wires)
    return signs(wires)


# How a sample is read


@written(2, 2, 2, weights=(2,))
def element(inputs, weights, wires):
    for wire in wires:
        qml.RY(inputs[wire] * np.pi / 2, wires=wire)
    qml.CNOT(wires=wires)
    for wire in wires:
        qml.RX(weights[wire], wires=wire)
    return tuple(signs(wires))


@written(3, 3, 3, weights=(1, 3))
def column(inputs, weights, wires):
    for wire in wires:
        qml.RX(inputs[:, wire], wires=wire)
    return ring(weights, wires)


@written(3, 3, 3, weights=(1, 3))
def rows_of_the_transpose(inputs, weights, wires):
    for x, wire in zip(inputs.T, wires, strict=True):
        qml.RY(x, wires=wire)
    return ring(weights, wires)


@written(3, 3, 3, weights=(1, 3))
def iterated(inputs, weights, wires):
    for wire, x in enumerate(inputs):
        qml.RY(x / len(inputs), wires=wire)
    assert inputs.shape[0] == 3
    return ring(weights, wires)


@written(3, 3, 3, weights=(1, 3))
def normalised(inputs, weights, wires):
    qml.AngleEmbedding(math.pi * inputs / torch.linalg.norm(inputs), wires=wires)
    return ring(weights, wires)


@written(3, 3, 3, weights=(1, 3))
def scaled_by_its_largest(inputs, weights, wires):
    qml.AngleEmbedding((inputs - inputs.mean()) / inputs.abs().max(), wires=wires)
    qml.RZ(inputs.sum(), wires=0)
    return ring(weights, wires)


@written(3, 3, 3, weights=(1, 3))
def normalised_by_row(inputs, weights, wires):
    qml.AngleEmbedding(inputs / inputs.norm(dim=1, keepdim=True), wires=wires)
    return ring(weights, wires)


@written(3, 3, 3, weights=(1, 3))
def branch(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    if inputs[..., 0] > 0:
        qml.PauliX(0)
    else:
        qml.RX(0.3, wires=1)
    return ring(weights, wires)


@written(2, 2, 2, weights=(1, 2))
def number_of_python(inputs, weights, wires):
    qml.AngleEmbedding([float(x) for x in inputs], wires=wires)
    return ring(weights, wires)


@written(1, 1, 1, weights=(1,))
def single(inputs, weights, wires):
    qml.RX(inputs, wires=0)
    qml.RY(weights, wires=0)
    return qml.expval(qml.Z(0))


@written(2, 3, 2, weights=(2, 2), unused=(3,))
def without_inputs(inputs, weights, unused, wires):
    return ring(weights, wires)


@written(2, 4, 2, weights=(2, 2))
def uploaded_again(inputs, weights, wires):
    for layer in weights:
        qml.AngleEmbedding(qml.math.reshape(inputs, (2, 2))[0] * layer, wires=wires, rotation="Y")
        qml.AngleEmbedding(qml.math.sin(inputs[2:]), wires=wires)
        qml.CZ(wires=wires)
    return signs(wires)


@written(3, 3, 3, weights=(3,), factors=(3,))
def functions_of_numbers(inputs, weights, factors, wires):
    angles = torch.atan(inputs * factors)
    for wire, weight in enumerate(weights):
        qml.RX(angles[..., wire], wires=wire)
        qml.RZ(torch.tanh(inputs[..., wire] ** 2), wires=wire)
        qml.RY(weight**3 / 20, wires=wire)
    for wire, weight in enumerate(weights):
        qml.CRZ(weight * angles[wire], wires=[wire, wire - 1 if wire else 2])
    return [qml.expval(qml.X(wire)) for wire in wires]


# What is prepared


@written(3, 5, 3, weights=(2, 3, 3))
def padded_amplitudes(inputs, weights, wires):
    qml.AmplitudeEmbedding(inputs, wires=wires, pad_with=0.0, normalize=True)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return signs(wires)


@written(3, 8, 4, weights=(1, 3))
def amplitudes_and_chances(inputs, weights, wires):
    qml.AmplitudeEmbedding(inputs, wires=wires, normalize=True)
    qml.BasicEntanglerLayers(weights, wires=wires)
    return [qml.probs(wires=[2, 0])]


@written(4, 8, 4, weights=(1, 4))
def two_registers(inputs, weights, wires):
    qml.AmplitudeEmbedding(inputs[..., :4], wires=wires[:2], normalize=True)
    qml.AmplitudeEmbedding(inputs[..., 4:], wires=wires[2:], normalize=True)
    return ring(weights, wires)


@written(2, 4, 2, weights=(1, 2))
def prepared_as_it_is(inputs, weights, wires):
    qml.StatePrep(inputs, wires=wires)
    return ring(weights, wires)


@written(3, 3, 3, weights=(1, 3))
def bits(inputs, weights, wires):
    qml.BasisEmbedding((inputs > 0).int(), wires=wires)
    return ring(weights, wires)


@written(2, 2, 2, weights=(4, 4))
def generated_matrix(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.QubitUnitary(torch.linalg.matrix_exp(weights - weights.T), wires=wires)
    return signs(wires)


@written(1, 3, 2, weights=(1,))
def matrix_of_inputs(inputs, weights, wires):
    zero = torch.zeros((), dtype=inputs.dtype)
    a, b, c = inputs[..., 0], inputs[..., 1], inputs[..., 2]
    rows = [torch.stack([zero, a, b]), torch.stack([-a, zero, c]), torch.stack([-b, -c, zero])]
    turned = torch.linalg.matrix_exp(torch.stack(rows))[:2, :2]
    qml.RY(turned[0, 0], wires=0)
    qml.RZ(turned[0, 1] * weights[0], wires=0)
    qml.RX(turned[1, 0], wires=0)
    return [qml.expval(qml.X(0)), qml.expval(qml.Z(0))]


# Gates within gates


@written(3, 2, 3, weights=(2, 3))
def nested_gates(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=[2, 0], rotation="Y")
    qml.adjoint(qml.Rot)(*weights[0], wires=1)
    qml.ctrl(qml.RX, control=[0, 2], control_values=[1, 0])(inputs[0] * weights[1, 0], wires=1)
    qml.pow(qml.IsingXY(weights[1, 1], wires=[0, 1]), 2)
    qml.ctrl(qml.GlobalPhase, control=2)(weights[1, 2] * inputs[1])
    qml.GlobalPhase(inputs[0])
    return [qml.expval(qml.Z(2)), qml.expval(qml.X(0) @ qml.Y(1)), qml.expval(qml.Projector([1, 0], wires=[2, 0]))]


@written(3, 3, 3, weights=(3,))
def evolutions(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires, rotation="Y")
    energy = qml.dot([0.3, 0.7], [qml.Z(0) @ qml.Z(1), qml.Y(2) @ qml.X(0)])
    qml.TrotterProduct(energy, weights[0], n=2, order=2)
    qml.ApproxTimeEvolution(qml.Hamiltonian([0.4, 0.6], [qml.Z(1) @ qml.Z(2), qml.X(0)]), weights[1], 2)
    qml.evolve(qml.X(1), weights[2] * inputs[..., 0])
    qml.PauliRot(weights[1], "YIX", wires=wires)
    qml.MultiRZ(inputs[..., 1] * inputs[..., 2], wires=wires)
    return signs(wires)


@written(4, 3, 3, weights=(1, 3, 3), others=(7,))
def layers_within_gates(inputs, weights, others, wires):
    three = wires[1:]
    qml.AngleEmbedding(inputs, wires=three, rotation="Y")
    qml.ctrl(qml.StronglyEntanglingLayers, control=0, control_values=0)(weights, wires=three)
    qml.adjoint(qml.AngleEmbedding)(inputs, wires=three[::-1])
    qml.adjoint(qml.SimplifiedTwoDesign)(others[4:], others[:4].reshape(1, 2, 2), wires=three)
    qml.Barrier(three)
    qml.QFT(wires=wires[:3])
    matrix = np.array([[0.3, -0.4j], [0.4j, 1.0]])
    return [qml.expval(qml.X(0)), qml.expval(qml.Hermitian(matrix, 2)), qml.expval(qml.Projector([0, 1], wires=[3, 1]))]


@written(3, 3, 3, weights=(4,))
def wires_out_of_order(inputs, weights, wires):
    qml.RY(inputs[..., 1], wires=2)
    qml.RX(inputs[..., 2], wires=0)
    qml.CRX(weights[3], wires=[2, 1])
    qml.Toffoli(wires=[0, 2, 1])
    qml.CRot(*weights[:3], wires=[1, 0])
    qml.RX(inputs[..., 0], wires=1)
    return [qml.expval(qml.Y(1)), qml.expval(qml.X(2) @ qml.Z(0)), qml.expval(qml.Z(2))]


@written(3, 3, 3, first=(3,), weights=(1, 2, 2))
def two_kinds_of_layers(inputs, first, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.SimplifiedTwoDesign(first, weights, wires=wires)
    qml.RandomLayers(weights[..., 1], wires=wires, seed=8)
    return signs(wires)


@written(3, 3, 3, weights=(2, 6))
def trained_embedding(inputs, weights, wires):
    qml.QAOAEmbedding(inputs, weights, wires=wires)
    return signs(wires)


@written(2, 2, 2, weights=(1, 2, 3))
def layers_that_take_inputs(inputs, weights, wires):
    qml.StronglyEntanglingLayers(weights * inputs.reshape(1, 2, 1), wires=wires)
    return signs(wires)


# What is measured


@written(2, 2, 2, shared=(2,))
def shared_coefficients(inputs, shared, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.RY(shared[0], wires=0)
    qml.CNOT(wires=wires)
    return [qml.expval(shared[0] * qml.Z(0)), qml.expval(shared[1] * qml.Z(1))]


@written(2, 2, 2, weights=(1, 2), numbers=(3,))
def trained_sum(inputs, weights, numbers, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.BasicEntanglerLayers(weights, wires=wires)
    observable = qml.dot(numbers, [qml.Z(0), qml.X(0) @ qml.Z(1), qml.Identity(1)])
    return [qml.expval(observable), qml.expval(qml.Hamiltonian(numbers[:2], [qml.X(1), qml.Z(0)]))]


@written(2, 2, 3, weights=(1, 2))
def fixed_sums(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.BasicEntanglerLayers(weights, wires=wires)
    return [qml.expval(3 * qml.X(0) - 0.5 * qml.Z(1)), qml.expval(qml.Y(1) @ qml.Y(1)), qml.expval(qml.Identity(0))]


@written(3, 3, 6, weights=(1, 3, 3))
def values_and_chances(inputs, weights, wires):
    qml.IQPEmbedding(inputs, wires=wires, n_repeats=2)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return [qml.probs(wires=[1, 0]), qml.expval(qml.Z(1) @ qml.Y(2)), qml.expval(qml.X(0))]


@written(2, 2, 1, weights=(1, 2))
def coefficients_of_inputs(inputs, weights, wires):
    qml.BasicEntanglerLayers(weights, wires=wires)
    return [qml.expval(inputs[..., 0] * qml.Z(0) + inputs[..., 1] * qml.X(1))]


@written(2, 2, 2, weights=(1, 2), entries=(2, 2))
def trained_matrix_observable(inputs, weights, entries, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.BasicEntanglerLayers(weights, wires=wires)
    return [qml.expval(qml.Hermitian(entries + entries.T, wires=1)), qml.var(entries[0, 0] * qml.Z(0))]


@written(2, 2, 4, weights=(1, 2))
def variances(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.BasicEntanglerLayers(weights, wires=wires)
    return [qml.var(qml.Z(0)), qml.var(qml.X(0) @ qml.Y(1)), qml.probs(op=qml.X(1))]


@written(3, 3, 4, weights=(1, 3))
def of_the_state(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires, rotation="Y")
    qml.BasicEntanglerLayers(weights, wires=wires)
    return [qml.purity(wires=[0]), qml.vn_entropy(wires=[0]), qml.mutual_info([0], [1]), qml.expval(qml.Z(2))]


@written(4, 2, 16, weights=(2,))
def unnamed_chances(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=[1, 3])
    qml.CRX(weights[0], wires=[3, 1])
    qml.RY(weights[1], wires=1)
    return qml.probs()


# Measurements within, and noise


@written(3, 3, 2, weights=(2, 3))
def pooled(inputs, weights, wires):
    for wire in wires:
        qml.RY(inputs[wire], wires=wire)
    qml.IsingXX(weights[0, 0], wires=[0, 1])
    outcome = qml.measure(0)
    qml.cond(outcome, qml.U3)(*weights[1], wires=1)
    qml.cond(qml.measure(2), qml.RX, qml.RY)(weights[0, 1], wires=1)
    return [qml.expval(qml.Z(1)), qml.expval(qml.X(1))]


@written(2, 2, 3, weights=(2,))
def outcomes(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires, rotation="Y")
    qml.CNOT(wires=wires)
    outcome = qml.measure(0, reset=True)
    qml.cond(outcome, qml.RX)(weights[0], wires=1)
    qml.RY(weights[1], wires=0)
    return [qml.expval(outcome), qml.expval(qml.Z(1)), qml.expval(qml.Z(0))]


@written(2, 2, 2, weights=(2,))
def postselected(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires, rotation="Y")
    qml.CRX(weights[0], wires=wires)
    qml.measure(0, postselect=1)
    qml.RY(weights[1], wires=1)
    return [qml.expval(qml.Z(1)), qml.expval(qml.X(1))]


@written(2, 2, 2, weights=(1, 2))
def noisy(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.BasicEntanglerLayers(weights, wires=wires)
    for wire in wires:
        qml.DepolarizingChannel(0.1, wires=wire)
    return signs(wires)
