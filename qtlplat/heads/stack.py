"""Heads of several cells as one: their parameters stacked, a training step traced once and repeated.

A step is one call from parameters and a batch to losses and gradients, vectorised over the cells, then Adam on all of
them together. Tracing (`qtlplat.compile.trace`) takes the modules, autograd and ``vmap`` out of the repetition; if that
fails, or gives other results than the untraced step, the untraced step is repeated.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from qtlplat.compile.private_torch import gradients_and_auxiliary
from qtlplat.compile.trace import CannotTraceError, Function, Program, trace
from qtlplat.plugin_modules import called, check_logits, logits_of
from qtlplat.quantum.devices.layer import CircuitLayer
from qtlplat.seeding import isolated_rng, seed_torch
from qtlplat.state.optimizer import Adam
from qtlplat.state.snapshots import Snapshot, below

Tensors = dict[str, Tensor]
AGREEMENT = 1e-5  # largest difference between a traced step and the untraced one, relative to the largest value


class HeadTrainer(Protocol):
    """What is trained: one head, or the heads of several cells."""

    def step(self, features: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """One step on features (C, B, F), one-hot targets (C, B, K), weights (C, B): sums (2, C) of loss and hits."""

    def logits(self, features: Tensor) -> Tensor:
        """Logits (C, n, K) of features (C, n, F), without training."""

    def states(self) -> list[Tensors]:
        """The state_dict of every cell's head, copied to the CPU."""

    def save(self) -> Tensors:
        """All that training changes, by name, copied to the CPU."""

    def load(self, saved: Tensors) -> None:
        """Continue from the state that `save` returned, bit for bit."""

    def reseed(self) -> None:
        """Seed random engines from torch's global generator."""

    def learn_at(self, rates: Sequence[float]) -> None:
        """Set the learning rate of each cell; with 0, its head stays as it is."""


