"""Training heads on frozen features: all cells of a run, and all variants of its head, at once.

Cells whose epochs have equally many steps are stacked: one vectorised forward and backward serves them all, each
with its own weights, batches and optimizer state, so the result is that of training them one by one (but for dropout,
whose masks are drawn for the whole stack). A head that cannot be vectorised trains cell by cell.
No storage here: a generator yields epochs, each with a function that takes a snapshot to resume from.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor, nn

from qtlplat.catalog.plan import TrainingOptions
from qtlplat.contracts import Cell
from qtlplat.heads.lockstep import EVALUATION_ROWS, Data, FittedCell, LockstepTrainer, Round, Schedule, Task
from qtlplat.heads.stack import why_not_vectorisable
from qtlplat.plugin_modules import called
from qtlplat.quantum.devices.threads import torch_threads
from qtlplat.seeding import isolated_rng, seed_torch
from qtlplat.state.epochs import CellKey, TrainedEpoch
from qtlplat.state.snapshots import (
    Snapshot,
    below,
    count,
    fitting,
    require,
    require_like,
    require_probabilities,
    require_same,
    seconds,
)


@dataclass(frozen=True)
class Limits:
    """What fits into memory. cells: most of them in one stack; rows: most rows of a cell in one evaluation step."""

    cells: int = 10_000
    rows: int = EVALUATION_ROWS


class HeadTraining:
    """Trains one fresh head per task and cell with Adam on the cross-entropy.

    tasks: the variants of the head; cells: those of the evaluator; features: float32 (N, F) for every cell, on the
    device to compute on, the same tensor for cells that start from the same backbone; schedules: of the cells that have
    their own; diverging: whether losses may stop being finite; on_note: told what a user should know.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        cells: Sequence[Cell],
        features: Sequence[Tensor],
        options: TrainingOptions,
        *,
        limits: Limits = Limits(),
        schedules: Mapping[CellKey, Schedule] = MappingProxyType({}),
        diverging: bool = False,
        on_note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._tasks, self._cells = tasks, cells
        self._data = Data(features, options.batch_size, limits.rows)
        self._diverging, self._on_note = diverging, on_note
        usual = Schedule(options.learning_rate, options.epochs)
        keys = (CellKey(variant, cell) for variant in range(len(tasks)) for cell in range(len(cells)))
        self._schedules = {key: schedules.get(key, usual) for key in keys}
        self._rounds = list(_rounds(tasks, cells, options.batch_size, limits.cells))
        self._now = _Place()

    @property
    def all_rows(self) -> int:
        """How many rows all epochs have."""
        return sum(schedule.epochs for schedule in self._schedules.values())

    @property
    def rows(self) -> int:
        """How many rows all epochs so far have had, including those before a restored snapshot."""
        return self._rows(self._now)

    @property
    def fitted(self) -> list[FittedCell]:
        """The cells whose training has ended, by key."""
        return sorted(self._now.fitted, key=lambda one: one.key)

    def run(self) -> Generator[TrainedEpoch | None]:
        """Train to the end; yields None after each step, where stopping does no harm, and each epoch as it ends.

        A caller that stops must close the generator: inside, random numbers and threads are those of the training.
        Raises TrainingError at the first loss that is not finite.
        """
        now = self._now
        with isolated_rng(), torch_threads(1):
            while now.round < len(self._rounds):
                trainer = now.trainer = now.trainer or self._trainer(now.round)
                while now.epoch < self._epochs(now.round):
                    rows = yield from trainer.epoch(now.epoch + 1)
                    now.epoch += 1
                    yield TrainedEpoch(rows, lambda: self._snapshot(now))
                now.fitted += trainer.result()
                trainer.release()
                now.round, now.epoch, now.trainer = now.round + 1, 0, None

    def restore(self, start: Snapshot) -> None:
        """Let `run` resume from a snapshot of this training; raises UnfitError, and changes nothing, for others."""
        with fitting():
            number = count(start.facts, "round", 0, len(self._rounds) - 1)
            epoch = count(start.facts, "epoch", 1, self._epochs(number))
            now = _Place(number, epoch, _ended(start, self._rounds[:number]))
        with isolated_rng(), torch_threads(1):
            now.trainer = self._trainer(now.round)
            with fitting():
                now.trainer.load(Snapshot(start.part("now"), start.facts["now"]))
                fresh = [_state_of(task) for task in self._tasks] if now.fitted else []
                for one in now.fitted:
                    tested = len(self._cells[one.key.cell].test)
                    require_probabilities(torch.from_numpy(one.probabilities), tested, now.trainer.classes)
                    require_like(one.state, fresh[one.key.variant], "the heads of cells that had ended")
                require_same(start, self._snapshot(now))
        self._now = now

    def _trainer(self, number: int) -> LockstepTrainer:
        return LockstepTrainer(
            self._rounds[number], self._data, self._schedules, self._on_note, diverging=self._diverging
        )

    def _epochs(self, number: int) -> int:
        """Of a round."""
        return max(self._schedules[key].epochs for key in self._rounds[number].keys)

    def _rows(self, now: _Place) -> int:
        ended = sum(self._schedules[key].epochs for one in self._rounds[: now.round] for key in one.keys)
        current = self._rounds[now.round].keys if now.epoch else []
        return ended + sum(min(now.epoch, self._schedules[key].epochs) for key in current)

    def _snapshot(self, now: _Place) -> Snapshot:
        """Training after an epoch: the cells that have ended, and those in training."""
        assert now.trainer is not None
        current = now.trainer.save()
        tensors: dict[str, Tensor] = {}
        for one in now.fitted:
            name = _name(one.key)
            tensors |= below(f"ended.{name}.state", one.state)
            tensors[f"ended.{name}.probabilities"] = torch.from_numpy(one.probabilities.copy())
        facts = {
            "round": now.round,
            "epoch": now.epoch,
            "rows": self._rows(now),
            "ended": {_name(one.key): one.seconds for one in now.fitted},
            "now": dict(current.facts),
        }
        return Snapshot({**tensors, **{f"now.{name}": tensor for name, tensor in current.tensors.items()}}, facts)


