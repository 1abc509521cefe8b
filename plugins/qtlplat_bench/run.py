"""Times the whole head stage of a run against the loop that one would write with PennyLane's own layer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qtlplat.backbones.model import HeadFactory
from qtlplat.catalog.plan import TrainingOptions
from qtlplat.catalog.plugin_calls import declared_circuit, guarded
from qtlplat.contracts import Cell, Circuit
from qtlplat.errors import ConfigError
from qtlplat.heads.fit import HeadTraining, why_not_stackable
from qtlplat.heads.lockstep import Task
from qtlplat.heads.memory import limits
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat.quantum.devices.memory import USABLE_SHARE, device_bytes, free_bytes, size_text
from qtlplat.quantum.devices.threads import torch_threads
from qtlplat.runs.preflight import try_head
from qtlplat.seeding import derive_seed, generator, isolated_rng
from qtlplat.specs import AnyHeadSpec
from qtlplat.state.epochs import CellEpoch
from qtlplat_bench.plain import TORCH, TORCH_LAYER, plain_head
from qtlplat_bench.timing import Timing, row, summary

CLASSES = 2
LEARNING_RATE = 8e-4
WARM_UP = 2  # steps of the plain loop that are not counted
THREADS = 1  # of both: operations of this size are not quicker with more
CPU = torch.device("cpu")
Note = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """The head stage that is timed. in_features: F; samples: N; plain_steps: steps of the plain loop to measure."""

    in_features: int
    samples: int = 2200
    folds: int = 6
    epochs: int = 40
    batch: int = 64
    plain_steps: int = 60

    def cells(self) -> list[Cell]:
        """One cell per fold, every `folds`-th sample being tested."""
        everyone = np.arange(self.samples)
        tests = [everyone[fold :: self.folds] for fold in range(self.folds)]
        return [Cell(fold, 0, np.setdiff1d(everyone, test), test) for fold, test in enumerate(tests)]

    def options(self) -> TrainingOptions:
        """How the heads are trained."""
        return TrainingOptions(epochs=self.epochs, learning_rate=LEARNING_RATE, batch_size=self.batch)

    def steps(self) -> int:
        """Steps of all cells and epochs, one cell after the other."""
        return self.epochs * sum(-(-len(cell.train) // self.batch) for cell in self.cells())

    def planted(self) -> tuple[Tensor, Tensor]:
        """Random features (N, F) and labels (N,): the side of a plane on which a sample lies."""
        draw = torch.Generator().manual_seed(0)
        features = torch.randn(self.samples, self.in_features, generator=draw)
        direction = torch.randn(self.in_features, generator=draw)
        return features, (features @ direction > 0).long()


def bench_run(spec: AnyHeadSpec, options: Any, provider: str, stage: Stage, on_note: Note) -> list[dict[str, Any]]:
    """Two rows, of qtlplat and of the plain loop, on the same random features with a label planted in them.

    qtlplat's stage is run in full: choosing the engine, compiling, tracing, all epochs of all cells with their
    evaluation. The plain loop (``qml.qnn.TorchLayer`` on default.qubit, or the classical head as it is; Adam; batches
    gathered by indexing; the same initial weights and batches) trains the first cell for `plain_steps` steps, half of
    them before and half of them after qtlplat's stage, and is evaluated at the end of an epoch, or where it stops. Its
    seconds are the median step times all steps, and the evaluation times all epochs and cells.

    Further keys: seconds (of the whole stage), measured_seconds, steps (of all cells, one by one),
    measured_steps, extrapolated. ms_per_cell_step is seconds / steps, ms_per_step that of `cells` cells; evaluation is
    part of both. spread: of qtlplat's epochs, of the plain steps. max_value_error: largest difference in training and
    test loss of the first cell after its first epoch; None if the plain loop does not get so far.

    Raises ConfigError if memory does not suffice, PluginError as a run does.
    """
    circuit = declared_circuit(spec, options, provider)
    if circuit is not None:
        _check_memory(circuit, stage.batch)
    features, labels = stage.planted()
    first = stage.cells()[0]
    with isolated_rng(), torch_threads(THREADS):
        torch.manual_seed(derive_seed("head", first.seed, first.fold))
        head = guarded(
            lambda: plain_head(spec, options, stage.in_features, CLASSES, circuit), provider, "building the plain head"
        )
        plain = _Plain(head, features, labels, first, stage.batch)
        half = stage.plain_steps // 2
        on_note(f"plain loop: {half} of {stage.plain_steps} steps")
        plain.train(WARM_UP, counted=False)
        plain.train(half)
        on_note(f"qtlplat: {stage.epochs} epochs of {stage.folds} cells")
        ours = _Ours(spec, options, provider, circuit, stage, on_note)
        ours.run(features, labels)
        on_note(f"plain loop: the other {stage.plain_steps - half} steps")
        plain.train(stage.plain_steps - half)
        plain.finish()
    return [_our_row(ours, plain, options, stage), _plain_row(plain, circuit, options, stage)]


def _check_memory(circuit: Circuit, batch: int) -> None:
    needed, free = device_bytes(circuit, batch, gradients=True), free_bytes(CPU) * USABLE_SHARE
    if needed > free:
        raise ConfigError(
            f"the plain loop would take about {size_text(needed)} of the {size_text(free)} that may be used, "
            f"for {circuit.qubits} qubits and batches of {batch}",
            where="memory",
            fix="use fewer qubits or a smaller --batch",
        )


class _Ours:
    """The head stage as a run does it."""

    def __init__(
        self, spec: AnyHeadSpec, options: Any, provider: str, circuit: Circuit | None, stage: Stage, on_note: Note
    ) -> None:
        self.spec, self.options, self.provider, self.circuit = spec, options, provider, circuit
        self.stage, self.on_note = stage, on_note
        self.name, self.cells, self.seconds = TORCH, 1, 0.0
        self.epochs: list[float] = []  # seconds of every epoch of all cells that are trained together
        self.first: CellEpoch | None = None

    def run(self, features: Tensor, labels: Tensor) -> None:
        """From the declared circuit to fitted cells."""
        stage, circuit = self.stage, self.circuit
        started = self._last = time.perf_counter()
        engine = guarded(lambda: choose_engine(circuit), self.provider, "running the circuit") if circuit else None
        make_head = HeadFactory(self.spec, self.options, stage.in_features, CLASSES, engine, self.provider)
        try_head(make_head, stage.in_features, CLASSES, self.provider)
        bounds = limits(
            engine,
            n_cells=stage.folds,
            batch=stage.batch,
            in_features=stage.in_features,
            n_samples=stage.samples,
            device=CPU,
        )
        reason = (engine.why_not_stackable if engine else "") or why_not_stackable(make_head, stage.in_features)
        if reason:
            self.on_note(f"cells are trained one by one: {reason}")
        self.name = engine.name if engine else TORCH
        self.cells = 1 if reason else bounds.cells
        self._last = time.perf_counter()
        training = HeadTraining(
            [Task(make_head, labels, stack=not reason)],
            stage.cells(),
            [features] * stage.folds,
            stage.options(),
            limits=bounds,
            on_note=self.on_note,
        )
        for epoch in filter(None, training.run()):
            now = time.perf_counter()
            self.epochs.append(now - self._last)
            self._last = now
            if self.first is None and epoch.rows[0].key.cell == 0:
                self.first = epoch.rows[0]
        self.seconds = time.perf_counter() - started


class _Plain:
    """The first cell in a loop as it is usually written."""

    def __init__(self, head: nn.Module, features: Tensor, labels: Tensor, cell: Cell, batch: int) -> None:
        self.head, self.features, self.labels, self.cell, self.batch = head, features, labels, cell, batch
        self.optimizer = torch.optim.Adam(head.parameters(), lr=LEARNING_RATE)
        self.seconds: list[float] = []
        self.evaluation_seconds = 0.0
        self.first: dict[str, float] = {}  # losses of the first epoch
        self._waiting: list[Tensor] = []
        self._epoch, self._loss = 0, 0.0

    def train(self, steps: int, *, counted: bool = True) -> None:
        """So many steps; counted: they are timed."""
        for _ in range(steps):
            if not self._waiting:
                self._begin()
            rows = self._waiting.pop(0)
            started = time.perf_counter()
            self.head.train()
            loss = cross_entropy(self.head(self.features[rows]), self.labels[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self._loss += loss.item() * len(rows)
            if counted:
                self.seconds.append(time.perf_counter() - started)
            if not self._waiting and not self.first:
                self.first = {"train_loss": self._loss / len(self.cell.train), "test_loss": self._evaluate()}

    def finish(self) -> None:
        """Evaluate, where no epoch came to its end."""
        if not self.evaluation_seconds:
            self._evaluate()

    def _begin(self) -> None:
        self._epoch, self._loss = self._epoch + 1, 0.0
        order = generator("order", self.cell.seed, self.cell.fold, self._epoch)
        shuffled = torch.randperm(len(self.cell.train), generator=order)
        self._waiting = list(torch.from_numpy(self.cell.train)[shuffled].split(self.batch))

    def _evaluate(self) -> float:
        """Loss of the test part."""
        started = time.perf_counter()
        test = torch.from_numpy(self.cell.test)
        self.head.eval()
        with torch.no_grad():
            loss = cross_entropy(self.head(self.features[test]), self.labels[test]).item()
        self.evaluation_seconds = time.perf_counter() - started
        return loss


def _our_row(ours: _Ours, plain: _Plain, options: Any, stage: Stage) -> dict[str, Any]:
    error = None
    if ours.first is not None and plain.first:
        error = max(abs(ours.first.values[name] - loss) for name, loss in plain.first.items())
    spread = summary(ours.epochs[1:] or ours.epochs).spread  # the first one compiles and traces
    timing = (ours.seconds, ours.seconds, stage.steps(), spread)
    return _row(f"qtlplat: {ours.name}", ours.circuit, options, stage, ours.cells, timing, error)


def _plain_row(plain: _Plain, circuit: Circuit | None, options: Any, stage: Stage) -> dict[str, Any]:
    step = summary(plain.seconds)
    seconds = step.median * stage.steps() + plain.evaluation_seconds * stage.epochs * stage.folds
    timing = (seconds, sum(plain.seconds) + plain.evaluation_seconds, step.repeats, step.spread)
    return _row(f"plain: {TORCH_LAYER if circuit else TORCH}", circuit, options, stage, 1, timing, None)


def _row(
    engine: str,
    circuit: Circuit | None,
    options: Any,
    stage: Stage,
    cells: int,
    timing: tuple[float, float, int, float],
    error: float | None,
) -> dict[str, Any]:
    seconds, measured_seconds, measured_steps, spread = timing
    usual = row(
        engine,
        Timing(seconds / stage.steps() * cells, spread, measured_steps),
        qubits=circuit.qubits if circuit else None,
        layers=getattr(options, "layers", None),
        batch=stage.batch,
        cells=cells,
        threads=THREADS,
        errors=(error, None),
    )
    return usual | {
        "seconds": seconds,
        "measured_seconds": measured_seconds,
        "steps": stage.steps(),
        "measured_steps": measured_steps,
        "extrapolated": measured_steps < stage.steps(),
    }
