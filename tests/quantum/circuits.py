"""Random circuits over everything that has a matrix, and what they compute according to default.qubit."""

from __future__ import annotations

import cmath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pennylane as qml
import torch
from torch import Tensor

from qtlplat.contracts import Circuit

N_INPUTS = 3
WEIGHT_SHAPES = {"angles": (6,), "grid": (2, 4)}
MOST_QUBITS = 5


def unitary(seed: int, size: int) -> np.ndarray:
    """A fixed random unitary matrix (size, size)."""
    rng = np.random.default_rng(seed)
    return np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]


def generated(numbers: Tensor, seed: int, size: int) -> Tensor:
    """exp(i sum_k numbers_k H_k) (size, size) of fixed random Hermitian H_k."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(len(numbers), size, size)) + 1j * rng.normal(size=(len(numbers), size, size))
    hermitian = torch.from_numpy(raw + raw.conj().swapaxes(1, 2)) / (2 * size)
    total = torch.einsum("k,kij->ij", numbers.to(torch.complex128), hermitian)
    # A global phase keeps the exponent away from zero: below a norm of 0.05 torch's exponential is off by up to 2e-10.
    return torch.linalg.matrix_exp(1j * (total + torch.eye(size))) * cmath.exp(-1j)


# By name: fewest and most wires, and what applies the gate to (wires, seed of whatever else it takes).
ANY, SEVERAL, ONE, TWO, THREE, FOUR = (1, 4), (2, 4), (1, 1), (2, 2), (3, 3), (4, 4)
FIXED: dict[str, tuple[tuple[int, int], Callable[[list[int], int], Any]]] = {
    **{
        name: (ONE, lambda w, _, name=name: getattr(qml, name)(w))
        for name in ("Identity", "Hadamard", "PauliX", "PauliY", "PauliZ", "S", "T", "SX")
    },
    **{
        name: (TWO, lambda w, _, name=name: getattr(qml, name)(w))
        for name in ("CNOT", "CZ", "CY", "CH", "SWAP", "ISWAP", "SISWAP", "ECR")
    },
    **{
        name: (THREE, lambda w, _, name=name: getattr(qml, name)(w)) for name in ("CSWAP", "Toffoli", "CCZ", "QubitSum")
    },
    "QubitCarry": (FOUR, lambda w, _: qml.QubitCarry(w)),
    "MultiControlledX": (
        SEVERAL,
        lambda w, s: qml.MultiControlledX(w, control_values=[(s >> k) & 1 for k in range(len(w) - 1)]),
    ),
    "QFT": (ANY, lambda w, _: qml.QFT(w)),
    "GroverOperator": (SEVERAL, lambda w, _: qml.GroverOperator(w)),
    "QubitUnitary": (ANY, lambda w, s: qml.QubitUnitary(unitary(s, 2 ** len(w)), w)),
    "DiagonalQubitUnitary": (
        ANY,
        lambda w, s: qml.DiagonalQubitUnitary(np.exp(1j * np.random.default_rng(s).normal(size=2 ** len(w))), w),
    ),
    "ControlledQubitUnitary": (THREE, lambda w, s: qml.ControlledQubitUnitary(unitary(s, 2), w)),
    "Adjoint(T)": (ONE, lambda w, _: qml.adjoint(qml.T(w))),
    "Adjoint(ISWAP)": (TWO, lambda w, _: qml.adjoint(qml.ISWAP(w))),
    "SX**3": (ONE, lambda w, _: qml.pow(qml.SX(w), 3)),
    "T**0.5": (ONE, lambda w, _: qml.pow(qml.T(w), 0.5)),
    "C(Hadamard)": (THREE, lambda w, s: qml.ctrl(qml.Hadamard(w[2]), w[:2], control_values=[s & 1, s & 2])),
    "Prod": (TWO, lambda w, _: qml.prod(qml.SX(w[1]), qml.CNOT(w), qml.S(w[0]))),
    "PauliRot": (TWO, lambda w, s: qml.PauliRot(0.1 * s, "XY", w)),
}

# The same with the number of angles; the gate is applied to (angles, wires, seed).
PARAMETRISED: dict[str, tuple[tuple[int, int], int, Callable[[list[Tensor], list[int], int], Any]]] = {
    **{name: (ONE, 1, lambda a, w, _, name=name: getattr(qml, name)(*a, w)) for name in ("RX", "RY", "RZ")},
    **{name: (ONE, 1, lambda a, w, _, name=name: getattr(qml, name)(*a, w)) for name in ("PhaseShift", "U1")},
    "U2": (ONE, 2, lambda a, w, _: qml.U2(*a, w)),
    **{name: (ONE, 3, lambda a, w, _, name=name: getattr(qml, name)(*a, w)) for name in ("Rot", "U3")},
    **{
        name: (TWO, 1, lambda a, w, _, name=name: getattr(qml, name)(*a, w))
        for name in (
            *("CRX", "CRY", "CRZ", "ControlledPhaseShift", "CPhaseShift00", "CPhaseShift01", "CPhaseShift10"),
            *("IsingXX", "IsingYY", "IsingZZ", "IsingXY", "PSWAP", "FermionicSWAP"),
            *("SingleExcitation", "SingleExcitationPlus", "SingleExcitationMinus"),
        )
    },
    "CRot": (TWO, 3, lambda a, w, _: qml.CRot(*a, w)),
    **{
        name: (FOUR, 1, lambda a, w, _, name=name: getattr(qml, name)(*a, w))
        for name in ("DoubleExcitation", "DoubleExcitationPlus", "DoubleExcitationMinus", "OrbitalRotation")
    },
    "MultiRZ": (ANY, 1, lambda a, w, _: qml.MultiRZ(*a, w)),
    "PauliRot": (ANY, 1, lambda a, w, s: qml.PauliRot(*a, word_of(s, len(w)), w)),
    "PCPhase": (ANY, 1, lambda a, w, s: qml.PCPhase(*a, dim=1 + s % 2 ** len(w), wires=w)),
    "GlobalPhase": (ONE, 1, lambda a, w, _: qml.GlobalPhase(*a, w)),
    "C(GlobalPhase)": (ONE, 1, lambda a, w, _: qml.ctrl(qml.GlobalPhase(*a), w)),
    "C(RX)": (THREE, 1, lambda a, w, s: qml.ctrl(qml.RX(*a, w[2]), w[:2], control_values=[s & 1, s & 2])),
    "Adjoint(RY)": (ONE, 1, lambda a, w, _: qml.adjoint(qml.RY(*a, w))),
    "Adjoint(U3)": (ONE, 3, lambda a, w, _: qml.adjoint(qml.U3(*a, w))),
    "RZ**0.5": (ONE, 1, lambda a, w, _: qml.pow(qml.RZ(*a, w), 0.5)),
    "IsingXY**2": (TWO, 1, lambda a, w, _: qml.pow(qml.IsingXY(*a, w), 2)),
    # These are torch's exponentials in default.qubit, so angles near zero are avoided: see `generated`.
    "evolve(XZ)": (TWO, 1, lambda a, w, _: qml.evolve(qml.X(w[0]) @ qml.Z(w[1]), a[0] + 2)),
    "evolve(X+Z)": (TWO, 1, lambda a, w, _: qml.evolve(qml.X(w[0]) + 0.5 * qml.Z(w[1]) @ qml.Z(w[0]), a[0] + 2)),
    "exp(YY)": (TWO, 1, lambda a, w, _: qml.exp(qml.Y(w[0]) @ qml.Y(w[1]), 1j * (a[0] + 2))),
    "Prod(RX,CRY)": (TWO, 2, lambda a, w, _: qml.prod(qml.RX(a[0], w[0]), qml.CRY(a[1], w))),
    "SpecialUnitary": (ONE, 3, lambda a, w, _: qml.SpecialUnitary(torch.stack(a), w)),
    "QubitUnitary(1)": (ONE, 2, lambda a, w, s: qml.QubitUnitary(generated(torch.stack(a), s, 2), w)),
    "QubitUnitary(2)": (TWO, 2, lambda a, w, s: qml.QubitUnitary(generated(torch.stack(a), s, 4), w)),
    "DiagonalQubitUnitary": (TWO, 4, lambda a, w, _: qml.DiagonalQubitUnitary(torch.exp(1j * torch.stack(a)), w)),
}

# Ways to make an angle of an input x, another input y and two weights v, w. No derivative is above 2: a gradient sums
# the rounding of all angles, each times its derivative, and what a steep angle loses is not the compiler's doing.
ANGLES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Any]] = {
    "x": lambda x, y, v, w: x,
    "w": lambda x, y, v, w: w,
    "constant": lambda x, y, v, w: torch.tensor(0.7, dtype=torch.float64),
    "w * x / 4 + v": lambda x, y, v, w: w * x / 4 + v,
    "x * y / 2": lambda x, y, v, w: x * y / 2,
    "pi - x": lambda x, y, v, w: torch.pi - x,
    "0.5 * x - 2 * y": lambda x, y, v, w: 0.5 * x - 2 * y,
    "v - w": lambda x, y, v, w: v - w,
    "v * w / 4": lambda x, y, v, w: v * w / 4,
    "sin(w)": lambda x, y, v, w: torch.sin(w),
    "sin(x)": lambda x, y, v, w: torch.sin(x),
    "arctan(x)": lambda x, y, v, w: qml.math.arctan(x),
    "arctan(w x / 4)": lambda x, y, v, w: torch.arctan(w * x / 4) + 0.1,
    "x**2 / 4": lambda x, y, v, w: x**2 / 4,
    "(w / 4)**2": lambda x, y, v, w: (w / 4) ** 2,
    "exp(-x) v / 4": lambda x, y, v, w: torch.exp(-x.abs()) * v / 4,
}


def word_of(seed: int, length: int) -> str:
    """A Pauli word, one letter per wire."""
    return "".join("IXYZ"[(seed // 4**k) % 4] for k in range(length))


# Ways to start, and what is measured: on (wires, seed).
STARTS: dict[str, Callable[[Tensor, Mapping[str, Tensor], Sequence[int]], Any]] = {
    "nothing": lambda inputs, weights, wires: None,
    "angles": lambda inputs, weights, wires: qml.AngleEmbedding(inputs[: len(wires)], wires[: len(inputs)]),
    "basis state": lambda inputs, weights, wires: qml.BasisState([k % 2 for k in wires], wires),
    "fixed state": lambda inputs, weights, wires: qml.StatePrep(unitary(7, 2)[0], wires[-1:]),
    "amplitudes": lambda inputs, weights, wires: qml.AmplitudeEmbedding(
        inputs[: 2 ** len(wires)], wires, pad_with=0.3, normalize=True
    ),
    "trained amplitudes": lambda inputs, weights, wires: qml.AmplitudeEmbedding(
        weights["angles"][:2], wires[:1], normalize=True
    ),
}
MEASUREMENTS: dict[str, Callable[[list[int], int], Any]] = {
    "word": lambda w, s: qml.expval(
        qml.pauli.string_to_pauli_word(word_of(s, len(w)), {wire: k for k, wire in enumerate(w)})
    ),
    "Z": lambda w, s: qml.expval(qml.Z(w[0])),
    "Hamiltonian": lambda w, s: qml.expval(
        qml.Hamiltonian([0.5, -0.8, 0.3], [qml.X(w[0]), qml.Z(w[0]) @ qml.Z(w[-1]), qml.Y(w[-1])])
        if len(w) > 1
        else qml.Hamiltonian([0.5, -0.8], [qml.X(w[0]), qml.Y(w[0])])
    ),
    "Hermitian": lambda w, s: qml.expval(qml.Hermitian(hermitian(s, 2 ** len(w[:2])), w[:2])),
    "Projector": lambda w, s: qml.expval(qml.Projector([(s >> k) & 1 for k in range(len(w))], w)),
    "probs": lambda w, s: qml.probs(wires=w),
}


def hermitian(seed: int, size: int) -> np.ndarray:
    """A fixed random Hermitian matrix (size, size) of norm about 1."""
    matrix = unitary(seed, size)
    return (matrix + matrix.conj().T) / 2


@dataclass(frozen=True)
class GateChoice:
    """One gate: its name, wires, the form of each angle with the numbers of what it takes, and a seed."""

    name: str
    wires: tuple[int, ...]
    angles: tuple[tuple[str, int], ...]
    seed: int

    def apply(self, inputs: Tensor, flat: Tensor) -> None:
        wires = list(self.wires)
        if not self.angles:
            FIXED[self.name][1](wires, self.seed)
            return
        angles = []
        for form, number in self.angles:
            x, y = inputs[number % N_INPUTS], inputs[(number // N_INPUTS) % N_INPUTS]
            angles.append(ANGLES[form](x, y, flat[number % len(flat)], flat[(number // 3) % len(flat)]))
        PARAMETRISED[self.name][2](angles, wires, self.seed)


@dataclass(frozen=True)
class CircuitChoice:
    """A circuit as a list of choices, which is what a failing example shows."""

    qubits: int
    start: str
    gates: tuple[GateChoice, ...]
    measurements: tuple[tuple[str, tuple[int, ...], int], ...]
    seed: int = field(default=0)

    def circuit(self) -> Circuit:
        def function(inputs: Tensor, wires: Sequence[int], **weights: Tensor) -> list[Any]:
            flat = torch.cat([weights[name].reshape(-1) for name in WEIGHT_SHAPES])
            STARTS[self.start](inputs, weights, list(wires))
            for gate in self.gates:
                gate.apply(inputs, flat)
            return [MEASUREMENTS[name](list(on), seed) for name, on, seed in self.measurements]

        n_outputs = sum(2 ** len(on) if name == "probs" else 1 for name, on, _ in self.measurements)
        return Circuit(function, self.qubits, WEIGHT_SHAPES, N_INPUTS, n_outputs)


def random_circuit(rng: np.random.Generator, most_gates: int = 12) -> CircuitChoice:
    """A random circuit of 1 to MOST_QUBITS qubits; every number of gates up to `most_gates` is equally likely."""
    qubits = int(rng.integers(1, MOST_QUBITS + 1))

    def wires(fewest: int, most: int) -> tuple[int, ...]:
        count = rng.integers(fewest, min(qubits, most) + 1)
        return tuple(rng.permutation(qubits)[:count].tolist())

    def one_of(names: Iterable[str]) -> str:
        return str(rng.choice(sorted(names)))

    gates = []
    for _ in range(rng.integers(1, most_gates + 1)):
        table: Mapping[str, tuple[Any, ...]] = PARAMETRISED if rng.random() < 0.5 else FIXED
        name = one_of(name for name, (count, *_) in table.items() if count[0] <= qubits)
        n_angles = PARAMETRISED[name][1] if table is PARAMETRISED else 0
        angles = tuple((one_of(ANGLES), int(rng.integers(200))) for _ in range(n_angles))
        gates.append(GateChoice(name, wires(*table[name][0]), angles, int(rng.integers(1000))))
    measurements = tuple(
        (one_of(MEASUREMENTS), wires(*ANY), int(rng.integers(1000))) for _ in range(rng.integers(1, 5))
    )
    return CircuitChoice(qubits, one_of(STARTS), tuple(gates), measurements, int(rng.integers(2**31)))


def numbers(circuit: Circuit, samples: int, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Inputs (B, n_inputs) in [-pi, pi) and weights in [0, 2 pi), float64 that are exact in float32, with gradients."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(shape: Sequence[int], low: float, high: float) -> Tensor:
        unit = torch.rand(tuple(shape), generator=generator, dtype=torch.float64)
        return (low + (high - low) * unit).float().double().requires_grad_()

    inputs = uniform((samples, circuit.n_inputs), -torch.pi, torch.pi)
    return inputs, {name: uniform(shape, 0, 2 * torch.pi) for name, shape in circuit.weight_shapes.items()}


def reference(circuit: Circuit, inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """Measurements (B, n_outputs) from default.qubit with backpropagation in float64, sample by sample."""
    device = qml.device("default.qubit", wires=circuit.qubits)

    @qml.qnode(device, interface="torch", diff_method="backprop")
    def node(sample: Tensor, **trained: Tensor) -> list[Any]:
        return circuit.function(sample, wires=range(circuit.qubits), **trained)

    rows = [torch.cat([torch.as_tensor(part).reshape(-1).double() for part in node(x, **weights)]) for x in inputs]
    return torch.stack(rows)


def gradients(outputs: Tensor, direction: Tensor, variables: Sequence[Tensor]) -> Tensor:
    """All gradients of ``sum(outputs * direction)``, one behind the other, float64; zeros where nothing depends."""
    if not outputs.requires_grad:
        return torch.zeros(sum(v.numel() for v in variables), dtype=torch.float64)
    found = torch.autograd.grad((outputs * direction).sum(), list(variables), allow_unused=True)
    parts = [torch.zeros_like(v) if g is None else g for v, g in zip(variables, found, strict=True)]
    return torch.cat([part.reshape(-1).double() for part in parts])


def errors(
    run: Callable[[Tensor, Mapping[str, Tensor]], Tensor], circuit: Circuit, samples: int = 3, seed: int = 0
) -> tuple[float, float]:
    """Largest difference from the reference among values, and among the entries of a gradient.

    Relative to the reference's largest entry where that is above 1. The gradient, by all inputs and weights, is that
    of ``sum(outputs * g)`` for a random g of norm 1.
    """
    inputs, weights = numbers(circuit, samples, seed)
    variables = [inputs, *weights.values()]
    expected = reference(circuit, inputs, weights)
    generator = torch.Generator().manual_seed(seed + 1)
    direction = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    direction = direction / direction.norm()
    outputs = run(inputs, weights)
    assert outputs.shape == expected.shape
    should, does = gradients(expected, direction, variables), gradients(outputs, direction, variables)
    return _difference(outputs, expected), _difference(does, should)


def _difference(found: Tensor, expected: Tensor) -> float:
    largest = max([1.0, *expected.detach().abs().reshape(-1).tolist()])
    return (found - expected).detach().abs().max().item() / largest if expected.numel() else 0.0
