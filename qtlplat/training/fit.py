"""Training heads on frozen features, all cells of a run at once.

Cells whose epochs have equally many steps are stacked: one vectorised forward and backward serves them all, each
with its own weights, batches and optimizer state, so the result is that of training them one by one (but for dropout,
whose masks are drawn for the whole stack). A head that cannot be vectorised trains cell by cell.
No storage here: every epoch is handed to a callback.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from qtlplat.contracts import Cell
from qtlplat.errors import TrainingError
from qtlplat.quantum.threads import torch_threads
from qtlplat.training.seeding import derive_seed, generator, isolated_rng
from qtlplat.training.stack import Alone, Stacked, Trainee, why_not_vectorisable

EVALUATION_ROWS = 2048  # rows of a cell per evaluation step
GATHERED_BYTES = 256_000_000  # test rows are gathered once for all epochs where they take no more than this


@dataclass(frozen=True)
class Limits:
    """What fits into memory. cells: most of them in one stack; rows: most rows of a cell in one evaluation step."""

    cells: int = 10_000
    rows: int = EVALUATION_ROWS


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
    on_note: Callable[[str], None] = lambda _text: None,
    stack: bool = True,
    limits: Limits = Limits(),
) -> list[FittedCell]:
    """Train one fresh head per cell with Adam on the cross-entropy, for a fixed number of epochs.

    Parameters
    ----------
    make_head: returns a head (B, F) -> logits (B, K); called once per cell, torch's global generator being seeded
        from (cell.seed, cell.fold).
    features: float32 (N, F), on the device to compute on; labels: int64 (N,).
    on_epoch: called after each epoch with a row per cell of the stack; on_note: with what a user should know.
    stack: train cells together where possible; otherwise one by one.

    Returns the fitted cells in the order of `cells`. Raises TrainingError at the first loss that is not finite.
    """
    groups: dict[int, list[int]] = {}
    for position, cell in enumerate(cells):
        steps = -(-len(cell.train) // batch_size)
        groups.setdefault(steps if stack else -1 - position, []).append(position)
    stacks = [group[i : i + limits.cells] for group in groups.values() for i in range(0, len(group), limits.cells)]
    fitted: list[FittedCell] = []
    data = _Data(features, labels, batch_size, limits.rows)
    with isolated_rng(), torch_threads(1):
        for positions in stacks:
            chosen = [(p, cells[p]) for p in positions]
            trainer = _Trainer(make_head, data, chosen, learning_rate, stack, on_note)
            for epoch in range(1, epochs + 1):
                on_epoch(trainer.epoch(epoch))
            fitted += trainer.result()
    return sorted(fitted, key=lambda f: f.position)


def why_not_stackable(make_head: Callable[[], nn.Module], n_in: int) -> str:
    """The reason why a head cannot be vectorised over cells, '' if it can; tried on two heads and two samples."""
    with isolated_rng():
        torch.manual_seed(0)
        samples = torch.rand(2, 2, n_in)
        if _mixes_samples(make_head(), samples[0]):
            # Stacked cells whose last batches differ in length are filled up; such a head would see the filling.
            return "its answer for a sample depends on the rest of the batch"
        return why_not_vectorisable([make_head(), make_head()], samples)


def _mixes_samples(head: nn.Module, batch: Tensor) -> bool:
    """Whether a head in training gives sample 0 another answer when sample 1 changes, as batch normalisation does."""
    other = torch.stack([batch[0], batch[1] + 1])
    with torch.no_grad():
        torch.manual_seed(0)
        answer = head(batch)[0]
        torch.manual_seed(0)
        return not torch.allclose(answer, head(other)[0], atol=1e-6)


class _Data:
    """What all cells of a run share: features (N, F), labels as one-hot rows (N, K), how many rows go together."""

    def __init__(self, features: Tensor, labels: Tensor, batch_size: int, evaluation_rows: int) -> None:
        self.features, self.batch_size, self.evaluation_rows = features, batch_size, evaluation_rows
        self.targets = one_hot(labels).to(features)

    def place(self, cells: int, rows: int) -> tuple[Tensor, Tensor]:
        """Memory for features (C, n, F) and targets (C, n, K)."""
        features, targets = (t.new_empty(cells, rows, t.shape[1]) for t in (self.features, self.targets))
        return features, targets

    def rows(self, indices: Tensor, into: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Features (C, n, F) and targets (C, n, K) of indices (C, n), in memory of their own or in what is given."""
        into = into or self.place(*indices.shape)
        flat = indices.to(self.features.device).reshape(-1)
        for source, place in zip((self.features, self.targets), into, strict=True):
            torch.index_select(source, 0, flat, out=place.view(len(flat), -1))
        return into


