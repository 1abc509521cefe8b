"""Circuits on PennyLane devices agree with independent simulations, in values and gradients, and refuse in words."""

import functools
import warnings

import numpy as np
import pennylane as qml
import pytest
import torch

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, PluginError
from qtlplat.quantum.devices.choice import DeviceRunner
from qtlplat.quantum.devices.layer import CircuitLayer
from qtlplat.quantum.devices.making import available_devices
from qtlplat.quantum.inspect.inspect import describe
from qtlplat_dressed import circuit
from qtlplat_dressed.options import DressedOptions


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


def amplitudes(inputs, weights, wires):
    qml.AmplitudeEmbedding(inputs, wires=wires, normalize=True)
    qml.BasicEntanglerLayers(weights, wires=wires)
    return [qml.expval(qml.Z(0)), qml.expval(qml.X(1)), qml.expval(qml.Y(0))]


def words(inputs, weights, wires):
    qml.IQPEmbedding(inputs[..., :2], wires=wires)
    qml.CRot(weights[0, 0], weights[0, 1], weights[1, 0], wires=wires)
    qml.PauliRot(weights[1, 1] * inputs[..., 2], "XY", wires=wires)
    return [
        qml.expval(qml.Hamiltonian([0.5, 0.3], [qml.Z(0), qml.X(0) @ qml.Y(1)])),
        qml.expval(qml.Z(0) @ qml.X(1)),
        qml.expval(qml.Y(1)),
    ]


def mixture(inputs, weights, wires):
    qml.AngleEmbedding(inputs[..., :2], wires=wires)
    qml.StronglyEntanglingLayers(weights[None, :, [0, 1, 0]], wires=wires)
    return [qml.probs(wires=wires[:1]), qml.expval(qml.Y(1))]


def measured(inputs, weights, wires):
    qml.AngleEmbedding(inputs[..., :2], wires=wires)
    outcome = qml.measure(0)
    qml.cond(outcome, qml.RX)(weights[0, 0] * inputs[..., 2], 1)
    qml.RY(weights[1, 1] + weights[0, 1], 0)
    return [qml.expval(qml.Z(1)), qml.probs(wires=wires[:1])]


def generated(inputs, weights, wires):
    qml.AngleEmbedding(inputs[..., :2], wires=wires)
    qml.QubitUnitary(torch.linalg.matrix_exp(weights - weights.T), wires=wires[:1])
    return [qml.expval(qml.Z(0)), qml.expval(qml.X(0)), qml.expval(qml.Y(0) @ qml.Y(1))]


def declared(function):
    n_inputs = 4 if function is amplitudes else 3
    return Circuit(function, qubits=2, weight_shapes={"weights": (2, 2)}, n_inputs=n_inputs, n_outputs=3)


def values_and_gradients(runner, dtype=torch.float64, batch=3):
    """Outputs, and the gradients of their weighted sum, at fixed arguments."""
    random = torch.Generator().manual_seed(7)
    declared = runner.circuit

    def draw(*shape):
        return torch.rand(*shape, dtype=torch.float64, generator=random).to(dtype)

    inputs = draw(batch, declared.n_inputs).requires_grad_()
    weights = {name: draw(*shape).requires_grad_() for name, shape in declared.weight_shapes.items()}
    outputs = runner(inputs, weights)
    (outputs * draw(batch, declared.n_outputs)).sum().backward()
    return [outputs.detach(), inputs.grad, *(w.grad for w in weights.values())]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("device", ["default.qubit", "default.mixed", "lightning.qubit", "reference.qubit"])
@pytest.mark.parametrize("axis", ["X", "Y", "Z"])
def test_a_batch_equals_plain_matrix_products(device, axis):
    options = DressedOptions(qubits=3, layers=2, axis=axis)
    torch.manual_seed(0)
    layer = CircuitLayer(circuit(options), DeviceRunner(circuit(options), device, {}))
    inputs = torch.rand(4, 3)
    weights = layer.weights["weights"].detach().double().numpy()
    expected = [matrix_simulation(options, row, weights) for row in inputs.double().numpy()]
    np.testing.assert_allclose(layer(inputs).detach().numpy(), expected, atol=1e-6)


