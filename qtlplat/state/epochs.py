"""What an epoch of training leaves behind: plain numbers, of heads and of backbones alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CellEpoch:
    """One trained epoch of one cell. position: of the cell in the run; values: losses in nats, accuracies."""

    position: int
    epoch: int
    seconds: float
    values: dict[str, float]