class SingleHead:
    """One head, trained as torch is usually written."""

    def __init__(self, head: nn.Module, learning_rate: float) -> None:
        self.head = head
        self.optimizer = Adam([p for p in head.parameters() if p.requires_grad], learning_rate, fused=False)

    def step(self, features: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """One step; C = 1."""
        if self.optimizer.learning_rate == 0:
            return torch.zeros(2, 1)
        self.head.train()
        loss, sums = _loss(logits_of(self.head, features[0], targets.shape[-1]), targets[0], weight[0])
        self.optimizer.zero_grad()
        called(loss.backward)
        self.optimizer.step()
        return sums[:, None]

    def logits(self, features: Tensor) -> Tensor:
        """Logits (1, n, K)."""
        self.head.eval()
        with torch.no_grad():
            logits = logits_of(self.head, features[0])
        return logits[None]

    def states(self) -> list[Tensors]:
        """The head's state_dict."""
        return [{name: t.detach().cpu().clone() for name, t in self.head.state_dict().items()}]

    def save(self) -> Tensors:
        """State of head and optimizer."""
        return {**below("head", self.head.state_dict()), **below("adam", self.optimizer.tensors())}

    def load(self, saved: Tensors) -> None:
        """State of head and optimizer."""
        parts = Snapshot(saved)
        self.head.load_state_dict(parts.part("head"))
        self.optimizer.load(parts.part("adam"))

    def reseed(self) -> None:
        """Seed random engines."""
        reseed(self.head)

    def learn_at(self, rates: Sequence[float]) -> None:
        """Set the learning rate; C = 1."""
        (self.optimizer.learning_rate,) = rates


class StackedHeads:
    """The heads of C cells; only the first module is ever called, with the tensors of all.

    on_note: told once where the step cannot be traced.
    """

    def __init__(self, heads: Sequence[nn.Module], learning_rate: float, on_note: Callable[[str], None]) -> None:
        self.module, self.on_note = heads[0], on_note
        self.tensors, self.trained = _stacked(heads)
        # Deliberately no requires_grad: gradients come out of the step's program.
        self.optimizer = Adam([self.tensors[n] for n in self.trained], learning_rate)
        self.ended: list[int] = []
        self._repeated: dict[tuple[bool, torch.Size], _Repeated] = {}

    @property
    def is_traced(self) -> bool:
        """Whether all steps so far could be traced."""
        return all(one.program is not None for one in self._repeated.values())

    def begin_again(self, fresh: StackedHeads) -> None:
        """Become equal to another stack of the same shapes, with the steps that are traced already."""
        self.on_note, self.ended = fresh.on_note, []
        for name, tensor in self.tensors.items():
            tensor.copy_(fresh.tensors[name])
            tensor.grad = None
        self.optimizer = Adam(self.optimizer.parameters, fresh.optimizer.learning_rate)

    def step(self, features: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """One step of every cell."""
        # what training changes in passing, as running statistics, stays as well where the learning rate is 0
        kept = {name: t[self.ended] for name, t in self.tensors.items() if name not in self.trained and self.ended}
        sums, *gradients = self._run(True, features, targets, weight)
        for name, gradient in zip(self.trained, gradients, strict=True):
            self.tensors[name].grad = gradient
        self.optimizer.step()
        for name, tensor in kept.items():
            self.tensors[name][self.ended] = tensor
        return sums

    def logits(self, features: Tensor) -> Tensor:
        """Logits (C, n, K)."""
        return self._run(False, features)[0].clone()

    def states(self) -> list[Tensors]:
        """One state_dict per cell."""
        cells = len(next(iter(self.tensors.values())))
        return [{name: t[i].detach().cpu().clone() for name, t in self.tensors.items()} for i in range(cells)]

    def save(self) -> Tensors:
        """Tensors of all cells, and of the optimizer."""
        return {**below("heads", self.tensors), **below("adam", self.optimizer.tensors())}

    def load(self, saved: Tensors) -> None:
        """Tensors of all cells, written where they lie: a traced step reads them there."""
        parts = Snapshot(saved)
        with torch.no_grad():
            for name, tensor in parts.part("heads").items():
                self.tensors[name].copy_(tensor)
        self.optimizer.load(parts.part("adam"))

    def reseed(self) -> None:
        """Seed random engines."""
        reseed(self.module)

    def learn_at(self, rates: Sequence[float]) -> None:
        """Set the learning rate of each cell."""
        self.optimizer.learning_rate = rates[0] if len(set(rates)) == 1 else rates
        self.ended = [number for number, rate in enumerate(rates) if rate == 0]

    def _run(self, training: bool, *batch: Tensor) -> tuple[Tensor, ...]:
        key = (training, batch[0].shape)
        if key not in self._repeated:
            build = training_step if training else evaluation_step
            self.module.train(training)
            self._repeated[key] = _Repeated(build, self.module, self.tensors, self.trained, batch, self.on_note)
        with torch.no_grad():
            return self._repeated[key](*batch)


def reseed(head: nn.Module) -> None:
    """Seed the engines of a head's circuits from torch's global generator, where they draw shots."""
    for module in head.modules():
        if isinstance(module, CircuitLayer):
            module.reseed()


class _Repeated:
    """A step for batches of one shape, traced if it can be.

    A traced step reads the batch from fixed memory; other batches are copied there.
    """

    def __init__(
        self,
        build: Callable[..., Function],
        module: nn.Module,
        tensors: Tensors,
        trained: Sequence[str],
        batch: Sequence[Tensor],
        on_note: Callable[[str], None],
    ) -> None:
        self.module, self.training = module, module.training
        self.batch, self.tensors = batch, list(tensors.values())
        self.function = build(module, list(tensors), trained)
        self.program: Program | None = None
        try:
            # On a copy, and with random numbers of its own: being traced must leave nothing behind.
            with isolated_rng():
                copied = build(copy.deepcopy(module), list(tensors), trained)
                self.program = called(checked_trace, copied, [*self.tensors, *batch])
        except CannotTraceError as error:
            on_note(f"the head runs untraced, more slowly: {error}")

    def __call__(self, *batch: Tensor) -> tuple[Tensor, ...]:
        if self.program is None:
            self.module.train(self.training)
            return called(self.function, *self.tensors, *batch)
        for place, given in zip(self.batch, batch, strict=True):
            if place is not given:
                place.copy_(given)
        return self.program()


def _stacked(heads: Sequence[nn.Module]) -> tuple[Tensors, list[str]]:
    """Parameters and buffers of all heads, each with a leading axis of cells, and the names of those to be trained."""
    states = [{**dict(h.named_parameters()), **dict(h.named_buffers())} for h in heads]
    tensors = {name: torch.stack([s[name].detach() for s in states]) for name in states[0]}
    return tensors, [name for name, p in heads[0].named_parameters() if p.requires_grad]


def training_step(module: nn.Module, names: Sequence[str], trained: Sequence[str]) -> Function:
    """(tensors by `names`, leading axis C, features, targets, weight) -> (sums (2, C), gradients by `trained`)."""
    chosen = set(trained)

    def loss(trained_tensors: Tensors, others: Tensors, x: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        logits = functional_call(module, {**others, **trained_tensors}, (x,))
        check_logits(module, logits, *y.shape)
        return _loss(logits, y, w)

    per_cell = vmap(gradients_and_auxiliary(loss), randomness="different")

    def step(*flat: Tensor) -> tuple[Tensor, ...]:
        tensors = dict(zip(names, flat, strict=False))
        others = {name: t for name, t in tensors.items() if name not in chosen}
        gradients, sums = per_cell({name: tensors[name] for name in trained}, others, *flat[len(names) :])
        return sums.T, *(gradients[name] for name in trained)

    return step


def evaluation_step(module: nn.Module, names: Sequence[str], _trained: Sequence[str]) -> Function:
    """(tensors by `names` with a leading axis C, features (C, n, F)) -> (logits (C, n, K),)."""

    def one(tensors: Tensors, x: Tensor) -> Tensor:
        logits: Tensor = functional_call(module, tensors, (x,))
        return logits

    per_cell = vmap(one, randomness="different")
    return lambda *flat: (per_cell(dict(zip(names, flat, strict=False)), flat[len(names)]),)


def _loss(logits: Tensor, targets: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean cross-entropy, and the weighted sums (2,) of cross-entropy and right answers."""
    counted = targets * weight.unsqueeze(-1)
    total = -(torch.log_softmax(logits, -1) * counted).sum()
    hits = counted.gather(-1, logits.detach().argmax(-1, keepdim=True)).sum()
    return total / weight.sum(), torch.stack([total.detach(), hits])


def checked_trace(function: Function, arguments: Sequence[Tensor]) -> Program:
    """`trace`, and compare the result with the function on two batches; raises CannotTraceError if they differ."""
    program = trace(function, arguments)
    last = arguments[-1]
    original = last.clone()
    for factor in (1.0, 0.5):
        last.copy_(original * factor)
        with torch.no_grad(), isolated_rng():
            seed_torch(0)
            expected = function(*arguments)
            seed_torch(0)
            pairs = list(zip(program(), expected, strict=True))
        for ours, theirs in pairs:
            scale = max(1.0, float(theirs.abs().max())) if theirs.numel() else 1.0
            if not float((ours - theirs).abs().max()) <= AGREEMENT * scale:
                last.copy_(original)
                raise CannotTraceError("traced and untraced results differ")
    last.copy_(original)
    return program


def why_not_vectorisable(heads: Sequence[nn.Module], samples: Tensor) -> str:
    """Why ``vmap`` cannot run heads together on samples (C, B, F), training or not; '' if it can."""
    tensors, trained = _stacked(heads)
    names = list(tensors)
    try:
        with torch.no_grad():
            (logits,) = called(evaluation_step(heads[0].eval(), names, trained), *tensors.values(), samples)
            weight = torch.ones(samples.shape[:2])
            heads[0].train()
            step = training_step(heads[0], names, trained)
            called(step, *tensors.values(), samples, torch.zeros_like(logits), weight)
    except Exception as error:  # noqa: BLE001 -- whatever a stranger's module raises, cell by cell still works
        return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:160]}"
    return ""
