"""Stores of runs to compare: a quantum and a linear head on the same folds, and a run with controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import CandidateRow, ComponentRow, EpochRow, NewCell, NewRun, PredictionRow
from qtlplat.store.write.writer import Writer

QUANTUM = (0.9837, 0.9741, 0.9918, 0.9702, 0.9783, 0.9865)
LINEAR = (0.9756, 0.9851, 0.9702, 0.9674, 0.9810, 0.9838)
CIRCUIT = {"head": {"vqc": 45, "total": 102}}
CLASSICAL = {"head": {"vqc": 0, "total": 12}}


def cell(position: int, fold: int, seed: int = 0, **changes: Any) -> NewCell:
    """A cell whose samples are told by fold and seed: runs with the same ones were tested on the same samples."""
    values = {"n_train": 1840, "n_test": 368, "train_hash": f"train {fold} {seed}", "test_hash": f"test {fold} {seed}"}
    return NewCell(position, fold, seed, **{**values, **changes})


def predictions(position: int, right: Sequence[bool], label: int = 1, first: int = 0) -> list[PredictionRow]:
    """Predictions for samples s0, s1, ... of a cell, each of its own source; first: the number of the first one."""
    return [
        PredictionRow(position, f"s{i}", f"image {i}", label, label if ok else 1 - label, (0.5, 0.5))
        for i, ok in enumerate(right, first)
    ]


def store_run(
    path: Path,
    f1: Sequence[float],
    *,
    head: str = "dressed5x3",
    cells: Sequence[NewCell] | None = None,
    parameters: Mapping[str, Any] = CIRCUIT,
    predicted: Mapping[int, Sequence[PredictionRow]] | None = None,
    plan: Mapping[str, Any] | None = None,
    status: str = "finished",
    digest: str = "a" * 64,
    environment: Mapping[str, str] | None = None,
    classes: Sequence[str] = (),
    further: Mapping[str, Sequence[float]] | None = None,
    epochs: Sequence[EpochRow] = (),
    candidates: Sequence[CandidateRow] = (),
    **components: str,
) -> str:
    """A run with a cell for every value of `f1`; `loss` is 1 - f1. Components are named by keyword.

    further: values of other metrics, one for each cell.
    """
    names = {"dataset": "steel", "backbone": "lenet2", "head": head, "evaluator": "kfold6", **components}
    rows = [ComponentRow(role, name, name, "qtlplat", "0.1", "d" * 64, {}) for role, name in names.items()]
    with Writer(find_store(str(path))) as writer:
        surroundings = dict(environment or {"python": "3.11"})
        run = writer.start_run(
            NewRun("run", f"{names}", 7, dict(plan or {"seed": 0}), rows, digest, surroundings, parameters, classes)
        )
        writer.add_cells(run, list(cells or [cell(i, i) for i in range(len(f1))]))
        if epochs:
            writer.add_epochs(run, epochs)
        if candidates:
            writer.add_candidates(run, candidates)
        for position, value in enumerate(f1):
            writer.add_predictions(run, list((predicted or {}).get(position, [])))
            others = {name: values[position] for name, values in (further or {}).items()}
            writer.finish_cell(run, position, {"f1": value, "loss": 1 - value, **others}, 1.0)
        writer.finish_run(run, status, {"total": 1.0})  # type: ignore[arg-type]
    return run


def store_controls(path: Path, **f1_by_variant: Sequence[float]) -> str:
    """A run with the head of `QUANTUM` and controls, each with six cells."""
    every = {"head": QUANTUM, **f1_by_variant}
    cells = [
        cell(6 * i + fold, fold, variant=name, leakage=0.72, group_leakage=0.98)
        for i, name in enumerate(every)
        for fold in range(6)
    ]
    return store_run(path, [value for values in every.values() for value in values], cells=cells)
