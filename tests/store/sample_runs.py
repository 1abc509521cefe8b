"""Runs to put into a store, and what separate processes do with one."""

from __future__ import annotations

import hashlib
import sys
import time
from typing import Any

from qtlplat.store.backends.bootstrap import prepare
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.files import write_atomically
from qtlplat.store.core.files_lock import taking_up
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import ArtifactRow, CandidateRow, ComponentRow, EpochRow, NewCell, NewRun, PredictionRow
from qtlplat.store.maintenance.trash import empty
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

NAME = "a ü?#%.db"  # of a store: a careless URI would cut or decode it
RUN_ROLES = ("dataset", "backbone", "head", "evaluator")


def component(role: str, **changes: Any) -> ComponentRow:
    values = {"name": f"my-{role}", "component": role, "provider": "qtlplat", "version": "0.1", "digest": "d" * 64}
    return ComponentRow(role=role, **{"options": {"size": 3}, **values, **changes})


def new_run(kind: str = "run", **changes: Any) -> NewRun:
    roles = RUN_ROLES if kind == "run" else RUN_ROLES[:2]
    values: dict[str, Any] = {
        "fingerprint": "f" * 64,
        "seed": 7,
        "plan": {"replace": "all"},
        "components": [component(role) for role in roles],
        "dataset_digest": "a" * 64,
        "environment": {"python": "3.11"},
        "parameters": {"head": {"total": 6}},
    }
    return NewRun(kind=kind, **{**values, **changes})  # type: ignore[arg-type]


def new_cells(n: int) -> list[NewCell]:
    return [NewCell(i, fold=i, seed=7, n_train=10, n_test=5, train_hash="1" * 64, test_hash="2" * 64) for i in range(n)]


def epoch(cell: int, number: int, **values: float) -> EpochRow:
    return EpochRow(cell, number, 0.5, values or {"train_loss": 1.0, "test_loss": 0.9, "test_accuracy": 0.8})


def prediction(cell: int, sample: str, probabilities: tuple[float, ...] = (0.25, 0.75)) -> PredictionRow:
    return PredictionRow(cell, sample, "image-1", 1, 1, probabilities)


def weights(location: StoreLocation, content: bytes) -> ArtifactRow:
    """A file of a run, named by its content, and its row."""
    row = known_weights(location, content)
    write_atomically(location.files / row.path, content)
    return row


def known_weights(location: StoreLocation, content: bytes) -> ArtifactRow:
    """The row of such a file that is there already."""
    digest = hashlib.sha256(content).hexdigest()
    return ArtifactRow("weights", f"weights/{digest}.safetensors", digest, len(content), None, {"cut": 1})


def whole_run(writer: Writer, location: StoreLocation, content: bytes = b"weights", **changes: Any) -> str:
    """A finished run of which everything is there, its file too."""
    return finished_run(writer, artifact=weights(location, content), **changes)


def finished_run(
    writer: Writer,
    f1: tuple[float, ...] = (0.9, 1.0),
    parent: str | None = None,
    artifact: ArtifactRow | None = None,
    **changes: Any,
) -> str:
    """A whole run with a cell for each value of `f1`, and a file that need not be there."""
    run_id = writer.start_run(new_run(**changes))
    if parent:
        writer.link(run_id, "pretraining", parent)
    writer.add_cells(run_id, new_cells(len(f1)))
    for position, value in enumerate(f1):
        writer.add_epochs(run_id, [epoch(position, 0), epoch(position, 1)])
        tried = CandidateRow(position, 0, 0.25, 0.01, 2), CandidateRow(position, 1, None, 10.0, 1)
        writer.add_candidates(run_id, [*tried, CandidateRow(position, 2, 0.5, options={"C": 0.1})])
        writer.add_predictions(run_id, [prediction(position, "s1")])
        writer.finish_cell(run_id, position, {"f1": value, "accuracy": 0.5}, 1.5)
    nowhere = ArtifactRow("weights", f"{run_id}/w.safetensors", "c" * 64, 12, None, {"cut": 1})
    writer.add_artifact(run_id, artifact or nowhere)
    writer.finish_run(run_id, "finished", {"total": 3.0, "heads": 2.0})
    return run_id


def open_and_store_one(location: StoreLocation, barrier: Any) -> None:
    """In a process of its own: open the store at the same moment as the others, and store a run."""
    barrier.wait(60)
    with Writer(location) as writer:
        writer.finish_run(writer.start_run(new_run()), "finished", {})


def store_many(location: StoreLocation, barrier: Any, runs: int) -> None:
    """In a process of its own: store runs one after another, together with other processes."""
    with Writer(location) as writer:
        barrier.wait(60)
        for _ in range(runs):
            finished_run(writer)


def read_until_told(location: StoreLocation, barrier: Any, done: Any, told: Any) -> None:
    """In a process of its own: read again and again; tell how often, and every run that was seen half written."""
    looks, broken = 0, []
    barrier.wait(60)
    while not done.is_set():
        for run in Reader(location).runs():
            if run.status == "finished" and len(run.metrics["f1"]) != 2:
                broken.append(run.id)
        looks += 1
    told.put((looks, broken))


def upgrade_at_once(location: StoreLocation, barrier: Any, made: Any) -> None:
    """In a process of its own: upgrade the store together with others; tell the backup's path, if one was made."""
    barrier.wait(60)
    backup = prepare(location)
    made.put(str(backup) if backup else None)


def store_and_throw_away(location: StoreLocation, barrier: Any, runs: int, contents: int) -> None:
    """In a process of its own: store runs that find each other's files by content, and put every second one away."""
    with Writer(location) as writer:
        barrier.wait(60)
        for number in range(runs):
            run_id = writer.start_run(new_run())
            with taking_up(location):
                content = b"w" * (number % contents + 1)
                path = location.files / "weights" / f"{hashlib.sha256(content).hexdigest()}.safetensors"
                row = known_weights(location, content) if path.exists() else weights(location, content)
                time.sleep(0.001)  # whoever deletes it now would leave a row without a file
                writer.add_artifact(run_id, row)
            writer.finish_run(run_id, "finished", {})
            if number % 2:
                writer.trash([run_id])


def empty_the_trash_until_told(location: StoreLocation, barrier: Any, done: Any, told: Any) -> None:
    """In a process of its own: empty the trash again and again, and once more; tell how many runs and files went."""
    runs = files = 0
    last = False
    barrier.wait(60)
    while not last:
        last = done.is_set()
        found = empty(location)
        runs, files = runs + len(found.runs), files + sum(number for number, _ in found.files.values())
    told.put((runs, files))


def train_until_killed(store: str) -> None:
    """In a process of its own: store epochs for ever and say which ones are committed."""
    with Writer(find_store(store)) as writer:
        run_id = writer.start_run(new_run())
        writer.add_cells(run_id, new_cells(1))
        print(run_id, flush=True)  # noqa: T201 -- the test that started this process reads it
        number = 0
        while True:
            writer.add_epochs(run_id, [epoch(0, number)])
            if writer.has_arrived(run_id):
                print(number, flush=True)  # noqa: T201
            number += 1


if __name__ == "__main__":
    train_until_killed(sys.argv[1])
