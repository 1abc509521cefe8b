"""Circuits as OpenQASM: Qiskit reads every file and computes what PennyLane does, or there is none, and the reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml
import pytest
import qiskit
import qiskit.qasm2
import qiskit.qasm3
import torch

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError
from qtlplat_model_files import qasm, qasm_program
from qtlplat_model_files.qasm import to_qasm
from qtlplat_model_files.qasm_program import number
from qtlplat_model_files.qasm_reader import matrix, read, run

AGREEMENT = 1e-7


@dataclass(frozen=True)
class Case:
    """A circuit with numbers for it."""

    function: Callable[..., Any]
    qubits: int
    inputs: tuple[float, ...] = (0.3, -0.7)
    shape: tuple[int, ...] = (2,)
    scale: float = 1.0

    @property
    def circuit(self) -> Circuit:
        return Circuit(self.function, self.qubits, {"weights": self.shape}, len(self.inputs), 1)

    @property
    def weights(self) -> dict[str, np.ndarray]:
        return {"weights": self.scale * np.random.default_rng(5).uniform(-math.pi, math.pi, self.shape)}

    def text(self, version: int) -> str:
        return to_qasm(self.circuit, self.weights, np.array(self.inputs), version=version)

    def state(self) -> np.ndarray:
        """As a density matrix, by default.qubit."""

        def function() -> Any:
            numbers = torch.tensor(self.inputs, dtype=torch.float64)
            weights = torch.from_numpy(self.weights["weights"])
            returned = self.function(numbers, weights=weights, wires=range(self.qubits))
            listed = returned if isinstance(returned, list) else [returned]
            return [*listed, qml.density_matrix(range(self.qubits))]

        return np.asarray(qml.QNode(function, qml.device("default.qubit"), diff_method=None)()[-1])


def angles(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return [qml.expval(qml.Z(w)) for w in wires]


def amplitudes(inputs, weights, wires):
    qml.AmplitudeEmbedding(inputs, wires=wires, normalize=True)
    qml.BasicEntanglerLayers(weights, wires=wires, rotation=qml.RY)
    return qml.probs(wires=wires)


def torch_functions(inputs, weights, wires):
    qml.AngleEmbedding(torch.atan(inputs / torch.linalg.norm(inputs)), wires=wires)
    qml.RY(torch.sigmoid(weights[0]) * inputs.pow(2).sum(), wires[0])
    qml.CRX(torch.stack([weights[1], inputs[0]]).prod(), wires=[0, 1])
    return [qml.expval(qml.Z(0) @ qml.Y(1))]


def templates(inputs, weights, wires):
    qml.IQPEmbedding(inputs, wires=wires[:2])
    qml.QFT(wires)
    qml.SimplifiedTwoDesign(weights[:3], weights[3:7].reshape(1, 2, 2), wires=wires)
    qml.GroverOperator(wires=wires)
    qml.BasisEmbedding([1, 0, 1], wires=wires)
    return [qml.expval(qml.Hamiltonian([0.5, -1.5], [qml.X(0), qml.Z(1) @ qml.Y(2)]))]


def controlled(inputs, weights, wires):
    for wire in wires:
        qml.Hadamard(wire)
    qml.ctrl(qml.RX, control=[0, 2], control_values=[0, 1])(weights[0], wires=1)
    qml.CRot(weights[0], weights[1], inputs[0], wires=[0, 1])
    qml.CRY(inputs[1], wires=[1, 2])
    qml.ControlledPhaseShift(weights[1], wires=[2, 0])
    qml.MultiControlledX(wires=[0, 1, 3, 2], control_values=[1, 0, 1])
    qml.CSWAP(wires=[0, 1, 2])
    qml.ctrl(qml.GlobalPhase, control=3)(weights[0])
    qml.ctrl(qml.QubitUnitary, control=1)(np.array([[0, 1], [1j, 0]]), wires=0)
    qml.adjoint(qml.S)(1)
    qml.pow(qml.T(2), 3)
    return [qml.probs(wires=[3, 0])]


def words(inputs, weights, wires):
    qml.Hadamard(0)
    qml.PauliRot(weights[0], "XYZ", wires=wires)
    qml.MultiRZ(weights[1], wires=wires)
    qml.GlobalPhase(inputs[0])
    qml.exp(qml.X(0) @ qml.Z(1), -0.5j * inputs[1])
    for gate in (qml.SX, qml.ECR, qml.ISWAP, qml.SISWAP):
        gate(wires=wires[: gate.num_wires])
    qml.IsingXY(weights[0], wires=[1, 2])
    qml.SingleExcitation(weights[1], wires=[0, 2])
    return [qml.expval(qml.Z(0))]


def matrices(inputs, weights, wires):
    random = np.random.default_rng(1)
    for n in (1, 2, 3):
        qml.QubitUnitary(np.linalg.qr(random.normal(size=(2**n, 2**n)) + 1j * np.eye(2**n))[0], wires=wires[:n])
    qml.DiagonalQubitUnitary(np.exp(1j * np.arange(4)), wires=[2, 0])
    qml.RY(weights[0] * inputs[0], wires=1)
    return [qml.expval(qml.Z(w)) for w in wires]


def measured(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires[:2], rotation="Y")
    outcome = qml.measure(0)
    qml.cond(outcome, qml.RY)(weights[0], 1)
    qml.cond(~outcome, qml.CRot)(weights[1], 0.2, -0.4, wires=[1, 2])
    again = qml.measure(1, reset=True)
    qml.cond(again, qml.Hadamard)(0)
    qml.RX(weights[0], wires=1)
    return [qml.expval(qml.Z(1)), qml.probs(wires=[0, 2]), qml.expval(again), qml.probs(op=[outcome, again])]


def several(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires[:2])
    first, second = qml.measure(0), qml.measure(1)
    qml.cond(first & ~second, qml.RY)(weights[0], 2)
    qml.cond(first + second == 1, qml.RX)(weights[1], 2)
    return [qml.expval(qml.Z(2)), qml.expval(first + 2 * second)]


def with_template_conditioned(inputs, weights, wires):
    qml.Hadamard(0)
    qml.cond(qml.measure(0), qml.StronglyEntanglingLayers)(weights, wires=[1, 2])
    return [qml.expval(qml.Z(1) @ qml.Z(2))]


CASES = {
    "angles": Case(angles, 2, shape=(3, 2, 3)),
    "one wire": Case(angles, 1, (0.4,), (1, 1, 3)),
    "many wires": Case(angles, 7, (0.1,) * 7, (1, 7, 3)),
    "tiny": Case(angles, 2, (1e-17, -1e-300), (1, 2, 3), 1e-17),
    "huge": Case(angles, 2, (-1e6, 12345.678), (1, 2, 3), 1e5),
    "zero": Case(angles, 2, (0.0, -0.0), (1, 2, 3), 0.0),
    "amplitudes": Case(amplitudes, 3, tuple(np.arange(1.0, 9.0)), (2, 3)),
    "torch functions": Case(torch_functions, 2),
    "templates": Case(templates, 3, shape=(7,)),
    "controlled": Case(controlled, 4),
    "words": Case(words, 3),
    "matrices": Case(matrices, 3),
    "measured": Case(measured, 3),
    "several": Case(several, 3),
    "template": Case(with_template_conditioned, 3, shape=(1, 2, 3)),
}
ONLY_3 = ("several",)


def by_qiskit(text: str) -> np.ndarray:
    """The density matrix that a program leaves, with PennyLane's order of qubits, over all outcomes."""
    from qiskit.quantum_info import DensityMatrix, Operator

    loads = qiskit.qasm2.loads if "OPENQASM 2" in text else qiskit.qasm3.loads
    circuit = loads(text)
    zero = DensityMatrix.from_label("0" * circuit.num_qubits)
    branches: list[tuple[dict[Any, bool], DensityMatrix]] = [({}, zero)]

    def step(branches: Any, instruction: Any) -> Any:
        operation, found = instruction.operation, []
        wires = [circuit.find_bit(q).index for q in instruction.qubits]
        for bits, state in branches:
            if operation.name == "measure":
                for outcome in (0, 1):
                    kept = state.evolve(Operator(np.diag([1 - outcome, outcome])), wires)
                    found.append(({**bits, instruction.clbits[0]: bool(outcome)}, kept))
            elif operation.name == "reset":
                found.append((bits, state.reset(wires)))
            elif operation.name == "if_else":
                bit, value = operation.condition
                held = bits[bit] if bit in bits else sum(bits[b] << i for i, b in enumerate(bit))
                inside = [(bits, state)]
                if held == value:
                    block = operation.blocks[0]
                    outer = dict(zip(block.qubits, instruction.qubits, strict=True))
                    outer |= dict(zip(block.clbits, instruction.clbits, strict=True))
                    for one in block.data:
                        moved = one.replace(
                            qubits=[outer[q] for q in one.qubits], clbits=[outer[c] for c in one.clbits]
                        )
                        inside = step(inside, moved)
                found += inside
            else:
                found.append((bits, state.evolve(operation, wires)))
        return found

    for instruction in circuit.data:
        branches = step(branches, instruction)
    total = sum(state.data for _, state in branches)
    return np.asarray(DensityMatrix(total).reverse_qargs().data)


