"""Training heads on frozen features: all cells of a run, and all variants of its head, at once.

Cells whose epochs have equally many steps are stacked: one vectorised forward and backward serves them all, each
with its own weights, batches and optimizer state, so the result is that of training them one by one (but for dropout,
whose masks are drawn for the whole stack). A head that cannot be vectorised trains cell by cell.
No storage here: every epoch is passed to a callback, with a function that takes a snapshot to resume from.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qtlplat.contracts import Cell
from qtlplat.heads.lockstep import EVALUATION_ROWS, Data, FittedCell, LockstepTrainer, Task
from qtlplat.heads.stack import why_not_vectorisable
from qtlplat.plugin_modules import called
from qtlplat.quantum.devices.threads import torch_threads
from qtlplat.seeding import isolated_rng, seed_torch
from qtlplat.state.epochs import CellEpoch
from qtlplat.state.snapshots import (
    Snapshot,
    Take,
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


@dataclass(frozen=True)
class _Plan:
    """What is trained in lockstep: cells by position, tasks by number; stack: whether cells share a step."""

    cells: tuple[int, ...]
    tasks: tuple[int, ...]
    stack: bool

    @property
    def rows(self) -> int:
        """How many cells of how many tasks: the rows of an epoch."""
        return len(self.cells) * len(self.tasks)


def fit_heads(
    tasks: Sequence[Task],
    features: Tensor,
    cells: Sequence[Cell],
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    on_epoch: Callable[[list[CellEpoch], Take], None] = lambda _rows, _take: None,
    on_note: Callable[[str], None] = lambda _text: None,
    on_step: Callable[[], None] = lambda: None,
    limits: Limits = Limits(),
    start: Snapshot | None = None,
    on_start: Callable[[], None] = lambda: None,
) -> list[FittedCell]:
    """Train one fresh head per task and cell with Adam on the cross-entropy, for a fixed number of epochs.

    Positions count the cells of the first task, then those of the second, and so on.

    Parameters
    ----------
    features: float32 (N, F), on the device to compute on.
    on_epoch: called after each epoch with a row per cell that is trained in lockstep, and with what takes a snapshot;
        on_note: with what a user should know; on_step: after each step, may raise to stop.
    start: a snapshot to resume from, taken with the same arguments; on_start: called when it is restored.

    Returns the fitted cells by position. Raises TrainingError at the first loss that is not finite; UnfitError, before
    any callback, if `start` does not belong to this training.
    """
    data = Data(features, batch_size, limits.rows)
    plans = list(_rounds(tasks, cells, batch_size, limits.cells))
    fitted: list[FittedCell] = []
    number = trained = rows_before = 0
    if start:
        with fitting():
            number, trained = count(start.facts, "round", 0, len(plans) - 1), count(start.facts, "epoch", 1, epochs)
            fitted = _ended(start, cells, plans[:number])
        rows_before = sum(plan.rows for plan in plans[:number]) * epochs + plans[number].rows * trained
    with isolated_rng(), torch_threads(1):
        for current in range(number, len(plans)):
            plan = plans[current]
            chosen = [(t * len(cells), tasks[t]) for t in plan.tasks]
            rounds = [(p, cells[p]) for p in plan.cells]
            trainer = LockstepTrainer(chosen, data, rounds, learning_rate, stack=plan.stack, on_note=on_note)
            if start and current == number:
                where = {"round": current, "epoch": trained, "rows": rows_before}
                with fitting():
                    _take_up(start, trainer, fitted, tasks, len(cells), where)
                on_start()
            for epoch in range(trained + 1, epochs + 1):
                rows = trainer.epoch(epoch, on_step)
                rows_before += len(rows)
                where = {"round": current, "epoch": epoch, "rows": rows_before}
                on_epoch(rows, functools.partial(_snapshot, fitted, trainer, where))
            fitted += trainer.result()
            trained = 0
    return sorted(fitted, key=lambda f: f.position)


def _rounds(tasks: Sequence[Task], cells: Sequence[Cell], batch_size: int, most: int) -> Iterator[_Plan]:
    """What is trained together, one after another: stacks of cells, then the cells of tasks that cannot be stacked."""
    stackable = tuple(t for t, task in enumerate(tasks) if task.stack)
    alone: dict[int, list[int]] = {}  # those with the same batches
    for t, task in enumerate(tasks):
        if not task.stack:
            alone.setdefault(task.smallest, []).append(t)
    groups: dict[int, list[int]] = {}
    for position, cell in enumerate(cells):
        groups.setdefault(-(-len(cell.train) // batch_size), []).append(position)
    if stackable:
        for group in groups.values():
            for i in range(0, len(group), most):
                yield _Plan(tuple(group[i : i + most]), stackable, stack=True)
    for together in alone.values():
        for position in range(len(cells)):
            yield _Plan((position,), tuple(together), stack=False)


def _snapshot(fitted: Sequence[FittedCell], trainer: LockstepTrainer, where: Mapping[str, int]) -> Snapshot:
    """Training after an epoch: the cells that have ended, and those in training.

    where: number of the round, its epoch, how many rows were handed out so far.
    """
    now = trainer.save()
    ended: dict[str, Tensor] = {}
    for one in fitted:
        ended |= below(f"ended.{one.position}.state", one.state)
        ended[f"ended.{one.position}.probabilities"] = torch.from_numpy(one.probabilities.copy())
    facts = {
        **where,
        "ended": {str(one.position): one.seconds for one in fitted},
        "now": dict(now.facts),
    }
    return Snapshot({**ended, **{f"now.{name}": tensor for name, tensor in now.tensors.items()}}, facts)


def _ended(start: Snapshot, cells: Sequence[Cell], rounds: Sequence[_Plan]) -> list[FittedCell]:
    """The cells that had ended with these rounds, in their order."""
    positions = [t * len(cells) + p for plan in rounds for t in plan.tasks for p in plan.cells]
    require({str(p) for p in positions} == start.facts["ended"].keys(), "other cells had ended")
    fitted = []
    for position in positions:
        spent = seconds(start.facts["ended"][str(position)])
        probabilities = start.tensors[f"ended.{position}.probabilities"].numpy()
        state = start.part(f"ended.{position}.state")
        fitted.append(FittedCell(position, cells[position % len(cells)], state, probabilities, spent))
    return fitted


def _take_up(
    start: Snapshot,
    trainer: LockstepTrainer,
    fitted: Sequence[FittedCell],
    tasks: Sequence[Task],
    cells: int,
    where: Mapping[str, int],
) -> None:
    """Restore a trainer from a snapshot; raises UnfitError if it does not belong to this training.

    fitted: the finished cells; cells: how many each task has.
    """
    trainer.load(Snapshot(start.part("now"), start.facts["now"]))
    fresh = [_state_of(task) for task in tasks] if fitted else []
    for one in fitted:
        require_probabilities(torch.from_numpy(one.probabilities), len(one.cell.test), trainer.classes)
        require_like(one.state, fresh[one.position // cells], "the heads of cells that had ended")
    require_same(start, _snapshot(fitted, trainer, where))


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
