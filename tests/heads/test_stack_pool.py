"""Stacks that are used again: the same numbers, bit for bit, as those of a stack of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qtlplat.catalog.plan import TrainingOptions
from qtlplat.contracts import Cell
from qtlplat.heads import stack
from qtlplat.heads.fit import HeadTraining
from qtlplat.heads.lockstep import FittedCell, Task
from qtlplat.heads.stack_pool import StackPool

ROWS, WIDTH = 40, 6
OPTIONS = TrainingOptions(epochs=3, learning_rate=1e-2, batch_size=8)


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(ROWS, WIDTH, generator=generator), torch.arange(ROWS) % 2


def cells(seed: int) -> list[Cell]:
    rows = np.arange(ROWS)
    return [Cell(i, seed, rows[rows % 2 != i], rows[rows % 2 == i]) for i in (0, 1)]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 2))


class Scaled(nn.Module):
    """Draws a number that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, 2)
        self.scale = float(torch.rand(()))
        self.shift = torch.rand(2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        out: Tensor = self.linear(x) * self.scale + self.shift
        return out


def trained(task: Task, data: tuple[Tensor, Tensor], seed: int, rate: float = 1e-2) -> list[FittedCell]:
    options = OPTIONS.model_copy(update={"learning_rate": rate})
    training = HeadTraining([task], cells(seed), [data[0]] * 2, options)
    for _ in training.run():
        pass
    return training.fitted


def equal(one: list[FittedCell], other: list[FittedCell]) -> bool:
    return all(
        np.array_equal(a.probabilities, b.probabilities) and all(torch.equal(t, b.state[n]) for n, t in a.state.items())
        for a, b in zip(one, other, strict=True)
    )


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each trace that is made."""
    made: list[int] = []
    original = stack.checked_trace
    monkeypatch.setattr(stack, "checked_trace", lambda *args: (made.append(1), original(*args))[1])
    return made


@pytest.mark.parametrize("make", [mlp, Scaled])
def test_a_stack_that_is_used_again_gives_the_same_bits(
    make: Callable[[], nn.Module], data: tuple[Tensor, Tensor], traces: list[int]
) -> None:
    pool = StackPool()
    for seed, rate in ((0, 1e-2), (0, 3e-3), (7, 1e-2), (0, 1e-2)):
        alone = trained(Task(make, data[1]), data, seed, rate)
        before = len(traces)
        assert equal(trained(Task(make, data[1], pool=pool), data, seed, rate), alone)
        # what the head has drawn as plain numbers is part of its traced step: other numbers need another one
        again = (seed, rate) != (0, 1e-2) or before > 4
        assert len(traces) - before == (0 if again and (make is mlp or seed == 0) else 2)


def test_a_stack_in_use_is_left_alone(data: tuple[Tensor, Tensor]) -> None:
    task = Task(mlp, data[1], pool=StackPool())
    alone = trained(Task(mlp, data[1]), data, 0)
    first = HeadTraining([task], cells(0), [data[0]] * 2, OPTIONS)
    steps = first.run()
    next(steps)
    trained(task, data, 3)
    for _ in steps:
        pass
    assert equal(first.fitted, alone)


def test_other_shapes_get_a_stack_of_their_own(data: tuple[Tensor, Tensor], traces: list[int]) -> None:
    pool = StackPool()
    trained(Task(mlp, data[1], pool=pool), data, 0)
    before = len(traces)
    training = HeadTraining([Task(mlp, data[1], pool=pool)], cells(0)[:1], [data[0]], OPTIONS)
    for _ in training.run():
        pass
    assert len(traces) > before
    alone = HeadTraining([Task(mlp, data[1])], cells(0)[:1], [data[0]], OPTIONS)
    for _ in alone.run():
        pass
    assert equal(training.fitted, alone.fitted)


def test_why_not_is_found_out_once() -> None:
    pool, asked = StackPool(), []
    assert [pool.why_not(lambda: (asked.append(1), "no reason")[1]) for _ in range(3)] == ["no reason"] * 3
    assert asked == [1]
