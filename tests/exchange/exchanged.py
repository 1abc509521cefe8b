"""A store with runs to send, calling the command line on it, and bundles taken apart and put together again."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from called import Called, called

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.files import write_atomically
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import ArtifactRow, ComponentRow, EpochRow, NewCell, NewRun, PredictionRow
from qtlplat.store.write.writer import Writer

HOSTILE = '=HYPERLINK("http://x";"y")\n\x1b[31mred\x07\t[bold]x[/bold]|<script>`'
SAMPLES = [f"crop-{i}" for i in range(6)]
PARAMETERS = {
    "backbone_total": 534482, "kept": 262880, "replaced": 271602, "replaced_layers": 4, "model_total": 271110,
    "head": {"pre_net": 8196, "vqc": 24, "post_net": 10, "total": 8230}, "controls": {"linear": 4098},
    "reduction_percent_model": 49.27612, "reduction_percent_replaced": 96.96983,
}  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A store, the ids of its pretraining, its run and its failed run, a bundle of the run, and an empty place."""

    store: Path
    parent: str
    run: str
    failed: str
    bundle: Path
    other: Path


def qtlplat(store: Path | str, *words: object) -> Called:
    """Run a command on a store, in this process."""
    return called(*words, "--store", store)


def ids_hash(ids: list[str]) -> str:
    return hashlib.sha256("\0".join(sorted(ids)).encode()).hexdigest()


def weights(location: StoreLocation, content: bytes) -> ArtifactRow:
    digest = hashlib.sha256(content).hexdigest()
    write_atomically(location.files / "weights" / f"{digest}.safetensors", content)
    return ArtifactRow("weights", f"weights/{digest}.safetensors", digest, len(content), None, {"cut": 1})


def fill(path: Path) -> tuple[str, str, str]:
    """A pretraining, a run of two folds and a control that builds on it, a failed one with a nasty name; their ids."""
    location = find_store(str(path))
    with Writer(location) as writer:

        def start(kind: str, name: str) -> str:
            roles = ("dataset", "backbone", "head", "evaluator")[: 4 if kind == "run" else 2]
            parts = [
                ComponentRow(r, name, r, "qtlplat", "0.1", "d" * 64, {"size": 3, "on": True, "note": name})
                for r in roles
            ]
            plan = {"seed": 7, "training": {"epochs": 3, "learning_rate": 1e-3}, "replace": "all"}
            facts = {"python": "3.11", "host": "here", "command": f"run --head {name}"}
            return writer.start_run(NewRun(kind, "f" * 64, 7, plan, parts, "a" * 64, facts, PARAMETERS))  # type: ignore[arg-type]

        parent = start("pretraining", "lenet2")
        writer.add_artifact(parent, weights(location, b"of the backbone"))
        writer.finish_run(parent, "finished", {"total": 1.0})
        run = start("run", "dressed5x3")
        writer.link(run, "pretraining", parent)
        tested = (SAMPLES[:3], SAMPLES[3:])
        cells = [("head", 0), ("head", 1), ("linear", 0), ("linear", 1)]
        writer.add_cells(
            run,
            [
                NewCell(
                    i, fold, 7, 3, 3, ids_hash(tested[1 - fold]), ids_hash(tested[fold]), name, leakage=0.5,
                    pretraining=parent,
                )
                for i, (name, fold) in enumerate(cells)
            ],
        )  # fmt: skip
        for i, (_, fold) in enumerate(cells):
            losses = (1.0, 0.5, math.nan if i == 3 else 0.25)
            values = [{"test_loss": v, "test_accuracy": e / 4, "gate_norm": v * i} for e, v in enumerate(losses)]
            writer.add_epochs(run, [EpochRow(i, e, 0.1, v) for e, v in enumerate(values)])
            writer.add_predictions(run, [PredictionRow(i, s, "image-1", 1, 1, (0.25, 0.75)) for s in tested[fold]])
            writer.finish_cell(run, i, {"f1": 0.9 + i / 100, "accuracy": math.nan if i == 1 else 1.0}, 2.0)
        writer.add_artifact(run, weights(location, b"of the heads"))
        writer.finish_run(run, "finished", {"total": 3.0, "heads": 2.0})
        failed = start("run", HOSTILE)
        writer.finish_run(failed, "failed", {}, error=HOSTILE)
    since = "2026-01-02T03:04:05.000006+00:00"
    change(path, "INSERT INTO tags VALUES (?, 'paper', ?)", run, since)
    change(path, "INSERT INTO notes VALUES (?, ?, ?)", run, f"the one in the table {HOSTILE}", since)
    return parent, run, failed


def change(path: Path, sql: str, *values: object) -> None:
    raw = sqlite3.connect(path)
    raw.execute(sql, values)
    raw.commit()
    raw.close()


def snapshot(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


# --- bundles

Members = dict[str, bytes]


def taken_apart(bundle: Path) -> Members:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def put_together(members: Mapping[str, bytes], target: Path, *, listed: bool = True) -> Path:
    """A bundle of these members; listed: with a manifest in which they all have their size and sha256."""
    members = dict(members)
    if listed:
        manifest = json.loads(members["manifest.json"])
        manifest["members"] = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in members.items()
            if name != "manifest.json"
        }
        members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target


def with_database(members: Members, spoil: Callable[[sqlite3.Connection], object], folder: Path) -> Members:
    """The members with something done to the database among them."""
    path = folder / "spoilt.db"
    path.write_bytes(members["store.db"])
    raw = sqlite3.connect(path, isolation_level=None)
    spoil(raw)
    raw.close()
    return {**members, "store.db": path.read_bytes()}
