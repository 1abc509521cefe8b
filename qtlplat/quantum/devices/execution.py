"""Runs a circuit for batches of samples on a device that is there, in a given way of differentiating and recording."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pennylane as qml
import torch
from torch import Tensor

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, PluginError, QtlplatError, one_line
from qtlplat.quantum.circuits.readings import as_array, as_real
from qtlplat.quantum.circuits.samples import SampleFunction, trial_numbers
from qtlplat.quantum.circuits.warned import OF_DEVICES, without
from qtlplat.quantum.compiler.exponentials import without_exponentials
from qtlplat.quantum.devices.batches import Part, Recorder, Way
from qtlplat.quantum.devices.density import from_density_matrix
from qtlplat.quantum.devices.derivatives import (
    FiniteDifferences,
    ParameterShift,
    in_gates,
    ranks_of,
    shift_rules,
    stencil_for,
)
from qtlplat.quantum.devices.making import fresh_seed
from qtlplat.quantum.devices.shots import EXACT as EXACT_VALUES, DeviceTraits
from qtlplat.quantum.devices.traits import GlobalGenerators, doubles

OF_THE_DEVICE = ("backprop", "adjoint", "device")  # asked for in this order
NUMBERS_AT_ONCE = 2**20  # amplitudes or samples in one shifted evaluation: some 16 MB; more is not quicker


class CannotRunError(ConfigError):
    """A device that cannot run or differentiate a circuit, in no way that was tried."""


class BatchRunner:
    """(inputs (B, n_inputs), weights by name) -> (B, n_outputs), differentiable in both, in the dtype of the inputs.

    function: the circuit's, of one sample; name: of the device; make: a new device, seeded from torch's global
    generator; shots: that are asked for; noise: a PennyLane noise model; density: whether to differentiate the density
    matrix in place of what the device measures.
    gradient_method: backprop, adjoint or device where the device differentiates this circuit itself, else
        parameter-shift or finite-diff; way: how a batch is recorded; traits: whether values are exact.
    """

    gradient_method: str
    way: Way = "together"
    traits: DeviceTraits = EXACT_VALUES
    _numpy = False  # whether the device gets numbers of numpy, where torch does not look through it

    def __init__(
        self,
        function: SampleFunction,
        name: str,
        make: Callable[[], Any],
        *,
        shots: int | None,
        noise: Any,
        density: bool,
    ) -> None:
        self.function, self.name, self._make_device = function, name, make
        self._shots, self._noise, self._density = shots, noise, density
        self.device = make()
        self._generators = GlobalGenerators(fresh_seed())

    @property
    def circuit(self) -> Circuit:
        """What it runs."""
        return self.function.circuit

    def __call__(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Measurements of the circuit for each row of `inputs` (B, n_inputs), radians where they feed rotations."""
        trained = torch.is_grad_enabled() and any(t.requires_grad for t in (inputs, *weights.values()))
        given, inputs = inputs, inputs.double()  # what is rounded off an angle of many turns would be lost
        weights = {name: weight.double() for name, weight in weights.items()}
        if not trained and self.gradient_method != "backprop":
            # A device that differentiates would do so although nobody asks for it.
            outputs = self._evaluate(inputs.detach(), {name: w.detach() for name, w in weights.items()})
        elif self.gradient_method == "finite-diff":
            outputs = _apply(
                FiniteDifferences,
                self._evaluate,
                stencil_for(self.traits.precision),
                list(weights),
                inputs,
                *weights.values(),
            )
        elif self.gradient_method == "parameter-shift":
            # What depends on a sample has to be in gates, trained or not.
            traced = inputs if inputs.requires_grad else inputs.detach().requires_grad_()
            parts = self._record(traced, weights)
            outputs = _joined(parts, [part.read(self._split(part, self._shifted(part))) for part in parts])
        else:
            outputs = self._differentiated(inputs, weights)
        return outputs.to(device=given.device, dtype=given.dtype)

    @functools.cached_property
    def why_not_stackable(self) -> str:
        """Why ``torch.func.vmap`` cannot run many cells at once on this device; '' where it can."""
        if self.gradient_method != "backprop":
            return f"{self.name} computes its gradients ({self.gradient_method}) outside of torch"
        if self.way != "together":
            return "the circuit's function is called for every sample"
        inputs, weights = trial_numbers(self.circuit, 2)
        try:
            torch.func.vmap(self)(inputs.expand(2, -1, -1), {n: w.expand(2, *w.shape) for n, w in weights.items()})
        except Exception as error:  # noqa: BLE001 -- whatever a device's own code raises, cell by cell still works
            return f"torch cannot vectorise {self.name}: {one_line(error)}"
        return ""

    def reseeded(self) -> Self:
        """The same on a device of its own, seeded from torch's global generator as it is now."""
        fresh = copy.copy(self)
        fresh.device, fresh._generators = self._make_device(), GlobalGenerators(fresh_seed())
        return fresh

    def __deepcopy__(self, memo: Any) -> Self:
        """Itself: nothing in it is trained, and what PennyLane keeps of a circuit cannot always be copied.

        Copies take their shots from one stream of random numbers, so that no two draw the same ones.
        """
        return self

    @property
    def _recorder(self) -> Recorder:
        linear = self.gradient_method != "backprop"
        return Recorder(self.function, self._prepare, self.way, linear=linear, shots=self._shots)

    def _prepare(self, tape: Any) -> Any:
        """A sample's tape with its noise, its measurements within the circuit deferred."""
        if self._noise is not None:
            (tape,), _ = qml.noise.add_noise(tape, self._noise)
        (tape,), _ = qml.defer_measurements(tape)
        return tape if self.gradient_method == "backprop" else without_exponentials(tape)

    def _record(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> list[Part]:
        """The tapes of a batch; what goes wrong here is the function's fault."""
        try:
            return self._recorder(inputs, weights)
        except (QtlplatError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            what = f"the circuit's function failed on a sample: {one_line(error)}"
            raise PluginError(what, fix="check it with the inputs that the head gives it") from error

    def _evaluate(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Values without derivatives."""
        parts = self._record(inputs, weights)
        return self._read(parts, self._execute([self._detached(part.tape) for part in parts], None))

    def _differentiated(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Values that the device differentiates, or torch through it."""
        parts = self._record(inputs, weights)
        return self._read(parts, self._execute([part.tape for part in parts], self.gradient_method))

    def _read(self, parts: Sequence[Part], results: Sequence[Any]) -> Tensor:
        pairs = zip(parts, results, strict=True)
        return _joined(parts, [part.read(_columns(part.tape, part.batch, result)) for part, result in pairs])

    def _drawing(self) -> contextlib.AbstractContextManager[None]:
        """Shots that are drawn inside, from numpy's global generator for example, follow from the device's seed."""
        return self._generators.in_place() if self.traits.draws else contextlib.nullcontext()

    def _execute(self, tapes: Sequence[Any], method: str | None) -> list[Any]:
        """What the device measures; errors are the device's: the circuit's function has been called before."""
        expanded: list[Any] = []
        finishing: list[tuple[int, Any]] = []
        for tape in tapes:
            if method == "backprop" and self._density:
                batch, finish = from_density_matrix(tape)
            elif method in ("adjoint", "device"):
                # A device that differentiates gets its samples one by one: left to it, some gates are expanded twice.
                batch, finish = qml.transforms.broadcast_expand(tape)
            else:
                batch, finish = [tape], _only
            expanded += batch
            finishing.append((len(batch), finish))
        # Caching compares parameter values between calls; training never repeats them.
        interface = "numpy" if method is None and self._numpy else "torch"
        # Derivatives of torch's own keep the precision of what they are given.
        precise = contextlib.nullcontext() if method == "backprop" else doubles()
        with self._drawing(), precise, without(OF_DEVICES):
            try:
                results = iter(qml.execute(expanded, self.device, diff_method=method, interface=interface, cache=False))
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:
                what = f"device {self.name} failed to run the circuit: {one_line(error)}"
                fix = "choose another device, or auto"
                raise CannotRunError(what, where=f"--device {self.name}", fix=fix) from error
        return [finish(list(itertools.islice(results, number))) for number, finish in finishing]

    def _shifted(self, part: Part) -> Tensor:
        """What a part measures (batch, k), with derivatives from shifted evaluations."""
        tape = in_gates(part.tape)
        parameters = tape.get_parameters(trainable_only=False)
        rules = dict(zip(tape.trainable_params, shift_rules(tape), strict=True))
        # Whatever has a value per sample has to be repeated with the samples, trained or not.
        ranks = ranks_of(tape)
        moving = [i for i, rank in ranks.items() if qml.math.ndim(parameters[i]) > rank and i not in rules]
        rules |= dict.fromkeys(moving, np.zeros((0, 3)))

        def evaluate(values: Sequence[npt.NDArray[Any]], rows: int) -> npt.NDArray[np.float64]:
            alone = self.way == "singly"  # no gate gets a batch: a tape for each row
            each = [list(values)]
            if alone:
                numbered = list(zip(values, rules, strict=True))
                each = [[v[row] if v.ndim > ranks[i] else v for v, i in numbered] for row in range(rows)]
            bound = [
                self._detached(tape.bind_new_parameters([torch.as_tensor(v) for v in some], list(rules)))
                for some in each
            ]
            results = self._execute(bound, None)
            batch = 1 if alone else rows
            columns = [torch.cat(_columns(one, batch, r), dim=1) for one, r in zip(bound, results, strict=True)]
            return torch.cat(columns).double().numpy()

        values = [torch.as_tensor(parameters[i]) for i in rules]
        return _apply(ParameterShift, evaluate, list(rules.values()), part.batch, self._rows(), *values)

    def _detached(self, tape: Any) -> Any:
        """A tape without derivatives, with numbers of the kind that the device can take."""
        parameters = tape.get_parameters(trainable_only=False)
        tensors = {i: p.detach() for i, p in enumerate(parameters) if isinstance(p, Tensor)}
        values = [as_array(t) for t in tensors.values()] if self._numpy else list(tensors.values())
        return tape.bind_new_parameters(values, list(tensors))

    def _split(self, part: Part, measured: Tensor) -> list[Tensor]:
        widths = [math.prod(m.shape(None, self.circuit.qubits)) for m in part.tape.measurements]
        return list(measured.split(widths, dim=1))

    def _rows(self) -> int:
        """Rows of shifted evaluations at once."""
        wires = len(self.device.wires)
        amplitudes: int = 4**wires if "mixed" in self.name else 2**wires
        return NUMBERS_AT_ONCE // max(amplitudes, (self.traits.shots or 0) * wires)


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    outputs: Tensor = function.apply(*arguments)
    return outputs


def _only(results: Sequence[Any]) -> Any:
    return results[0]


def postselects(tape: Any) -> bool:
    """Whether values are those of some outcomes alone."""
    return any(isinstance(op, qml.Projector) for op in tape.operations)


def _columns(tape: Any, batch: int, result: Any) -> list[Tensor]:
    """What a tape measures, each (batch, k): computed once where nothing in the tape has a value per sample."""
    several = result if isinstance(result, list | tuple) else [result]
    # Numbers of Python would be rounded to torch's default.
    results = (as_real(r if isinstance(r, Tensor) else torch.as_tensor(np.asarray(r))) for r in several)
    if tape.batch_size is None:
        return [r.reshape(1, -1).expand(batch, -1) for r in results]
    return [r.reshape(batch, -1) for r in results]


def _joined(parts: Sequence[Part], values: Sequence[Tensor]) -> Tensor:
    """Outputs (B, n_outputs) of parts, in the order of the batch."""
    if len(parts) == 1 and parts[0].rows is None:
        return values[0]
    order = [row for part in parts for row in part.rows or ()]
    return torch.cat(list(values))[torch.argsort(torch.tensor(order))]