def test_gradients_equal_finite_differences():
    options = DressedOptions(qubits=2, layers=1)
    torch.manual_seed(0)
    layer = CircuitLayer(circuit(options), DeviceRunner(circuit(options), "default.qubit", {})).double()
    inputs = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (inputs,), eps=1e-6, atol=1e-6)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("device", "function", "method", "tolerance"),
    [
        ("default.mixed", amplitudes, "backprop", 1e-12),
        ("default.mixed", words, "backprop", 1e-12),
        ("default.mixed", mixture, "backprop", 1e-12),
        ("default.mixed", measured, "backprop", 1e-12),
        ("lightning.qubit", amplitudes, "adjoint", 1e-6),
        ("lightning.qubit", words, "adjoint", 1e-6),
        ("lightning.qubit", mixture, "parameter-shift", 1e-12),
        ("lightning.qubit", measured, "parameter-shift", 1e-12),
        ("reference.qubit", words, "parameter-shift", 1e-12),
        ("reference.qubit", amplitudes, "parameter-shift", 1e-12),
        ("reference.qubit", generated, "finite-diff", 1e-7),
    ],
)
def test_every_way_of_differentiating_agrees_with_backpropagation(device, function, method, tolerance):
    reference = DeviceRunner(declared(function), "default.qubit", {})
    assert reference.gradient_method == "backprop"
    runner = DeviceRunner(declared(function), device, {})
    assert runner.gradient_method == method
    for found, expected in zip(values_and_gradients(runner), values_and_gradients(reference), strict=True):
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("device", ["default.qubit", "default.mixed", "lightning.qubit", "reference.qubit"])
def test_single_precision_comes_back_in_single_precision(device):
    runner = DeviceRunner(declared(words), device, {})
    exact = values_and_gradients(DeviceRunner(declared(words), "default.qubit", {}))
    for found, expected in zip(values_and_gradients(runner, torch.float32), exact, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit", "reference.qubit"])
def test_without_gradients_the_values_are_the_same(device):
    runner = DeviceRunner(declared(mixture), device, {})
    expected = values_and_gradients(runner)[0]
    with torch.no_grad():
        random = torch.Generator().manual_seed(7)
        inputs, weights = (torch.rand(*shape, dtype=torch.float64, generator=random) for shape in ((3, 3), (2, 2)))
        torch.testing.assert_close(runner(inputs, {"weights": weights}), expected, atol=1e-7, rtol=0)


@pytest.mark.slow
def test_untrained_arguments_of_a_shifted_circuit_get_no_gradient():
    runner = DeviceRunner(declared(words), "reference.qubit", {})
    exact = DeviceRunner(declared(words), "default.qubit", {})
    inputs = torch.rand(3, 3, dtype=torch.float64)
    gradients = []
    for one in (runner, exact):
        weights = torch.full((2, 2), 0.3, dtype=torch.float64, requires_grad=True)
        one(inputs, {"weights": weights}).sum().backward()
        gradients.append(weights.grad)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-12, rtol=0)
    assert inputs.grad is None


