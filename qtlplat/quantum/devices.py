"""Runs a declared circuit on a named PennyLane device, with the way of differentiating that suits both."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pennylane as qml
import torch
from pennylane.devices import ExecutionConfig
from pennylane.operation import Channel, StatePrepBase
from torch import Tensor

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, shown, unknown_name
from qtlplat.quantum.derivatives import (
    LEAST_PRECISION,
    FiniteDifferences,
    ParameterShift,
    batched_parameters,
    from_density_matrix,
    in_gates,
    prepares_a_trained_state,
    shift_rules,
    stencil_for,
)
from qtlplat.quantum.device_traits import (
    EXACT,
    REFERENCE,
    DeviceTraits,
    GlobalGenerators,
    Run,
    doubles,
    flat,
    looked_at,
)

CHANNELS = {
    "bitflip": qml.BitFlip,
    "phaseflip": qml.PhaseFlip,
    "depolarizing": qml.DepolarizingChannel,
    "amplitude_damping": qml.AmplitudeDamping,
    "phase_damping": qml.PhaseDamping,
}
OF_THE_DEVICE = ("backprop", "adjoint", "device")  # asked for in this order
NUMBERS_AT_ONCE = 2**20  # amplitudes or samples in one shifted evaluation: some 16 MB; more is not quicker
HARMLESS = {"c_dtype", "seed", "batch_obs"}  # options of devices that leave values what they are
GPU_PACKAGE = "pip install 'qtlplat[gpu]'"


class DeviceRunner:
    """Runs a circuit on a PennyLane device: (inputs (B, n_inputs), weights by name) -> (B, n_outputs).

    Outputs have the dtype of the inputs and are differentiable in inputs and weights. A device that takes a seed is
    seeded from the state of torch's global generator, which the caller has seeded; the generator is not advanced.

    circuit: what to run; name: of the device; options: `shots`, `noise` with `strength`, and keywords of the device.
    traits: what the device was seen to do with this circuit; what draws shots, asked for or not, has none but
        parameter-shift.
    gradient_method: backprop, adjoint or device where the device differentiates this circuit itself and exactly, else
        parameter-shift, and finite-diff where a gate has no shift rule.
    Raises ConfigError where there is no such device, it cannot be made, it cannot run or differentiate the circuit, or
    computes other values than the circuit has.
    """

    gradient_method: str
    traits: DeviceTraits

    def __init__(self, circuit: Circuit, name: str, options: Mapping[str, Any]) -> None:
        self.circuit, self.name = circuit, name
        keywords = dict(options)
        self._shots = keywords.pop("shots", None)
        self._noise = _noise_model(keywords.pop("noise", None), keywords.pop("strength", 0.01))
        example = _example(circuit)
        # Traced without a device first: what fails here is the circuit's own fault, not the device's.
        tape = self._tape(*example)
        measured = sum(isinstance(op, qml.ops.MidMeasure) for op in tape.operations)
        # Measurements within the circuit are deferred: each takes a wire of its own, and any device can do it.
        self._deferred = "deferred" if measured else None
        self._density = name == "default.mixed" and "readout_prob" not in keywords
        self._make_device = functools.partial(make_device, name, circuit.qubits + measured, keywords)
        self.device = self._make_device()
        self._generators = GlobalGenerators(_seed())
        try:
            self.traits = self._look(noisy=self._noise is not None or not keywords.keys() <= HARMLESS)
            self.gradient_method, self._node = self._choose(tape, example)
            self(*example)
        except ConfigError:
            raise
        except Exception as error:
            raise self._cannot_run(error) from error

    def __call__(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Measurements of the circuit for each row of `inputs` (B, n_inputs), radians where they feed rotations."""
        trained = torch.is_grad_enabled() and any(t.requires_grad for t in (inputs, *weights.values()))
        if self.gradient_method == "backprop" or (trained and self.gradient_method in OF_THE_DEVICE):
            outputs = self._evaluate(inputs, weights)
        elif trained:
            outputs = self._shifted(inputs, weights)
        else:
            # A device that differentiates would do so although nobody asks for it.
            outputs = self._evaluate(inputs.detach(), {name: w.detach() for name, w in weights.items()})
        return outputs.to(device=inputs.device, dtype=inputs.dtype)

    def reseeded(self) -> DeviceRunner:
        """The same on a device of its own, seeded from torch's global generator as it is now."""
        fresh = copy.copy(self)
        fresh.device, fresh._generators = self._make_device(), GlobalGenerators(_seed())
        fresh._node = fresh._make_node(self.gradient_method if self.gradient_method in OF_THE_DEVICE else None)
        return fresh

    @functools.cached_property
    def why_not_stackable(self) -> str:
        """Why ``torch.func.vmap`` cannot run many cells at once on this device; '' where it can."""
        if self.gradient_method != "backprop":
            return f"{self.name} computes its gradients ({self.gradient_method}) outside of torch"
        inputs, weights = _example(self.circuit)
        try:
            torch.func.vmap(self)(inputs.expand(2, -1, -1), {n: w.expand(2, *w.shape) for n, w in weights.items()})
        except Exception as error:  # noqa: BLE001 -- whatever a device's own code raises, cell by cell still works
            return f"torch cannot vectorise {self.name}: {_line(error)}"
        return ""

    def _function(self, inputs: Tensor, **weights: Tensor) -> Any:
        return self.circuit.function(inputs, wires=range(self.circuit.qubits), **weights)

    def _tape(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> Any:
        """The circuit for these values, with its noise; trainable is what torch differentiates."""
        tape = qml.tape.make_qscript(self._function, shots=self._shots)(inputs, **weights)
        if self._noise is not None:
            (tape,), _ = qml.noise.add_noise(tape, self._noise)
        tape.trainable_params = qml.math.get_trainable_indices(tape.get_parameters(trainable_only=False))
        return tape

    def _look(self, *, noisy: bool) -> DeviceTraits:
        if self.name == REFERENCE and not self._shots:
            return EXACT

        def make(shots: int | None) -> Run:
            device, generators = self._make_device(), GlobalGenerators(_seed())
            node = self._make_node(None, device, shots)

            def run(sample: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
                with generators.in_place(), doubles():
                    return flat(node(sample, **weights))

            return run

        single = getattr(self.device, "c_dtype", None) == np.complex64
        return looked_at(self.circuit, self.name, make, self._shots, noisy=noisy, single=single)

    def _drawing(self) -> contextlib.AbstractContextManager[None]:
        """Shots that are drawn inside, from numpy's global generator for example, follow from the device's seed."""
        return self._generators.in_place() if self.traits.draws else contextlib.nullcontext()

    def _make_node(self, method: str | None, device: Any = None, shots: int | None = None) -> Any:
        """The circuit on a device, its own unless another is given, with so many shots."""
        # Caching compares parameter values between calls; training never repeats them.
        node = qml.QNode(
            self._function,
            device or self.device,
            interface="torch",
            diff_method=method,
            shots=shots if device else self._shots,
            cache=False,
            mcm_method=self._deferred,
        )
        if self._noise is not None:
            node = qml.noise.add_noise(node, self._noise)
        if method == "backprop" and self._density:
            node = from_density_matrix(node)
        # A device that differentiates gets its samples one by one: left to it, some gates are expanded twice.
        return qml.transforms.broadcast_expand(node) if method in ("adjoint", "device") else node

    def _choose(self, tape: Any, example: tuple[Tensor, Mapping[str, Tensor]]) -> tuple[str, Any]:
        """How to differentiate, and the node to evaluate; the device looks at the circuit, nothing is computed."""
        inputs, weights = example
        own_shots = self.traits.draws and not self._shots  # the device itself takes its values for exact ones
        for method in () if own_shots else OF_THE_DEVICE:
            if self.device.supports_derivatives(ExecutionConfig(gradient_method=method), tape):
                node = self._make_node(method)
                try:
                    qml.workflow.construct_batch(node, level="device")(inputs, **weights)
                except Exception:  # noqa: BLE001 -- the next way is tried; what is wrong with all is told below
                    continue
                return method, node
        node = self._make_node(None)
        qml.workflow.construct_batch(node, level="device")(inputs, **weights)
        if not prepares_a_trained_state(tape) and shift_rules(in_gates(tape)) is not None:
            return "parameter-shift", node
        if self.traits.draws:
            told = f" (it draws shots: {self.traits.told_shots})" if self.traits.own else ""
            raise ConfigError(
                "a gate of the circuit has no parameter-shift rule, and differences drown in the noise of shots" + told,
                where=f"--device {self.name}",
                fix=f"choose a device with exact values, for example {REFERENCE}" if told else "leave out shots",
            )
        if self.traits.precision > LEAST_PRECISION:
            raise ConfigError(
                "a gate of the circuit has no parameter-shift rule, and differences of values that are rounded by "
                f"{self.traits.precision:.0e} are no gradients",
                where=f"--device {self.name}",
                fix=f"choose a more precise device, for example {REFERENCE}",
            )
        return "finite-diff", node

    def _cannot_run(self, error: Exception) -> ConfigError:
        fix = "choose another device, or auto"
        if self._noise is not None and self.name != "default.mixed":
            fix = "noise needs a device that knows channels, for example default.mixed"
        return ConfigError(f"device {self.name} cannot run this circuit: {_line(error)}", where="--device", fix=fix)

    def _evaluate(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        # Derivatives of torch's own keep the precision of what they are given.
        with self._drawing(), contextlib.nullcontext() if self.gradient_method == "backprop" else doubles():
            return _columns(self._node(inputs, **weights), inputs.shape[0])

    def _shifted(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Outputs whose derivatives come from shifted evaluations."""
        if self.gradient_method == "finite-diff":
            stencil = stencil_for(self.traits.precision)
            return _apply(FiniteDifferences, self._evaluate, stencil, list(weights), inputs, *weights.values())
        # Templates are taken apart where they are trained only; whatever depends on a sample has to be in gates.
        traced = inputs if inputs.requires_grad else inputs.detach().requires_grad_()
        tape = in_gates(self._tape(traced, weights))
        parameters = tape.get_parameters(trainable_only=False)
        rules = dict(zip(tape.trainable_params, shift_rules(tape) or [], strict=True))
        # Whatever has a value per sample has to be repeated with the samples, trained or not.
        moving = [i for i in batched_parameters(tape) if i not in rules]
        rules |= dict.fromkeys(moving, np.zeros((0, 3)))

        def evaluate(values: Sequence[npt.NDArray[Any]], rows: int) -> npt.NDArray[np.float64]:
            # As tensors: some simulators are several times faster with torch than with numpy.
            bound = tape.bind_new_parameters([torch.as_tensor(v) for v in values], list(rules))
            with self._drawing():
                results = qml.execute([bound], self.device, diff_method=None, cache=False, mcm_method=self._deferred)[0]
            results = results if isinstance(results, list | tuple) else [results]
            return _columns([torch.as_tensor(np.asarray(r)) for r in results], rows).double().numpy()

        values = [torch.as_tensor(parameters[i]) for i in rules]
        return _apply(ParameterShift, evaluate, list(rules.values()), inputs.shape[0], self._rows(), *values)

    def _rows(self) -> int:
        """Rows of shifted evaluations at once."""
        wires = len(self.device.wires)
        amplitudes: int = 4**wires if "mixed" in self.name else 2**wires
        return NUMBERS_AT_ONCE // max(amplitudes, (self.traits.shots or 0) * wires)


def available_devices() -> list[str]:
    """Names of the devices that PennyLane and its installed plugins offer."""
    return sorted(qml.plugin_devices)


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
                options["seed"] = _seed()
            return qml.device(name, wires=wires, **options)
        except Exception as error:
            raise _refused(name, keywords, accepted, [error, *(str(w.message) for w in caught)]) from error


def _seed() -> int:
    with torch.random.fork_rng(devices=[]):
        return int(torch.randint(2**31, ()).item())


def _refused(
    name: str, keywords: Mapping[str, Any], accepted: Sequence[str], told: Sequence[Exception | str]
) -> ConfigError:
    lines = list(dict.fromkeys(_line(one) for one in told))
    what = "\n".join([f"device {name} cannot be made: {lines[0]}", *(f"  {line}" for line in lines[1:4])])
    if name == "lightning.gpu" and not isinstance(told[0], TypeError):
        fix = f"use an NVIDIA GPU with its driver, and {GPU_PACKAGE} for the libraries; or use lightning.qubit"
    elif keywords:
        known = ", ".join(key for key in accepted if key not in ("shots", "kwargs", "args", "self"))
        fix = f"check {', '.join(keywords)}; options of {name}: shots, noise, strength, {known}"
    else:
        fix = "install what the message asks for, or choose another device"
    return ConfigError(what, where="--device", fix=fix)


def _line(error: Exception | str) -> str:
    return shown(" ".join(str(error).split()) or type(error).__name__, 240)[1:-1]


def _noise_model(noise: str | None, strength: float) -> Any:
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


def _example(circuit: Circuit) -> tuple[Tensor, dict[str, Tensor]]:
    """Two samples of norm 1, so that they also serve as amplitudes, and weights; all trainable."""
    inputs = torch.full((2, circuit.n_inputs), 1 / math.sqrt(max(1, circuit.n_inputs)), dtype=torch.float64)
    weights = {name: torch.full(shape, 0.1, dtype=torch.float64) for name, shape in circuit.weight_shapes.items()}
    return inputs.requires_grad_(), {name: weight.requires_grad_() for name, weight in weights.items()}


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    outputs: Tensor = function.apply(*arguments)
    return outputs


def _columns(results: Any, batch: int) -> Tensor:
    """Results of one measurement or of a list of them, side by side: (batch, n_outputs)."""
    # Some devices return numbers or arrays where tensors are asked for.
    columns = map(torch.as_tensor, results if isinstance(results, list | tuple) else [results])
    return torch.cat([r.reshape(batch, -1) if r.dim() else r.expand(batch, 1) for r in columns], dim=1)
