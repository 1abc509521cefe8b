"""Which engine runs a circuit, and what happens to circuits that cannot be compiled or are compiled wrongly."""

import random

import numpy as np
import pennylane as qml
import pytest
import torch

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError
from qtlplat.quantum.circuits.embedding import embedding_of
from qtlplat.quantum.devices import engines
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat.quantum.inspect.inspect import describe
from qtlplat_dressed import circuit
from qtlplat_dressed.options import DressedOptions


def one_qubit(function, n_outputs=1):
    return Circuit(function, qubits=1, weight_shapes={"weights": (1,)}, n_inputs=1, n_outputs=n_outputs)


def rotation(inputs, weights, wires):
    qml.RX(inputs[..., 0], wires=wires)
    qml.RY(weights[0], wires=wires)
    return [qml.expval(qml.PauliZ(wires[0]))]


@pytest.mark.parametrize("name", ["auto", "compiled"])
def test_small_circuits_are_compiled(name):
    engine = choose_engine(circuit(DressedOptions(qubits=3)), name)
    assert (engine.name, engine.gradient, engine.why_not_stackable) == ("compiled", "backprop", "")
    assert "single precision" in engine.why


def test_double_precision_is_an_option():
    engine = choose_engine(one_qubit(rotation), "auto", {"precision": "double"})
    assert "double precision" in engine.why
    inputs = torch.tensor([[0.3]], dtype=torch.float64)
    expected = torch.tensor([[np.cos(0.3) * np.cos(0.2)]])
    torch.testing.assert_close(
        engine.run(inputs, {"weights": torch.tensor([0.2], dtype=torch.float64)}), expected, atol=1e-14, rtol=0
    )


@pytest.mark.parametrize("device", ["compiled", "default.qubit", "lightning.qubit"])
def test_every_engine_gives_the_closed_form(device):
    engine = choose_engine(one_qubit(rotation), device)
    assert engine.name == device
    layer = engine.layer()
    inputs = torch.tensor([[0.3], [-1.2]])
    angle = layer.weights["weights"].detach()
    torch.testing.assert_close(layer(inputs), torch.cos(inputs) * torch.cos(angle), atol=1e-6, rtol=0)


def test_what_cannot_be_compiled_falls_back_with_the_reason():
    def branching(inputs, weights, wires):
        if torch.any(inputs > 0):
            qml.PauliX(wires=wires)
        return rotation(inputs, weights, wires)

    engine = choose_engine(one_qubit(branching))
    assert engine.name == "default.qubit"
    assert "depends on values" in engine.why
    with pytest.raises(ConfigError, match=r"cannot be compiled: .*depends on values") as caught:
        choose_engine(one_qubit(branching), "compiled")
    assert "default.qubit" in caught.value.fix


def test_a_program_that_disagrees_is_not_used(monkeypatch):
    honest = engines.compile_circuit

    def wrong(declared, *, double=False):
        def other(inputs, weights, wires):
            return rotation(inputs * 1.001, weights, wires)

        return honest(one_qubit(other), double=double)

    monkeypatch.setattr(engines, "compile_circuit", wrong)
    engine = choose_engine(one_qubit(rotation))
    assert engine.name == "default.qubit"
    assert "differ from default.qubit's" in engine.why
    with pytest.raises(ConfigError, match="values differ"):
        choose_engine(one_qubit(rotation), "compiled")


def test_wrong_gradients_are_found_out_too(monkeypatch):
    honest = engines.compile_circuit

    def wrong(declared, *, double=False):
        program = honest(declared, double=double)
        monkeypatch.setattr(type(program), "with_precision", lambda self, *, double: detached)

        def detached(inputs, weights):
            return program(inputs.detach(), weights)

        return program

    monkeypatch.setattr(engines, "compile_circuit", wrong)
    assert "gradients in inputs differ" in choose_engine(one_qubit(rotation)).why


def test_large_circuits_are_measured_and_the_quicker_engine_is_taken(monkeypatch):
    monkeypatch.setattr(engines, "CLEARLY_COMPILED", 0)
    for quicker in ("compiled", "lightning.qubit"):
        monkeypatch.setattr(
            engines.Engine, "milliseconds", lambda self, batch, q=quicker: 1.0 if self.name == q else 2.0
        )
        assert choose_engine(one_qubit(rotation)).name == quicker


def test_errors_of_the_function_itself_pass_through():
    def broken(inputs, weights, wires):
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError):
        choose_engine(one_qubit(broken))


def test_shots_follow_from_the_seed_of_each_layer():
    engine = choose_engine(one_qubit(rotation), "default.qubit", {"shots": 50})
    inputs = torch.full((20, 1), 1.2)

    def answer(seed):
        torch.manual_seed(seed)
        with torch.no_grad():
            return engine.layer()(inputs)

    assert torch.equal(answer(1), answer(1))
    assert not torch.equal(answer(1), answer(2))


@pytest.mark.parametrize("device", ["auto", "default.qubit", "lightning.qubit"])
def test_the_choice_leaves_global_generators_alone(device):
    def restless(inputs, weights, wires):
        torch.rand(1)
        np.random.rand()
        random.random()
        return rotation(inputs, weights, wires)

    def states():
        _, keys, *rest = np.random.get_state()
        return torch.get_rng_state().tolist(), keys.tolist(), rest, random.getstate()

    before = states()
    choose_engine(one_qubit(restless), device)
    assert states() == before
    describe(one_qubit(rotation))
    embedding_of(one_qubit(rotation)).states(np.zeros((1, 1)))
    assert states() == before


def test_the_time_of_a_step_is_positive():
    assert choose_engine(one_qubit(rotation)).milliseconds(4) > 0
