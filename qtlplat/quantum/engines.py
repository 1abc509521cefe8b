"""What runs a circuit: the compiler or a PennyLane device, chosen by name or by measuring; checked before use."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pennylane as qml
import torch
from torch import Tensor

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, PluginError
from qtlplat.quantum.compile import compile_circuit
from qtlplat.quantum.device_traits import EXACT, DeviceTraits
from qtlplat.quantum.devices import DeviceRunner
from qtlplat.quantum.layer import RETURN, CircuitLayer, Runner
from qtlplat.quantum.memory import (
    USABLE_SHARE,
    compiling_bytes,
    device_bytes,
    free_bytes,
    program_bytes,
    size_text,
)
from qtlplat.quantum.program import Program
from qtlplat.quantum.record import CannotCompileError
from qtlplat.quantum.threads import torch_threads

AUTO, COMPILED = "auto", "compiled"
FALLBACK = "default.qubit"  # runs what cannot be compiled
CLEARLY_COMPILED = 14  # qubits up to which no device comes near the compiler, see docs/explanation/compilation.md
RIVALS = ("lightning.qubit",)  # devices that might overtake it on more qubits
MOST_QUBITS_CHECKED = 14
MOST_QUBITS_CHECKED_TWICE = 10
MEASURED_SECONDS = 1.0
AGREEMENT = 1e-6  # between a program in double precision and default.qubit; angles given in float32 differ by 1e-8


@dataclass(frozen=True, eq=False)
class Engine:
    """What runs a circuit, and why.

    name: `compiled`, or that of a PennyLane device; why: one line for users; gradient: how it is differentiated.
    why_not_stackable: why cells cannot be trained in one stack, '' where they can.
    reseeded: makes another runner, seeded from torch's global generator; None where nothing about it is random.
    traits: whether its values are exact.
    """

    circuit: Circuit
    name: str
    run: Runner
    why: str
    gradient: str
    why_not_stackable: str
    reseeded: Callable[[], Runner] | None = None
    traits: DeviceTraits = EXACT

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about the shots, a line each."""
        notes = []
        if self.traits.own:
            notes.append(f"{self.name} gives no exact values: it draws shots ({self.traits.told_shots})")
        if not self.traits.repeats:
            notes.append(
                f"the shots of {self.name} cannot be repeated, it follows no seed: "
                "a replay or a resumed run gives other numbers"
            )
        return tuple(notes)

    def layer(self) -> CircuitLayer:
        """A module with fresh weights (and shots, where there are any) that follow from torch's global generator."""
        return CircuitLayer(self.circuit, self.reseeded() if self.reseeded else self.run, self.reseeded)

    def bytes(self, rows: int, *, gradients: bool = True) -> int:
        """Estimate of the memory that `rows` samples of one cell take, forward, and backward where gradients are."""
        if isinstance(self.run, Program):
            return program_bytes(self.run, rows, gradients=gradients)
        return device_bytes(self.circuit, rows, gradients=gradients, one_by_one=self.gradient == "adjoint")

    def milliseconds(self, batch: int) -> float:
        """Time of one forward and backward pass over `batch` samples: the shortest of three, or of one slow one."""
        seconds = [_step_seconds(self.run, self.circuit, batch)]
        while len(seconds) < 3 and sum(seconds) < MEASURED_SECONDS:
            seconds.append(_step_seconds(self.run, self.circuit, batch))
        return min(seconds) * 1e3


def choose_engine(circuit: Circuit, name: str = AUTO, options: Mapping[str, Any] | None = None) -> Engine:
    """The engine for a circuit.

    name: `auto`, `compiled` or a PennyLane device; options: `precision` (single or double) of the first two, else as
    `DeviceRunner` takes them.

    Raises ConfigError where the device cannot be had, or where `compiled` was asked for and the circuit cannot be
    compiled; PluginError where the circuit does not return what it declares; what its own function raises passes
    through.
    """
    _check_outputs(circuit)
    options = dict(options or {})
    if name not in (AUTO, COMPILED):
        return _device(circuit, name, options, "asked for")
    double = options.get("precision") == "double"
    try:
        _refuse_large(circuit)
        program = compile_circuit(circuit, double=double)
        with torch_threads(1):
            disagreement = _disagreement(circuit, program)
    except CannotCompileError as error:
        if name == COMPILED:
            raise ConfigError(
                f"the circuit cannot be compiled: {error}", where="--device compiled", fix=f"use --device {FALLBACK}"
            ) from error
        large = circuit.qubits > CLEARLY_COMPILED
        return _device(circuit, RIVALS[0] if large else FALLBACK, {}, f"cannot be compiled: {error}")
    if disagreement:
        if name == COMPILED:
            raise ConfigError(disagreement, where="--device compiled", fix=f"use --device {FALLBACK}")
        return _device(circuit, FALLBACK, {}, disagreement)
    kind = "real" if program.real else "complex"
    compiled = Engine(
        circuit, COMPILED, program, f"{kind} amplitudes in {'double' if double else 'single'} precision", "backprop", ""
    )
    if name == COMPILED or circuit.qubits <= CLEARLY_COMPILED:
        return compiled
    return _quickest(compiled)


