"""Synthetic runs in any number, with the rows of real ones: a store for benchmarks."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from qtlplat.metrics import SHIPPED
from qtlplat.store.core.records import ComponentRow
from qtlplat.store.core.summaries import facts, over_cells
from qtlplat_bench.bulk_insert import Rows

CELLS, EPOCHS = 6, 40
SAMPLES = 2208  # of the data; each is tested in one cell
PRETRAININGS = 25  # one for so many runs
WITH_CONTROLS = 10  # every so manieth run has them
WITH_PREDICTIONS = 100  # so many of the newest runs have them
TAGS, NOTES = ("paper", "draft", "baseline", "to look at"), ("the one in Table II", "again, with another seed")
HEADS: tuple[tuple[str, str, dict[str, Any], int], ...] = (  # name, component, options, parameters
    ("dressed5x3", "dressed", {"qubits": 5, "layers": 3, "axis": "X", "input_scale": 1, "activation": "relu"}, 10302),
    ("dressed4x2", "dressed", {"qubits": 4, "layers": 2, "axis": "X", "input_scale": 1, "activation": "relu"}, 8230),
    (
        "dressed[layers=6]",
        "dressed",
        {"qubits": 5, "layers": 6, "axis": "Y", "input_scale": 1, "activation": "tanh"},
        10347,
    ),
    ("linear", "linear", {"bias": True}, 4098),
    ("mlp", "mlp", {"hidden": 5, "activation": "relu"}, 10257),
)
BACKBONES = (("lenet1", "model-1"), ("lenet2", "model-2"), ("lenet3", "model-3"))
EVALUATORS = (("kfold6", False), ("kfold6-grouped", True))
_DATASET = {"per_class": 300, "size": 200, "resample": "bilinear", "normals": "enlarged", "seed": 0, "contrast": 1.0}
_TRAINING = {"epochs": EPOCHS, "learning_rate": 0.0008, "batch_size": 64}
_PRETRAINING: dict[str, Any] = {
    "epochs": 8,
    "n_init": 1,
    "learning_rate": 0.001,
    "schedule": "cosine",
    "batch_size": 16,
    "ema_epochs": 0.5,
    "test_size": 0.2,
    "grouped": False,
    "monitor": "last",
    "val_size": 0.0,
    "patience": 0,
}
_OURS: dict[str, Any] = {"provider": "qtlplat", "version": "0.1.0"}
_METRICS = tuple(sorted(SHIPPED))
_ENVIRONMENT = {
    "python": "3.11.9",
    "platform": "Linux-6.8.0-x86_64-with-glibc2.36",
    "processor": "x86_64",
    "cpus": "2",
    "threads": "2",
    "accelerator": "cpu",
    "engine": "compiled",
    "version of torch": "2.13.0",
    "version of pennylane": "0.45.0",
    "version of numpy": "2.3.4",
    "version of scikit-learn": "1.7.2",
    "git commit": "0" * 40,
}


@dataclass(frozen=True)
class _Run:
    """What is known of a run before its rows are made.

    number: among all, oldest first; left: how many are newer; parent: its pretraining.
    """

    id: str
    number: int
    left: int
    created: datetime
    parent: str | None


def made_up(runs: int, seed: int = 0) -> Iterator[tuple[str, Mapping[str, Rows]]]:
    """Rows by table of `runs` runs and, before them, their pretrainings, by id, which says nothing of their age.

    Six cells of 40 epochs each. Every tenth has two controls, the newest hundred have predictions; some have failed,
    have tags or a note. The same for the same seed, but for when they were made: in the last 200 days.
    """
    chance = random.Random(seed)
    pretrainings = max(1, runs // PRETRAININGS)
    ids = [f"{chance.getrandbits(64):016x}" for _ in range(runs + pretrainings)]
    newest = datetime.now(UTC) - timedelta(minutes=1)
    step = timedelta(days=200) / len(ids)
    known = [
        _Run(
            run_id,
            number,
            len(ids) - 1 - number,
            newest - step * (len(ids) - 1 - number),
            None if number < pretrainings else ids[number % pretrainings],
        )
        for number, run_id in enumerate(ids)
    ]
    for run in sorted(known, key=lambda run: (run.parent is not None, run.id)):  # what others refer to comes first
        yield run.id, _rows(run, random.Random(f"{seed} {run.number}"))


def _rows(run: _Run, chance: random.Random) -> dict[str, Rows]:
    """All rows of a run, by table."""
    head = HEADS[run.number % len(HEADS)]
    backbone = BACKBONES[run.number // 5 % len(BACKBONES)]
    status = chance.choices(("finished", "failed", "interrupted"), (96, 2, 2))[0] if run.parent else "finished"
    components = _components(run, head, backbone)
    controls = ("linear", "shuffled") if run.parent and run.number % WITH_CONTROLS == 0 else ()
    variants = ("head", *controls) if run.parent else ("head",)
    n_cells = CELLS if run.parent else 1
    quality = 0.9 + 0.02 * (run.number % len(HEADS) == 0) + 0.03 * (run.number // 5 % 3)
    tables = {
        "runs": _run_row(run, head, components, controls, status, chance),
        "owners": (
            ("run_id", "number", "since", "host", "pid", "drift"),
            [(run.id, 1, _iso(run.created), "host", 4711, "{}")],
        ),
        "components": (
            ("run_id", "role", "name", "component", "provider", "version", "digest", "options"),
            [
                (run.id, role, c["name"], c["component"], "qtlplat", "0.1.0", c["digest"], json.dumps(c["options"]))
                for role, c in components.items()
            ],
        ),
        "environment": (
            ("run_id", "name", "value"),
            [(run.id, name, value) for name, value in {**_ENVIRONMENT, **_surroundings(run)}.items()],
        ),
        **_trained(run, variants, n_cells, status == "finished", quality, chance),
        **_remarks(run, chance),
    }
    if run.parent:
        tables["lineage"] = (("run_id", "role", "parent_id"), [(run.id, "pretraining", run.parent)])
    if run.left < WITH_PREDICTIONS and run.parent:
        tables["predictions"] = _predictions(run, n_cells, quality, chance)
    return tables


def _components(run: _Run, head: Any, backbone: Any) -> dict[str, dict[str, Any]]:
    evaluator, grouped = EVALUATORS[run.number // 50 % len(EVALUATORS)]
    chosen = {
        "dataset": ("steel-synth", "steel-synth", _DATASET),
        "backbone": (backbone[0], "lenet", {"architecture": backbone[1], "initialisation": "he", "dropout": 1.0}),
        "head": head[:3],
        "evaluator": (evaluator, "kfold", {"folds": CELLS, "shuffle": True, "grouped": grouped}),
    }
    roles = list(chosen) if run.parent else ["dataset", "backbone"]
    keys = ("name", "component", "options")
    return {role: {**dict(zip(keys, chosen[role], strict=True)), "digest": f"{len(role):064x}"} for role in roles}


def _surroundings(run: _Run) -> dict[str, str]:
    """Environment values that differ between runs: the oldest eighth is older than an update."""
    older = run.number < run.left / 7
    return {"host": "host", **({"version of torch": "2.12.1"} if older else {})}


def _run_row(run: _Run, head: Any, components: Any, controls: Any, status: str, chance: random.Random) -> Rows:
    seed = run.number // 100 % 5
    places = {role: {**one, **_OURS, "locations": []} for role, one in components.items()}
    plan: dict[str, Any] = {**places, "pretraining": _PRETRAINING, "seed": seed, "accelerator": "cpu"}
    counts: dict[str, Any] = {}
    if run.parent:
        plan |= {"replace": "all", "training": _TRAINING, "seeds": 1, "controls": list(controls), "device": "auto"}
        kept, total = 262880, 534482
        counts = {"backbone_total": total, "replaced_layers": 4, "replaced": total - kept, "kept": kept}
        counts |= {
            "head": {"total": head[3]},
            "model_total": kept + head[3],
            "controls": dict.fromkeys(controls, 4098),
        }
        counts["reduction_percent_model"] = 100 * (1 - (kept + head[3]) / total)
    seconds = {"total": 10 + 5 * chance.random(), "features": chance.random(), "heads": 5 * chance.random()}
    values = {
        "id": run.id,
        "kind": "run" if run.parent else "pretraining",
        "status": status,
        "fingerprint": f"{run.number:064x}",
        "seed": seed,
        "created": _iso(run.created),
        "finished": _iso(run.created + timedelta(seconds=seconds["total"])),
        "host": "host",
        "pid": 4711,
        "dataset_digest": "a" * 64,
        **facts([ComponentRow(role, **one, **_OURS) for role, one in components.items()], "a" * 64),
        "plan": json.dumps(plan),
        "parameters": json.dumps(counts),
        "seconds": json.dumps(seconds),
        "error": "loss is NaN in cell 3" if status == "failed" else "",
        "owner": 1,
        "classes": '["normal", "anomaly"]',
        "image_shape": None,
        "made_for": None,
    }
    return tuple(values), [tuple(values.values())]


def _trained(
    run: _Run, variants: Any, n_cells: int, finished: bool, quality: float, chance: random.Random
) -> dict[str, Rows]:
    """Cells, epochs and metrics; a run that did not finish lacks its last cells."""
    cells, epochs, metrics = [], [], []
    share = SAMPLES // CELLS
    leakage = 0.8 if run.parent else 0.0
    for position in range(n_cells * len(variants)):
        fold, variant = position % n_cells, variants[position // n_cells]
        done = finished or position < n_cells // 2
        status = "finished" if done else "interrupted"
        hashes = (f"{fold:064x}", f"{fold + 100:064x}")
        known = (
            SAMPLES - share,
            share,
            *hashes,
            status,
            2.0 if done else None,
            variant,
            leakage,
            leakage,
            0.0,
            run.parent,
        )
        cells.append((run.id, position, 0, fold, run.number // 100 % 5, *known))
        if not done:
            continue
        f1 = min(1.0, quality - 0.3 * (variant == "shuffled") + chance.gauss(0, 0.012))
        decay = chance.uniform(0.05, 0.15)
        turn = EPOCHS - 15 * (run.number % 7 == 3)  # some train for too long
        for epoch in range(1, EPOCHS + 1):
            loss = 0.1 + 0.6 * math.exp(-decay * epoch) + 0.004 * max(0, epoch - turn)
            epochs.append((run.id, position, epoch, 0.05, loss, f1 - loss / 9, loss * 1.1, f1 - loss / 8, "{}"))
        for i, name in enumerate(_METRICS):  # all a little different, errors the other way round
            value = f1 - 0.001 * i if SHIPPED[name].higher_is_better else 1 - f1 + 0.001 * i
            metrics.append((run.id, position, name, min(1.0, value)))
    named = "position backbone_index fold seed n_train n_test train_hash test_hash status seconds variant"
    named += " leakage group_leakage selection_leakage"
    measured = "cell epoch seconds train_loss train_accuracy test_loss test_accuracy further"
    summaries = _over_cells(run, variants, n_cells, metrics)
    return {
        "cells": (("run_id", *named.split(), "pretraining"), cells),
        "run_metrics": summaries,
        "epochs": (("run_id", *measured.split()), epochs),
        "metrics": (("run_id", "cell", "name", "value"), metrics),
    }


def _over_cells(run: _Run, variants: Any, n_cells: int, metrics: Any) -> Rows:
    values: dict[tuple[str, str], list[float]] = {}
    for _, position, name, value in metrics:
        values.setdefault((variants[position // n_cells], name), []).append(value)
    found = [(*key, over_cells(numbers)) for key, numbers in values.items()]
    columns = ("mean", "sd", "least", "most", "n")
    rows = [(run.id, variant, name, *(one[column] for column in columns)) for variant, name, one in found]
    return ("run_id", "variant", "name", *columns), rows


def _predictions(run: _Run, n_cells: int, quality: float, chance: random.Random) -> Rows:
    rows = []
    for number in range(SAMPLES):
        label, right = number % 2, chance.random() < quality
        predicted = label if right else 1 - label
        sure = round(chance.uniform(0.5, 1), 4)
        both = [sure, 1 - sure] if predicted == 0 else [1 - sure, sure]
        sample = f"sample {number:05}"
        rows.append((run.id, number % n_cells, sample, f"image {number // 4}", label, predicted, json.dumps(both)))
    return ("run_id", "cell", "sample_id", "source", "label", "predicted", "probabilities"), rows


def _remarks(run: _Run, chance: random.Random) -> dict[str, Rows]:
    since = _iso(run.created)
    tags = [(run.id, tag, since) for tag in TAGS if chance.random() < 0.08]
    notes = [(run.id, chance.choice(NOTES), since)] if chance.random() < 0.05 else []
    return {"tags": (("run_id", "tag", "since"), tags), "notes": (("run_id", "text", "since"), notes)}


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")
