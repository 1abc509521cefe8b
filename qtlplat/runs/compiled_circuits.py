"""Compiled circuits of heads, compared with `default.qubit` once and found again next to the store, without PennyLane.

Only those of heads that declare to be self-contained. What decides a program is part of a file's name: the code of the
plugin and of qtlplat's compiler, options, versions of libraries, the processor and the numeric settings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from qtlplat.catalog.device import AUTO, COMPILED, DeviceChoice
from qtlplat.catalog.plan import canonical_json
from qtlplat.catalog.provider import Component
from qtlplat.contracts import Circuit
from qtlplat.errors import StoreError
from qtlplat.quantum.compiler.packing import packed, unpacked
from qtlplat.quantum.compiler.program import Program
from qtlplat.quantum.devices.engine import CLEARLY_COMPILED, Engine, compiled_engine
from qtlplat.runs.numerics import numerics
from qtlplat.runs.prepared_images import library_versions
from qtlplat.specs import QuantumHeadSpec
from qtlplat.store.core.files import write_atomically

FOLDER = "circuits"
MOST_BYTES = 2**24  # of a program that is kept
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class KeptCircuit:
    """A head's circuit on a device, as it is or will be kept.

    files: the store's directory of files; options: of the head, as a plan keeps them; circuit: as it declares it.
    """

    files: Path
    component: Component[Any]
    options: Mapping[str, Any]
    circuit: Circuit
    device: DeviceChoice

    @property
    def may_be_kept(self) -> bool:
        """Whether the head says that nothing else decides its circuit, and nothing has to be measured to choose."""
        spec = self.component.spec
        certain = self.device.name == COMPILED or (self.device.name == AUTO and self.circuit.qubits <= CLEARLY_COMPILED)
        return isinstance(spec, QuantumHeadSpec) and spec.self_contained and bool(self.component.digest) and certain

    def engine(self, choose: Callable[[], Engine], *, keep: bool) -> Engine:
        """The engine of the kept program, else the chosen one. keep: whether that may be kept for next time."""
        if not self.may_be_kept:
            return choose()
        found = self._read()
        if found is not None:
            return found
        engine = choose()
        if keep and isinstance(engine.run, Program):
            self._write(engine.run, engine.not_differentiated)
        return engine

    def _read(self) -> Engine | None:
        """None if there is no such file, or it is not what was written."""
        try:
            seal, _, content = self._path.read_bytes().partition(b"\n")
            if seal.decode() != hashlib.sha256(content).hexdigest():
                return None
            told, _, program = content.partition(b"\n")
            key, hidden = json.loads(told)
            if key != self._path.stem:
                return None
            return compiled_engine(self.circuit, unpacked(program), tuple(map(str, hidden)))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, program: Program, not_differentiated: tuple[str, ...]) -> None:
        data = packed(program)
        if data is None or len(data) > MOST_BYTES:
            return
        content = json.dumps([self._path.stem, not_differentiated]).encode() + b"\n" + data
        # what cannot be kept is compiled again the next time
        with suppress(StoreError):
            write_atomically(self._path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)

    @cached_property
    def _path(self) -> Path:
        provider = self.component.provider.distribution
        circuit = self.circuit
        facts = {
            "head": self.component.spec.name,
            "provider": provider,
            "code": [self.component.digest, _own_code()],
            "options": dict(self.options),
            "circuit": [circuit.qubits, circuit.n_inputs, circuit.n_outputs, list(map(float, circuit.initial_range))],
            "weights": [[name, list(shape)] for name, shape in circuit.weight_shapes.items()],
            "device": [self.device.name, dict(self.device.options)],
            "versions": {**library_versions("pennylane"), **library_versions(provider)},
            "numerics": {**numerics("cpu"), "vector instructions": torch.backends.cpu.get_cpu_capability()},
        }
        return self.files / FOLDER / f"{hashlib.sha256(canonical_json(facts).encode()).hexdigest()}.json"


def _own_code() -> str:
    """Digest of qtlplat's own modules that make a program of a circuit, or read one."""
    total = hashlib.sha256()
    for path in sorted([*ROOT.glob("*.py"), *ROOT.glob("compile/*.py"), *ROOT.glob("quantum/**/*.py"), Path(__file__)]):
        total.update(path.read_bytes())
    return total.hexdigest()