class TestShots:
    def test_means_lie_within_five_standard_errors(self):
        shots, options = 4000, DressedOptions(qubits=3, layers=2)
        weights = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(1))
        inputs = torch.rand(8, 3, generator=torch.Generator().manual_seed(2))
        expected = [matrix_simulation(options, row, weights.double().numpy()) for row in inputs.double().numpy()]
        for device in ("default.qubit", "lightning.qubit"):
            torch.manual_seed(3)
            runner = DeviceRunner(circuit(options), device, {"shots": shots})
            found = runner(inputs, {"weights": weights}).numpy()
            error = np.sqrt((1 - np.square(expected)) / shots)
            assert np.all(np.abs(found - expected) < 5 * error + 1e-6), device
            assert np.abs(found - expected).max() > error.min() / 100, f"{device} measured without noise"

    @pytest.mark.sampled(1)
    @pytest.mark.parametrize("function", [words, mixture, measured, amplitudes])
    def test_gradients_are_right_in_expectation(self, function):
        torch.manual_seed(0)
        runner = DeviceRunner(declared(function), "default.qubit", {"shots": 20_000})
        assert runner.gradient_method == "parameter-shift"
        exact = values_and_gradients(DeviceRunner(declared(function), "default.qubit", {}))
        # Each shifted value has a standard error below 1 / sqrt(shots); a gradient adds up few of them.
        for found, expected in zip(values_and_gradients(runner), exact, strict=True):
            torch.testing.assert_close(found, expected, atol=0.06, rtol=0)

    @pytest.mark.sampled(1)
    @pytest.mark.parametrize("device", ["default.qubit", "default.mixed", "lightning.qubit"])
    def test_equal_seeds_give_equal_shots(self, device):
        def run(seed):
            torch.manual_seed(seed)
            before = torch.random.get_rng_state()
            found = values_and_gradients(DeviceRunner(declared(words), device, {"shots": 50}))
            assert torch.equal(torch.random.get_rng_state(), before)
            return torch.cat([f.flatten() for f in found])

        assert torch.equal(run(1), run(1))
        assert not torch.equal(run(1), run(2))

    @pytest.mark.slow
    def test_the_shifted_circuits_may_be_evaluated_in_any_portions(self, monkeypatch):
        runner = DeviceRunner(declared(words), "reference.qubit", {})
        found = []
        for at_once in (1, 100, 2**20):
            monkeypatch.setattr("qtlplat.quantum.devices.execution.NUMBERS_AT_ONCE", at_once)
            found.append(torch.cat([f.flatten() for f in values_and_gradients(runner)]))
        torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=0)
        torch.testing.assert_close(found[0], found[2], atol=1e-12, rtol=0)

    def test_gates_without_a_shift_rule_are_refused(self):
        with pytest.raises(ConfigError, match="QubitUnitary takes trained numbers and has no shift rule"):
            DeviceRunner(declared(generated), "default.qubit", {"shots": 100})


