"""What runs a circuit: the compiler or a PennyLane device, chosen by name or by measuring; checked before use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError
from qtlplat.quantum.circuits.constancy import not_differentiated, refuse_changing
from qtlplat.quantum.circuits.samples import SampleFunction
from qtlplat.quantum.compiler.compile import compile_circuit
from qtlplat.quantum.compiler.gates import CannotCompileError
from qtlplat.quantum.compiler.program import Program
from qtlplat.quantum.compiler.tape import compiling
from qtlplat.quantum.devices.choice import DeviceRunner
from qtlplat.quantum.devices.engine import AUTO, CLEARLY_COMPILED, COMPILED, Engine, compiled_engine
from qtlplat.quantum.devices.execution import CannotRunError
from qtlplat.quantum.devices.memory import USABLE_SHARE, compiling_bytes, free_bytes, size_text
from qtlplat.quantum.devices.threads import torch_threads
from qtlplat.quantum.devices.verification import EXACT, MOST_QUBITS, WITH_CHANNELS, Reference
from qtlplat.seeding import isolated_generators

FALLBACK = EXACT  # runs what cannot be compiled
MOST_QUBITS_MIXED = 8  # of a circuit that is left to a density matrix
RIVALS = ("lightning.qubit",)  # devices that might overtake it on more qubits


@isolated_generators()  # PennyLane seeds a device without a seed from numpy's global generator
def choose_engine(circuit: Circuit, name: str = AUTO, options: Mapping[str, Any] | None = None) -> Engine:
    """The engine for a circuit.

    name: `auto`, `compiled` or a PennyLane device; options: `precision` (single or double) of the first two, else as
    `DeviceRunner` takes them.

    Raises ConfigError if the device cannot be had, or where `compiled` was asked for and the circuit cannot be
    compiled; PluginError if the circuit does not return what it declares, or is another one when its function is
    called again; what that raises passes through.
    """
    function = SampleFunction(circuit)
    refuse_changing(function)
    engine = _chosen(function, name, dict(options or {}))
    return replace(engine, not_differentiated=not_differentiated(function))


def _chosen(function: SampleFunction, name: str, options: Mapping[str, Any]) -> Engine:
    circuit = function.circuit
    if name not in (AUTO, COMPILED):
        return _named(circuit, name, options)
    double = options.get("precision") == "double"
    try:
        _refuse_large(circuit)
        program = compile_circuit(circuit, double=double)
        with torch_threads(1), compiling():
            disagreement = _disagreement(function, program)
    except CannotCompileError as error:
        if name == COMPILED:
            raise ConfigError(
                f"the circuit cannot be compiled: {error}",
                where="--device compiled",
                fix=_alternative(circuit, COMPILED, {}),
            ) from error
        return _any_device(function, f"cannot be compiled: {error}")
    if disagreement:
        if name == COMPILED:
            raise ConfigError(disagreement, where="--device compiled", fix=_alternative(circuit, COMPILED, {}))
        return _any_device(function, disagreement)
    compiled = compiled_engine(circuit, program)
    if name == COMPILED or circuit.qubits <= CLEARLY_COMPILED:
        return compiled
    return _quickest(compiled)


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


def _any_device(function: SampleFunction, why: str) -> Engine:
    """The first of the usual devices that can run it; raises CannotRunError, with all that was tried, if none can."""
    circuit, tried = function.circuit, [why]
    for name in _usual(circuit):
        try:
            return _device(circuit, name, {}, why)
        except (CannotRunError, ImportError) as error:
            tried.append(error.what if isinstance(error, CannotRunError) else f"{name}: {error}")
    raise CannotRunError("\n  ".join(tried), where="--device auto", fix="change what the reasons name")


def _usual(circuit: Circuit) -> tuple[str, ...]:
    if circuit.qubits > CLEARLY_COMPILED:
        return *RIVALS, FALLBACK
    return (FALLBACK, WITH_CHANNELS) if circuit.qubits <= MOST_QUBITS_MIXED else (FALLBACK,)


def _named(circuit: Circuit, name: str, options: Mapping[str, Any]) -> Engine:
    """The engine on a device that was asked for; where it cannot run the circuit, the error names one that can."""
    try:
        return _device(circuit, name, options, "asked for")
    except CannotRunError as error:
        error.fix = _alternative(circuit, name, options)
        raise


def _alternative(circuit: Circuit, name: str, options: Mapping[str, Any]) -> str:
    """What to do where a device cannot run a circuit; it has been tried."""
    own = {key: value for key, value in options.items() if key in ("shots", "noise", "strength")}
    exact = {key: value for key, value in own.items() if key != "shots"}
    text = ",".join(f"{key}={value}" for key, value in own.items())
    for device in _usual(circuit):
        if device != name and _runs(circuit, device, own):
            return f"use --device {device}" if not own else f"use --device '{device}[{text}]'"
    for device in (name, *_usual(circuit)) if own != exact else ():
        if _runs(circuit, device, exact):
            return "leave out shots" if device == name else f"leave out shots, and use --device {device}"
    return "choose another device, or auto"


def _runs(circuit: Circuit, name: str, options: Mapping[str, Any]) -> bool:
    try:
        DeviceRunner(circuit, name, options)
    except (ConfigError, ImportError):
        return False
    return True


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


def _disagreement(function: SampleFunction, program: Program) -> str:
    """Where the program differs from default.qubit, in values or gradients of samples; '' where it does not.

    Tracing sees one way through the quantum function and only torch's view of its numbers. A function that looks at
    values behind torch's back would be compiled wrongly: this finds out.
    """
    if function.circuit.qubits > MOST_QUBITS[EXACT]:
        return ""
    problem = Reference(function).disagreement(program.with_precision(double=True))
    return f"compiled, {problem}" if problem else ""
