"""How far running runs are, from the epochs that they have stored; writers are not disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.engine import Connection

from qtlplat.conventions import HEAD
from qtlplat.store.core import schema
from qtlplat.store.core.records import RunRecord
from qtlplat.store.read.queries import Reader


@dataclass(frozen=True)
class RunProgress:
    """A run in training.

    epoch: the newest that a cell of the head has stored, 0 before the first; epochs: how many each cell will have (at
    most, in a pretraining), None if the plan does not say; done, planned: epochs of all cells, controls included;
    accuracy: on the test part, mean of the head's cells after their newest epoch; seconds: of all stored epochs.
    """

    epoch: int
    epochs: int | None
    done: int
    planned: int | None
    accuracy: float | None
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """Until the last epoch, if the rest takes as long as what is stored; None if that cannot be told."""
        if not self.done or self.planned is None:
            return None
        return max(0, self.planned - self.done) * self.seconds / self.done

    def form(self) -> dict[str, Any]:
        """As `show --json` has it."""
        return {**vars(self), "seconds_left": self.seconds_left}


def progress(reader: Reader, runs: Sequence[RunRecord]) -> dict[str, RunProgress]:
    """How far runs are, by id; only their own epochs are read."""
    found = reader.read(lambda connection: [_of_run(connection, run) for run in runs], [run.id for run in runs])
    return {} if found is None else {run.id: one for run, one in zip(runs, found, strict=True)}


def _of_run(connection: Connection, run: RunRecord) -> RunProgress:
    epochs, cells = schema.epochs.c, schema.cells.c
    totals = select(func.count(), func.coalesce(func.sum(epochs.seconds), 0.0)).where(epochs.run_id == run.id)
    done, seconds = connection.execute(totals).one()
    of_head = (cells.run_id == run.id) & (cells.variant == HEAD)
    newest = (
        select(epochs.cell, func.max(epochs.epoch).label("epoch"))
        .where(epochs.run_id == run.id, epochs.cell.in_(select(cells.position).where(of_head)))
        .group_by(epochs.cell)
        .subquery()
    )
    same = (epochs.cell == newest.c.cell) & (epochs.epoch == newest.c.epoch)
    latest: list[Row[Any]] = list(
        connection.execute(
            select(epochs.epoch, epochs.test_accuracy)
            .join_from(schema.epochs, newest, same)
            .where(epochs.run_id == run.id)
            .order_by(epochs.cell)
        )
    )
    accuracies = [row.test_accuracy for row in latest if row.test_accuracy is not None]
    # controls that a solver fits have no epochs, and end before the others begin
    trained = (cells.status != "finished") | cells.position.in_(select(epochs.cell).where(epochs.run_id == run.id))
    n_cells = connection.execute(select(func.count()).where(cells.run_id == run.id, trained)).scalar_one()
    per_cell = run.plan.get("training" if run.kind == "run" else "pretraining", {}).get("epochs")
    # cells are trained side by side, initialisations of a backbone one after the other
    epoch = max((row.epoch for row in latest), default=0) if run.kind == "run" else (latest[-1].epoch if latest else 0)
    return RunProgress(
        epoch,
        per_cell,
        done,
        per_cell * n_cells if per_cell and n_cells else None,
        sum(accuracies) / len(accuracies) if accuracies else None,
        float(seconds),
    )
