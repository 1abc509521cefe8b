"""Circuits as people write them have one meaning on every engine, that of PennyLane's QNode for each sample alone."""

from __future__ import annotations

import math

import pennylane as qml
import pytest
import torch
from quantum import notebook_circuits  # noqa: F401 -- which adds to them
from quantum.written_circuits import CIRCUITS

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, PluginError
from qtlplat.quantum.circuits.samples import trial_numbers
from qtlplat.quantum.devices.engines import choose_engine

SHOTS = 20_000
FIVE_ERRORS = 5 / math.sqrt(SHOTS)  # of a value whose shots lie between -1 and 1
# What cannot be run there, and what can.
REFUSED = {
    ("default.qubit", "noisy"): "use --device default.mixed",
    ("lightning.qubit", "noisy"): "use --device default.mixed",
    ("lightning.qubit", "postselected"): "use --device default.qubit",
    ("default.mixed", "postselected"): "use --device default.qubit",
    ("reference.qubit", "noisy"): "use --device default.mixed",
    ("reference.qubit", "postselected"): "use --device default.qubit",
    # PennyLane 0.45.1: a complex Hermitian has another value there.
    ("reference.qubit", "layers_within_gates"): "choose another device, or auto; default.qubit gives exact values",
    (
        "reference.qubit",
        "controlled_and_adjoint_layers",
    ): "choose another device, or auto; default.qubit gives exact values",
}
REFUSED_WITH_SHOTS = {
    "generated_matrix": "QubitUnitary takes trained numbers and has no shift rule",
    "noisy": "DepolarizingChannel",
    "of_the_state": "purity not accepted with finite shots",
    "postselected": "postselected values have no shift rule",
}
MEASURED_WITHIN = (
    "pooled",
    "outcomes",
    "postselected",
    "elements_and_a_measurement",
    "convolutions_and_pooling",
)
OF_A_BATCH = ("column", "normalised_by_row")
QUICK = {
    "auto": [name for name in CIRCUITS if name not in ("of_the_state", "evolutions", "two_registers")],
    "default.qubit": ["element", "column", "normalised", "branch", "padded_amplitudes", "shared_coefficients"],
    "lightning.qubit": [
        "normalised",
        "shared_coefficients",
        "padded_amplitudes",
        "variances",
        "coefficients_of_inputs",
    ],
    "default.mixed": ["noisy", "element", "trained_matrix_observable"],
}


def plain(circuit: Circuit, name: str, inputs: torch.Tensor, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """Values (B, n_outputs) of default.qubit (default.mixed with noise), one sample at a time."""
    device = "default.mixed" if name == "noisy" else "default.qubit"
    measured = name in MEASURED_WITHIN
    node = qml.QNode(
        lambda sample: circuit.function(sample, wires=range(circuit.qubits), **weights),
        qml.device(device, wires=None if measured else circuit.qubits),
        interface="torch",
        diff_method="backprop",
    )
    rows = []
    for sample in inputs:
        results = node(sample[None] if name in OF_A_BATCH else sample)
        parts = results if isinstance(results, list | tuple) else [results]
        rows.append(torch.cat([part.double().reshape(-1) for part in parts]))
    return torch.stack(rows)


def gradients(outputs: torch.Tensor, directions: torch.Tensor, wanted: list[torch.Tensor]) -> list[torch.Tensor]:
    if not outputs.requires_grad:
        return [torch.zeros_like(w) for w in wanted]
    total = (outputs * directions).sum()
    return list(torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True))


