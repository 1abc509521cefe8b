"""Whether the training of a head fits into memory, decided before anything is allocated."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from qtlplat.errors import ConfigError
from qtlplat.quantum.engines import Engine
from qtlplat.training.fit import EVALUATION_ROWS, Limits

USABLE_SHARE = 0.7  # of the free memory: the estimate is one, and others use the machine too
CONTROL_GROUP = Path("/sys/fs/cgroup")


def limits(
    engine: Engine | None, *, n_cells: int, batch: int, n_in: int, n_samples: int, device: torch.device
) -> Limits:
    """How many of `n_cells` cells go into one stack, and how many rows into one evaluation step.

    n_in: F, features per sample; n_samples: N, whose features are in memory as well. Raises ConfigError, with the
    arithmetic, where not even one cell fits.
    """
    free = free_bytes(device)
    features = n_samples * n_in * 4
    usable = free * USABLE_SHARE - features
    batch_rows = batch * n_in * 4 * 3  # features of the batch, once more in the first layer's gradient, and its weights
    circuit = engine.bytes(batch) if engine else 0
    per_cell = max(1, batch_rows + circuit)
    if usable < per_cell:
        raise ConfigError(_arithmetic(engine, batch, circuit, features, free), where="memory", fix=_fix(engine))
    cells = min(n_cells, int(usable // per_cell))
    per_row = engine.bytes(1, gradients=False) if engine else 0
    rows = int(usable // (cells * max(1, per_row + 4 * n_in)))
    return Limits(cells=cells, rows=max(1, min(EVALUATION_ROWS, rows)))


def _arithmetic(engine: Engine | None, batch: int, circuit: int, features: int, free: float) -> str:
    text = [f"training one head does not fit into memory: {_text(free)} are free, of which {USABLE_SHARE:.0%} are used"]
    text.append(f"  features of all samples: {_text(features)}")
    if engine:
        qubits = engine.circuit.qubits
        states = circuit / (batch * 2**qubits)
        text.append(
            f"  circuit on {engine.name}: 2^{qubits} amplitudes x {batch} samples x {states:.0f} bytes "
            f"(kept for the gradient) = {_text(circuit)}"
        )
    return "\n".join(text)


def _fix(engine: Engine | None) -> str:
    if engine is None:
        return "use smaller batches, -S training.batch_size=16"
    return "use fewer qubits, smaller batches (-S training.batch_size=16), or --device lightning.qubit"


def _text(size: float) -> str:
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
