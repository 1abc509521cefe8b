"""A circuit whose function seeds or draws from global generators is run, and they are as they were before it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml
import pytest
import torch

from qtlplat.catalog import returned
from qtlplat.contracts import Circuit
from qtlplat.plugin_modules import called
from qtlplat.quantum.compiler.compile import compile_circuit
from qtlplat.quantum.compiler.gates import CannotCompileError
from qtlplat.quantum.devices.engines import choose_engine


def seeded_layer() -> Any:
    torch.manual_seed(1)
    return torch.nn.Linear(2, 1).bias.detach()


def seeded_numpy() -> Any:
    np.random.seed(1)
    return np.random.rand()


def seeded_python() -> Any:
    random.seed(1)
    return random.random()


def drawn_for_nothing() -> Any:
    return 0 * (torch.rand(()) + np.random.rand() + random.random())


def seeded_alone() -> Any:
    torch.manual_seed(1)
    return 0


ADDED: list[Callable[[], Any]] = [seeded_layer, seeded_numpy, seeded_python, drawn_for_nothing, seeded_alone]


def circuit_adding(added: Callable[[], Any]) -> Circuit:
    """As a plugin's circuit is taken: two angles, to which its function adds what `added` returns."""

    def function(inputs: Any, weights: Any, wires: Any) -> Any:
        qml.AngleEmbedding(inputs + added(), wires=wires)
        qml.BasicEntanglerLayers(weights, wires=wires)
        return [qml.expval(qml.Z(wire)) for wire in wires]

    return returned.circuit(Circuit(function, 2, {"weights": (1, 2)}, 2, 2))


def generators() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), torch.initial_seed(), random.getstate()


@pytest.mark.sampled(5)
@pytest.mark.parametrize("device", ["auto", "default.qubit", "lightning.qubit"])
@pytest.mark.parametrize("added", ADDED)
def test_it_has_the_values_of_what_it_draws(added: Callable[[], Any], device: str) -> None:
    number = torch.as_tensor(added(), dtype=torch.float64)
    inputs, weights = torch.linspace(-1, 1, 6).double().reshape(3, 2), {"weights": torch.tensor([[0.3, 0.7]]).double()}
    torch.manual_seed(7), random.seed(7)
    before = generators()
    found = choose_engine(circuit_adding(added), device).run(inputs, weights)
    assert generators() == before
    expected = choose_engine(circuit_adding(lambda: 0), "default.qubit").run(inputs + number, weights)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("added", [one for one in ADDED if one not in (seeded_layer, drawn_for_nothing)])
def test_cells_are_stacked_and_no_module_is_blamed_for_seeding(added: Callable[[], Any]) -> None:
    circuit, cells = circuit_adding(added), 3
    engine = choose_engine(circuit, "default.qubit")
    assert engine.why_not_stackable == ""
    inputs, weights = torch.rand(cells, 4, 2), torch.rand(cells, 1, 2)

    def loss(weights: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return called(engine.run, inputs, {"weights": weights}).sum()

    torch.manual_seed(7), random.seed(7)
    before = generators()
    found = torch.func.vmap(torch.func.grad(loss))(weights, inputs)
    assert generators() == before
    alone = [torch.func.grad(loss)(w, x) for w, x in zip(weights, inputs, strict=True)]
    torch.testing.assert_close(found, torch.stack(alone))


@pytest.mark.parametrize("added", [seeded_layer, drawn_for_nothing])
def test_torchs_own_draws_are_not_compiled(added: Callable[[], Any]) -> None:
    torch.manual_seed(7)
    before = generators()
    with pytest.raises(CannotCompileError, match="draws random numbers of torch"):
        compile_circuit(circuit_adding(added))
    assert generators() == before


@pytest.mark.parametrize("drawn", [lambda: torch.rand(2), np.random.rand, random.random])
def test_what_differs_from_call_to_call_is_refused_with_the_reason(drawn: Callable[[], Any]) -> None:
    with pytest.raises(Exception, match="makes another circuit when it is called again") as caught:
        choose_engine(circuit_adding(drawn), "default.qubit")
    assert "draw no random numbers" in caught.value.fix  # type: ignore[attr-defined]