def _check_outputs(circuit: Circuit) -> None:
    """Raises PluginError where a circuit measures nothing, or another number of values than it declares.

    Each device would say so in words of its own, or not at all.
    """
    inputs, weights = example(circuit, 1, 0, torch.float64)
    tape = qml.tape.make_qscript(circuit.function)(inputs[0], wires=range(circuit.qubits), **weights)
    if not tape.measurements:
        raise PluginError("the circuit measures nothing", fix=RETURN)
    if all(type(m) in (qml.measurements.ExpectationMP, qml.measurements.ProbabilityMP) for m in tape.measurements):
        found = sum(math.prod(m.shape(None, circuit.qubits)) for m in tape.measurements)
        if found != circuit.n_outputs:
            what = f"the circuit returned {found} values per sample, it declared {circuit.n_outputs}"
            raise PluginError(what, fix=RETURN)


def idle_engine(circuit: Circuit) -> Engine:
    """An engine that runs nothing: its layers hold the circuit's weights and yield zeros. For counting parameters."""

    def zeros(inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG001 -- a runner's names
        return inputs.new_zeros(len(inputs), circuit.n_outputs)

    return Engine(circuit, "none", zeros, "nothing is run", "none", "nothing is run")


def _refuse_large(circuit: Circuit) -> None:
    """Before anything is allocated."""
    needed, free = compiling_bytes(circuit), free_bytes(torch.device("cpu"))
    if needed > free * USABLE_SHARE:
        raise CannotCompileError(
            f"tables of {circuit.n_outputs + circuit.n_inputs} x 2^{circuit.qubits} numbers x 48 bytes take "
            f"{size_text(needed)}, {size_text(free)} are free"
        )


def _device(circuit: Circuit, name: str, options: Mapping[str, Any], why: str) -> Engine:
    runner = DeviceRunner(circuit, name, options)
    again = runner.reseeded if runner.traits.draws else None
    return Engine(circuit, name, runner, why, runner.gradient_method, runner.why_not_stackable, again, runner.traits)


def _quickest(compiled: Engine) -> Engine:
    """The quickest of the engines on two samples each; a device that cannot run the circuit drops out."""
    circuit = compiled.circuit
    measured = {compiled: compiled.milliseconds(2)}
    for name in RIVALS:
        try:
            rival = _device(circuit, name, {}, "quicker than the compiler here")
            measured[rival] = rival.milliseconds(2)
        except (ConfigError, RuntimeError, ImportError):
            continue
    return min(measured, key=lambda engine: measured[engine])


def example(circuit: Circuit, rows: int, seed: int, dtype: torch.dtype) -> tuple[Tensor, dict[str, Tensor]]:
    """Random inputs (rows, n_inputs) in [-1.5, 1.5) and weights in the circuit's initial range; gradients wanted."""
    generator = torch.Generator().manual_seed(seed)
    low, high = circuit.initial_range

    def uniform(shape: tuple[int, ...], low: float, high: float) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=dtype).mul_(high - low).add_(low).requires_grad_()

    inputs = uniform((rows, circuit.n_inputs), -1.5, 1.5)
    return inputs, {name: uniform(tuple(shape), low, high) for name, shape in circuit.weight_shapes.items()}


def _step_seconds(run: Runner, circuit: Circuit, batch: int) -> float:
    inputs, weights = example(circuit, batch, 0, torch.float32)
    started = time.perf_counter()
    outputs = run(inputs, weights)
    if outputs.requires_grad:
        torch.autograd.grad(outputs.sum(), [inputs, *weights.values()], allow_unused=True)
    return time.perf_counter() - started


def _disagreement(circuit: Circuit, program: Program) -> str:
    """Where the program differs from default.qubit, in values or gradients of samples; '' where it does not.

    Tracing sees one way through the quantum function and only torch's view of its numbers. A function that looks at
    values behind torch's back would be compiled wrongly: this finds out.
    """
    if circuit.qubits > MOST_QUBITS_CHECKED:
        return ""
    samples = 2 if circuit.qubits <= MOST_QUBITS_CHECKED_TWICE else 1
    inputs, weights = example(circuit, samples, 1, torch.float64)
    ours = program.with_precision(double=True)(inputs, weights)
    node = qml.QNode(
        lambda sample: circuit.function(sample, wires=range(circuit.qubits), **weights),
        qml.device(FALLBACK, wires=circuit.qubits),
        interface="torch",
        diff_method="backprop",
        cache=False,
    )

    def reference(sample: Tensor) -> Tensor:
        results = node(sample)
        parts = results if isinstance(results, list | tuple) else [results]
        return torch.cat([part.to(torch.float64).reshape(-1) for part in parts])

    theirs = torch.stack([reference(sample) for sample in inputs])
    if ours.shape != theirs.shape:
        return f"compiled it returns {ours.shape[1]} values, on {FALLBACK} {theirs.shape[1]}"
    generator = torch.Generator().manual_seed(2)
    directions = torch.rand(ours.shape, generator=generator, dtype=torch.float64) / math.sqrt(ours.numel())
    differences = {"values": float((ours - theirs).detach().abs().max())}
    wanted = [inputs, *weights.values()]
    gradients = [
        torch.autograd.grad((directions * out).sum(), wanted, allow_unused=True, materialize_grads=True)
        if out.requires_grad
        else [torch.zeros_like(t) for t in wanted]
        for out in (ours, theirs)
    ]
    differences["gradients"] = max(float((a - b).abs().max()) for a, b in zip(*gradients, strict=True))
    for what, difference in differences.items():
        if not difference <= AGREEMENT:
            return f"compiled, its {what} differ from {FALLBACK}'s by {difference:.1e}"
    return ""
