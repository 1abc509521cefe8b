"""Choosing the learning rate and the number of epochs of every head, by cross-validation within its training part.

Every variant of the head gets the same grid and the same inner folds, and no sample that the cell tests is used: the
outer scores stay unbiased (nested cross-validation; Varma & Simon, BMC Bioinformatics 7:91, 2006). All candidates are
trained in one stack.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from qtlplat.catalog.plan import TrainingOptions, TuningOptions
from qtlplat.contracts import Cell
from qtlplat.errors import ConfigError, TrainingError
from qtlplat.heads.fit import HeadTraining, Limits
from qtlplat.heads.lockstep import Schedule, Task
from qtlplat.seeding import derive_seed
from qtlplat.state.epochs import CellKey, TrainedEpoch


@dataclass(frozen=True)
class Candidate:
    """A learning rate that was tried for a cell. epochs: the best number of them.

    loss: mean cross-entropy of the inner folds after so many epochs, in nats; infinite if training diverged.
    """

    key: CellKey
    learning_rate: float
    epochs: int
    loss: float


def inner_cells(cell: Cell, labels: npt.NDArray[np.int64], groups: Sequence[str], folds: int) -> list[Cell]:
    """The training part of a cell as cells of its own, stratified.

    Groups are kept whole, unless that leaves a class out of a training part. labels: int64 (N,); groups: N names.
    Raises ConfigError if a class has fewer training samples than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    own, names = labels[cell.train], np.asarray(groups)[cell.train]
    classes, counts = np.unique(own, return_counts=True)
    seed = derive_seed("tuning", cell.seed, cell.fold)
    if counts.min() < folds:
        raise ConfigError(
            f"{folds} inner folds need as many training samples of every class; fold {cell.fold} has {counts.min()}",
            where="tuning.folds",
            fix="use more samples, or fewer folds, e.g. -S tuning.folds=2",
        )
    if all(len(np.unique(names[own == label])) >= folds for label in classes):
        parts = list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32).split(own, own, names))
    else:
        parts = []
    if not parts or any(len(np.unique(own[train])) < len(classes) for train, _ in parts):
        parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed % 2**32).split(own, own))
    return [Cell(fold, seed, cell.train[train], cell.train[test]) for fold, (train, test) in enumerate(parts)]


class Tuning:
    """Tries all candidates of some cells.

    tasks: the variants; cells: by number; features: (N, F) for every one of them; labels: the true classes (N,), which
    stratify the folds.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        cells: Mapping[int, Cell],
        features: Mapping[int, Tensor],
        labels: npt.NDArray[np.int64],
        groups: Sequence[str],
        options: TuningOptions,
        training: TrainingOptions,
        limits: Limits,
    ) -> None:
        self._options = options
        self._places: list[tuple[int, float]] = []  # cell and learning rate of each inner cell
        inner = []
        for number, cell in cells.items():
            for one in inner_cells(cell, labels, groups, options.folds):
                for rate in options.learning_rates:
                    self._places.append((number, rate))
                    inner.append(one)
        schedules = {
            CellKey(variant, i): Schedule(rate, options.epochs)
            for variant in range(len(tasks))
            for i, (_, rate) in enumerate(self._places)
        }
        own = [features[number] for number, _ in self._places]
        self._training = HeadTraining(tasks, inner, own, training, limits=limits, schedules=schedules, diverging=True)
        self._losses = np.full((len(tasks), len(inner), options.epochs), np.inf)

    @property
    def all_rows(self) -> int:
        """How many rows all epochs have."""
        return self._training.all_rows

    def run(self) -> Generator[TrainedEpoch | None]:
        """Train all candidates; yields as `HeadTraining.run`."""
        for epoch in self._training.run():
            for row in epoch.rows if epoch else ():
                loss = row.values["test_loss"]
                self._losses[row.key.variant, row.key.cell, row.epoch - 1] = loss if np.isfinite(loss) else np.inf
            yield epoch

    def candidates(self) -> list[Candidate]:
        """All of them, by key, then by learning rate. Raises TrainingError for a cell whose candidates all diverged."""
        found = []
        for variant, losses in enumerate(self._losses):
            by_cell: dict[int, dict[float, list[npt.NDArray[np.float64]]]] = {}
            for (number, rate), curve in zip(self._places, losses, strict=True):
                by_cell.setdefault(number, {}).setdefault(rate, []).append(curve)
            for number, rates in by_cell.items():
                means = {rate: np.mean(curves, axis=0) for rate, curves in rates.items()}
                if not any(np.isfinite(mean).any() for mean in means.values()):
                    raise TrainingError(
                        f"training diverges with every learning rate from {min(means):g} to {max(means):g}",
                        where=f"tuning of cell {number}",
                        fix="try lower ones, e.g. -S tuning.learning_rates=[1e-5,1e-4]",
                    )
                found += [
                    Candidate(CellKey(variant, number), rate, int(mean.argmin()) + 1, float(mean.min()))
                    for rate, mean in means.items()
                ]
        return found
