"""PennyLane devices by name, with their options and noise; refused in words where they cannot be had."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pennylane as qml
import torch
from pennylane.operation import Channel, StatePrepBase

from qtlplat.errors import ConfigError, one_line, unknown_name

CHANNELS = {
    "bitflip": qml.BitFlip,
    "phaseflip": qml.PhaseFlip,
    "depolarizing": qml.DepolarizingChannel,
    "amplitude_damping": qml.AmplitudeDamping,
    "phase_damping": qml.PhaseDamping,
}
BROKEN = {  # options that PennyLane fails at, whatever is measured
    ("default.mixed", "readout_prob"): "noise=bitflip,strength=0.01 flips bits behind every gate",
}
GPU_PACKAGE = "pip install 'qtlplat[gpu]'"


def available_devices() -> list[str]:
    """Names of the devices that PennyLane and its installed plugins offer."""
    return sorted(qml.plugin_devices)


def package_of(name: str) -> tuple[str, str] | None:
    """The distribution that provides a device, and its version; None if there is none."""
    distribution = getattr(qml.plugin_devices.get(name), "dist", None)
    return None if distribution is None else (distribution.name, distribution.version)


def make_device(name: str, wires: int, keywords: Mapping[str, Any]) -> Any:
    """A PennyLane device with so many wires, seeded from torch's global generator where it takes a seed.

    Raises ConfigError: there is no such device, its library or its hardware is missing, or it refuses a keyword.
    """
    if name not in available_devices():
        if name == "lightning.gpu":
            raise ConfigError(
                "lightning.gpu needs the package pennylane-lightning-gpu", where="--device", fix=GPU_PACKAGE
            )
        raise ConfigError(
            unknown_name("device", name, ["auto", "compiled", *available_devices()]),
            where="--device",
            fix="choose a known one, or install the PennyLane plugin that provides it",
        )
    for keyword in keywords:
        if instead := BROKEN.get((name, keyword)):
            what = f"option {keyword} of {name} works with no measurement in this PennyLane"
            raise ConfigError(what, where=f"--device {name}[{keyword}=..]", fix=f"leave it out; {instead}")
    options = dict(keywords)
    if options.get("c_dtype") in ("complex64", "complex128"):
        options["c_dtype"] = getattr(np, options["c_dtype"])
    accepted: list[str] = []
    # A library that is missing is told in a warning only, when the device is imported.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            accepted = [key for key in inspect.signature(qml.plugin_devices[name].load()).parameters if key != "wires"]
            if "seed" in accepted and "seed" not in options:
                options["seed"] = fresh_seed()
            return qml.device(name, wires=wires, **options)
        except Exception as error:
            raise _refused(name, keywords, accepted, [error, *(str(w.message) for w in caught)]) from error


def fresh_seed() -> int:
    """A seed that follows from the state of torch's global generator, which is not advanced."""
    with torch.random.fork_rng(devices=[]):
        return int(torch.randint(2**31, ()).item())


def _refused(
    name: str, keywords: Mapping[str, Any], accepted: Sequence[str], told: Sequence[Exception | str]
) -> ConfigError:
    lines = list(dict.fromkeys(one_line(one) for one in told))
    what = "\n".join([f"device {name} cannot be made: {lines[0]}", *(f"  {line}" for line in lines[1:4])])
    if name == "lightning.gpu" and not isinstance(told[0], TypeError):
        fix = f"use an NVIDIA GPU with its driver, and {GPU_PACKAGE} for the libraries; or use lightning.qubit"
    elif keywords:
        known = ", ".join(key for key in accepted if key not in ("shots", "kwargs", "args", "self"))
        fix = f"check {', '.join(keywords)}; options of {name}: shots, noise, strength, {known}"
    else:
        fix = "install what the message asks for, or choose another device"
    return ConfigError(what, where="--device", fix=fix)


def noise_model(noise: str | None, strength: float) -> Any:
    """A channel after every gate on each of its wires; None without noise."""
    if noise is None:
        return None
    channel = CHANNELS[noise]

    def is_gate(operation: Any) -> bool:
        return not isinstance(operation, Channel | StatePrepBase | qml.ops.MidMeasure) and len(operation.wires) > 0

    def insert(operation: Any, **_: Any) -> None:
        for wire in operation.wires:
            channel(strength, wires=wire)

    return qml.NoiseModel({qml.BooleanFn(is_gate): insert})