@pytest.mark.sampled(12)
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", CASES)
def test_qiskit_reads_it_and_computes_the_same(name: str, version: int) -> None:
    case = CASES[name]
    if version == 2 and name in ONLY_3:
        with pytest.raises(ConfigError, match=r"depends on several measurements, OpenQASM 2\.0 has one") as caught:
            case.text(2)
        assert caught.value.fix == "--to qasm3"
        return
    assert np.abs(by_qiskit(case.text(version)) - case.state()).max() < AGREEMENT


def test_numbers_read_back_bit_for_bit_and_have_a_point() -> None:
    for value in (0.1, -1e-17, 5e-324, 1e16, 1.7e308, -0.0, 3.0):
        text = number(value)
        assert "." in text
        assert float(text) == value
        assert math.copysign(1, float(text)) == math.copysign(1, value)


def test_many_wires_are_read_back_though_not_simulated() -> None:
    case = Case(angles, 24, (0.1,) * 24, (1, 24, 3))
    assert qiskit.qasm2.loads(case.text(2)).num_qubits == 24


@pytest.mark.parametrize("version", [2, 3])
def test_outputs_stand_in_comments(version: int) -> None:
    comments = [line for line in CASES["measured"].text(version).splitlines() if line.startswith("//")]
    assert comments == [
        "// output 0: expval(Z(1))",
        "// output 1: probs(wires=[0, 2])",
        "// output 2: expval of a value of the measured bits m1",
        "// output 3: probs of a value of the measured bits m0, m1",
    ]


