"""Heads trained in lockstep: the same cells, the same batches, one or several variants of the head.

A batch is gathered once for all variants. Each of them has its own weights, optimizer and random numbers, so its
results do not depend on the others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from qtlplat.backbones.batches import split_order
from qtlplat.contracts import Cell
from qtlplat.errors import TrainingError
from qtlplat.heads.stack import HeadTrainer, SingleHead, StackedHeads
from qtlplat.heads.stack_pool import StackPool
from qtlplat.plugin_modules import Surroundings
from qtlplat.seeding import derive_seed, generator, seed_torch
from qtlplat.state import snapshots
from qtlplat.state.epochs import CellEpoch, CellKey
from qtlplat.state.snapshots import Snapshot

EVALUATION_ROWS = 2048  # rows of a cell per evaluation step
GATHERED_BYTES = 256_000_000  # test rows are gathered once for all epochs where they take no more than this


@dataclass(frozen=True)
class Task:
    """One variant of the head, to be trained on all cells.

    make_head: returns a head (B, F) -> logits (B, K), torch's global generator being seeded from (cell.seed,
    cell.fold); labels: int64 (N,), on the features' device; stack: whether its cells can share a step; smallest: batch
    that it can be trained on; pool: stacks of earlier trainings of the same head.
    """

    make_head: Callable[[], nn.Module]
    labels: Tensor
    stack: bool = True
    smallest: int = 1
    pool: StackPool = field(default_factory=StackPool)


@dataclass(frozen=True)
class Round:
    """What is trained in lockstep: cells and tasks, by their numbers; stack: whether the cells share a step.

    All cells have the same number of steps per epoch; without a stack it is one.
    """

    tasks: Mapping[int, Task]
    cells: Mapping[int, Cell]
    stack: bool

    @property
    def keys(self) -> list[CellKey]:
        """Of all that is trained, in the order of an epoch's rows."""
        return [CellKey(variant, number) for variant in self.tasks for number in self.cells]


@dataclass(frozen=True)
class Schedule:
    """How a cell is trained. learning_rate: of Adam; epochs: after so many its head stays as it is."""

    learning_rate: float
    epochs: int

    def rate(self, epoch: int) -> float:
        """The learning rate in an epoch, 0 after the last one."""
        return self.learning_rate if epoch <= self.epochs else 0.0


@dataclass(frozen=True)
class FittedCell:
    """A trained cell. state: the head's state_dict; probabilities: float64 (n_test, K), rows as in the cell's test."""

    key: CellKey
    state: dict[str, Tensor]
    probabilities: npt.NDArray[np.float64]
    seconds: float


@dataclass(frozen=True)
class Data:
    """What all rounds share. features: float32 (N, F) for every cell, where it is computed; rows per step.

    Cells that start from the same backbone have the same tensor.
    """

    features: Sequence[Tensor]
    batch_size: int
    evaluation_rows: int = EVALUATION_ROWS


@dataclass(eq=False)
class _Variant:
    """The heads of one task on the cells of a round. number: of the task; targets: one-hot (N, K)."""

    number: int
    pool: StackPool
    trainee: HeadTrainer
    targets: Tensor
    schedules: list[Schedule]
    seconds: float = 0.0
    sums: Tensor = field(default_factory=lambda: torch.zeros(0))


