"""What an epoch of training leaves behind: plain numbers, of heads and of backbones alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qtlplat.state.snapshots import Snapshot


class CellKey(NamedTuple):
    """Which cell of a run is trained, and which variant of its head; ordered as the run's cells are stored.

    variant: 0 is the head itself, or a backbone, the others are its controls; cell: of the evaluator, or the
    initialisation of a backbone.
    """

    variant: int
    cell: int

    def position(self, cells: int) -> int:
        """Its place among the stored cells of a run that has so many per variant."""
        return self.variant * cells + self.cell


@dataclass(frozen=True)
class CellEpoch:
    """One trained epoch of one cell. values: losses in nats, accuracies."""

    key: CellKey
    epoch: int
    seconds: float
    values: dict[str, float]


@dataclass(frozen=True)
class TrainedEpoch:
    """What training yields after each epoch.

    rows: one for each cell that is trained in lockstep; snapshot: takes a snapshot of training as it is now, to resume
    from; to be called before the next epoch begins.
    """

    rows: Sequence[CellEpoch]
    snapshot: Callable[[], Snapshot]
