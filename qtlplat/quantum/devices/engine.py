"""An engine: what runs a circuit, and why; what a head is built around. PennyLane is not needed here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qtlplat.contracts import Circuit
from qtlplat.quantum.compiler.program import Program
from qtlplat.quantum.devices.layer import CircuitLayer, Runner
from qtlplat.quantum.devices.memory import device_bytes, program_bytes
from qtlplat.quantum.devices.shots import EXACT as EXACT_VALUES, DeviceTraits

AUTO, COMPILED = "auto", "compiled"
CLEARLY_COMPILED = 14  # qubits up to which no device comes near the compiler, see docs/explanation/compilation.md
MEASURED_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Engine:
    """What runs a circuit, and why.

    name: `compiled`, or that of a PennyLane device; why: one line for users; gradient: how it is differentiated.
    why_not_stackable: why cells cannot be trained in one stack, '' where they can.
    reseeded: makes another runner, seeded from torch's global generator; None if nothing about it is random.
    traits: whether its values are exact; not_differentiated: what has other gradients than the circuit's values.
    """

    circuit: Circuit
    name: str
    run: Runner
    why: str
    gradient: str
    why_not_stackable: str
    reseeded: Callable[[], Runner] | None = None
    traits: DeviceTraits = EXACT_VALUES
    not_differentiated: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about gradients and shots, a line each."""
        notes = [
            f"the gradients in {name} are not those of the circuit's values: its function rounds or detaches {name}, "
            "or turns them into plain numbers (float(), .item(), numpy)"
            for name in self.not_differentiated
        ]
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


def compiled_engine(circuit: Circuit, program: Program, not_differentiated: tuple[str, ...] = ()) -> Engine:
    """The engine that runs a program."""
    kind = "real" if program.real else "complex"
    precision = "double" if program.dtype == torch.float64 else "single"
    why = f"{kind} amplitudes in {precision} precision"
    return Engine(circuit, COMPILED, program, why, "backprop", "", not_differentiated=not_differentiated)


def idle_engine(circuit: Circuit) -> Engine:
    """An engine that runs nothing: its layers hold the circuit's weights and yield zeros. For counting parameters."""

    def zeros(inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG001 -- a runner's names
        return inputs.new_zeros(len(inputs), circuit.n_outputs)

    return Engine(circuit, "none", zeros, "nothing is run", "none", "nothing is run")


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
