"""Training heads on frozen features, all cells of a run at once.

Cells whose epochs have equally many steps are stacked: one vectorised forward and backward serves them all, each
with its own weights, batches and optimizer state, so the result is that of training them one by one (but for dropout,
whose masks are drawn for the whole stack). A head that cannot be vectorised trains cell by cell.
No storage here: every epoch is handed to a callback.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy

from qtlplat.contracts import Cell
from qtlplat.errors import TrainingError
from qtlplat.training.seeding import derive_seed, generator, isolated_rng

EVALUATION_ROWS = 2048  # rows of a cell per evaluation step


@dataclass(frozen=True)
class CellEpoch:
    """One trained epoch of one cell. position: of the cell in the run; values: losses in nats, accuracies."""

    position: int
    epoch: int
    seconds: float
    values: dict[str, float]


@dataclass(frozen=True)
class FittedCell:
    """A trained cell. state: the head's state_dict; probabilities: float64 (n_test, K), rows as in `cell.test`."""

    position: int
    cell: Cell
    state: dict[str, Tensor]
    probabilities: npt.NDArray[np.float64]
    seconds: float


def fit_heads(
    make_head: Callable[[], nn.Module],
    features: Tensor,
    labels: Tensor,
    cells: Sequence[Cell],
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    on_epoch: Callable[[list[CellEpoch]], None] = lambda _rows: None,
    stack: bool = True,
) -> list[FittedCell]:
    """Train one fresh head per cell with Adam on the cross-entropy, for a fixed number of epochs.

    Parameters
    ----------
    make_head: returns a head (B, F) -> logits (B, K); called once per cell, torch's global generator being seeded
        from (cell.seed, cell.fold).
    features: float32 (N, F); labels: int64 (N,).
    on_epoch: called after each epoch with a row per cell of the stack.
    stack: train cells together where possible; otherwise one by one.

    Returns the fitted cells in the order of `cells`. Raises TrainingError at the first loss that is not finite.
    """
    groups: dict[int, list[int]] = {}
    for position, cell in enumerate(cells):
        steps = -(-len(cell.train) // batch_size)
        groups.setdefault(steps if stack else -1 - position, []).append(position)
    fitted: list[FittedCell] = []
    with isolated_rng(), _one_thread():
        for positions in groups.values():
            trainer = _Stack(make_head, features, labels, [(p, cells[p]) for p in positions], learning_rate, batch_size)
            for epoch in range(1, epochs + 1):
                on_epoch(trainer.epoch(epoch))
            fitted += trainer.result()
    return sorted(fitted, key=lambda f: f.position)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The operations on a circuit's state are so small that waiting for a second thread costs more than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def why_not_stackable(make_head: Callable[[], nn.Module], n_in: int) -> str:
    """The reason why a head cannot be vectorised over cells, '' if it can; tried on two heads and two samples."""
    with isolated_rng():
        torch.manual_seed(0)
        heads = [make_head(), make_head()]
        samples = torch.rand(2, 2, n_in)
        if _mixes_samples(make_head(), samples[0]):
            # Stacked cells whose last batches differ in length are filled up; such a head would see the filling.
            return "its answer for a sample depends on the rest of the batch"
        try:
            module, tensors = _stacked(heads)
            logits = _vectorised(module)(tensors, samples)
            logits.sum().backward()
            with torch.no_grad():
                module.eval()
                _vectorised(module)(tensors, samples)
        except Exception as error:  # noqa: BLE001 -- whatever a stranger's module raises, cell by cell still works
            return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:160]}"
    return ""


def _mixes_samples(head: nn.Module, batch: Tensor) -> bool:
    """Whether a head in training gives sample 0 another answer when sample 1 changes, as batch normalisation does."""
    other = torch.stack([batch[0], batch[1] + 1])
    with torch.no_grad():
        torch.manual_seed(0)
        answer = head(batch)[0]
        torch.manual_seed(0)
        return not torch.allclose(answer, head(other)[0], atol=1e-6)


Tensors = dict[str, Tensor]


def _stacked(heads: Sequence[nn.Module]) -> tuple[nn.Module, Tensors]:
    """A module to call and the parameters and buffers of all heads, each with a leading axis of cells."""
    states = [{**dict(h.named_parameters()), **dict(h.named_buffers())} for h in heads]
    trainable = {name for name, p in heads[0].named_parameters() if p.requires_grad}
    tensors = {name: torch.stack([s[name].detach() for s in states]) for name in states[0]}
    for name in trainable:
        tensors[name].requires_grad_(True)
    return heads[0], tensors


def _vectorised(module: nn.Module) -> Callable[[Tensors, Tensor], Tensor]:
    """(tensors with a leading axis C, inputs (C, B, F)) -> logits (C, B, K)."""

    def one(tensors: Tensors, inputs: Tensor) -> Tensor:
        out: Tensor = functional_call(module, tensors, (inputs,))
        return out

    return vmap(one, randomness="different")


