"""PennyLane devices as others make them: shots of their own, single precision, no seed, other values."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from pennylane.devices import DefaultQubit, Device, ExecutionConfig

OWN_SHOTS = 1000


class Made(Device):
    """A device without derivatives of its own that computes as default.qubit does."""

    def preprocess_transforms(self, execution_config: ExecutionConfig | None = None) -> Any:
        return DefaultQubit(wires=self.wires).preprocess_transforms(execution_config or ExecutionConfig())

    def setup_execution_config(self, config: Any = None, circuit: Any = None) -> ExecutionConfig:
        return ExecutionConfig(gradient_method=None)

    def execute(self, circuits: Any, execution_config: ExecutionConfig | None = None) -> Any:
        one = isinstance(circuits, qml.tape.QuantumScript)
        results = tuple(self.values(circuit) for circuit in ([circuits] if one else circuits))
        return results[0] if one else results

    def values(self, circuit: Any) -> Any:
        return DefaultQubit(wires=self.wires).execute(circuit)


def changed(results: Any, change: Any) -> Any:
    """What a device returns, each number of it changed."""
    if isinstance(results, tuple | list):
        return tuple(changed(result, change) for result in results)
    return change(np.asarray(results))


class OwnShots(Made):
    """Draws shots where exact values are asked for, and takes no seed."""

    def values(self, circuit: Any) -> Any:
        return DefaultQubit(wires=self.wires, seed=None).execute(with_shots(circuit))


def with_shots(circuit: Any) -> Any:
    return circuit if circuit.shots else circuit.copy(shots=OWN_SHOTS)


class SeededShots(Made):
    """Draws shots of its own, from a seed."""

    def __init__(self, wires: Any = None, seed: Any = None) -> None:
        super().__init__(wires=wires)
        self._inner = DefaultQubit(wires=wires, seed=seed)

    def values(self, circuit: Any) -> Any:
        return self._inner.execute(with_shots(circuit))


class SameShots(Made):
    """Draws the same shots again and again."""

    def values(self, circuit: Any) -> Any:
        return DefaultQubit(wires=self.wires, seed=5).execute(with_shots(circuit))


class GlobalShots(Made):
    """Draws the shots that are asked for from numpy's global generator."""

    def values(self, circuit: Any) -> Any:
        return DefaultQubit(wires=self.wires, seed=np.random.randint(2**31)).execute(circuit)


class Rounded(Made):
    """Rounds values to single precision."""

    def values(self, circuit: Any) -> Any:
        return changed(super().values(circuit), lambda v: v.astype(np.float32).astype(np.float64))


class Coarse(Made):
    """Rounds values to four digits."""

    def values(self, circuit: Any) -> Any:
        return changed(super().values(circuit), lambda v: np.round(v, 4))


class Wrong(Made):
    """Computes something else."""

    def values(self, circuit: Any) -> Any:
        return changed(super().values(circuit), lambda v: 0.5 * v)


class Warns(Made):
    """Warns whenever it runs."""

    def values(self, circuit: Any) -> Any:
        warnings.warn("no calibration \x1b[31mdata", UserWarning, stacklevel=1)
        logging.getLogger("made").warning("the \x1b[31mchip is warm")
        return super().values(circuit)


DEVICES = {
    "made.exact": Made,
    "made.own_shots": OwnShots,
    "made.seeded_shots": SeededShots,
    "made.same_shots": SameShots,
    "made.global_shots": GlobalShots,
    "made.rounded": Rounded,
    "made.coarse": Coarse,
    "made.wrong": Wrong,
    "made.warns": Warns,
}


class Entry:
    """What PennyLane keeps of an installed device."""

    def __init__(self, device: type[Device]) -> None:
        self._device = device

    def load(self) -> type[Device]:
        return self._device


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PennyLane offer them."""
    for name, device in DEVICES.items():
        monkeypatch.setitem(qml.plugin_devices, name, Entry(device))
