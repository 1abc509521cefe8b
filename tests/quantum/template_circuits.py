"""PennyLane's own templates, each as a circuit that takes inputs and weights as far as the template can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pennylane as qml
import torch

from qtlplat.contracts import Circuit

TEMPLATES: dict[str, Circuit] = {}
REFUSED: dict[str, Circuit] = {}  # no gates of qubits
ISING = qml.dot([0.3, 0.7, 0.4], [qml.Z(0) @ qml.Z(1), qml.X(1), qml.Y(2)])


def declare(
    name: str, qubits: int, n_inputs: int, function: Callable[..., Any], into: Any = None, **weights: tuple[int, ...]
) -> None:
    """A circuit of a function of (inputs, weights in order, wires) that applies gates; Z and X are measured."""

    def circuit(inputs: torch.Tensor, wires: Sequence[int], **named: torch.Tensor) -> list[Any]:
        function(inputs, *(named[weight] for weight in weights), list(wires))
        return [qml.expval(qml.Z(wire)) for wire in wires] + [qml.expval(qml.X(wires[-1]))]

    (TEMPLATES if into is None else into)[name] = Circuit(circuit, qubits, weights, n_inputs, qubits + 1)


def after_angles(
    name: str, qubits: int, function: Callable[..., Any], *, rotation: str = "Y", **weights: tuple[int, ...]
) -> None:
    """The same behind an AngleEmbedding, of (weights in order, wires)."""

    def embedded(inputs: torch.Tensor, *others: Any) -> None:
        qml.AngleEmbedding(inputs, wires=range(qubits), rotation=rotation)
        function(*others)

    declare(name, qubits, qubits, embedded, **weights)


def block(weights: Any, wires: Sequence[int]) -> None:
    """Of a tensor network."""
    qml.RY(weights[0], wires=wires[0])
    qml.RX(weights[1], wires=wires[1])
    qml.CNOT(wires=wires)


def trained_gate(weight: Any, wire: Any) -> None:
    qml.RX(weight, wires=wire)


def normalised(values: Any) -> Any:
    return values / qml.math.sqrt(qml.math.sum(values**2))


# Embeddings

for axis in "XYZ":
    declare(
        f"AngleEmbedding {axis}",
        3,
        3,
        lambda i, w, q, axis=axis: (
            [qml.Hadamard(wire) for wire in q],
            qml.AngleEmbedding(i, q, rotation=axis),
            qml.BasicEntanglerLayers(w, q),
        ),
        weights=(1, 3),
    )
    declare(
        f"QAOAEmbedding {axis}",
        2,
        2,
        lambda i, w, q, axis=axis: qml.QAOAEmbedding(i, w, q, local_field=axis),
        weights=(2, 3),
    )


def embedding(name: str, qubits: int, n_inputs: int, function: Callable[..., Any]) -> None:
    """In front of trained layers, of (inputs, wires)."""

    def layered(inputs: torch.Tensor, weights: torch.Tensor, wires: list[int]) -> None:
        function(inputs, wires)
        qml.BasicEntanglerLayers(weights, wires)

    declare(name, qubits, n_inputs, layered, weights=(1, qubits))


embedding("AmplitudeEmbedding", 2, 4, qml.AmplitudeEmbedding)
embedding("AmplitudeEmbedding normalize", 2, 4, lambda i, q: qml.AmplitudeEmbedding(i, q, normalize=True))
embedding("AmplitudeEmbedding pad", 2, 3, lambda i, q: qml.AmplitudeEmbedding(i, q, pad_with=0.3, normalize=True))
embedding("AmplitudeEmbedding pad only", 2, 3, lambda i, q: qml.AmplitudeEmbedding(i, q, pad_with=0.0))
embedding("BasisEmbedding", 3, 3, lambda i, q: qml.BasisEmbedding(qml.math.cast(i > 0, int), q))
embedding("BasisEmbedding number", 3, 3, lambda i, q: (qml.BasisEmbedding(5, q), qml.AngleEmbedding(i, q)))
embedding("IQPEmbedding", 3, 3, qml.IQPEmbedding)
embedding("IQPEmbedding repeated", 3, 3, lambda i, q: qml.IQPEmbedding(i, q, n_repeats=2, pattern=[[0, 2], [1, 2]]))
embedding("MottonenStatePreparation", 2, 4, lambda i, q: qml.MottonenStatePreparation(normalised(i), q))
embedding("MultiplexerStatePreparation", 2, 4, lambda i, q: qml.MultiplexerStatePreparation(normalised(i), q))

# Trained layers

after_angles("StronglyEntanglingLayers", 3, qml.StronglyEntanglingLayers, weights=(2, 3, 3))
after_angles(
    "StronglyEntanglingLayers CZ",
    3,
    lambda w, q: qml.StronglyEntanglingLayers(w, q, ranges=[1, 2], imprimitive=qml.CZ),
    weights=(2, 3, 3),
)
after_angles("BasicEntanglerLayers", 3, qml.BasicEntanglerLayers, weights=(2, 3))
after_angles("BasicEntanglerLayers RZ", 3, lambda w, q: qml.BasicEntanglerLayers(w, q, rotation=qml.RZ), weights=(2, 3))
after_angles("RandomLayers", 3, lambda w, q: qml.RandomLayers(w, q, seed=7), weights=(2, 5))
after_angles("SimplifiedTwoDesign", 3, qml.SimplifiedTwoDesign, first=(3,), weights=(2, 2, 2))
after_angles("IQP", 3, lambda w, q: qml.IQP(w, 3, [[[0]], [[1, 2]], [[0, 1, 2]]]), weights=(3,))
after_angles("GateFabric", 4, lambda w, q: qml.GateFabric(w, q, init_state=[1, 1, 0, 0]), weights=(1, 1, 2))
after_angles(
    "GateFabric pi", 4, lambda w, q: qml.GateFabric(w, q, init_state=[1, 1, 0, 0], include_pi=True), weights=(2, 1, 2)
)
after_angles("ParticleConservingU1", 3, qml.ParticleConservingU1, weights=(1, 2, 2))
after_angles("ParticleConservingU2", 3, qml.ParticleConservingU2, weights=(1, 5))
for network, blocks in ((qml.MPS, 2), (qml.TTN, 3), (qml.MERA, 5)):
    width = 3 if network is qml.MPS else 4
    after_angles(
        network.__name__,
        width,
        lambda w, q, network=network: network(q, 2, block, 2, w),
        weights=(blocks, 2),
    )
after_angles(
    "TwoLocalSwapNetwork",
    3,
    lambda w, q: qml.TwoLocalSwapNetwork(
        q, lambda index, wires, param: qml.CRX(param, index), w, fermionic=True, shift=False
    ),
    weights=(3,),
)
after_angles("layer", 2, lambda w, q: qml.layer(qml.BasicEntanglerLayers, 2, w, wires=q), weights=(2, 1, 2))

# States and chemistry

after_angles("ArbitraryUnitary", 2, qml.ArbitraryUnitary, weights=(15,))
after_angles("ArbitraryStatePreparation", 2, qml.ArbitraryStatePreparation, weights=(6,))
after_angles("BasisRotation", 3, lambda q: qml.BasisRotation(q, np.linalg.qr(np.arange(9.0).reshape(3, 3) % 5 + 1)[0]))
declare("CosineWindow", 3, 3, lambda i, w, q: (qml.CosineWindow(q), qml.AngleEmbedding(i * w, q)), weights=(3,))
declare(
    "Superposition",
    4,
    3,
    lambda i, w, q: (
        qml.Superposition(np.sqrt([0.2, 0.3, 0.5]), [[0, 0, 1], [1, 0, 1], [1, 1, 1]], q[:3], q[3]),
        qml.AngleEmbedding(i * w, q[:3]),
    ),
    weights=(3,),
)
after_angles(
    "AllSinglesDoubles",
    4,
    lambda w, q: qml.AllSinglesDoubles(
        w, q, hf_state=np.array([1, 1, 0, 0]), singles=[[0, 2], [1, 3]], doubles=[[0, 1, 2, 3]]
    ),
    weights=(3,),
)
after_angles("FermionicSingleExcitation", 3, lambda w, q: qml.FermionicSingleExcitation(w[0], q), weights=(1,))
after_angles(
    "FermionicDoubleExcitation", 4, lambda w, q: qml.FermionicDoubleExcitation(w[0], q[:2], q[2:]), weights=(1,)
)
after_angles(
    "UCCSD",
    4,
    lambda w, q: qml.UCCSD(w, q, [[0, 1, 2], [1, 2, 3]], [[[0, 1], [2, 3]]], np.array([1, 1, 0, 0]), n_repeats=1),
    weights=(3,),
)
after_angles(
    "kUpCCGSD", 4, lambda w, q: qml.kUpCCGSD(w, q, k=1, delta_sz=0, init_state=np.array([1, 1, 0, 0])), weights=(1, 6)
)

# Time evolution

after_angles("TrotterProduct", 3, lambda w, q: qml.TrotterProduct(ISING, w[0], n=2, order=2), weights=(1,))
after_angles("ApproxTimeEvolution", 3, lambda w, q: qml.ApproxTimeEvolution(ISING, w[0], 2), weights=(1,))
after_angles(
    "CommutingEvolution",
    3,
    lambda w, q: qml.CommutingEvolution(qml.dot([0.3, 0.7], [qml.X(0) @ qml.X(1), qml.X(2)]), w[0]),
    weights=(1,),
)
after_angles("QDrift", 3, lambda w, q: qml.QDrift(ISING, w[0], n=3, seed=5), weights=(1,))
after_angles(
    "trotterize",
    3,
    lambda w, q: qml.trotterize(
        lambda time, a, b, wires: (qml.RX(time * a, wires[0]), qml.IsingXY(time * b, wires=wires[1:])), n=2, order=2
    )(0.7, w[0], w[1], wires=q),
    weights=(2,),
)
declare(
    "evolution by an input",
    3,
    1,
    lambda i, w, q: (qml.Hadamard(0), qml.TrotterProduct(ISING, i[0] * w[0], n=1, order=1)),
    weights=(1,),
)

# Algorithms

after_angles("QFT", 3, lambda w, q: (qml.QFT(q), qml.AngleEmbedding(w, q)), weights=(3,))
after_angles("AQFT", 3, lambda w, q: (qml.AQFT(1, q), qml.AngleEmbedding(w, q)), weights=(3,))
after_angles("GroverOperator", 3, lambda w, q: (qml.GroverOperator(q), qml.AngleEmbedding(w, q)), weights=(3,))
after_angles("Permute", 3, lambda w, q: (qml.AngleEmbedding(w, q), qml.Permute([2, 0, 1], q)), weights=(3,))
after_angles("FlipSign", 3, lambda w, q: (qml.FlipSign([1, 0, 1], q), qml.AngleEmbedding(w, q)), weights=(3,))
after_angles(
    "Reflection", 2, lambda w, q: qml.Reflection(qml.prod(qml.RX(w[0], 0), qml.RY(w[1], 1)), w[2]), weights=(3,)
)
after_angles(
    "AmplitudeAmplification",
    3,
    lambda w, q: qml.AmplitudeAmplification(
        qml.prod(*(qml.RY(w[wire], wire) for wire in q)), qml.FlipSign([1, 0, 1], q), iters=1
    ),
    weights=(3,),
)
after_angles(
    "ControlledSequence", 3, lambda w, q: qml.ControlledSequence(qml.RX(w[0], q[2]), control=q[:2]), weights=(1,)
)
after_angles(
    "QuantumPhaseEstimation",
    3,
    lambda w, q: qml.QuantumPhaseEstimation(qml.RX(w[0], q[2]), estimation_wires=q[:2]),
    weights=(1,),
)
after_angles(
    "QuantumPhaseEstimation of a matrix",
    3,
    lambda w, q: (
        qml.QuantumPhaseEstimation(qml.matrix(qml.RX(0.4, 2)), target_wires=[2], estimation_wires=q[:2]),
        qml.AngleEmbedding(w, q),
    ),
    weights=(3,),
)
after_angles(
    "QuantumMonteCarlo",
    4,
    lambda w, q: (
        qml.QuantumMonteCarlo(np.array([0.4, 0.6]), lambda k: (0.2, 0.9)[k], q[:2], q[2:]),
        qml.AngleEmbedding(w, q),
    ),
    weights=(4,),
)
after_angles(
    "Select", 3, lambda w, q: qml.Select([qml.RX(w[0], 2), qml.RY(w[1], 2), qml.RZ(w[2], 2)], q[:2]), weights=(3,)
)
after_angles("SelectPauliRot", 3, lambda w, q: qml.SelectPauliRot(w, q[:2], q[2], rot_axis="Y"), weights=(4,))
after_angles(
    "PrepSelPrep",
    3,
    lambda w, q: (qml.PrepSelPrep(qml.dot([0.3, 0.7], [qml.X(2), qml.Z(2)]), q[:1]), qml.AngleEmbedding(w, q)),
    weights=(3,),
)
after_angles(
    "PrepSelPrep of weights",
    3,
    lambda w, q: qml.PrepSelPrep(qml.dot([w[0] ** 2 + 0.1, w[1] ** 2 + 0.1], [qml.X(2), qml.Z(2)]), q[:1]),
    weights=(2,),
)
after_angles(
    "Qubitization",
    3,
    lambda w, q: (qml.Qubitization(qml.dot([0.3, 0.7], [qml.X(2), qml.Z(2)]), q[:1]), qml.AngleEmbedding(w, q)),
    weights=(3,),
)
after_angles(
    "QSVT",
    2,
    lambda w, q: qml.QSVT(
        qml.BlockEncode(np.array([[0.1, 0.2], [0.3, 0.4]]), wires=q), [qml.PCPhase(a, 2, wires=q) for a in w]
    ),
    weights=(3,),
)
after_angles("GQSP", 2, lambda w, q: qml.GQSP(qml.RX(0.4, q[1]), w, control=q[0]), weights=(3, 3))
after_angles(
    "FABLE", 3, lambda w, q: (qml.FABLE(np.array([[0.1, 0.2], [0.3, 0.4]]), q), qml.AngleEmbedding(w, q)), weights=(3,)
)
after_angles(
    "HilbertSchmidt",
    2,
    lambda w, q: qml.HilbertSchmidt([qml.RZ(w[0], 1)], [qml.Hadamard(0)]),
    weights=(1,),
)
after_angles(
    "LocalHilbertSchmidt",
    4,
    lambda w, q: qml.LocalHilbertSchmidt([qml.RZ(w[0], 2), qml.CNOT([2, 3])], [qml.CZ([0, 1])]),
    weights=(1,),
)

# Arithmetic of basis states

ARITHMETIC: dict[str, tuple[int, Callable[[list[int]], Any]]] = {
    "Adder": (3, lambda q: qml.Adder(3, q)),
    "Adder modulo": (5, lambda q: qml.Adder(3, q[:3], mod=5, work_wires=q[3:])),
    "PhaseAdder": (3, lambda q: qml.PhaseAdder(3, q)),
    "SemiAdder": (5, lambda q: qml.SemiAdder(q[:2], q[2:4], q[4:])),
    "OutAdder": (5, lambda q: qml.OutAdder(q[:1], q[1:3], q[3:])),
    "Multiplier": (4, lambda q: qml.Multiplier(3, q[:2], work_wires=q[2:])),
    "OutMultiplier": (4, lambda q: qml.OutMultiplier(q[:1], q[1:2], q[2:])),
    "OutPoly": (4, lambda q: qml.OutPoly(lambda x, y: x + 2 * y, [q[:1], q[1:2]], q[2:])),
    "ModExp": (6, lambda q: qml.ModExp(q[:2], q[2:4], 3, work_wires=q[4:])),
    "QROM": (4, lambda q: qml.QROM(["01", "11", "10", "00"], q[:2], q[2:], None)),
    "Elbow": (3, lambda q: (qml.CNOT([0, 1]), qml.Elbow(q), qml.adjoint(qml.Elbow(q)))),
    "MPSPrep": (
        3,
        lambda q: qml.MPSPrep(
            [np.array([[0.0, 1.0], [1.0, 0.0]]) / np.sqrt(2), np.array([[1.0, 0.0], [0.0, 1.0]])], q[:2], q[2:]
        ),
    ),
}
for name, (qubits, gate) in ARITHMETIC.items():
    after_angles(name, qubits, lambda w, q, gate=gate: (gate(q), qml.AngleEmbedding(w, q)), weights=(qubits,))

# Products of gates, some of them with integer matrices

PRODUCTS: dict[str, Callable[[Any, list[int]], Any]] = {
    "prod": lambda w, q: qml.prod(qml.CNOT(q), qml.RY(w[0], 1), qml.CZ(q)),
    "prod of two": lambda w, q: qml.prod(qml.RY(w[0], 1), qml.SWAP(q), qml.RX(w[1], 0)),
    "prod of real ones": lambda w, q: qml.prod(qml.Hadamard(0), qml.RZ(w[0], 0), qml.RX(w[1], 1)),
    "adjoint of prod": lambda w, q: qml.adjoint(qml.prod(qml.CNOT(q), qml.RY(w[0], 1))),
    "ctrl of prod": lambda w, q: qml.ctrl(qml.prod(qml.X(1), qml.RY(w[0], 1)), 0),
    "pow of prod": lambda w, q: qml.pow(qml.prod(qml.CNOT(q), qml.RY(w[0], 1)), 2),
    "change_op_basis": lambda w, q: qml.change_op_basis(qml.CNOT(q), qml.RY(w[0], 1), qml.CNOT(q)),
}
for name, product in PRODUCTS.items():
    after_angles(name, 2, product, weights=(2,))

# No qubits

declare("DisplacementEmbedding", 2, 2, qml.DisplacementEmbedding, REFUSED)
declare("SqueezingEmbedding", 2, 2, qml.SqueezingEmbedding, REFUSED)
declare(
    "Interferometer",
    2,
    2,
    lambda i, w, q: qml.Interferometer(w, w, i, q),
    REFUSED,
    weights=(1,),
)