class TestNoise:
    @staticmethod
    def rotation(inputs, wires):
        qml.RX(inputs[..., 0], wires=0)
        return [qml.expval(qml.Z(0)), qml.expval(qml.Y(0))]

    # After RX(x) the Bloch vector is (0, -sin x, cos x); each channel is a linear map of it.
    @pytest.mark.parametrize(
        ("noise", "z", "y"),
        [
            ("depolarizing", lambda x, p: (1 - 4 * p / 3) * np.cos(x), lambda x, p: -(1 - 4 * p / 3) * np.sin(x)),
            ("bitflip", lambda x, p: (1 - 2 * p) * np.cos(x), lambda x, p: -(1 - 2 * p) * np.sin(x)),
            ("phaseflip", lambda x, p: np.cos(x), lambda x, p: -(1 - 2 * p) * np.sin(x)),
            ("phase_damping", lambda x, p: np.cos(x), lambda x, p: -np.sqrt(1 - p) * np.sin(x)),
            ("amplitude_damping", lambda x, p: p + (1 - p) * np.cos(x), lambda x, p: -np.sqrt(1 - p) * np.sin(x)),
        ],
    )
    def test_one_noisy_rotation_has_its_closed_form(self, noise, z, y):
        declared = Circuit(self.rotation, qubits=1, weight_shapes={}, n_inputs=1, n_outputs=2)
        runner = DeviceRunner(declared, "default.mixed", {"noise": noise, "strength": 0.07})
        assert runner.gradient_method == "backprop"
        x = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
        found = runner(x[:, None], {})
        angles = x.detach().numpy()
        np.testing.assert_allclose(found.detach().numpy().T, [z(angles, 0.07), y(angles, 0.07)], atol=1e-12)
        found[:, 0].sum().backward()
        step = 1e-6
        slope = (z(angles + step, 0.07) - z(angles - step, 0.07)) / (2 * step)
        np.testing.assert_allclose(x.grad.numpy(), slope, atol=1e-8)

    @pytest.mark.slow
    def test_every_gate_of_a_template_is_noisy_on_each_of_its_wires(self):
        def function(inputs, weights, wires):
            qml.AngleEmbedding(inputs, wires=wires)
            qml.BasicEntanglerLayers(weights, wires=wires)
            return [qml.expval(qml.X(0) @ qml.X(1))]

        def by_hand(inputs, weights, wires):
            for wire in (0, 1):
                qml.RX(inputs[..., wire], wires=wire)
                qml.DepolarizingChannel(0.03, wires=wire)
            for wire in (0, 1):
                qml.RX(weights[0, wire], wires=wire)
                qml.DepolarizingChannel(0.03, wires=wire)
            qml.CNOT(wires=[0, 1])
            for wire in (0, 1):
                qml.DepolarizingChannel(0.03, wires=wire)
            return [qml.expval(qml.X(0) @ qml.X(1))]

        noise = {"noise": "depolarizing", "strength": 0.03}
        noisy, expected = (
            values_and_gradients(
                DeviceRunner(Circuit(f, 2, {"weights": (1, 2)}, 2, 1), "default.mixed", noise if f is function else {})
            )
            for f in (function, by_hand)
        )
        for one, other in zip(noisy, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-12, rtol=0)

    def test_gradients_are_finite_where_a_probability_is_zero(self):
        def function(inputs, wires):
            qml.RX(inputs[..., 0], wires=0)
            return [qml.probs(wires=[1, 0]), qml.expval(qml.Z(0)), qml.expval(qml.Z(1))]

        runner = DeviceRunner(Circuit(function, 2, {}, 1, 6), "default.mixed", {})
        inputs = torch.tensor([[0.0], [0.7]], dtype=torch.float64, requires_grad=True)
        outputs = runner(inputs, {})
        half = (1 + np.cos([0, 0.7])) / 2
        nothing = np.zeros(2)
        expected = np.stack([half, 1 - half, nothing, nothing, 2 * half - 1, nothing + 1], axis=1)
        np.testing.assert_allclose(outputs.detach(), expected, atol=1e-12)
        (outputs @ torch.tensor([3.0, 0, 0, 0, 1, 1], dtype=torch.float64)).sum().backward()
        np.testing.assert_allclose(inputs.grad[:, 0], -2.5 * np.sin([0, 0.7]), atol=1e-12)

    def test_noise_goes_with_shots(self):
        torch.manual_seed(0)
        declared = Circuit(self.rotation, qubits=1, weight_shapes={}, n_inputs=1, n_outputs=2)
        options = {"noise": "depolarizing", "strength": 0.3, "shots": 10_000}
        runner = DeviceRunner(declared, "default.mixed", options)
        x = torch.tensor([[0.5], [2.0]], requires_grad=True)
        outputs = runner(x, {})
        outputs[:, 0].sum().backward()
        assert runner.gradient_method == "parameter-shift"
        # 5 standard errors, of one value and of half the difference of two
        np.testing.assert_allclose(outputs[:, 0].detach(), 0.6 * np.cos([0.5, 2.0]), atol=0.05)
        np.testing.assert_allclose(x.grad[:, 0], -0.6 * np.sin([0.5, 2.0]), atol=0.05)

    def test_a_device_without_channels_is_refused(self):
        with pytest.raises(ConfigError, match="default.qubit cannot run this circuit") as caught:  # noqa: RUF043
            DeviceRunner(declared(words), "default.qubit", {"noise": "bitflip"})
        assert "default.mixed" in caught.value.fix


class TestStacking:
    def test_default_qubit_runs_many_cells_at_once(self):
        runner = DeviceRunner(declared(words), "default.qubit", {})
        assert runner.why_not_stackable == ""
        inputs, weights = torch.rand(4, 3, 3), torch.rand(4, 2, 2)
        together = torch.func.vmap(lambda x, w: runner(x, {"weights": w}))(inputs, weights)
        for i in range(4):
            torch.testing.assert_close(together[i], runner(inputs[i], {"weights": weights[i]}), atol=1e-6, rtol=0)

    @pytest.mark.parametrize(
        ("device", "options", "reason"),
        [
            ("lightning.qubit", {}, "lightning.qubit computes its gradients (adjoint) outside of torch"),
            ("default.qubit", {"shots": 10}, "default.qubit computes its gradients (parameter-shift) outside of torch"),
            ("default.mixed", {}, "torch cannot vectorise default.mixed: "),
        ],
    )
    def test_others_say_why_not(self, device, options, reason):
        assert DeviceRunner(declared(words), device, options).why_not_stackable.startswith(reason)


def test_a_circuit_that_returns_something_else_than_declared_is_named():
    def function(inputs, wires):
        qml.AngleEmbedding(inputs, wires=wires)
        return [qml.expval(qml.PauliZ(0))]

    wrong = Circuit(function, qubits=2, weight_shapes={}, n_inputs=2, n_outputs=2)
    with pytest.raises(PluginError, match="returned 1 values per sample, it declared 2"):
        DeviceRunner(wrong, "default.qubit", {})


