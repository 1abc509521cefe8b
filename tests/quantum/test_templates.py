"""PennyLane's templates on every engine: what a QNode with numpy's numbers gives, sample by sample, and its slopes.

With torch's numbers, PennyLane itself computes other values for some of them, or loses gradients.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pennylane as qml
import pytest
import torch
from quantum.template_circuits import REFUSED, TEMPLATES

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError
from qtlplat.quantum.circuits.samples import trial_numbers
from qtlplat.quantum.devices import choice
from qtlplat.quantum.devices.engines import choose_engine

DEVICES = ("auto", "default.qubit", "lightning.qubit")
OF_NORM_ONE = ("AmplitudeEmbedding", "AmplitudeEmbedding pad only")  # these inputs cannot be moved
# Where PennyLane goes wrong with torch's numbers, and a few others.
QUICK = [
    ("auto", "prod"),
    ("auto", "SelectPauliRot"),
    ("auto", "HilbertSchmidt"),
    ("default.qubit", "ctrl of prod"),
    ("default.qubit", "IQP"),
    ("lightning.qubit", "adjoint of prod"),
    ("lightning.qubit", "AmplitudeEmbedding pad"),
]
REASONS = {
    "DisplacementEmbedding": "Displacement",
    "SqueezingEmbedding": "Squeezing",
    "Interferometer": "Beamsplitter",
}
STEP = 1e-4

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # of IQP

Numbers = Mapping[str, torch.Tensor]


def values(circuit: Circuit, numbers: Numbers) -> torch.Tensor:
    """Values (B, n_outputs) of default.qubit for inputs ('') and weights by name, as arrays."""
    weights = {name: tensor.numpy() for name, tensor in numbers.items() if name}
    node = qml.QNode(
        lambda sample: circuit.function(sample, wires=range(circuit.qubits), **weights),
        qml.device("default.qubit", wires=circuit.qubits),
        interface=None,
        diff_method=None,
    )
    return torch.as_tensor(np.array([node(sample) for sample in numbers[""].numpy()]))


def check(device: str, name: str) -> None:
    """Values, and gradients along a direction in the inputs and each weight."""
    circuit = TEMPLATES[name]
    engine = choose_engine(circuit, device, {"precision": "double"} if device == "auto" else {})
    inputs, weights = trial_numbers(circuit, 3, seed=11)
    outputs = engine.run(inputs, weights)
    exact = {"": inputs.detach(), **{n: w.detach() for n, w in weights.items()}}
    torch.testing.assert_close(outputs.detach(), values(circuit, exact), atol=1e-6, rtol=0)
    directions = torch.linspace(0.2, 1, outputs.numel(), dtype=torch.float64).reshape(outputs.shape)
    total = (outputs * directions).sum()
    wanted = [inputs, *weights.values()]
    gradients = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
    generator = torch.Generator().manual_seed(3)
    for (moved, tensor), gradient in zip(exact.items(), gradients, strict=True):
        if not moved and name in OF_NORM_ONE:
            continue
        along = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
        up, down = (values(circuit, {**exact, moved: tensor + step * along}) for step in (STEP, -STEP))
        slope = ((up - down) * directions).sum() / (2 * STEP)
        torch.testing.assert_close((gradient * along).sum(), slope, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("device", "name"), QUICK)
@pytest.mark.sampled(3)
def test_some_templates(device: str, name: str) -> None:
    check(device, name)


def test_where_there_is_no_reference_gradients_follow_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MOST_QUBITS", dict.fromkeys(choice.MOST_QUBITS, 0))
    check("default.qubit", "IQP")


@pytest.mark.sampled(33)
@pytest.mark.slow
@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("device", DEVICES)
def test_every_template(device: str, name: str) -> None:
    check(device, name)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("device", DEVICES)
def test_what_is_no_gate_of_qubits_is_refused(device: str, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot run this circuit") as caught:
        choose_engine(REFUSED[name], device)
    assert REASONS[name] in caught.value.what