class _Stack:
    """Cells trained in lockstep; C of them, all with the same number of steps per epoch."""

    def __init__(
        self,
        make_head: Callable[[], nn.Module],
        features: Tensor,
        labels: Tensor,
        cells: Sequence[tuple[int, Cell]],
        learning_rate: float,
        batch_size: int,
    ) -> None:
        self.features, self.labels, self.cells, self.batch_size = features, labels, cells, batch_size
        heads = []
        for _, cell in cells:
            torch.manual_seed(derive_seed("head", cell.seed, cell.fold))
            heads.append(make_head())
        self.module = heads[0]
        self.tensors: Tensors = {}
        self.forward: Callable[[Tensor], Tensor]
        if len(cells) > 1:
            self.module, self.tensors = _stacked(heads)
            vectorised = _vectorised(self.module)
            self.forward = lambda x: vectorised(self.tensors, x)
            trained = [t for t in self.tensors.values() if t.requires_grad]
        else:
            self.forward = lambda x: self.module(x[0]).unsqueeze(0)
            trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=learning_rate)
        self.test = _padded([torch.from_numpy(cell.test.copy()) for _, cell in cells])
        self.seconds = 0.0

    def epoch(self, epoch: int) -> list[CellEpoch]:
        """Train one epoch and evaluate; batch order and dropout depend on (seed, cell, epoch) alone."""
        started = time.perf_counter()
        torch.manual_seed(derive_seed("dropout", self.cells[0][1].seed, self.cells[0][1].fold, epoch))
        orders = []
        for _, cell in self.cells:
            shuffled = torch.randperm(len(cell.train), generator=generator("order", cell.seed, cell.fold, epoch))
            orders.append(torch.from_numpy(cell.train)[shuffled])
        order, mask = _padded(orders)
        self.module.train()
        loss_sum = torch.zeros(len(self.cells), dtype=torch.float64)
        hits = torch.zeros(len(self.cells), dtype=torch.float64)
        for step, start in enumerate(range(0, order.shape[1], self.batch_size), start=1):
            rows, weight = order[:, start : start + self.batch_size], mask[:, start : start + self.batch_size]
            loss, right = self._losses(rows, weight)
            if not torch.isfinite(loss).all():
                self._refuse(loss.detach(), epoch, step)
            self.optimizer.zero_grad()
            (loss / weight.sum(1)).sum().backward()
            self.optimizer.step()
            loss_sum += loss.detach().double()
            hits += right.double()
        n_train = mask.sum(1).double()
        test_loss, test_hits = self._evaluate()
        n_test = self.test[1].sum(1).double()
        elapsed = time.perf_counter() - started
        self.seconds += elapsed
        columns = {
            "train_loss": loss_sum / n_train,
            "train_accuracy": hits / n_train,
            "test_loss": test_loss / n_test,
            "test_accuracy": test_hits / n_test,
        }
        return [
            CellEpoch(position, epoch, elapsed / len(self.cells), {k: float(v[i]) for k, v in columns.items()})
            for i, (position, _) in enumerate(self.cells)
        ]

    def result(self) -> list[FittedCell]:
        """States and test probabilities of all cells."""
        self.module.eval()
        rows, mask = self.test
        with torch.no_grad():
            logits = torch.cat([self.forward(self.features[r]) for r in rows.split(EVALUATION_ROWS, dim=1)], dim=1)
        probabilities = logits.double().softmax(-1).numpy()
        states = (
            [{name: t[i].detach().clone() for name, t in self.tensors.items()} for i in range(len(self.cells))]
            if self.tensors
            else [{name: t.detach().clone() for name, t in self.module.state_dict().items()}]
        )
        return [
            FittedCell(
                position, cell, states[i], probabilities[i, : int(mask[i].sum())], self.seconds / len(self.cells)
            )
            for i, (position, cell) in enumerate(self.cells)
        ]

    def _losses(self, rows: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Sums over each cell's rows (C, B): cross-entropy, and number of right answers."""
        targets = self.labels[rows]
        logits = self.forward(self.features[rows])
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(rows.shape)
        right = (logits.detach().argmax(-1) == targets) * weight
        return (loss * weight).sum(1), right.sum(1)

    def _evaluate(self) -> tuple[Tensor, Tensor]:
        self.module.eval()
        loss = torch.zeros(len(self.cells), dtype=torch.float64)
        hits = torch.zeros(len(self.cells), dtype=torch.float64)
        with torch.no_grad():
            for rows, weight in zip(*(t.split(EVALUATION_ROWS, dim=1) for t in self.test), strict=True):
                some_loss, some_hits = self._losses(rows, weight)
                loss += some_loss.double()
                hits += some_hits.double()
        return loss, hits

    def _refuse(self, loss: Tensor, epoch: int, step: int) -> None:
        index = int((~torch.isfinite(loss)).nonzero()[0])
        position, cell = self.cells[index]
        named: dict[str, Any] = (
            {n: t[index] for n, t in self.tensors.items()} if self.tensors else self.module.state_dict()
        )
        broken = next((n for n, t in named.items() if not torch.isfinite(t).all()), "the logits")
        raise TrainingError(
            f"the loss became {float(loss[index])} in {broken}",
            where=f"cell {position} (fold {cell.fold}, seed {cell.seed}), epoch {epoch}, step {step}",
            fix="lower the learning rate, e.g. -S training.learning_rate=1e-4",
        )


def _padded(orders: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Index lists of unequal length as one (C, n) tensor, and a float mask that is 0 where it was filled up."""
    width = max(len(o) for o in orders)
    rows = torch.stack([torch.cat([o, o[:1].expand(width - len(o))]) for o in orders])
    lengths = torch.tensor([len(o) for o in orders])
    return rows, (torch.arange(width) < lengths[:, None]).float()
