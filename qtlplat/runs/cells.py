"""Which cells a run has, and which backbones they start from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from qtlplat.backbones.pretrain import make_split
from qtlplat.catalog.plan import RunPlan
from qtlplat.catalog.plugin_calls import evaluator_cells
from qtlplat.catalog.resolve import Resolved
from qtlplat.contracts import Cell, ImageSet, Samples, Split
from qtlplat.seeding import derive_seed, generator


@dataclass(frozen=True, eq=False)
class Pretraining:
    """A backbone that cells of a run start from. positions: of these cells; seed: of its pretraining.

    within: indices of the only samples that it may see, None for all; split: what trains, chooses and tests among them;
    index: which of the run's independent backbones it is, or belongs to; whose: '' where a run has one backbone only.
    """

    positions: tuple[int, ...]
    seed: int
    within: npt.NDArray[np.int64] | None
    split: Split
    index: int = 0
    whose: str = ""


def backbone_seed(seed: int, index: int) -> int:
    """The seed of one of several independent pretrainings; that of the first one is `seed` itself.

    The others are hashes of 62 bits: runs with seeds 0 and 1 share no backbone, and initialisation i has this seed + i.
    """
    return derive_seed("backbone", seed, index) >> 1 if index else seed


def planned_cells(
    resolved: Resolved, images: ImageSet, groups: tuple[str, ...]
) -> tuple[tuple[Cell, ...], tuple[Pretraining, ...]]:
    """The evaluator's cells, and the backbones that they start from. groups: the source of each sample.

    With several backbones the evaluator gives the cells of each, with the same seeds: backbones and cells are crossed.
    Of each backbone come first the cells with all their training samples, then those with smaller shares.

    Raises ConfigError if the data cannot be divided so, PluginError for cells that no honest training can use.
    """
    plan, evaluator = resolved.plan, resolved.specs["evaluator"].spec
    seeds = tuple(range(plan.seed, plan.seed + plan.seeds))
    cells: list[Cell] = []
    pretrainings: list[Pretraining] = []
    for index in range(plan.backbones):
        split = make_split(images.labels, groups, plan.pretraining, backbone_seed(plan.seed, index))
        samples = Samples(images.labels, groups, seeds, split)
        own = evaluator_cells(evaluator, resolved.options["evaluator"], samples, plan.evaluator.provider)
        own = tuple(_shortened(cell, images.labels, share) for share in reversed(plan.train_sizes) for cell in own)
        pretrainings += _pretrainings(own, plan, samples, index, len(cells))
        cells += own
    return tuple(cells), tuple(pretrainings)


def _shortened(cell: Cell, labels: npt.NDArray[np.int64], share: float) -> Cell:
    """A cell with a share of the training samples of each class, one at least; smaller shares are parts of larger."""
    if share == 1:
        return cell
    order = torch.randperm(len(cell.train), generator=generator("train size", cell.seed, cell.fold)).numpy()
    drawn = cell.train[order]
    classes = [drawn[labels[drawn] == label] for label in np.unique(labels[drawn])]
    kept = [own[: max(1, round(share * len(own)))] for own in classes]
    return replace(cell, train=np.sort(np.concatenate(kept)), share=share)


def _pretrainings(
    cells: Sequence[Cell], plan: RunPlan, samples: Samples, index: int, first: int
) -> Iterator[Pretraining]:
    """The backbones of cells; those that ask for none of their own share one, whatever their seeds.

    index: of the backbone; first: position of the first of these cells among all of the run.
    """
    shared: dict[tuple[int, bytes] | None, list[int]] = {}
    for position, cell in enumerate(cells, first):
        key = None if cell.backbone is None else (cell.seed, np.sort(cell.backbone).tobytes())
        shared.setdefault(key, []).append(position)
    for key, positions in shared.items():
        if key is None:
            seed, whose = backbone_seed(plan.seed, index), f" {index + 1} of {plan.backbones}"
            whose = whose if plan.backbones > 1 else ""
            yield Pretraining(tuple(positions), seed, None, samples.split, index, whose)
        else:
            seed, within = backbone_seed(key[0], index), np.frombuffer(key[1], dtype=np.int64)
            split = make_split(samples.labels, samples.groups, plan.pretraining, seed, within)
            whose = f" of cell {', '.join(map(str, positions))}"
            yield Pretraining(tuple(positions), seed, within, split, index, whose)
