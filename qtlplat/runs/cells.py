"""Which cells a run has, and which backbones they start from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtlplat.backbones.pretrain import make_split
from qtlplat.catalog.plan import RunPlan
from qtlplat.catalog.plugin_calls import evaluator_cells
from qtlplat.catalog.resolve import Resolved
from qtlplat.contracts import Cell, ImageSet, Samples, Split


@dataclass(frozen=True, eq=False)
class Pretraining:
    """A backbone that cells of a run start from. positions: of these cells; seed: of its pretraining.

    within: indices of the only samples that it may see, None for all; split: what trains, chooses and tests among them.
    """

    positions: tuple[int, ...]
    seed: int
    within: npt.NDArray[np.int64] | None
    split: Split

    @property
    def whose(self) -> str:
        """'' for the backbone that the cells of a run share, else whose it is."""
        return "" if self.within is None else f" of cell {', '.join(map(str, self.positions))}"


def planned_cells(
    resolved: Resolved, images: ImageSet, groups: tuple[str, ...]
) -> tuple[tuple[Cell, ...], tuple[Pretraining, ...]]:
    """The evaluator's cells, and the backbones that they start from. groups: the source of each sample.

    Raises ConfigError if the data cannot be divided so, PluginError for cells that no honest training can use.
    """
    plan, evaluator = resolved.plan, resolved.specs["evaluator"].spec
    split = make_split(images.labels, groups, plan.pretraining, plan.seed)
    samples = Samples(images.labels, groups, tuple(range(plan.seed, plan.seed + plan.seeds)), split)
    cells = evaluator_cells(evaluator, resolved.options["evaluator"], samples, plan.evaluator.provider)
    return cells, tuple(_pretrainings(cells, plan, samples))


def _pretrainings(cells: Sequence[Cell], plan: RunPlan, samples: Samples) -> Iterator[Pretraining]:
    """The backbones of cells; those that ask for none of their own share the plan's, whatever their seeds."""
    shared: dict[tuple[int, bytes] | None, list[int]] = {}
    for position, cell in enumerate(cells):
        key = None if cell.backbone is None else (cell.seed, np.sort(cell.backbone).tobytes())
        shared.setdefault(key, []).append(position)
    for key, positions in shared.items():
        if key is None:
            yield Pretraining(tuple(positions), plan.seed, None, samples.split)
        else:
            seed, within = key[0], np.frombuffer(key[1], dtype=np.int64)
            split = make_split(samples.labels, samples.groups, plan.pretraining, seed, within)
            yield Pretraining(tuple(positions), seed, within, split)