def postselected(inputs, weights, wires):
    qml.Hadamard(0)
    qml.measure(0, postselect=1)
    return [qml.expval(qml.Z(1))]


def noisy(inputs, weights, wires):
    qml.DepolarizingChannel(0.1, wires=0)
    return [qml.expval(qml.Z(0))]


def not_finite(inputs, weights, wires):
    qml.RX(weights[0] / (inputs[0] - inputs[0]), wires=0)
    return [qml.expval(qml.Z(0))]


def broken(inputs, weights, wires):
    raise ValueError("mine")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (postselected, "chooses the outcome of a measurement"),
        (noisy, "DepolarizingChannel"),
        (not_finite, "an angle of RX is (inf|-inf|nan)"),
        (broken, "ValueError: 'mine'"),
    ],
)
def test_the_reason_why_there_is_no_file(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot be written as OpenQASM 2.0: .*(?:{words})") as caught:
        Case(function, 2).text(2)
    assert caught.value.exit_code == 3


def test_all_zero_amplitudes_are_told() -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        Case(amplitudes, 2, (0.0,) * 4, (1, 2)).text(2)


@pytest.mark.parametrize("version", [2, 3])
def test_a_text_that_does_something_else_is_not_handed_over(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    right = qasm.write

    def other(program: Any, version: Any) -> list[str]:
        return [line.replace("cx q[0],q[1]", "cx q[1],q[0]") for line in right(program, version)]

    monkeypatch.setattr(qasm, "write", other)
    with pytest.raises(ConfigError, match="other statements are read"):
        CASES["angles"].text(version)


def test_a_gate_taken_for_another_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(qasm_program.NAMES, "S", "sdg")

    def function(inputs, weights, wires):
        qml.Hadamard(0)
        qml.S(0)
        qml.Hadamard(0)
        return [qml.expval(qml.Y(0))]

    with pytest.raises(ConfigError, match=r"read back, it differs from default\.qubit by [12]\.\de\+00"):
        Case(function, 1).text(2)


@pytest.mark.parametrize(
    "line",
    ["cx q[0];", "cry(0.1) q[0],q[1];", "rx q[0];", "if(mcms[0]==1) x q[0];", "x q[0]", "rx(pi) q[0];", "gphase(1.0);"],
)
def test_our_reader_takes_no_other_language(line: str) -> None:
    with pytest.raises(ValueError):
        read(["OPENQASM 2.0;", "qreg q[2];", line])


def test_our_reader_agrees_with_pennylane_about_every_gate() -> None:
    for theirs, ours in qasm_program.NAMES.items():
        known = {"Adjoint(S)": qml.adjoint(qml.S(0)), "Adjoint(T)": qml.adjoint(qml.T(0))}
        kind = getattr(qml, theirs, None)
        angles = [0.7] if kind is not None and kind.num_params else []
        op = known.get(theirs) or kind(*angles, wires=range(kind.num_wires))
        np.testing.assert_allclose(matrix(ours, angles), qml.matrix(op, wire_order=op.wires), atol=1e-15)


def test_a_reset_leaves_both_histories() -> None:
    qubits, lines = read(["qreg q[2];", "h q[0];", "cx q[0],q[1];", "reset q[0];"])
    shares = sum(np.abs(branch.state) ** 2 for branch in run(qubits, lines))
    np.testing.assert_allclose(shares, [[0.5, 0.5], [0, 0]], atol=1e-15)


def test_a_single_unitary_on_the_last_wire_is_compared_too() -> None:
    def function(inputs, weights, wires):
        qml.CNOT([2, 0])
        qml.RX(weights[0], wires=2)
        return [qml.expval(qml.Z(2))]

    case = Case(function, 3)
    assert np.abs(by_qiskit(case.text(2)) - case.state()).max() < AGREEMENT


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "measured",
    [
        lambda: [qml.var(qml.X(0)), qml.expval(qml.Z(1))],
        lambda: [qml.probs(op=qml.X(0))],
        lambda: [qml.purity(wires=[0]), qml.vn_entropy(wires=[0]), qml.mutual_info([0], [1])],
        lambda: [qml.var(qml.measure(0)), qml.expval(qml.Z(1))],
    ],
    ids=["variance", "chances of an observable", "of the state", "variance of a measurement"],
)
def test_gates_are_written_whatever_is_measured(measured: Callable[[], Any], version: int) -> None:
    def function(inputs: Any, weights: Any, wires: Any) -> Any:
        qml.AngleEmbedding(inputs, wires=wires)
        qml.CRX(weights[0], wires=wires)
        return measured()

    text = Case(function, 2).text(version)
    assert f"// output {len(measured()) - 1}: " in text


def test_evolutions_of_scaled_observables_are_written() -> None:
    def function(inputs: Any, weights: Any, wires: Any) -> Any:
        qml.AngleEmbedding(inputs, wires=wires)
        qml.evolve(qml.s_prod(weights[0], qml.X(0) @ qml.Y(1)), inputs[0])
        qml.TrotterProduct(qml.dot([0.3, 0.7], [qml.Z(0), qml.X(1)]), weights[1], n=2, order=2)
        qml.evolve(0.5 * qml.Y(1), weights[1])
        return [qml.expval(qml.Z(wire)) for wire in wires]

    case = Case(function, 2)

    @qml.qnode(qml.device("default.qubit"), diff_method=None)
    def with_floats() -> Any:  # PennyLane fails at torch's numbers
        return [*function(case.inputs, case.weights["weights"], range(2)), qml.density_matrix(range(2))]

    assert np.abs(by_qiskit(case.text(2)) - with_floats()[-1]).max() < AGREEMENT
