"""What PennyLane's devices can do, found out by running two small circuits on each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pennylane as qml
import torch
from torch import Tensor

from qtlplat.catalog.device import DeviceChoice
from qtlplat.contracts import Circuit
from qtlplat.errors import QtlplatError, safe_repr
from qtlplat.quantum.devices.engine import Engine, example
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat.quantum.devices.making import available_devices, make_device, package_of

REFERENCE = "default.qubit"
SAMPLES, SHOTS = 3, 100
Say = Callable[[str], None]


def bench_devices(choices: Sequence[DeviceChoice], say: Say) -> list[dict[str, Any]]:
    """A row for each device, including unavailable ones.

    Each row: device (as requested), package and its version, problem ('' where the circuit of angles runs), values
    (exact, or how many shots), value_error, batch (whether a batch is one execution), gradient (how it is computed)
    with weight_error and input_error, amplitude_gradient with amplitude_error, amplitude_problem, shots (whether they
    can be requested) and repeats (whether a seed repeats them). Errors are the largest differences from `REFERENCE` in
    float64; unknown values are None.
    """
    rows = []
    for choice in choices:
        say(choice.text)
        rows.append(_row(choice))
    return rows


def every_device() -> list[DeviceChoice]:
    """All devices that PennyLane and its plugins offer, without options."""
    return [DeviceChoice(name) for name in available_devices()]


def _row(choice: DeviceChoice) -> dict[str, Any]:
    names = (
        "values value_error batch gradient weight_error input_error amplitude_gradient amplitude_error shots repeats"
    )
    row: dict[str, Any] = {"device": choice.text, "package": " ".join(package_of(choice.name) or ()), "problem": ""}
    row |= dict.fromkeys(names.split())
    row["amplitude_problem"] = ""
    try:
        engine = choose_engine(ANGLES, choice.name, choice.options)
        errors = _errors(engine)
    except (QtlplatError, RuntimeError) as error:
        return row | {"problem": _line(error)}
    row |= {
        "values": engine.traits.told_shots if engine.traits.draws else "exact",
        "batch": _takes_batches(choice),
        "gradient": engine.gradient,
        **dict(zip(("value_error", "weight_error", "input_error"), errors, strict=True)),
    }
    try:
        engine = choose_engine(AMPLITUDES, choice.name, choice.options)
        row |= {"amplitude_gradient": engine.gradient, "amplitude_error": max(_errors(engine))}
    except (QtlplatError, RuntimeError) as error:
        row["amplitude_problem"] = _line(error)
    try:
        sampled = choose_engine(ANGLES, choice.name, {**choice.options, "shots": SHOTS})
        return row | {"shots": True, "repeats": sampled.traits.repeats}
    except (QtlplatError, RuntimeError):
        return row | {"shots": False}


def _errors(engine: Engine) -> tuple[float, float, float]:
    """The largest differences from the reference: of values, of gradients by weights and by inputs."""
    found, exact = _computed(engine), _computed(choose_engine(engine.circuit, REFERENCE))
    values, inputs, weights = (float((a - b).abs().max()) for a, b in zip(found, exact, strict=True))
    return values, weights, inputs


def _computed(engine: Engine) -> list[Tensor]:
    inputs, weights = example(engine.circuit, SAMPLES, 4, torch.float64)
    outputs = engine.run(inputs, weights)
    total = (outputs * torch.tensor([1.0, -0.5])).sum()
    return [outputs.detach(), *torch.autograd.grad(total, [inputs, *weights.values()])]


def _takes_batches(choice: DeviceChoice) -> bool:
    """Whether a circuit whose angles have a value per sample reaches the device as one."""
    inputs, weights = example(ANGLES, SAMPLES, 4, torch.float64)

    def function(inputs: Tensor, weights: Mapping[str, Tensor]) -> Any:
        return ANGLES.function(inputs, wires=range(ANGLES.qubits), **weights)

    node = qml.QNode(function, make_device(choice.name, ANGLES.qubits, choice.options), diff_method=None)
    batch, _ = qml.workflow.construct_batch(node, level="device")(
        inputs.detach(), {k: w.detach() for k, w in weights.items()}
    )
    return len(batch) == 1


def _line(error: Exception) -> str:
    return safe_repr((str(error).splitlines() or [type(error).__name__])[0], 200)[1:-1]


def _angles(inputs: Tensor, weights: Tensor, wires: Sequence[int]) -> list[Any]:
    qml.AngleEmbedding(inputs, wires=wires)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return [qml.expval(qml.Z(wire)) for wire in wires]


def _amplitudes(inputs: Tensor, weights: Tensor, wires: Sequence[int]) -> list[Any]:
    qml.AmplitudeEmbedding(inputs, wires=wires, normalize=True)
    qml.StronglyEntanglingLayers(weights, wires=wires)
    return [qml.expval(qml.Z(wire)) for wire in wires]


ANGLES = Circuit(_angles, 2, {"weights": (2, 2, 3)}, 2, 2)
AMPLITUDES = Circuit(_amplitudes, 2, {"weights": (2, 2, 3)}, 4, 2)
