"""Compiled circuits agree with default.qubit, template by template; what cannot be compiled says why."""

import numpy as np
import pennylane as qml
import pytest
import torch
from circuits import errors, gradients, numbers, reference
from named_circuits import CIRCUITS, z_on_all

from qtlplat.compile import recorder
from qtlplat.contracts import Circuit
from qtlplat.quantum.compiler.compile import compile_circuit
from qtlplat.quantum.compiler.gates import CannotCompileError
from qtlplat.quantum.compiler.layout import DENSE_QUBITS

DOUBLE, SINGLE = 1e-10, 1e-6


@pytest.fixture(scope="module")
def compiled():
    """Each circuit in double precision, compiled once."""
    programs = {}

    def program(name):
        if name not in programs:
            programs[name] = compile_circuit(CIRCUITS[name], double=True)
        return programs[name]

    return program


@pytest.mark.sampled(8)
@pytest.mark.parametrize("samples", [1, 5])
@pytest.mark.parametrize("name", CIRCUITS)
def test_double_precision(name, samples, compiled):
    value, gradient = errors(compiled(name), CIRCUITS[name], samples)
    assert value < DOUBLE
    assert gradient < DOUBLE


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", CIRCUITS)
def test_single_precision(name, compiled):
    value, gradient = errors(compiled(name).with_precision(double=False), CIRCUITS[name], samples=5)
    assert value < SINGLE
    assert gradient < SINGLE


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", CIRCUITS)
def test_stacked_cells_are_a_loop_over_cells(name, compiled):
    program = compiled(name)
    cells = [numbers(CIRCUITS[name], 4, seed) for seed in (1, 2, 3)]
    inputs = torch.stack([x.detach() for x, _ in cells]).requires_grad_()
    weights = {k: torch.stack([w[k].detach() for _, w in cells]).requires_grad_() for k in cells[0][1]}
    together = torch.func.vmap(program)(inputs, weights)
    one_by_one = torch.stack([program(x, w) for x, w in cells])
    torch.testing.assert_close(together, one_by_one, rtol=0, atol=1e-12)
    direction = torch.randn(together.shape, dtype=together.dtype, generator=torch.Generator().manual_seed(0))
    stacked = gradients(together, direction, [inputs, *weights.values()])
    alone = [[x, *w.values()] for x, w in cells]
    flat = gradients(one_by_one, direction, [v for cell in alone for v in cell]).split(
        [v.numel() for cell in alone for v in cell]
    )
    width = len(alone[0])
    expected = torch.cat([torch.cat(flat[k::width]) for k in range(width)])
    torch.testing.assert_close(stacked, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["AngleEmbedding(X)", "AmplitudeEmbedding", "data re-uploading, w * x + b"])
@pytest.mark.sampled(1)
def test_gradients_inside_of_a_stack(name, compiled):
    program = compiled(name)
    cells = [numbers(CIRCUITS[name], 4, seed) for seed in (1, 2)]
    inputs = torch.stack([x.detach() for x, _ in cells])
    weights = {k: torch.stack([w[k].detach() for _, w in cells]) for k in cells[0][1]}

    def loss(w, x):
        return program(x, w).square().sum()

    together = torch.func.vmap(torch.func.grad(loss))(weights, inputs)
    for cell, (x, w) in enumerate(cells):
        alone = torch.autograd.grad(loss(w, x), list(w.values()))
        for found, expected in zip(together.values(), alone, strict=True):
            torch.testing.assert_close(found[cell], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("AngleEmbedding(X)", True),
        ("AngleEmbedding of sums", True),
        ("gates before the first layer", True),
        ("AngleEmbedding(Z)", False),  # a phase of |0>
        ("data re-uploading", False),
        ("probabilities", False),
    ],
)
def test_one_embedding_makes_a_real_state_where_squares_are_measured(name, real, compiled):
    product = compiled(name).layout.product
    assert product is not None
    assert (product.columns is None) == real


@pytest.mark.parametrize("qubits", [7, 8, 9])
def test_more_qubits_than_one_matrix_holds(qubits):
    assert qubits > DENSE_QUBITS

    def function(inputs, weights, wires):
        qml.AngleEmbedding(inputs, wires=wires)
        qml.StronglyEntanglingLayers(weights[:1], wires=wires)
        qml.IsingXX(inputs[0] * weights[0, 0, 0], wires=[qubits - 1, 2])
        qml.QFT(wires=[5, 0, 3])
        qml.RY(weights[1, 0, 0], wires=4)
        qml.StronglyEntanglingLayers(weights[1:], wires=wires)
        return [*z_on_all(wires), qml.expval(qml.X(0) @ qml.Y(qubits - 1)), qml.probs(wires=[6, 1])]

    large = Circuit(function, qubits, {"weights": (2, qubits, 3)}, qubits, qubits + 5)
    program = compile_circuit(large, double=True)
    assert len(program.groups) > 1
    assert max(errors(program, large, 2)) < DOUBLE
    assert max(errors(program.with_precision(double=False), large, 2)) < SINGLE


