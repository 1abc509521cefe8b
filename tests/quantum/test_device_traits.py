"""What devices do is found out by experiment: shots of their own, whether a seed repeats them, how they round."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
import torch
from quantum.made_devices import OWN_SHOTS, install

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError
from qtlplat.quantum.devices.derivatives import NARROW, WIDE, Stencil
from qtlplat.quantum.devices.engine import Engine, example
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat.quantum.devices.making import package_of
from qtlplat.quantum.devices.traits import GlobalGenerators


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def angles(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return [qml.expval(qml.Z(0)), qml.expval(qml.Z(1))]


def matrices(inputs, weights, wires):
    qml.AngleEmbedding(inputs, wires=wires)
    square = weights[0, :, :2]
    qml.QubitUnitary(torch.linalg.matrix_exp(square - square.T), wires=wires[:1])
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return [qml.expval(qml.Z(0)), qml.probs([1])]


def declared(function) -> Circuit:
    return Circuit(function, 2, {"weights": (2, 2, 3)}, 2, 3 if function is matrices else 2)


def computed(engine: Engine) -> list[torch.Tensor]:
    """Outputs, and gradients of a weighted sum of them by inputs and weights."""
    inputs, weights = example(engine.circuit, 5, 1, torch.float64)
    outputs = engine.run(inputs, weights)
    total = (outputs * torch.linspace(0.5, 1.5, outputs.shape[1])).sum()
    return [outputs.detach(), *torch.autograd.grad(total, [inputs, *weights.values()])]


def largest_difference(engine: Engine) -> float:
    exact = computed(choose_engine(engine.circuit, "default.qubit"))
    return max(float((a - b).abs().max()) for a, b in zip(computed(engine), exact, strict=True))


class TestShots:
    def test_shots_of_its_own_count_as_shots(self) -> None:
        engine = choose_engine(declared(angles), "made.own_shots")
        assert (engine.gradient, engine.traits.draws, engine.traits.own) == ("parameter-shift", True, True)
        assert engine.traits.shots == OWN_SHOTS
        assert engine.reseeded is not None
        assert [str(OWN_SHOTS) in note for note in engine.notes] == [True, False]
        assert "cannot be repeated" in engine.notes[1]
        assert largest_difference(engine) < 1  # 5 samples are summed: 5 sigma of shifted values are 0.7

    @pytest.mark.parametrize("device", ["made.own_shots", "made.seeded_shots", "made.same_shots"])
    @pytest.mark.sampled(1)
    def test_sampled_values_are_not_differentiated_by_differences(self, device: str) -> None:
        with pytest.raises(ConfigError, match=r"drown in the noise of shots.*1000, chosen by the device") as caught:
            choose_engine(declared(matrices), device)
        assert caught.value.where == f"--device {device}"
        assert "default.qubit" in caught.value.fix

    def test_the_same_shots_again_and_again_are_shots(self) -> None:
        traits = choose_engine(declared(angles), "made.same_shots").traits
        assert (traits.draws, traits.own, traits.shots, traits.repeats) == (True, True, OWN_SHOTS, True)

    @pytest.mark.sampled(1)
    @pytest.mark.parametrize("device", ["default.qubit", "default.mixed", "lightning.qubit", "reference.qubit"])
    def test_devices_of_pennylane_are_exact_and_repeat_their_shots(self, device: str) -> None:
        exact = choose_engine(declared(angles), device)
        assert (exact.traits.draws, exact.reseeded, exact.notes) == (False, None, ())
        assert exact.traits.precision < 1e-14
        assert largest_difference(exact) < 1e-14
        sampled = choose_engine(declared(angles), device, {"shots": 100}).traits
        assert (sampled.draws, sampled.own, sampled.shots, sampled.repeats) == (True, False, 100, True)

    @pytest.mark.parametrize(
        ("device", "repeats"), [("made.own_shots", False), ("made.seeded_shots", True), ("made.global_shots", True)]
    )
    def test_whether_a_seed_repeats_shots_is_tried(self, device: str, repeats: bool) -> None:
        engine = choose_engine(declared(angles), device, {"shots": 50})
        assert engine.traits.repeats is repeats
        assert bool(engine.notes) is not repeats
        assert engine.reseeded is not None
        inputs, weights = example(engine.circuit, 5, 1, torch.float64)
        outside = np.random.get_state()[1].copy()
        found = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            run = engine.reseeded()
            found.append([run(inputs, weights), run(inputs, weights)])
        assert torch.equal(found[0][0], found[1][0]) is repeats
        assert torch.equal(found[0][1], found[1][1]) is repeats
        assert not torch.equal(found[0][0], found[0][1])
        assert not torch.equal(found[0][0], found[2][0])
        assert (np.random.get_state()[1] == outside).all()


def test_global_generators_are_put_back() -> None:
    ours = GlobalGenerators(3)
    before = np.random.get_state()[1].copy()
    drawn = []
    for _ in range(2):
        with ours.in_place():
            drawn.append(np.random.rand())
    assert drawn == list(np.random.RandomState(3).rand(2))
    assert (np.random.get_state()[1] == before).all()


class TestPrecision:
    @pytest.mark.parametrize(
        ("device", "options"), [("made.rounded", {}), ("lightning.qubit", {"c_dtype": "complex64"})]
    )
    @pytest.mark.sampled(1)
    def test_differences_in_single_precision_take_a_wide_step(self, device: str, options: dict[str, str]) -> None:
        engine = choose_engine(declared(matrices), device, options)
        assert engine.gradient == "finite-diff"
        assert 1e-9 < engine.traits.precision < 1e-6
        assert largest_difference(engine) < 5e-5  # a sum over 5 samples and 3 outputs

    @pytest.mark.slow
    def test_differences_in_double_precision_take_a_narrow_one(self) -> None:
        engine = choose_engine(declared(matrices), "made.exact")
        assert engine.gradient == "finite-diff"
        assert largest_difference(engine) < 1e-7  # a sum over 5 samples and 3 outputs

    @pytest.mark.parametrize(("stencil", "error"), [(NARROW, 2e-9), (WIDE, 2e-10)])
    def test_differences_of_a_sine(self, stencil: Stencil, error: float) -> None:
        steps = np.arange(1, len(stencil.factors) + 1) * stencil.step
        slope = sum(
            factor * (np.sin(0.4 + step) - np.sin(0.4 - step))
            for factor, step in zip(stencil.factors, steps, strict=True)
        )
        assert abs(slope / stencil.step - np.cos(0.4)) < error

    def test_coarse_values_are_not_differentiated_by_differences(self) -> None:
        with pytest.raises(ConfigError, match=r"rounded by [2-5]e-05 are no gradients") as caught:
            choose_engine(declared(matrices), "made.coarse")
        assert caught.value.where == "--device made.coarse"


class TestOtherValues:
    @pytest.mark.parametrize("function", [angles, matrices])
    @pytest.mark.parametrize(
        ("device", "options"),
        [
            ("null.qubit", {}),
            ("null.qubit", {"shots": 10}),
            ("null.qubit", {"noise": "bitflip"}),
            ("made.wrong", {}),
            ("made.wrong", {"shots": 10}),
        ],
    )
    def test_the_device_is_named(self, function, device: str, options: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match=f"device {device} computes other values than the circuit") as caught:
            choose_engine(declared(function), device, options)
        assert caught.value.exit_code == 3
        assert caught.value.where == f"--device {device}"

    def test_noise_that_was_asked_for_is_none_of_its_faults(self) -> None:
        engine = choose_engine(declared(angles), "default.mixed", {"noise": "depolarizing"})
        assert (engine.traits.draws, engine.gradient) == (False, "backprop")


def test_the_package_of_a_device_is_known() -> None:
    assert package_of("default.qubit") == ("pennylane", qml.version())
    assert package_of("lightning.qubit") is not None
    assert package_of("made.exact") is None
    assert package_of("no.device") is None