@dataclass
class _Place:
    """Where training is. round: its number; epoch: trained of it; fitted: the cells of the rounds before it."""

    round: int = 0
    epoch: int = 0
    fitted: list[FittedCell] = field(default_factory=list)
    trainer: LockstepTrainer | None = None


def _rounds(tasks: Sequence[Task], cells: Sequence[Cell], batch_size: int, most: int) -> Iterator[Round]:
    """What is trained together, one after another: stacks of cells, then the cells of tasks that cannot be stacked."""
    stackable = {number: task for number, task in enumerate(tasks) if task.stack}
    alone: dict[int, dict[int, Task]] = {}  # those with the same batches
    for number, task in enumerate(tasks):
        if not task.stack:
            alone.setdefault(task.smallest, {})[number] = task
    groups: dict[int, list[int]] = {}
    for number, cell in enumerate(cells):
        groups.setdefault(-(-len(cell.train) // batch_size), []).append(number)
    if stackable:
        for group in groups.values():
            for i in range(0, len(group), most):
                yield Round(stackable, {number: cells[number] for number in group[i : i + most]}, stack=True)
    for together in alone.values():
        for number, cell in enumerate(cells):
            yield Round(together, {number: cell}, stack=False)


def _name(key: CellKey) -> str:
    """Of a cell in snapshots."""
    return f"{key.variant}-{key.cell}"


def _ended(start: Snapshot, rounds: Sequence[Round]) -> list[FittedCell]:
    """The cells that had ended with these rounds, in their order."""
    keys = {_name(key): key for one in rounds for key in one.keys}
    require(keys.keys() == start.facts["ended"].keys(), "other cells had ended")
    return [
        FittedCell(
            key,
            start.part(f"ended.{name}.state"),
            start.tensors[f"ended.{name}.probabilities"].numpy(),
            seconds(start.facts["ended"][name]),
        )
        for name, key in keys.items()
    ]


def _state_of(task: Task) -> dict[str, Tensor]:
    """The state of a fresh head, by the names that its trainee gives it."""
    head = task.make_head()
    return {**dict(head.named_parameters()), **dict(head.named_buffers())} if task.stack else head.state_dict()


def why_not_stackable(make_head: Callable[[], nn.Module], in_features: int) -> str:
    """The reason why a head cannot be vectorised over cells, '' if it can; tried on two heads and two samples."""
    with isolated_rng():
        seed_torch(0)
        samples = torch.rand(2, 2, in_features)
        if _mixes_samples(make_head(), samples[0]):
            # Stacked cells whose last batches differ in length are filled up; such a head would see the filling.
            return "its answer for a sample depends on the rest of the batch"
        return why_not_vectorisable([make_head(), make_head()], samples)


def _mixes_samples(head: nn.Module, batch: Tensor) -> bool:
    """Whether a head in training gives sample 0 another answer when sample 1 changes, as batch normalisation does."""
    other = torch.stack([batch[0], batch[1] + 1])
    with torch.no_grad():
        seed_torch(0)
        answer = called(head, batch)[0]
        seed_torch(0)
        return not torch.allclose(answer, called(head, other)[0], atol=1e-6)
