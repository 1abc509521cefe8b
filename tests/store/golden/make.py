"""Makes a golden database: a store with records of every sort, written by the code of one revision, as an SQL dump.

To be called once per schema that is released, with a checkout of that code first on the path; a dump never changes:

    PYTHONPATH=CHECKOUT python tests/store/golden/make.py > tests/store/golden/REVISION.sql
"""

from __future__ import annotations

import math
import os
import re
import socket
import sqlite3
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from qtlplat.store.core import records, schema
from qtlplat.store.core.location import find_store
from qtlplat.store.core.records import ArtifactRow, ComponentRow, EpochRow, NewCell, NewRun, PredictionRow
from qtlplat.store.write.writer import Writer


def new_run(kind: str, seed: int) -> NewRun:
    component = ComponentRow("head", "dressed5x3", "dressed", "qtlplat", "0.1", "d" * 64, {"qubits": 5, "note": "ü=1"})
    components = [component] if kind == "run" else []
    plan = {"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}
    environment = {"python": "3.11", "odd": 'a "b"\n'}
    return NewRun(kind, "f" * 64, seed, plan, components, "a" * 64, environment, {"head": {"total": 6}})  # type: ignore[arg-type]


def new_cell(position: int, parent: str) -> NewCell:
    known: dict[str, Any] = {"leakage": 0.25, "group_leakage": 0.5, "selection_leakage": 0.125, "pretraining": parent}
    if position:
        known["variant"] = "linear"
    taken = {f.name for f in fields(NewCell)}
    cell = {name: value for name, value in known.items() if name in taken}
    return NewCell(position, position, 7, 10, 5, "1" * 64, "2" * 64, **cell)


def fill(writer: Writer) -> None:
    pretraining = writer.start_run(new_run("pretraining", 1))
    writer.add_artifact(pretraining, ArtifactRow("weights", "weights/w.safetensors", "c" * 64, 12, None, {"cut": 1}))
    writer.finish_run(pretraining, "finished", {"total": 1.5})
    for seed, status in enumerate(("finished", "failed", "interrupted", "running"), 2):
        run = writer.start_run(new_run("run", seed))
        writer.link(run, "pretraining", pretraining)
        writer.add_cells(run, [new_cell(0, pretraining), new_cell(1, pretraining)])
        writer.add_epochs(
            run, [EpochRow(0, 0, 0.5, {"train_loss": math.nan, "test_loss": math.inf, "extra": -math.inf})]
        )
        writer.add_epochs(run, [EpochRow(1, 0, 0.5, {"test_accuracy": 0.1})])
        writer.add_predictions(run, [PredictionRow(0, "s1", "image-1", 1, 0, (0.1, 0.9))])
        if status == "finished":
            for position in (0, 1):
                writer.finish_cell(run, position, {"f1": 0.75, "auc": math.nan}, 1.25)
        if status != "running":
            writer.finish_run(run, status, {"total": 2.5}, error="loss is NaN" if status == "failed" else "")  # type: ignore[arg-type]
    if hasattr(writer, "add_reproduction"):
        numbers = (95.0, "%", 1.0, 95.5, 94.0, None, "inconclusive", "6 cells", ("a" * 16,))
        claim = records.ClaimRow("f1", "metric", "f1", "m", "Table 1", *numbers)
        cuts = {"epochs": "2"}
        outcome = records.NewReproduction("r", "dist", "1.0", "d" * 64, "smoke", "e" * 64, cuts, (claim,))
        writer.add_reproduction(outcome)


def main() -> None:
    socket.gethostname, os.getpid = lambda: "golden", lambda: 1
    with tempfile.TemporaryDirectory() as folder:
        location = find_store(str(Path(folder) / "store.db"))
        with Writer(location) as writer:
            fill(writer)
        raw = sqlite3.connect(location.path)
        # SQLite's own shell and Python's dump write an infinity that SQL cannot read
        dump = [re.sub(r"(?<=[,(])(-?)Inf(?=[,)])", r"\g<1>9e999", line) for line in raw.iterdump()]
        raw.close()
    sys.stdout.write("\n".join([f"PRAGMA application_id = {schema.APPLICATION_ID};", *dump]) + "\n")


if __name__ == "__main__":
    main()
