"""Times a training step of a head, forward and backward, with the engines that can run its circuit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot, pad

from qtlplat.backbones.model import HeadFactory
from qtlplat.catalog.device import AUTO, COMPILED, DeviceChoice
from qtlplat.catalog.plugin_calls import declared_circuit, guarded
from qtlplat.errors import ConfigError, UsageError
from qtlplat.heads.fit import why_not_stackable
from qtlplat.heads.stack import StackedHeads
from qtlplat.quantum.devices.engine import Engine
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat.quantum.devices.memory import USABLE_SHARE, device_bytes, free_bytes, size_text
from qtlplat.quantum.devices.threads import torch_threads
from qtlplat.runs.preflight import try_head
from qtlplat.seeding import isolated_rng
from qtlplat.specs import AnyHeadSpec, HeadSpec
from qtlplat_bench.plain import TORCH, TORCH_LAYER, head_without_engine, plain_head, runs_singly
from qtlplat_bench.timing import interleaved, row
from qtlplat_bench.torch_layer import DEVICE, plain_names

Gradients = dict[str, Tensor]
Note = Callable[[str], None]


@dataclass(frozen=True)
class Setting:
    """What is measured. batch: B; cells: in the stack; features: F; classes: K; threads: of torch.

    devices: the engines; strict: refuse one that cannot be had, otherwise leave it out; repeats: of every step, or None
    for as many as a few seconds allow; circuit_only: leave out what stands around the circuit.
    """

    devices: Sequence[DeviceChoice] = ()
    strict: bool = True
    batch: int = 64
    cells: int = 6
    features: int = 2048
    classes: int = 2
    threads: int = 1
    repeats: int | None = None
    circuit_only: bool = False


@dataclass(frozen=True)
class _Contender:
    """An engine with C cells. step: what is timed, returns gradients (C, ...); logits: (C, B, K), without training."""

    engine: str
    cells: int
    step: Callable[[], Gradients]
    logits: Callable[[], Tensor]
    is_reference: bool = False


def bench_head(spec: AnyHeadSpec, options: Any, provider: str, setting: Setting, on_note: Note) -> list[dict[str, Any]]:
    """Rows for one head: each engine with one cell, and qtlplat's own program with all cells stacked as well.

    A step is the forward and backward pass of the training loss on a batch; parameters stay as they are, for all
    engines alike. default.qubit stands for ``qml.qnn.TorchLayer`` on it. In float64, with the same weights and inputs,
    this is the reference of errors: largest difference of logits, and of gradients of the loss, in the first and the
    last cell. Its own errors are None. So are all where it does not fit into memory, and those of gradients where a
    head draws random numbers. A head without a circuit has one engine, "torch".

    options: validated; provider: for messages; on_note: told what is left out, and why.
    Raises UsageError for the circuit alone of a head that has none, ConfigError and PluginError as a run does.
    """
    with isolated_rng(), torch_threads(setting.threads):
        return _Bench(spec, options, provider, setting, on_note).rows()


class _Bench:
    """One head with its options, batches and weights, the same for every engine."""

    def __init__(self, spec: AnyHeadSpec, options: Any, provider: str, setting: Setting, on_note: Note) -> None:
        self.options, self.provider, self.setting, self.on_note = options, provider, setting, on_note
        self.circuit = declared_circuit(spec, options, provider)
        self.in_features, self.n_classes, self.spec = setting.features, setting.classes, spec
        if setting.circuit_only:
            if self.circuit is None or isinstance(spec, HeadSpec):
                raise UsageError(f"head {spec.name} has no circuit", where="--circuit-only", fix="leave the flag out")
            self.in_features, self.n_classes = self.circuit.n_inputs, self.circuit.n_outputs + 1
            self.spec = dataclasses.replace(spec, build=_circuit_only)
        draw = torch.Generator().manual_seed(0)
        shape = (setting.cells, setting.batch)
        self.features = torch.randn(*shape, self.in_features, generator=draw)
        self.labels = torch.randint(0, self.n_classes, shape, generator=draw)
        self.free = free_bytes(torch.device("cpu")) * USABLE_SHARE
        self.references: dict[int, _Reference | None] = {}

    def rows(self) -> list[dict[str, Any]]:
        """All rows."""
        contenders = {f"{c.engine}, {c.cells} cells": c for c in self._contenders()}
        timings = interleaved({name: c.step for name, c in contenders.items()}, self.setting.repeats)
        return [
            row(
                contender.engine,
                timings[name],
                qubits=self.circuit.qubits if self.circuit else None,
                layers=getattr(self.options, "layers", None),
                batch=self.setting.batch,
                cells=contender.cells,
                threads=self.setting.threads,
                errors=self._errors(contender),
            )
            for name, contender in contenders.items()
        ]

    def _contenders(self) -> Iterator[_Contender]:
        if self.circuit is None:
            heads = self._heads(None)
            yield _alone(TORCH, heads[0], self.features[0], self.labels[0])
            yield from self._stacked(TORCH, heads, None)
            return
        for choice in self.setting.devices:
            if choice.name == DEVICE and not choice.options:
                if self._fits(TORCH_LAYER, device_bytes(self.circuit, self.setting.batch, gradients=True)):
                    head = self._plain(0)
                    if runs_singly(head):
                        self.on_note(f"{TORCH_LAYER} runs sample by sample: for a batch, this circuit is another one")
                    plain = _alone(TORCH_LAYER, head, self.features[0], self.labels[0])
                    yield dataclasses.replace(plain, is_reference=True)
            else:
                yield from self._on(choice)

    def _on(self, choice: DeviceChoice) -> Iterator[_Contender]:
        """One cell on an engine, and all of them where it is qtlplat's own."""
        circuit = self.circuit
        assert circuit is not None
        try:
            engine = guarded(
                lambda: choose_engine(circuit, choice.name, choice.options), self.provider, "running the circuit"
            )
        except ConfigError as error:
            if self.setting.strict:
                raise
            self.on_note(f"{choice.text} is left out: {error.what.splitlines()[0]}")
            return
        name = f"{AUTO}: {engine.name}" if choice.name == AUTO else choice.text
        needed = engine.bytes(self.setting.batch)
        if not self._fits(name, needed):
            return
        heads = self._heads(engine)
        if engine.name != COMPILED:
            yield _alone(name, heads[0], self.features[0], self.labels[0])
            return
        yield self._stack(name, heads[:1])
        if self._fits(f"{name} with {len(heads)} cells", needed * len(heads)):
            yield from self._stacked(name, heads, engine)

    def _stacked(self, name: str, heads: Sequence[nn.Module], engine: Engine | None) -> Iterator[_Contender]:
        if len(heads) == 1 and engine is not None:
            return
        reason = why_not_stackable(self._factory(engine), self.in_features)
        if reason:
            self.on_note(f"{name} with stacked cells is left out: {reason}")
        elif len(heads) > 1:
            yield self._stack(name, heads)

    def _stack(self, name: str, heads: Sequence[nn.Module]) -> _Contender:
        """Cells as they are trained, but for the optimizer."""
        cells = len(heads)
        stacked = StackedHeads(heads, 0.0, self.on_note)
        stacked.optimizer = _NoOptimizer()  # type: ignore[assignment]
        features = self.features[:cells]
        targets = one_hot(self.labels[:cells], self.n_classes).to(features)
        weight = torch.ones(features.shape[:2])

        def step() -> Gradients:
            stacked.step(features, targets, weight)
            gradients = {key: stacked.tensors[key].grad for key in stacked.trained}
            return {key: gradient for key, gradient in gradients.items() if gradient is not None}

        return _Contender(name, cells, step, lambda: stacked.logits(features))

    def _fits(self, what: str, needed: int) -> bool:
        if needed <= self.free:
            return True
        share = f"{size_text(needed)}, more than the {size_text(self.free)} that may be used"
        self.on_note(f"{what} is left out: it would take about {share}")
        return False

    def _factory(self, engine: Engine | None) -> HeadFactory:
        return HeadFactory(self.spec, self.options, self.in_features, self.n_classes, engine, self.provider)

    def _heads(self, engine: Engine | None) -> list[nn.Module]:
        """A head for each cell, with the weights of that cell."""
        make = self._factory(engine)
        try_head(make, self.in_features, self.n_classes, self.provider)
        heads = []
        for cell in range(self.setting.cells):
            torch.manual_seed(cell)
            heads.append(make().train())
        return heads

    def _plain(self, cell: int) -> nn.Module:
        torch.manual_seed(cell)
        return plain_head(self.spec, self.options, self.in_features, self.n_classes, self.circuit).train()

    def _errors(self, contender: _Contender) -> tuple[float | None, float | None]:
        if contender.is_reference:
            return None, None
        logits, gradients = contender.logits(), contender.step()
        value_error, gradient_error = 0.0, 0.0
        for cell in {0, contender.cells - 1}:
            reference = self._reference(cell)
            if reference is None:
                return None, None
            value_error = max(value_error, float((logits[cell] - reference.logits).abs().max()))
            if reference.draws:
                return value_error, None
            for name, gradient in gradients.items():
                gradient_error = max(gradient_error, float((gradient[cell] - reference.gradients[name]).abs().max()))
        return value_error, gradient_error

    def _reference(self, cell: int) -> _Reference | None:
        if cell not in self.references:
            circuit = self.circuit
            fits = circuit is None or self._fits(
                "errors", device_bytes(circuit, self.setting.batch, gradients=True, one_by_one=False)
            )
            self.references[cell] = self._exact(cell) if fits else None
        return self.references[cell]

    def _exact(self, cell: int) -> _Reference:
        plain = self._plain(cell).double()
        contender = _alone(TORCH_LAYER, plain, self.features[cell].double(), self.labels[cell])
        before = torch.random.get_rng_state()
        found = contender.step()
        draws = not torch.equal(before, torch.random.get_rng_state())
        torch.manual_seed(cell)
        ours = head_without_engine(self.spec, self.options, self.in_features, self.n_classes, self.circuit)
        gradients = {name: found[theirs][0] for name, theirs in plain_names(ours).items() if theirs in found}
        return _Reference(contender.logits()[0], gradients, draws)


