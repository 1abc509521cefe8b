"""Chooses how a circuit is run and differentiated on a named PennyLane device: the first way that gives what it is."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pennylane as qml
import torch
from pennylane.devices import ExecutionConfig
from torch import Tensor

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, PluginError, one_line
from qtlplat.quantum.circuits.constancy import not_differentiated
from qtlplat.quantum.circuits.readings import is_linear
from qtlplat.quantum.circuits.samples import SampleFunction, trial_numbers
from qtlplat.quantum.circuits.warned import OF_DEVICES, without
from qtlplat.quantum.devices.batches import WAYS
from qtlplat.quantum.devices.derivatives import FINE, LEAST_PRECISION
from qtlplat.quantum.devices.execution import OF_THE_DEVICE, BatchRunner, CannotRunError, postselects
from qtlplat.quantum.devices.making import make_device, noise_model
from qtlplat.quantum.devices.shots import EXACT as EXACT_VALUES, DeviceTraits
from qtlplat.quantum.devices.traits import CLOSE, Run, looked_at
from qtlplat.quantum.devices.verification import (
    AGREEMENT,
    EXACT,
    MOST_QUBITS,
    SAMPLES,
    WITH_CHANNELS,
    Reference,
    contradicted,
    has_channels,
)

OF_TORCH = (EXACT, WITH_CHANNELS)  # devices that compute with torch's numbers, several times faster than with numpy's
HARMLESS = {"c_dtype", "seed", "batch_obs"}  # options of devices that leave values what they are
ROUNDING = 200  # times the rounding of values may gradients be off that are summed over a batch
SIZES_SHIFTED = (1, SAMPLES)  # of batches whose gradients are compared where each takes many evaluations


class DeviceRunner(BatchRunner):
    """Runs a circuit on a PennyLane device: (inputs (B, n_inputs), weights by name) -> (B, n_outputs).

    Outputs have the dtype of the inputs and are differentiable in inputs and weights. A device that takes a seed is
    seeded from the state of torch's global generator, which the caller has seeded; the generator is not advanced.

    circuit: what to run; name: of the device; options: `shots`, `noise` with `strength`, and keywords of the device.
    traits: what the device was seen to do with this circuit; what draws shots, asked for or not, has none but
        parameter-shift.
    gradient_method: backprop, adjoint or device where the device differentiates this circuit itself, else
        parameter-shift, and finite-diff where a gate has no shift rule; way: how a batch is recorded. The first ones
        are taken whose values and gradients are those of the circuit, see `verification`.
    Raises ConfigError if there is no such device, it cannot be made, it cannot run or differentiate the circuit, or
    computes other values than the circuit has; PluginError if the circuit's function does not return what it
    declares; what the function raises passes through.
    """

    def __init__(self, circuit: Circuit, name: str, options: Mapping[str, Any]) -> None:
        keywords = dict(options)
        shots = keywords.pop("shots", None)
        noise = noise_model(keywords.pop("noise", None), keywords.pop("strength", 0.01))
        # Traced without a device first: what fails here is the circuit's own fault, not the device's.
        function = SampleFunction(circuit)
        inputs, weights = trial_numbers(circuit, 1)
        self._tape = function.tape(inputs[0], weights)
        # Measurements within the circuit are deferred: each takes a wire of its own, and any device can do it.
        self._wires = circuit.qubits + sum(isinstance(op, qml.ops.MidMeasure) for op in self._tape.operations)
        self._keywords = keywords
        make = functools.partial(make_device, name, self._wires, keywords)
        density = name == WITH_CHANNELS
        super().__init__(function, name, make, shots=shots, noise=noise, density=density)
        self.traits = self._look()
        with torch.enable_grad():
            self._choose()

    def _look(self) -> DeviceTraits:
        if self.name == EXACT and not self._shots:
            return EXACT_VALUES
        noisy = self._noise is not None or not self._keywords.keys() <= HARMLESS
        single = getattr(self.device, "c_dtype", None) == np.complex64
        self.gradient_method = "finite-diff"

        def make(shots: int | None) -> Run:
            other = self.reseeded()
            other.way, other._shots, other.traits = "singly", shots, DeviceTraits(draws=True)

            def run(sample: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
                return other._evaluate(sample[None], weights)[0].double()

            return run

        for kind in self._kinds():
            self._numpy = kind
            try:
                return looked_at(self.function, self.name, make, self._shots, noisy=noisy, single=single)
            except Exception as error:
                if isinstance(error, ConfigError) and not isinstance(error, CannotRunError):
                    raise
                problem = error
        raise self._cannot_run({"": _reason(problem)}) from problem

    def _kinds(self) -> tuple[bool, ...]:
        """Whether to give the device numbers of numpy: some of PennyLane's gates take those alone, some others."""
        return (False, True) if self.name in OF_TORCH else (True,)

    def _choose(self) -> None:
        reference = self._reference()
        problems: dict[str, str] = {}
        for method in self._methods(problems):
            for way, kind in itertools.product(WAYS, (False,) if method == "backprop" else self._kinds()):
                self.way, self._numpy = way, kind
                try:
                    problem = self._problem(reference)
                except Exception as error:  # noqa: BLE001 -- the next is tried; what is wrong with all is told below
                    problem = _reason(error)
                if not problem:
                    return
                problems[method] = problem
        raise self._cannot_run(problems)

    def _methods(self, problems: dict[str, str]) -> Iterator[str]:
        """The settings to try, and the excluded ones with the reason; applies each as it yields it."""
        inputs, weights = trial_numbers(self.circuit, 1)
        own_shots = self.traits.draws and not self._shots  # the device itself takes its values for exact ones
        for self.gradient_method in () if own_shots else OF_THE_DEVICE:
            tape, _ = self._recorder.one(inputs[0], weights)
            try:
                config = ExecutionConfig(gradient_method=self.gradient_method)
                with without(OF_DEVICES):
                    supported = self.device.supports_derivatives(config, tape)
            except Exception:  # noqa: BLE001 -- a device that fails at this question is not asked to differentiate
                supported = False
            if supported:
                yield self.gradient_method
        self.gradient_method = "parameter-shift"
        tape, readings = self._recorder.one(inputs[0], weights)
        if not is_linear(readings.measured):
            names = {type(m).__name__.removesuffix("MP") for m in readings.measured if not is_linear([m])}
            problems["parameter-shift"] = f"{', '.join(sorted(names))} is not linear in the state"
        elif postselects(tape):
            problems["parameter-shift"] = "postselected values have no shift rule"
        else:
            yield self.gradient_method
        if self.traits.draws:
            told = f" (it draws shots: {self.traits.told_shots})" if self.traits.own else ""
            problems["finite-diff"] = f"differences drown in the noise of shots{told}"
        elif self.traits.precision > LEAST_PRECISION:
            rounded = f"values that are rounded by {self.traits.precision:.0e} are no gradients"
            problems["finite-diff"] = f"differences of {rounded}"
        else:
            self.gradient_method = "finite-diff"
            yield self.gradient_method

    def _reference(self) -> Reference | None:
        """What the circuit is; None if it cannot be computed, for it is too large for example."""
        noisy = self._noise is not None or has_channels(self._tape)
        name = WITH_CHANNELS if noisy else EXACT
        if self._wires > MOST_QUBITS[name]:
            return None
        try:
            return Reference(self.function, name, noise=self._noise)
        except Exception:  # noqa: BLE001 -- operations that this device alone knows: nothing to compare with
            return None

    def _problem(self, reference: Reference | None) -> str:
        """What is wrong with the way of computing that is set; '' where nothing is."""
        shifted = self.gradient_method not in OF_THE_DEVICE
        if reference is None or self.traits.draws:
            return self._problem_of_numbers(reference)
        if not self._as_declared(reference):
            return self._problem_of_numbers(reference) if shifted else ""
        tolerance = AGREEMENT + ROUNDING * self.traits.precision
        return reference.disagreement(self, tolerance=tolerance, gradients_at=SIZES_SHIFTED if shifted else None)

    def _as_declared(self, reference: Reference) -> bool:
        """Whether values have to be the reference's: an option that we do not know may ask for others."""
        if self._keywords.keys() <= HARMLESS:
            return True
        inputs, weights = reference.batch(1)
        return bool(torch.allclose(self._evaluate(inputs, weights), reference.outputs[:1], atol=CLOSE, rtol=0))

    def _problem_of_numbers(self, reference: Reference | None) -> str:
        """What is wrong with numbers that cannot be compared one by one, such as means of shots."""
        inputs, weights = trial_numbers(self.circuit, 2) if reference is None else reference.batch(2)
        found = self(inputs, weights)
        wanted = [inputs, *weights.values()]
        gradients: Sequence[Tensor | None] = [None] * len(wanted)
        if found.requires_grad:
            gradients = torch.autograd.grad(found.sum(), wanted, allow_unused=True)
        for what, values in (("values", [found]), ("gradients", gradients)):
            if not all(torch.isfinite(v).all() for v in values if v is not None):
                return f"its {what} are not finite"
        if reference is None:
            return self._own_problem(inputs.detach(), weights, gradients)
        # That the computation is the right one shows without shots; values of the device itself are within bounds.
        twin = self._on(reference.name)
        problem = reference.disagreement(twin, gradients_at=SIZES_SHIFTED)
        tape, readings = self._recorder.one(inputs[0].detach(), weights)
        if problem or postselects(tape) or not self.traits.shots:
            return problem
        off = (found.detach() - reference.outputs[: len(found)]).abs() - readings.slack(
            self.traits.shots, self.circuit.qubits
        )
        if bool((off <= 0).all()):
            return ""
        further = float(off.max())
        return f"its values are {further:.1e} further from {reference.name}'s than {self.traits.shots} shots explain"

    def _own_problem(self, inputs: Tensor, weights: Mapping[str, Tensor], gradients: Sequence[Tensor | None]) -> str:
        """What is wrong with gradients where there is nothing to compare with but the device's own values."""

        def total(inputs: Tensor, weights: Mapping[str, Tensor]) -> float:
            with torch.no_grad():
                return float(self._evaluate(inputs, weights).sum())

        hidden = not_differentiated(self.function)
        if self.traits.draws or not contradicted(
            total, inputs, weights, gradients, hidden, coarse=self.traits.precision > FINE
        ):
            return ""
        return "its gradients are not those of its values"

    def _on(self, name: str) -> BatchRunner:
        """The same computation on a simulator with exact values."""
        make = functools.partial(make_device, name, self._wires, {})
        twin = BatchRunner(self.function, name, make, shots=None, noise=self._noise, density=name == WITH_CHANNELS)
        twin.gradient_method, twin.way, twin._numpy = self.gradient_method, self.way, self._numpy
        return twin

    def _cannot_run(self, problems: Mapping[str, str]) -> CannotRunError:
        fix = "choose another device, or auto"
        if (self._noise is not None or has_channels(self._tape)) and self.name != WITH_CHANNELS:
            fix = f"noise needs a device that knows channels: --device {WITH_CHANNELS}"
        methods: dict[str, list[str]] = {}
        for method, problem in problems.items():
            methods.setdefault(problem, []).append(method)
        told = "; ".join(f"{problem} ({', '.join(m)})" if any(m) else problem for problem, m in methods.items())
        postselecting = any(getattr(op, "postselect", None) is not None for op in self._tape.operations)
        kind = ", which postselects the outcome of a measurement" if postselecting else ""
        what = f"device {self.name} cannot run this circuit{kind}: {told}"
        return CannotRunError(what, where=f"--device {self.name}", fix=fix)


def _reason(error: Exception) -> str:
    """Why something failed, without what we say of it ourselves."""
    ours = isinstance(error, CannotRunError | PluginError)
    return one_line(error.__cause__ if ours and isinstance(error.__cause__, Exception) else error)
