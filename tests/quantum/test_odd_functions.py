"""Functions of circuits that do what they should not, or what few do: told, refused in words, or run all the same."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import pennylane as qml
import pytest
import scipy.sparse
import torch
from quantum.written_circuits import CIRCUITS

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, PluginError
from qtlplat.quantum.circuits.readings import SIGMAS, Readings
from qtlplat.quantum.circuits.samples import trial_numbers
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat.quantum.inspect.inspect import describe, picture
from qtlplat_bench.plain import runs_singly
from qtlplat_bench.torch_layer import PlainLayer
from qtlplat_model_files.qasm import to_qasm


def circuit_of(change: Any) -> Circuit:
    """Two qubits, rotated by what `change` makes of inputs and weights."""

    def function(inputs, weights, wires):
        angles, weights = change(inputs, weights)
        for wire in wires:
            qml.RY(angles[..., wire], wires=wire)
        qml.CNOT(wires=wires)
        for wire in wires:
            qml.RX(weights[wire], wires=wire)
        return [qml.expval(qml.Z(wire)) for wire in wires]

    return Circuit(function, 2, {"weights": (2,)}, 2, 2)


def agrees(circuit: Circuit, device: str = "auto") -> Any:
    """The engine, whose values and gradients in inputs are those of a QNode, sample by sample."""
    engine = choose_engine(circuit, device)
    inputs, weights = trial_numbers(circuit, 4, seed=9)
    node = qml.QNode(
        lambda sample: circuit.function(sample, wires=range(circuit.qubits), **weights),
        qml.device("default.qubit", wires=circuit.qubits),
        interface="torch",
    )
    expected = torch.stack([torch.stack(node(sample)) for sample in inputs])
    outputs = engine.run(inputs, weights)
    torch.testing.assert_close(outputs, expected, atol=2e-6, rtol=0)
    for found, right in zip(*(torch.autograd.grad(o.sum(), inputs) for o in (outputs, expected)), strict=True):
        torch.testing.assert_close(found, right, atol=2e-5, rtol=1e-5)
    return engine


def counting() -> Any:
    calls = []

    def change(inputs, weights):
        calls.append(1)
        return inputs * len(calls), weights

    return change


def in_place(inputs, weights):
    with torch.no_grad():
        inputs.mul_(2)
    return inputs, weights


CHANGING = {
    "torch's random numbers": lambda i, w: (i + 1e-3 * torch.rand(2), w),
    "Python's": lambda i, w: (i * random.random(), w),
    "numpy's": lambda i, w: (i + torch.as_tensor(np.random.default_rng().random(2)), w),
    "dropout": lambda i, w: (torch.nn.functional.dropout(i.repeat(8), 0.5), w),
    "a counter": counting(),
    "its own inputs changed": in_place,
}


@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize("device", ["auto", "default.qubit"])
def test_a_function_that_changes_from_call_to_call_is_refused(name: str, device: str) -> None:
    with pytest.raises(PluginError, match="another circuit when it is called again"):
        choose_engine(circuit_of(CHANGING[name]), device)


NOT_SEEN = {
    "float": (lambda i, w: (torch.tensor([float(i[0]), float(i[1])]), w), ("inputs",)),
    "item": (lambda i, w: (i / i.norm().item(), w), ("inputs",)),
    "numpy": (lambda i, w: (i.detach().numpy(), w), ("inputs",)),
    "detached": (lambda i, w: (i.detach(), w.detach()), ("inputs", "weights")),
    "without gradients": (lambda i, w: (i, [float(one) for one in w]), ("weights",)),
    "all seen": (lambda i, w: (torch.atan(i * w) ** 2, torch.sin(w)), ()),
    "a branch": (lambda i, w: (i if i[0] > 0 else 2 * i, w), ()),
    "single precision inside": (lambda i, w: (i.float(), w.float()), ()),
    "nothing used": (lambda i, w: (torch.ones(2), w), ()),
}


@pytest.mark.parametrize("name", NOT_SEEN)
def test_numbers_that_torch_does_not_see_are_told(name: str) -> None:
    change, expected = NOT_SEEN[name]
    engine = choose_engine(circuit_of(change))
    assert engine.not_differentiated == expected
    told = [note for note in engine.notes if "are not those of the circuit's values" in note]
    assert [note.split()[3] for note in told] == list(expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda i, w: (torch.exp(1j * i).conj().imag, w),
        lambda i, w: (torch.arcsin(i), w),
        lambda i, w: (2 * torch.arcsin(torch.sqrt(i)), w),
        lambda i, w: (torch.stack([i[1], i[0] * w[0]]), w),
        lambda i, w: (i[i == i], w),
        lambda i, w: ((i - i.min()) / (i.max() - i.min()), w),
    ],
    ids=["lazily negated", "arcsine", "square root", "stacked", "masked", "scaled"],
)
def test_torch_functions_of_a_sample(change: Any) -> None:
    assert not agrees(circuit_of(change)).not_differentiated


def test_a_lazily_conjugated_matrix_is_compiled() -> None:
    def function(inputs, weights, wires):
        phases = torch.exp(1j * torch.stack([inputs[0], -inputs[0]]))
        qml.Hadamard(0)
        qml.QubitUnitary(torch.diag(phases).conj(), 0)
        qml.RY(weights[0], 1)
        return [qml.expval(qml.X(0)), qml.expval(qml.X(1))]

    assert agrees(Circuit(function, 2, {"weights": (1,)}, 2, 2)).name == "compiled"


def test_a_sparse_observable_runs_on_a_device() -> None:
    values = scipy.sparse.csr_matrix(np.diag([1.0, 2.0, 3.0, 4.0]))

    def function(inputs, wires):
        qml.RY(inputs[0], 0)
        return [qml.expval(qml.SparseHamiltonian(values, wires=wires))]

    engine = choose_engine(Circuit(function, 2, {}, 1, 1))
    inputs = torch.tensor([[0.3], [0.4]], dtype=torch.float64)
    torch.testing.assert_close(engine.run(inputs, {}), 2 - torch.cos(inputs))  # p(0) + 3 p(1)


@pytest.mark.parametrize(("wire", "told"), [(5, "wire 5, its 2 qubits are wires 0 to 1"), ("a", "wire 'a'")])
def test_a_wire_that_is_not_there_is_named(wire: Any, told: str) -> None:
    def function(inputs, wires):
        qml.RY(inputs[0], wire)
        return [qml.expval(qml.Z(0))]

    with pytest.raises(PluginError, match=told):
        choose_engine(Circuit(function, 2, {}, 1, 1))


def test_what_no_device_can_run_says_what_was_tried() -> None:
    with pytest.raises(ConfigError) as caught:
        choose_engine(circuit_of(lambda i, w: (torch.log(-1 - i.abs()), w)))
    for tried in ("compiled, its values", "device default.qubit cannot", "device default.mixed cannot", "not finite"):
        assert tried in caught.value.what


def test_an_option_that_pennylane_fails_at_is_named() -> None:
    with pytest.raises(ConfigError, match="readout_prob") as caught:
        choose_engine(circuit_of(lambda i, w: (i, w)), "default.mixed", {"readout_prob": 0.1})
    assert "leave it out" in caught.value.fix


@pytest.mark.parametrize(
    ("change", "batched"),
    [
        (lambda i, w: (i, w), True),
        (lambda i, w: (torch.stack([i[1], i[0]]), w), False),
        (lambda i, w: (i / torch.linalg.norm(i), w), False),
    ],
    ids=["as it is", "by element", "normalised"],
)
def test_the_layer_of_comparison_is_the_same_circuit(change: Any, batched: bool) -> None:
    circuit = circuit_of(change)
    layer = PlainLayer(circuit)
    assert layer.batched == batched
    assert runs_singly(torch.nn.Sequential(layer)) != batched
    inputs = trial_numbers(circuit, 2, seed=3)[0].detach()
    expected = choose_engine(circuit).run(inputs, {"weights": layer.weights.detach().double()})
    torch.testing.assert_close(layer(inputs).detach(), expected, atol=1e-5, rtol=0)


def test_a_function_of_a_batch_is_described_and_written_too() -> None:
    by_columns = CIRCUITS["column"]
    alone = Circuit(lambda inputs, **k: by_columns.function(inputs[None], **k), 3, {"weights": (1, 3)}, 3, 3)
    sample, weights = np.array([0.1, 0.2, 0.3]), {"weights": np.full((1, 3), 0.4)}
    assert to_qasm(by_columns, weights, sample) == to_qasm(alone, weights, sample)
    described = describe(by_columns)
    assert described["gates"] == describe(alone)["gates"]
    assert picture(by_columns) == picture(alone)


@pytest.mark.parametrize("name", ["shared_coefficients", "noisy", "branch"])
def test_a_layer_on_a_device_can_be_copied(name: str) -> None:
    layer = choose_engine(CIRCUITS[name]).layer()
    inputs, _ = trial_numbers(layer.circuit, 2)
    copied = copy.deepcopy(layer)
    torch.testing.assert_close(copied(inputs), layer(inputs), atol=0, rtol=0)
    assert not {id(w) for w in copied.parameters()} & {id(w) for w in layer.parameters()}


def test_a_layer_and_its_copy_draw_different_shots_and_repeat_them_when_seeded() -> None:
    layer = choose_engine(CIRCUITS["branch"], "default.qubit", {"shots": 1000}).layer()
    inputs, _ = trial_numbers(layer.circuit, 2)
    copied = copy.deepcopy(layer)

    def drawn() -> list[torch.Tensor]:
        for one in (layer, copied):
            torch.manual_seed(0)
            one.reseed()
        return [layer(inputs).detach(), copied(inputs).detach()]

    assert not torch.equal(layer(inputs), copied(inputs))
    first, second = drawn(), drawn()
    assert all(map(torch.equal, first, second))
    assert torch.equal(*first)  # one seed, two devices


def test_trained_coefficients_are_differentiated_in_stacked_cells() -> None:
    def function(inputs, coeffs, wires):
        qml.RY(inputs[0], 0)
        return [qml.expval(qml.dot([coeffs[0], coeffs[1]], [qml.Z(0), qml.X(0)]))]

    engine = choose_engine(Circuit(function, 1, {"coeffs": (2,)}, 1, 1))
    inputs = torch.tensor([[0.3], [0.7]], dtype=torch.float64)
    cells = torch.tensor([[0.5, 1.0], [2.0, 0.1]], dtype=torch.float64)
    found = torch.func.vmap(torch.func.grad(lambda c: engine.run(inputs, {"coeffs": c}).sum()))(cells)
    expected = torch.stack([inputs.cos().sum(), inputs.sin().sum()]).expand(2, 2)
    torch.testing.assert_close(found, expected)


def test_how_far_shots_may_be_off_is_told_of_trained_numbers_without_a_warning() -> None:
    number = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # and warnings are errors here
    try:
        readings = Readings([qml.expval(number * qml.Z(0))], linear=True)
        assert readings.slack(10_000, 1).tolist() == [2 * SIGMAS / 100]
    finally:
        torch.set_warn_always(before)
