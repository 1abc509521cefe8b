"""Whether the training of a head fits into memory, decided before anything is allocated."""

from __future__ import annotations

import torch

from qtlplat.errors import ConfigError
from qtlplat.heads.fit import Limits
from qtlplat.heads.lockstep import EVALUATION_ROWS
from qtlplat.quantum.devices.engine import Engine
from qtlplat.quantum.devices.memory import USABLE_SHARE, free_bytes, size_text


def limits(
    engine: Engine | None,
    *,
    n_cells: int,
    batch: int,
    in_features: int,
    n_samples: int,
    device: torch.device,
    n_variants: int = 1,
) -> Limits:
    """How many of `n_cells` cells go into one stack, and how many rows into one evaluation step.

    in_features: F, features per sample; n_samples: N, whose features are in memory as well; n_variants: of the head,
    which are trained in lockstep and share a batch. Raises ConfigError, with the arithmetic, if not even one cell fits.
    """
    free = free_bytes(device)
    features = n_samples * in_features * 4
    usable = free * USABLE_SHARE - features
    batch_rows = (
        batch * in_features * 4 * 3
    )  # features of the batch, once more in the first layer's gradient, and its weights
    circuit = engine.bytes(batch) * n_variants if engine else 0
    per_cell = max(1, batch_rows + circuit)
    if usable < per_cell:
        raise ConfigError(_arithmetic(engine, batch, circuit, features, free), where="memory", fix=_fix(engine))
    cells = min(n_cells, int(usable // per_cell))
    per_row = engine.bytes(1, gradients=False) if engine else 0
    rows = int(usable // (cells * max(1, per_row + 4 * in_features)))
    return Limits(cells=cells, rows=max(1, min(EVALUATION_ROWS, rows)))


def _arithmetic(engine: Engine | None, batch: int, circuit: int, features: int, free: float) -> str:
    text = [
        f"training one head does not fit into memory: {size_text(free)} are free, of which {USABLE_SHARE:.0%} are used"
    ]
    text.append(f"  features of all samples: {size_text(features)}")
    if engine:
        qubits = engine.circuit.qubits
        states = circuit / (batch * 2**qubits)
        text.append(
            f"  circuit on {engine.name}: 2^{qubits} amplitudes x {batch} samples x {states:.0f} bytes "
            f"(kept for the gradient) = {size_text(circuit)}"
        )
    return "\n".join(text)


def _fix(engine: Engine | None) -> str:
    if engine is None:
        return "use smaller batches, -S training.batch_size=16"
    return "use fewer qubits, smaller batches (-S training.batch_size=16), or --device lightning.qubit"
