"""Traced steps are trusted only where they do what the untraced ones do."""

import functools
import random

import pytest
import torch
from torch import nn

from qtlplat.backbones.model import HeadFactory
from qtlplat.compile.trace import CannotTraceError
from qtlplat.heads.stack import SingleHead, StackedHeads, checked_trace
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat_dressed import circuit, qtlplat_heads
from qtlplat_dressed.options import DressedOptions

C, B, F, K = 3, 8, 5, 2


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(C, B, F, generator=generator)
    targets = torch.eye(K)[torch.randint(0, K, (C, B), generator=generator)]
    weight = torch.ones(C, B)
    weight[1, -2:] = 0
    return features, targets, weight


def heads(make):
    torch.manual_seed(0)
    return [make() for _ in range(C)]


def mlp():
    return nn.Sequential(nn.Linear(F, 4), nn.Tanh(), nn.Linear(4, K))


class Turning(nn.Module):
    """Complex weights that are trained."""

    def __init__(self):
        super().__init__()
        self.turn = nn.Parameter(torch.randn(F, K, dtype=torch.complex64))

    def forward(self, x):
        y = x.to(torch.complex64) @ self.turn
        return y.real + y.imag**2


class Counting(nn.Module):
    """Answers differently each time it is called."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(F, K), 0

    def forward(self, x):
        self.calls += 1
        return self.layer(x) * self.calls


class Rolling(nn.Module):
    """Draws from Python's random numbers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(F, K)

    def forward(self, x):
        return self.layer(x) * (1 + random.random())


@functools.cache
def on_a_device():
    """A circuit that PennyLane computes, with torch operations of its own."""
    options = DressedOptions(qubits=2, layers=1)
    return HeadFactory(qtlplat_heads()[0], options, F, K, choose_engine(circuit(options), "default.qubit"))


def dressed():
    return on_a_device()()


@pytest.mark.parametrize("make", [mlp, Turning, dressed])
def test_a_traced_stack_equals_heads_trained_alone(make):
    notes = []
    stack = StackedHeads(heads(make), 0.05, notes.append)
    alone = [SingleHead(head, 0.05) for head in heads(make)]
    for step in range(5):
        if step == 3:  # what is stored goes on
            stored, stack = stack.save(), StackedHeads(heads(make), 0.05, notes.append)
            stack.load({name: tensor.clone() for name, tensor in stored.items()})
        features, targets, weight = batch(step)
        sums = stack.step(features, targets, weight)
        for cell, one in enumerate(alone):
            kept = weight[cell] > 0
            expected = one.step(
                features[cell : cell + 1, kept], targets[cell : cell + 1, kept], weight[cell : cell + 1, kept]
            )
            torch.testing.assert_close(sums[:, cell], expected[:, 0], atol=1e-5, rtol=0)
    features = batch(9)[0]
    torch.testing.assert_close(
        stack.logits(features),
        torch.cat([one.logits(features[c : c + 1]) for c, one in enumerate(alone)]),
        atol=1e-5,
        rtol=0,
    )
    assert notes == []


@pytest.mark.parametrize("make", [Counting, Rolling])
def test_a_head_that_changes_from_call_to_call_runs_untraced_and_says_so(make):
    notes = []
    stack = StackedHeads(heads(make), 0.05, notes.append)
    features, targets, weight = batch()
    first, second = (stack.step(features, targets, weight)[0, 0] for _ in range(2))
    assert first != second
    assert len(notes) == 1
    assert "untraced" in notes[0]
    if make is Counting:
        assert stack.module.calls == 2  # being traced left nothing behind


def test_tracing_leaves_the_generator_where_it_was():
    stack = StackedHeads(heads(mlp), 0.05, lambda _: None)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    stack.step(*batch())
    assert torch.equal(before, torch.random.get_rng_state())


def test_buffers_and_frozen_parameters_stay_as_they_are():
    def make():
        head = mlp()
        head[0].bias.requires_grad_(False)
        head.register_buffer("scale", torch.tensor(2.0))
        return head

    stack = StackedHeads(heads(make), 0.05, lambda _: None)
    before = stack.states()
    stack.step(*batch())
    after = stack.states()
    for cell in range(C):
        assert torch.equal(before[cell]["0.bias"], after[cell]["0.bias"])
        assert torch.equal(before[cell]["scale"], after[cell]["scale"])
        assert not torch.equal(before[cell]["2.weight"], after[cell]["2.weight"])


def test_a_trace_that_is_right_for_one_batch_only_is_found_out():
    constant = []

    def remembers(x):
        constant.append(x.clone()) if not constant else None
        return (x + constant[0],)

    checked_trace(remembers, [torch.ones(3)])
    calls = []

    def alternates(x):
        calls.append(1)
        return (x * len(calls),)

    with pytest.raises(CannotTraceError, match="results differ"):
        checked_trace(alternates, [torch.ones(3)])