@pytest.mark.parametrize("name", ["BasicEntanglerLayers(RY)", "RY and CZ"])
def test_real_circuits_use_real_arithmetic(name):
    def function(inputs, weights, wires):
        qml.AngleEmbedding(inputs, wires=wires, rotation="Y")
        for layer in weights:
            for wire in wires:
                qml.CZ([wire, (wire + 1) % len(wires)])
            for wire in wires:
                qml.RY(layer[wire], wires=wire)
        return [qml.expval(qml.X(0)), qml.expval(qml.Z(1) @ qml.X(2)), qml.probs(wires=[0, 2])]

    chosen = Circuit(function, 3, {"weights": (2, 3)}, 3, 6) if name == "RY and CZ" else CIRCUITS[name]
    program = compile_circuit(chosen, double=True)
    assert program.real
    assert max(errors(program, chosen)) < DOUBLE
    assert max(errors(program.with_precision(double=False), chosen)) < SINGLE


@pytest.mark.parametrize("name", ["AngleEmbedding(X)", "StronglyEntanglingLayers", "AmplitudeEmbedding"])
def test_complex_circuits_do_not(name, compiled):
    assert not compiled(name).real


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("double", [False, True])
def test_outputs_have_the_dtype_of_the_inputs(dtype, double):
    chosen = CIRCUITS["mixed outputs"]
    inputs, weights = numbers(chosen, 2, 0)
    program = compile_circuit(chosen, double=double)
    outputs = program(inputs.to(dtype), {k: w.float() for k, w in weights.items()})
    assert outputs.dtype == dtype
    torch.testing.assert_close(outputs.double(), reference(chosen, inputs, weights), rtol=0, atol=1e-6)


def measuring(function, n_outputs=1):
    def whole(inputs, weights, wires):
        qml.RX(inputs[0], wires=0)
        qml.RY(weights[0], wires=1)
        return function(inputs, weights)

    return Circuit(whole, 2, {"weights": (2,)}, 2, n_outputs)


def first(action):
    def function(inputs, weights):
        action(inputs, weights)
        return [qml.expval(qml.Z(0))]

    return measuring(function)


def branching(inputs, weights):
    if inputs[0] > 0.5:
        qml.PauliX(0)


REFUSED = {
    "measures in the middle": first(lambda x, w: qml.measure(0)),
    "measures in the middle ": first(lambda x, w: qml.cond(qml.measure(0), qml.X)(1)),
    "is a noise channel": first(lambda x, w: qml.DepolarizingChannel(0.1, wires=0)),
    "depends on values": first(branching),
    "depends on values ": first(lambda x, w: qml.RX(float(x[0]), wires=0)),
    "depends on values  ": first(lambda x, w: qml.AmplitudeEmbedding(w, wires=0, normalize=True)),
    "not traced": first(lambda x, w: qml.RX(np.sin(x.detach().numpy()[0]), wires=0)),
    "not traced ": first(lambda x, w: qml.RX(w.tolist()[0], wires=0)),
    "not traced  ": first(lambda x, w: qml.RX(sum(w.tolist()), 0)),
    "in place": first(lambda x, w: qml.RX(torch.zeros(2, dtype=x.dtype).index_fill_(0, torch.tensor(0), 1)[0], 0)),
    "is not unitary": first(lambda x, w: qml.QubitUnitary(np.diag([1, 2]), wires=0)),
    "VarianceMP": measuring(lambda x, w: [qml.var(qml.Z(0))]),
    "values that are traced": measuring(lambda x, w: [qml.expval(qml.Hamiltonian(w, [qml.Z(0), qml.X(1)]))]),
    "values that are traced ": measuring(lambda x, w: [qml.expval(qml.Hermitian(torch.diag(w), 0))]),
    "eigenbasis": measuring(lambda x, w: [qml.probs(op=qml.X(0))], 2),
}


@pytest.mark.filterwarnings("ignore")  # of PennyLane, about what is refused here
@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_compiled_says_why(reason):
    with pytest.raises(CannotCompileError, match=reason.strip()):
        compile_circuit(REFUSED[reason])


def test_tensors_changed_in_place_are_not_mistaken_for_constants():
    def function(inputs, weights):
        angles = torch.zeros(2, dtype=inputs.dtype)
        angles[0] = inputs[0]
        qml.RX(angles[0], wires=0)
        return [qml.expval(qml.Z(0))]

    with pytest.raises(CannotCompileError, match="in place"):
        compile_circuit(measuring(function))


@pytest.mark.parametrize("error", [ValueError("three layers, please"), KeyError("weights")])
def test_errors_of_the_function_itself_pass_through(error):
    def function(inputs, weights):
        raise error

    with pytest.raises(type(error)) as caught:
        compile_circuit(measuring(function))
    assert caught.value is error


def test_compiling_leaves_torchs_own_compiler_out():
    # Torch wraps this method of a mode to import its compiler at the first operation, for more than a second.
    assert not hasattr(recorder._Recorder.__torch_dispatch__, "__wrapped__")