class _Trainer:
    """Cells trained in lockstep; C of them, all with the same number of steps per epoch."""

    def __init__(
        self,
        make_head: Callable[[], nn.Module],
        data: _Data,
        cells: Sequence[tuple[int, Cell]],
        learning_rate: float,
        stack: bool,
        on_note: Callable[[str], None],
    ) -> None:
        self.data, self.cells, self.stack = data, cells, stack
        heads = []
        for _, cell in cells:
            torch.manual_seed(derive_seed("head", cell.seed, cell.fold))
            heads.append(make_head().to(data.features.device))
        self.trainee: Trainee = Stacked(heads, learning_rate, on_note) if stack else Alone(heads[0], learning_rate)
        tests = [torch.from_numpy(cell.test.copy()) for _, cell in cells]
        longest = max(len(test) for test in tests)
        chunks = -(-longest // data.evaluation_rows)
        self.test, self.test_mask = _padded(tests, -(-longest // chunks) * chunks if stack else longest)
        self.test_chunks = chunks
        gathered = self.test.numel() * data.features.shape[1] * data.features.element_size()
        self.places: dict[torch.Size, tuple[Tensor, Tensor]] = {}
        self.gathered = list(self._test_rows()) if gathered <= GATHERED_BYTES else None
        self.seconds = 0.0

    def epoch(self, epoch: int) -> list[CellEpoch]:
        """Train one epoch and evaluate; batch order and dropout depend on (seed, cell, epoch) alone."""
        started = time.perf_counter()
        torch.manual_seed(derive_seed("dropout", self.cells[0][1].seed, self.cells[0][1].fold, epoch))
        orders = []
        for _, cell in self.cells:
            shuffled = torch.randperm(len(cell.train), generator=generator("order", cell.seed, cell.fold, epoch))
            orders.append(torch.from_numpy(cell.train)[shuffled])
        longest = max(len(order) for order in orders)
        size = min(self.data.batch_size, longest)
        # Batches of one size need one traced program; the filling has weight 0 and changes no sum.
        order, mask = _padded(orders, -(-longest // size) * size if self.stack else longest)
        sums = torch.zeros(2, len(self.cells), dtype=torch.float64)
        for step, (rows, weight) in enumerate(zip(order.split(size, dim=1), mask.split(size, dim=1), strict=True)):
            # Every batch of one shape in the same memory: a traced step reads it there.
            if rows.shape not in self.places:
                self.places[rows.shape] = self.data.place(*rows.shape)
            features, targets = self.data.rows(rows, self.places[rows.shape])
            measured = self.trainee.step(features, targets, weight.to(features)).cpu()
            if not math.isfinite(float(measured[0].sum())):
                self._refuse(measured[0], epoch, step + 1)
            sums += measured
        train_loss, train_hits = sums / mask.sum(1)
        test_loss, test_hits = self._evaluate() / self.test_mask.sum(1)
        elapsed = time.perf_counter() - started
        self.seconds += elapsed
        columns = {
            "train_loss": train_loss,
            "train_accuracy": train_hits,
            "test_loss": test_loss,
            "test_accuracy": test_hits,
        }
        return [
            CellEpoch(position, epoch, elapsed / len(self.cells), {k: float(v[i]) for k, v in columns.items()})
            for i, (position, _) in enumerate(self.cells)
        ]

    def result(self) -> list[FittedCell]:
        """States and test probabilities of all cells."""
        probabilities = self._logits().double().softmax(-1).numpy()
        states = self.trainee.states()
        return [
            FittedCell(
                position,
                cell,
                states[i],
                probabilities[i, : int(self.test_mask[i].sum())],
                self.seconds / len(self.cells),
            )
            for i, (position, cell) in enumerate(self.cells)
        ]

    def _test_rows(self) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in self.test.chunk(self.test_chunks, dim=1):
            yield self.data.rows(rows)

    def _logits(self) -> Tensor:
        """Logits (C, n, K) of the test rows, on the CPU."""
        parts = [self.trainee.logits(features).cpu() for features, _ in self.gathered or self._test_rows()]
        return torch.cat(parts, dim=1)

    def _evaluate(self) -> Tensor:
        """Sums (2, C), float64, over the test rows of each cell: cross-entropy, right answers."""
        logits = self._logits().double()
        targets = self.data.targets.cpu()[self.test].double()
        losses = -(logits.log_softmax(-1) * targets).sum(-1)
        hits = logits.argmax(-1) == targets.argmax(-1)
        return torch.stack([losses, hits.double()]).mul(self.test_mask).sum(-1)

    def _refuse(self, loss: Tensor, epoch: int, step: int) -> None:
        index = int((~torch.isfinite(loss)).nonzero()[0])
        position, cell = self.cells[index]
        state = self.trainee.states()[index]
        broken = next((name for name, tensor in state.items() if not torch.isfinite(tensor).all()), "the logits")
        raise TrainingError(
            f"the loss became {float(loss[index])} in {broken}",
            where=f"cell {position} (fold {cell.fold}, seed {cell.seed}), epoch {epoch}, step {step}",
            fix="lower the learning rate, e.g. -S training.learning_rate=1e-4",
        )


def _padded(orders: Sequence[Tensor], width: int) -> tuple[Tensor, Tensor]:
    """Index lists of unequal length as one (C, width) tensor, and a float64 mask that is 0 where it was filled up."""
    rows = torch.stack([torch.cat([o, o[:1].expand(width - len(o))]) for o in orders])
    lengths = torch.tensor([len(o) for o in orders])
    return rows, (torch.arange(width) < lengths[:, None]).double()
