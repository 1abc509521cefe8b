"""Runs of seconds, with a dataset and a backbone of their own, to be interrupted and compared bit for bit."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PLUGIN = '''
"""Noisy squares of 12x12 pixels, and a backbone that learns them in a second; it draws random numbers as it learns."""
import numpy as np
from qtlplat import (
    Backbone, BackboneSpec, Budget, Claim, DatasetSpec, ImageSet, RecipeModel, RecipeSpec, hookimpl,
)

qtlplat_api_version = (1, 0)


def load(options):
    rng = np.random.default_rng(0)
    labels = np.arange(96, dtype=np.int64) % 2
    images = rng.integers(0, 120, (96, 1, 12, 12), dtype=np.uint8)
    images[labels == 1, :, 3:8, 3:8] += 60
    names = tuple(f"square{i}" for i in range(96))
    return ImageSet(images, labels, names, names, ("empty", "square"))


def build(options, input_shape, n_classes):
    from torch import nn

    # Two convolutions: only the second one's weights have a memory layout of their own.
    convolutions = nn.Conv2d(1, 8, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(8, 8, 2), nn.ReLU()
    features = nn.Sequential(*convolutions, nn.Flatten())
    first = nn.Sequential(nn.Linear(128, 16), nn.ReLU(), nn.Dropout(0.3))
    return Backbone(features, (first, nn.Linear(16, n_classes)))


@hookimpl
def qtlplat_datasets():
    return [DatasetSpec(name="quick-squares", summary="noisy squares", load=load)]


@hookimpl
def qtlplat_backbones():
    return [BackboneSpec(name="quick-net", summary="two convolutions", build=build)]


@hookimpl
def qtlplat_recipes():
    def model(name, head):
        return RecipeModel(name, "quick-net", head, "all", "kfold[folds=3]", "standard")

    models = model("net", None), model("hybrid", "dressed[qubits=2,layers=1]"), model("plain", "mlp")
    claim = Claim("f1 of the hybrid", "f1", "hybrid", "Table 1", 50.0, 50.0, "%", table=1)
    budget = Budget("whole", "seconds", epochs=12, pretrain_epochs=12, n_init=1)
    return [RecipeSpec(
        name="quick2026", summary="squares", citation="Nobody, 2026", dataset="quick-squares", input_shape=(1, 12, 12),
        n_classes=2, models=models, claims=(claim,), budgets=(budget,),
    )]
'''

RUN = (
    "run --dataset quick-squares --backbone quick-net --evaluator 'kfold[folds=3]' --epochs 12 --pretrain-epochs 6 "
    "--n-init 2 -S pretraining.batch_size=16 -S training.batch_size=16 -S pretraining.patience=0"
)


def write_plugin(directory: Path) -> Path:
    """A directory for PYTHONPATH with the plugin and what an installer would leave beside it."""
    (directory / "quick_plugin.py").write_text(PLUGIN)
    facts = directory / "quick_plugin-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: quick-plugin\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[qtlplat]\nquick = quick_plugin\n")
    return directory


def call(line: str, store: Path | str, plugins: Path, log: Path | None = None) -> None:
    """In a process of its own: one command line, its output into a file; leaves with its exit code."""
    if str(plugins) not in sys.path:
        sys.path.insert(0, str(plugins))
    os.environ["QTLPLAT_STORE"] = str(store)
    if log:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
    from qtlplat.cli.app import main

    main(shlex.split(line))


class Runs:
    """Command lines in processes of their own, on one store."""

    def __init__(self, processes: Any, store: Path, plugins: Path) -> None:
        self.processes, self.store, self.plugins = processes, store, plugins
        self.log = store.with_name("log.txt")

    def start(self, line: str, log: Path | None = None) -> BaseProcess:
        arguments = (line, self.store, self.plugins, log or self.log)
        process: BaseProcess = self.processes.Process(target=call, args=arguments)
        process.start()
        return process

    def to_the_end(self, line: str) -> int | None:
        process = self.start(line)
        process.join(300)
        return process.exitcode

    def killed(self, line: str, seconds: float) -> bool:
        """Kill it so many seconds after it has begun to train; returns whether it was still alive."""
        before = owners(self.store)
        process = self.start(line)
        while process.is_alive() and owners(self.store) == before:
            time.sleep(0.02)
        process.join(seconds)
        process.kill()
        process.join(60)
        return process.exitcode == -9


def owners(store: Path) -> int:
    """How often a run of heads has been started or taken up."""
    from qtlplat.store.backends.find import find_store
    from qtlplat.store.read.queries import Reader

    return sum(run.owner for run in Reader(find_store(str(store))).runs(kind="run"))


def numbers_of(store: Path | str) -> dict[str, Any]:
    """What must be equal bit for bit, by kind of run: metrics and epochs in hexadecimal, predictions, weights.

    Further runs of a kind are named by their seed.
    """
    from qtlplat.store.backends.find import find_store
    from qtlplat.store.read.queries import Reader

    reader = Reader(find_store(str(store)))
    found: dict[str, Any] = {}
    for run in reader.runs():
        epochs = [
            (row.cell, row.epoch, {k: v.hex() for k, v in sorted(row.values.items())}) for row in reader.epochs(run.id)
        ]
        rows = [(p.cell, p.sample_id, [x.hex() for x in p.probabilities]) for p in reader.predictions(run.id)]
        found[run.kind if run.kind not in found else f"{run.kind}, seed {run.seed}"] = {
            "status": run.status,
            "metrics": [{k: v.hex() for k, v in cell.metrics.items()} for cell in reader.cells(run.id)],
            "epochs": epochs,
            "predictions": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
            "weights": [a.sha256 for a in reader.artifacts(run.id) if a.kind == "weights"],
        }
    found["runs"] = sorted(run.kind for run in reader.runs())
    return found


def leftovers(store: Path) -> list[str]:
    """Checkpoints, temporary files, locks and journals that should be gone when every run has finished."""
    files = store.with_name(f"{store.stem}.files")
    stale = [p for p in files.rglob("*") if p.is_file() and (p.name.startswith(".") or p.parent.name == "locks")]
    stale += list((files / "checkpoints").glob("*"))
    return sorted(str(p) for p in [*stale, *store.parent.glob("*-journal")])
