"""What runs a head's circuit: chosen on the plan's device, or the compiled circuit that is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtlplat.catalog.device import AUTO, parse_device
from qtlplat.catalog.plan import RunPlan
from qtlplat.catalog.plugin_calls import declared_circuit
from qtlplat.catalog.resolve import Resolved
from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, PluginError
from qtlplat.plugin_modules import guarded_build
from qtlplat.quantum.devices.engine import CLEARLY_COMPILED, Engine
from qtlplat.runs.compiled_circuits import KeptCircuit
from qtlplat.specs import AnyHeadSpec


def choose_for(head: AnyHeadSpec, options: Any, plan: RunPlan) -> Engine | None:
    """What runs a head's circuit on the plan's device; None for a classical head.

    Raises ConfigError if the device cannot be had, PluginError if the circuit breaks its contract.
    """
    circuit = declared_circuit(head, options, plan.head.provider)
    return None if circuit is None else choose(circuit, plan)


def kept_or_chosen(resolved: Resolved, files: Path | None, *, keep: bool) -> Engine | None:
    """As `choose_for`; files: the store's, where a compiled circuit may be found, None to look nowhere."""
    plan, component = resolved.plan, resolved.specs["head"]
    circuit = declared_circuit(component.spec, resolved.options["head"], plan.head.provider)
    if circuit is None or files is None:
        return None if circuit is None else choose(circuit, plan)
    kept = KeptCircuit(files, component, plan.head.options, circuit, parse_device(plan.device))
    return kept.engine(lambda: choose(circuit, plan), keep=keep)


def choose(circuit: Circuit, plan: RunPlan) -> Engine:
    """What runs any circuit on the plan's device; raises as `choose_for`."""
    from qtlplat.quantum.devices.engines import choose_engine

    device, provider = parse_device(plan.device), plan.head.provider
    try:
        return guarded_build(
            lambda: choose_engine(circuit, device.name, device.options), provider, "running the circuit"
        )
    except ConfigError as error:
        if device.name != AUTO or circuit.qubits > CLEARLY_COMPILED:
            raise
        # left to choose, a small circuit falls back to a device that is always there: no device is at fault
        raise PluginError(f"the circuit cannot be run: {error.what}", where=provider, fix=error.fix) from error