@dataclass(frozen=True)
class _Reference:
    """One cell in float64: logits (B, K), gradients by name; draws: whether training draws random numbers."""

    logits: Tensor
    gradients: Gradients = field(default_factory=dict)
    draws: bool = False


class _NoOptimizer:
    """Leaves parameters as they are."""

    def step(self) -> None:
        pass


def _circuit_only(_options: Any, /, *, in_features: int, n_classes: int, circuit: nn.Module) -> nn.Module:  # noqa: ARG001
    return _CircuitOnly(in_features, circuit)


class _CircuitOnly(nn.Module):
    """A circuit with a trained shift of its inputs, so that it is differentiated by them: (B, n) -> (B, n_outputs + 1).

    The last column is zero: a circuit with a single output has a cross-entropy, too.
    """

    def __init__(self, in_features: int, circuit: nn.Module) -> None:
        super().__init__()
        self.shift, self.circuit = nn.Parameter(torch.zeros(in_features)), circuit

    def forward(self, inputs: Tensor) -> Tensor:
        return pad(self.circuit(inputs + self.shift), (0, 1))


def _alone(name: str, head: nn.Module, features: Tensor, labels: Tensor) -> _Contender:
    """One cell, as torch is usually written."""
    trained = {key: p for key, p in head.named_parameters() if p.requires_grad}

    def step() -> Gradients:
        head.train()
        head.zero_grad()
        cross_entropy(head(features), labels).backward()
        return {key: (torch.zeros_like(p) if p.grad is None else p.grad)[None] for key, p in trained.items()}

    def logits() -> Tensor:
        head.eval()
        with torch.no_grad():
            return torch.as_tensor(head(features))[None]

    return _Contender(name, 1, step, logits)