def test_what_a_circuit_raises_itself_is_not_laid_on_the_device():
    def function(inputs, wires):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        DeviceRunner(Circuit(function, qubits=1, weight_shapes={}, n_inputs=1, n_outputs=1), "default.qubit", {})


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
def test_probabilities_and_fixed_outputs_keep_the_batch(device):
    def function(inputs, wires):
        qml.AngleEmbedding(inputs, wires=wires[:1])
        return [qml.probs(wires=wires[:1]), qml.expval(qml.PauliZ(1))]

    mixed = Circuit(function, qubits=2, weight_shapes={}, n_inputs=1, n_outputs=3)
    angles = torch.tensor([[0.0], [np.pi]])
    expected = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    torch.testing.assert_close(DeviceRunner(mixed, device, {})(angles, {}), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit", "reference.qubit"])
def test_a_single_measurement_needs_no_list(device):
    def function(inputs, wires):
        qml.AngleEmbedding(inputs, wires=wires)
        return qml.probs(wires=wires)

    single = Circuit(function, qubits=2, weight_shapes={}, n_inputs=2, n_outputs=4)
    found = DeviceRunner(single, device, {})(torch.tensor([[0.0, np.pi], [np.pi, 0.0], [0.0, 0.0]]), {})
    expected = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


class TestRefusals:
    def refusal(self, device, options=None):
        with pytest.raises(ConfigError) as caught:
            DeviceRunner(declared(words), device, options or {})
        assert caught.value.exit_code == 3
        assert caught.value.where == "--device"
        return caught.value

    def test_an_unknown_device_is_told_with_those_that_are_known(self):
        error = self.refusal("default.qbit")
        assert "did you mean: default.qubit" in error.what
        assert "lightning.qubit" in error.what
        assert "compiled" in error.what

    def test_a_gpu_device_that_is_not_installed_says_what_to_install(self, monkeypatch):
        monkeypatch.delitem(qml.plugin_devices, "lightning.gpu", raising=False)
        assert "lightning.gpu" not in available_devices()
        assert self.refusal("lightning.gpu").fix == "pip install 'qtlplat[gpu]'"

    def test_a_gpu_device_without_its_libraries_says_which(self, monkeypatch):
        class Installed:
            def load(self):
                warnings.warn("libcustatevec.so.1: cannot open shared object file", UserWarning, stacklevel=1)
                raise ImportError("binaries for lightning.gpu are not available")

        monkeypatch.setitem(qml.plugin_devices, "lightning.gpu", Installed())
        error = self.refusal("lightning.gpu")
        assert "binaries for lightning.gpu are not available" in error.what
        assert "libcustatevec.so.1" in error.what
        assert "NVIDIA GPU" in error.fix
        assert "qtlplat[gpu]" in error.fix

    def test_a_keyword_that_the_device_does_not_know_is_told_with_those_it_does(self):
        error = self.refusal("lightning.qubit", {"colour": "red"})
        assert "unexpected keyword argument 'colour'" in error.what
        assert "batch_obs" in error.fix

    def test_a_value_that_the_device_refuses_is_told(self):
        with pytest.raises(ConfigError, match="half"):
            DeviceRunner(declared(words), "lightning.qubit", {"c_dtype": "half"})

    def test_a_device_of_another_sort_is_refused(self):
        with pytest.raises(ConfigError, match=r"default.gaussian cannot run this circuit") as caught:
            DeviceRunner(declared(words), "default.gaussian", {})
        assert caught.value.where == "--device default.gaussian"

    def test_a_name_of_a_number_type_is_understood(self):
        runner = DeviceRunner(declared(words), "lightning.qubit", {"c_dtype": "complex64"})
        exact = DeviceRunner(declared(words), "default.qubit", {})
        found, expected = values_and_gradients(runner)[0], values_and_gradients(exact)[0]
        assert runner.device.c_dtype == np.complex64
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_description_counts_gates_depth_and_parameters():
    facts = describe(circuit(DressedOptions(qubits=5, layers=3)))
    assert facts["gates"] == {"CNOT": 15, "RX": 5, "Rot": 15}
    assert facts["parameters"] == {"weights": 45}
    assert facts["drawing"].count("\n") == 4
