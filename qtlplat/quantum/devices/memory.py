"""How much memory a circuit takes, estimated before anything is allocated."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

from qtlplat.contracts import Circuit
from qtlplat.quantum.compiler.layout import Layer
from qtlplat.quantum.compiler.program import Program
from qtlplat.quantum.compiler.schedule import Dense, Diagonal

USABLE_SHARE = 0.7  # of the free memory: an estimate is one, and others use the machine too
CONTROL_GROUP = Path("/sys/fs/cgroup")
OPERATIONS_PER_QUBIT = 8  # a guess at the gates of a circuit that runs on a device, whose tape is not looked at


def program_bytes(program: Program, rows: int, *, gradients: bool) -> int:
    """Bytes for states of `rows` samples: those kept for the backward pass, and what one operation needs."""
    states = saved_states(program) if gradients else 0
    return int((states + 4) * rows * 2**program.qubits * _amplitude_bytes(program)) + program.table_bytes


def saved_states(program: Program) -> float:
    """How many states the backward pass needs, in states."""
    saved = 2.0  # the product state, the measurement
    product = program.layout.product
    if product is not None and product.columns is None:
        saved += program.qubits  # real states, twice for each angle's derivative
    for step in program.layout.steps:
        if isinstance(step, Layer):
            saved += 2 * len(program.groups) if len(program.groups) > 1 else 1
        elif isinstance(step, Diagonal):
            saved += 3 if step.of_inputs else 1
        elif isinstance(step, Dense):
            saved += 3
        else:
            saved += 1
    return saved


def _amplitude_bytes(program: Program) -> int:
    return program.dtype.itemsize * (1 if program.real else 2)


def device_bytes(circuit: Circuit, rows: int, *, gradients: bool, one_by_one: bool = False) -> int:
    """Bytes on a PennyLane simulator, with complex128 states.

    one_by_one: samples are run in turn and differentiated by the adjoint method, which keeps a few states at most;
    otherwise a state of every sample is kept for each gate where gradients are wanted.
    """
    weights = sum(math.prod(shape) for shape in circuit.weight_shapes.values())
    kept = circuit.n_inputs + weights + OPERATIONS_PER_QUBIT * circuit.qubits if gradients else 4
    states = 8 if one_by_one else kept * rows
    return int(states * 2**circuit.qubits * 16)


def compiling_bytes(circuit: Circuit) -> int:
    """Bytes for the tables of a program: a row of 2^Q numbers for every output, in double precision, a few times."""
    return int(48 * (circuit.n_outputs + circuit.n_inputs) * 2**circuit.qubits)


def size_text(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def free_bytes(device: torch.device) -> int:
    """Free memory of the device: of the GPU, or of this machine and the container that we may be in."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return min(_machine(), _container())


def _machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _container() -> int:
    """What the control group still allows; file caches count as free."""
    try:
        most = (CONTROL_GROUP / "memory.max").read_text().strip()
        used = int((CONTROL_GROUP / "memory.current").read_text())
        statistics = dict(line.split() for line in (CONTROL_GROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return 2**62
    if most == "max":
        return 2**62
    return max(0, int(most) - used + int(statistics.get("inactive_file", 0)))