def check(device: str, name: str, sizes: set[int], dtype: torch.dtype, tolerance: float, **options: int) -> None:
    """Values in training and evaluation, and gradients, equal those of the samples alone."""
    circuit = CIRCUITS[name]
    engine = choose_engine(circuit, device, options)
    torch.manual_seed(0)
    run = engine.reseeded() if engine.reseeded else engine.run
    for size in sizes:
        exact, trained = trial_numbers(circuit, size, seed=10 + size)
        inputs = exact.detach().to(dtype).requires_grad_()
        weights = {n: w.detach().to(dtype).requires_grad_() for n, w in trained.items()}
        outputs = run(inputs, weights)
        with torch.no_grad():
            evaluated = run(inputs, weights)
        assert outputs.dtype == evaluated.dtype == dtype
        same = inputs.detach().double().requires_grad_()
        same_weights = {n: w.detach().double().requires_grad_() for n, w in weights.items()}
        expected = plain(circuit, name, same, same_weights)
        scale = 6 if options else 1  # a coefficient of an observable comes up to 2 pi
        for found in (outputs, evaluated):
            torch.testing.assert_close(found.double(), expected, atol=scale * tolerance, rtol=tolerance)
        directions = torch.linspace(0.2, 1, expected.numel(), dtype=torch.float64).reshape(expected.shape)
        pairs = zip(
            gradients(outputs.double(), directions, [inputs, *weights.values()]),
            gradients(expected, directions, [same, *same_weights.values()]),
            strict=True,
        )
        summed = scale * tolerance * (math.sqrt(expected.numel()) if options else 1)
        for found, right in pairs:
            torch.testing.assert_close(found.double(), right, atol=summed, rtol=10 * tolerance)


@pytest.mark.sampled(14)
@pytest.mark.parametrize(("device", "name"), [(d, n) for d, names in QUICK.items() for n in names])
def test_a_batch_is_its_samples(device: str, name: str) -> None:
    circuit = CIRCUITS[name]
    precise = {"precision": "double"} if device == "auto" else {}
    check(device, name, {circuit.n_inputs, 5}, torch.float64, 1e-6, **precise)  # type: ignore[arg-type]


@pytest.mark.sampled(30)
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CIRCUITS)
@pytest.mark.parametrize("device", ["auto", "default.qubit", "lightning.qubit", "default.mixed", "reference.qubit"])
def test_every_circuit_on_every_engine(device: str, name: str, dtype: torch.dtype) -> None:
    if (device, name) in REFUSED:
        with pytest.raises(ConfigError, match=r"(?:cannot run|computes other values than) th") as caught:
            choose_engine(CIRCUITS[name], device)
        assert caught.value.fix == REFUSED[device, name]
        return
    tolerance = 1e-6 if dtype == torch.float64 else 1e-5
    check(device, name, {1, 2, 3, CIRCUITS[name].n_inputs, 7}, dtype, tolerance)


@pytest.mark.parametrize("name", ["shared_coefficients", "padded_amplitudes", "normalised", "variances"])
def test_with_shots_a_batch_is_its_samples(name: str) -> None:
    check("default.qubit", name, {3}, torch.float64, FIVE_ERRORS, shots=SHOTS)


@pytest.mark.sampled(6)
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CIRCUITS if name not in REFUSED_WITH_SHOTS])
@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
def test_every_circuit_with_shots(device: str, name: str) -> None:
    check(device, name, {3}, torch.float64, FIVE_ERRORS, shots=SHOTS)


@pytest.mark.parametrize("name", REFUSED_WITH_SHOTS)
def test_what_shots_cannot_do_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ConfigError, match=REFUSED_WITH_SHOTS[name]) as caught:
        choose_engine(CIRCUITS[name], "default.qubit", {"shots": SHOTS})
    assert caught.value.fix == ("use --device 'default.mixed[shots=20000]'" if name == "noisy" else "leave out shots")


def test_a_channel_takes_default_mixed_by_itself() -> None:
    engine = choose_engine(CIRCUITS["noisy"])
    assert engine.name == "default.mixed"
    assert "noise channel" in engine.why


def test_what_a_function_returns_has_to_be_numbers() -> None:
    def sampled(inputs, wires):
        qml.RX(inputs[0], wires=0)
        return [qml.sample(wires=0)]

    def several(inputs, wires):
        qml.RX(inputs, wires=0)
        return [qml.expval(qml.Z(0))]

    for function, told in ((sampled, "returns a Sample"), (several, "2 circuits for one sample")):
        with pytest.raises(PluginError, match=told):
            choose_engine(Circuit(function, 1, {}, 2, 1))
