"""Times how long checkpoints hold up training: the copying and waiting that a step does not get back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from qtlplat.backbones.model import HeadFactory
from qtlplat.backbones.pretrain import BackboneTraining, make_split
from qtlplat.catalog.plan import PretrainingOptions
from qtlplat.catalog.plugin_calls import declared_circuit
from qtlplat.contracts import Backbone, ImageSet
from qtlplat.heads.fit import HeadTraining, why_not_stackable
from qtlplat.heads.lockstep import Task
from qtlplat.plugin_modules import guarded_build
from qtlplat.progress import Silent
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat.seeding import isolated_rng
from qtlplat.specs import AnyHeadSpec
from qtlplat.state.checkpoints import Checkpoints
from qtlplat.state.epochs import TrainedEpoch
from qtlplat.state.snapshots import Snapshot
from qtlplat_bench.run import CLASSES, Stage

WARM_UP = 2  # epochs of heads that are not counted: the first one compiles and traces


@dataclass
class _Watch:
    """Keeps checkpoints of a training and looks at the clock. epochs, held: seconds; last: the newest snapshot."""

    checkpoints: Checkpoints
    epochs: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    last: Snapshot = field(default_factory=Snapshot)
    _since: float = field(default_factory=time.perf_counter)

    def over(self, trained: Iterable[object]) -> None:
        """Let a training come to its end."""
        for epoch in trained:
            if not isinstance(epoch, TrainedEpoch):
                continue
            ended = time.perf_counter()
            self.last = epoch.snapshot()
            self.checkpoints.save(self.last)
            kept = time.perf_counter()
            self.epochs.append(ended - self._since)
            self.held.append(kept - ended)
            self._since = kept


def bench_checkpoint(
    build: Callable[[], Backbone],
    shape: tuple[int, int, int],
    spec: AnyHeadSpec,
    options: Any,
    provider: str,
    stage: Stage,
    *,
    pretrain_epochs: int,
    batch: int,
    directory: Path,
) -> list[dict[str, Any]]:
    """Rows for pretraining, for training heads, and for a run of both.

    Each: stage; epochs; ms_per_epoch (median, checkpoints left out); ms_held_up (median, by a checkpoint: copying all
    tensors, and waiting for the one before it); ms_written (until one is on the disk, during training); bytes;
    share (of the stage's time that checkpoints take).

    build: of a backbone for images of `shape` (C, H, W); stage: of the heads, and how many samples there are; batch: of
    the pretraining; directory: on the disk that is measured, left as it was. Images and features are random.
    """
    with isolated_rng(), TemporaryDirectory(dir=directory) as place:
        rows = [
            _pretraining(build, shape, stage.samples, pretrain_epochs, batch, Path(place) / "pretraining"),
            _heads(spec, options, provider, stage, Path(place) / "heads"),
        ]
    total = sum(row["epochs"] * (row["ms_per_epoch"] + row["ms_held_up"]) for row in rows)
    held = sum(row["epochs"] * row["ms_held_up"] for row in rows)
    whole = {"stage": "run", "epochs": sum(row["epochs"] for row in rows), "share": held / total}
    return [*rows, {**dict.fromkeys(rows[0]), **whole}]


def _pretraining(
    build: Callable[[], Backbone], shape: tuple[int, int, int], samples: int, epochs: int, batch: int, directory: Path
) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    names = tuple(str(i) for i in range(samples))
    pixels = draw.integers(0, 256, (samples, *shape), dtype=np.uint8)
    images = ImageSet(pixels, np.arange(samples, dtype=np.int64) % CLASSES, names, names, ("a", "b"))
    options = PretrainingOptions(epochs=epochs, batch_size=batch, patience=0, ema_epochs=0.5)
    with Checkpoints(directory, lambda _text: None) as checkpoints:
        watch = _Watch(checkpoints)
        split = make_split(images.labels, images.groups, options, 0)
        watch.over(BackboneTraining(build, images, split, options, 0, progress=Silent()).run())
    return _row("pretraining", watch, 0, directory)


def _heads(spec: AnyHeadSpec, options: Any, provider: str, stage: Stage, directory: Path) -> dict[str, Any]:
    features, labels = stage.planted()
    circuit = declared_circuit(spec, options, provider)
    engine = guarded_build(lambda: choose_engine(circuit), provider, "running the circuit") if circuit else None
    make_head = HeadFactory(spec, options, stage.in_features, CLASSES, engine, provider)
    task = Task(make_head, labels, stack=not why_not_stackable(make_head, stage.in_features))
    with Checkpoints(directory, lambda _text: None) as checkpoints:
        watch = _Watch(checkpoints)
        stage = replace(stage, epochs=stage.epochs + WARM_UP)
        watch.over(HeadTraining([task], stage.cells(), [features] * stage.folds, stage.options()).run())
    return _row("heads", watch, WARM_UP, directory)


def _row(stage: str, watch: _Watch, first: int, directory: Path) -> dict[str, Any]:
    epochs, held = watch.epochs[first:], watch.held[first:]
    return {
        "stage": stage,
        "epochs": len(epochs),
        "ms_per_epoch": 1e3 * median(epochs),
        "ms_held_up": 1e3 * median(held),
        "ms_written": 1e3 * median(_written(watch.last, directory / str(i)) for i in range(5)),
        "bytes": sum(tensor.numel() * tensor.element_size() for tensor in watch.last.tensors.values()),
        "share": sum(held) / sum([*epochs, *held]),
    }


def _written(snapshot: Snapshot, directory: Path) -> float:
    """Seconds until a snapshot is on the disk."""
    started = time.perf_counter()
    with Checkpoints(directory, lambda _text: None) as checkpoints:
        checkpoints.save(snapshot)
    return time.perf_counter() - started