class LockstepTrainer:
    """The heads of a round, C cells for one or several tasks.

    schedules: by key; diverging: whether losses may stop being finite.
    """

    def __init__(
        self,
        together: Round,
        data: Data,
        schedules: Mapping[CellKey, Schedule],
        on_note: Callable[[str], None],
        *,
        diverging: bool = False,
    ) -> None:
        self.data, self.stack, self.diverging = data, together.stack, diverging
        self.numbers, self.cells = list(together.cells), list(together.cells.values())
        self.features = [data.features[number] for number in self.numbers]  # (N, F), by cell
        self.shared = all(features is self.features[0] for features in self.features)
        self.surroundings = Surroundings()
        self.smallest = max(task.smallest for task in together.tasks.values())
        self.variants: list[_Variant] = []
        for number, task in together.tasks.items():
            heads = []
            for cell in self.cells:
                seed_torch(derive_seed("head", cell.seed, cell.fold))
                heads.append(task.make_head().to(self.features[0].device))
            own = [schedules[CellKey(number, cell)] for cell in self.numbers]
            first = own[0].learning_rate
            trainee = task.pool.stack(heads, first, on_note) if self.stack else SingleHead(heads[0], first)
            self.variants.append(_Variant(number, task.pool, trainee, one_hot(task.labels).to(self.features[0]), own))
        tests = [torch.from_numpy(cell.test.copy()) for cell in self.cells]
        longest = max(len(test) for test in tests)
        chunks = -(-longest // data.evaluation_rows)
        self.test, self.test_mask = _padded(tests, -(-longest // chunks) * chunks if self.stack else longest)
        self.test_chunks = chunks
        gathered = self.test.numel() * self.features[0].shape[1] * self.features[0].element_size()
        self.places = next(iter(together.tasks.values())).pool.places
        self.gathered = list(self._test_rows()) if gathered <= GATHERED_BYTES else None

    def epoch(self, epoch: int) -> Generator[None, None, list[CellEpoch]]:
        """Train one epoch and evaluate; batches and random numbers depend on (seed, cell, epoch, step) alone.

        Yields after each step, where stopping does no harm; returns a row per key of the round that is still trained.
        """
        started = time.perf_counter()
        first = self.cells[0]
        self._reseed(epoch)
        for variant in self.variants:
            variant.sums = torch.zeros(2, len(self.cells), dtype=torch.float64)
            variant.trainee.learn_at([schedule.rate(epoch) for schedule in variant.schedules])
        own = [0.0] * len(self.variants)
        order, mask, size = self._order(epoch)
        batches = (split_order(whole, size, self.smallest, dim=1) for whole in (order, mask))
        for step, (rows, weight) in enumerate(zip(*batches, strict=True)):
            # Every batch of one shape in the same memory: a traced step reads it there.
            features = self._gather(rows, self._batch_place(rows))
            counted, seed = weight.to(features), derive_seed("dropout", first.seed, first.fold, epoch, step)
            where = rows.to(features.device)
            for number, variant in enumerate(self.variants):
                begun = time.perf_counter()
                seed_torch(seed)
                measured = variant.trainee.step(features, variant.targets[where], counted).cpu()
                if not (self.diverging or math.isfinite(float(measured[0].sum()))):
                    self._refuse(variant, measured[0], epoch, step + 1)
                variant.sums += measured
                own[number] += time.perf_counter() - begun
            yield
        self.surroundings.put_back()
        shared = (time.perf_counter() - started - sum(own)) / len(self.variants)
        return [
            row
            for variant, seconds in zip(self.variants, own, strict=True)
            for row in self._measured(variant, epoch, seconds + shared, mask)
        ]

    def result(self) -> list[FittedCell]:
        """States and test probabilities of all cells of all tasks."""
        self._reseed(0)
        return [
            FittedCell(
                CellKey(variant.number, number),
                state,
                probabilities[: int(counted.sum())],
                variant.seconds / len(self.cells),
            )
            for variant in self.variants
            for number, state, probabilities, counted in zip(
                self.numbers,
                variant.trainee.states(),
                self._logits(variant).double().softmax(-1).numpy(),
                self.test_mask,
                strict=True,
            )
        ]

    def release(self) -> None:
        """Leave the traced steps to the next training; nothing is trained or asked of this one any more."""
        for variant in self.variants:
            if isinstance(variant.trainee, StackedHeads):
                variant.pool.give_back(variant.trainee)

    @property
    def classes(self) -> int:
        """K."""
        return self.variants[0].targets.shape[1]

    def save(self) -> Snapshot:
        """All that training changes."""
        tensors = {
            f"{number}.{name}": tensor
            for number, variant in enumerate(self.variants)
            for name, tensor in variant.trainee.save().items()
        }
        return Snapshot(tensors, {"seconds": [variant.seconds for variant in self.variants]})

    def load(self, saved: Snapshot) -> None:
        """Continue from the state that `save` returned, bit for bit."""
        for number, (variant, seconds) in enumerate(zip(self.variants, saved.facts["seconds"], strict=True)):
            variant.trainee.load(saved.part(str(number)))
            variant.seconds = snapshots.seconds(seconds)

    def _reseed(self, epoch: int) -> None:
        """Let the shots of an epoch, or (0) those of the final evaluation, follow from it and the cell's seed alone."""
        first = self.cells[0]
        for variant in self.variants:
            seed_torch(derive_seed("shots", first.seed, first.fold, epoch))
            variant.trainee.reseed()

    def _order(self, epoch: int) -> tuple[Tensor, Tensor, int]:
        """Training rows of every cell (C, n) in the order of an epoch, their weights, and how many make a batch."""
        orders = []
        for cell in self.cells:
            shuffled = torch.randperm(len(cell.train), generator=generator("order", cell.seed, cell.fold, epoch))
            orders.append(torch.from_numpy(cell.train)[shuffled])
        longest = max(len(order) for order in orders)
        size = min(self.data.batch_size, longest)
        # Batches of one size need one traced program; the filling has weight 0 and changes no sum.
        return *_padded(orders, -(-longest // size) * size if self.stack else longest), size

    def _measured(self, variant: _Variant, epoch: int, seconds: float, mask: Tensor) -> list[CellEpoch]:
        started = time.perf_counter()
        train_loss, train_hits = variant.sums / mask.sum(1)
        test_loss, test_hits = self._evaluate(variant) / self.test_mask.sum(1)
        elapsed = seconds + time.perf_counter() - started
        variant.seconds += elapsed
        columns = {
            "train_loss": train_loss,
            "train_accuracy": train_hits,
            "test_loss": test_loss,
            "test_accuracy": test_hits,
        }
        return [
            CellEpoch(
                CellKey(variant.number, number),
                epoch,
                elapsed / len(self.cells),
                {name: float(values[i]) for name, values in columns.items()},
            )
            for i, number in enumerate(self.numbers)
            if epoch <= variant.schedules[i].epochs
        ]

    def _test_rows(self) -> Iterator[Tensor]:
        for rows in self.test.chunk(self.test_chunks, dim=1):
            yield self._gather(rows, self._place(rows))

    def _place(self, rows: Tensor) -> Tensor:
        """Memory for features (C, n, F) of rows (C, n)."""
        return self.features[0].new_empty(*rows.shape, self.features[0].shape[1])

    def _batch_place(self, rows: Tensor) -> Tensor:
        """As `_place`, the same for all batches of a shape."""
        like = self.features[0]
        key = torch.Size((*rows.shape, like.shape[1])), like.dtype, like.device
        if key not in self.places:
            self.places[key] = self._place(rows)
        return self.places[key]

    def _gather(self, rows: Tensor, place: Tensor) -> Tensor:
        """Features (C, n, F) of rows (C, n), in the memory that is given."""
        rows = rows.to(place.device)
        if self.shared:
            torch.index_select(self.features[0], 0, rows.reshape(-1), out=place.view(rows.numel(), -1))
        else:
            for features, own, into in zip(self.features, rows, place, strict=True):
                torch.index_select(features, 0, own, out=into)
        return place

    def _logits(self, variant: _Variant) -> Tensor:
        """Logits (C, n, K) of the test rows, on the CPU."""
        parts = [variant.trainee.logits(features).cpu() for features in self.gathered or self._test_rows()]
        return torch.cat(parts, dim=1)

    def _evaluate(self, variant: _Variant) -> Tensor:
        """Sums (2, C), float64, over the test rows of each cell: cross-entropy, right answers."""
        logits = self._logits(variant).double()
        targets = variant.targets.cpu()[self.test].double()
        losses = -(logits.log_softmax(-1) * targets).sum(-1)
        hits = logits.argmax(-1) == targets.argmax(-1)
        return torch.stack([losses, hits.double()]).mul(self.test_mask).sum(-1)

    def _refuse(self, variant: _Variant, loss: Tensor, epoch: int, step: int) -> None:
        index = int((~torch.isfinite(loss)).nonzero()[0])
        cell, key = self.cells[index], CellKey(variant.number, self.numbers[index])
        where = f"cell {key.position(len(self.data.features))} (fold {cell.fold}, seed {cell.seed})"
        state: dict[str, Any] = variant.trainee.states()[index]
        broken = next((name for name, tensor in state.items() if not torch.isfinite(tensor).all()), "the logits")
        raise TrainingError(
            f"the loss became {float(loss[index])} in {broken}",
            where=f"{where}, epoch {epoch}, step {step}",
            fix="lower the learning rate, e.g. -S training.learning_rate=1e-4",
        )


def _padded(orders: Sequence[Tensor], width: int) -> tuple[Tensor, Tensor]:
    """Index lists of unequal length as one (C, width) tensor, and a float64 mask that is 0 if it was filled up."""
    rows = torch.stack([torch.cat([o, o[:1].expand(width - len(o))]) for o in orders])
    lengths = torch.tensor([len(o) for o in orders])
    return rows, (torch.arange(width) < lengths[:, None]).double()
