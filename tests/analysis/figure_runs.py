"""Stored runs as records, to make figures of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtlplat.store.core.records import CellRecord, ComponentRow, EpochRow, PredictionRow, RunRecord
from qtlplat_reports.figures.stored import StoredRun

PARAMETERS = {"backbone_total": 1000, "replaced_layers": 4, "model_total": 400}


def component(role: str, name: str) -> ComponentRow:
    return ComponentRow(role, name, role, "qtlplat", "0.1", "d" * 64, {})


def record(run_id: str, kind: str = "run", head: str = "dressed5x3", **changes: Any) -> RunRecord:
    names = {"dataset": "steel-synth", "backbone": "lenet2", "head": head, "evaluator": "kfold6"}
    if kind == "pretraining":
        names = {role: names[role] for role in ("dataset", "backbone")}
    values: dict[str, Any] = {
        "id": run_id,
        "kind": kind,
        "status": "finished",
        "fingerprint": "f" * 64,
        "seed": 0,
        "created": "2026-01-01T00:00:00+00:00",
        "finished": None,
        "plan": {},
        "components": {role: component(role, name) for role, name in names.items()},
        "dataset_digest": "a" * 64,
        "parameters": PARAMETERS if kind == "run" else {},
        "metrics": {},
        "seconds": {},
        "pretraining": None,
        "error": "",
    }
    return RunRecord(**{**values, **changes})


def cell(position: int, f1: float | None, fold: int | None = None, variant: str = "head", **changes: Any) -> CellRecord:
    values: dict[str, Any] = {
        "position": position,
        "fold": position if fold is None else fold,
        "seed": 0,
        "n_train": 250,
        "n_test": 50,
        "train_hash": f"{position if fold is None else fold}" * 64,
        "test_hash": f"{position if fold is None else fold}" * 64,
        "status": "finished" if f1 is not None else "running",
        "seconds": 1.0,
        "metrics": {} if f1 is None else {"f1": f1},
        "variant": variant,
    }
    return CellRecord(**{**values, **changes})


def epochs(position: int, losses: list[float], accuracies: list[float]) -> list[EpochRow]:
    pairs = enumerate(zip(losses, accuracies, strict=True), start=1)
    return [EpochRow(position, e, 0.1, {"test_loss": loss, "test_accuracy": a}) for e, (loss, a) in pairs]


def prediction(position: int, sample: str, label: int, one: float) -> PredictionRow:
    return PredictionRow(position, sample, f"source of {sample}", label, int(one > 0.5), (1 - one, one))


def run_of(f1: list[float], run_id: str = "0123456789abcdef", **changes: Any) -> StoredRun:
    """A finished run with a cell for each F1, two epochs and a prediction each; and its head on half of the samples."""
    backbones = (record("b" * 16, "pretraining", metrics={"f1": (0.7, 0.9)}),)
    cells = tuple(cell(i, value) for i, value in enumerate(f1))
    n = len(f1)
    cells += tuple(cell(n + i, value - 0.1, fold=i, variant="head/0.5", n_train=125) for i, value in enumerate(f1))
    rows = tuple(row for i in range(len(f1)) for row in epochs(i, [1.0 + i, 0.5], [0.5, 0.75]))
    predicted = tuple(prediction(i, f"sample {i}", i % 2, 0.9) for i in range(len(f1)))
    return StoredRun(record(run_id, **changes), cells, rows, predicted, backbones)


def of_datasets() -> list[StoredRun]:
    """Three heads on each of three datasets."""
    runs = []
    for number in range(3):
        for place, head in enumerate(("linear", "mlp", "dressed5x3")):
            stored = run_of([0.5 + 0.1 * number + 0.05 * place, 0.6], f"{3 * number + place + 1}" * 16)
            parts = {
                "head": replace(component("head", head), component=head),
                "dataset": component("dataset", f"data{number}"),
            }
            changed = replace(
                stored.run, components={**stored.run.components, **parts}, dataset_digest=f"{number}" * 64
            )
            runs.append(replace(stored, run=changed))
    return runs
