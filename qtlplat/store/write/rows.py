"""Records as rows of the tables, and the statements that several methods of the writer share."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from operator import index
from typing import Any

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.engine import Connection

from qtlplat.store.core import schema
from qtlplat.store.core.ownership import this_host
from qtlplat.store.core.records import EndedCell, EpochRow, PredictionRow


def insert_all(connection: Connection, table: Table, run_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of a run, in one statement."""
    if rows:
        connection.execute(insert(table), [{"run_id": run_id, **row} for row in rows])


def insert_new(connection: Connection, table: Table, run_id: str, row: Mapping[str, Any], same: Sequence[str]) -> None:
    """Insert a row unless one that agrees in the columns `same` is there."""
    equal = [table.c[name] == row[name] for name in same]
    if connection.execute(select(table.c.run_id).where(table.c.run_id == run_id, *equal)).first() is None:
        insert_all(connection, table, run_id, [row])


def known_epochs(
    connection: Connection, run_id: str, epochs: Sequence[Mapping[str, Any]]
) -> dict[tuple[int, int], dict[str, Any]]:
    """The stored rows of these epochs, by cell and epoch. epochs: rows, as `epoch_row` gives them."""
    table = schema.epochs
    query = select(table).where(
        table.c.run_id == run_id,
        table.c.cell.in_({row["cell"] for row in epochs}),
        table.c.epoch.in_({row["epoch"] for row in epochs}),
    )
    return {(row.cell, row.epoch): dict(row._mapping) for row in connection.execute(query)}


def delete_unfinished(connection: Connection, run_id: str, cells: Collection[int]) -> None:
    """Delete the predictions of cells that are still running."""
    running = select(schema.cells.c.position).where(
        schema.cells.c.run_id == run_id, schema.cells.c.position.in_(cells), schema.cells.c.status == "running"
    )
    table = schema.predictions
    connection.execute(delete(table).where(table.c.run_id == run_id, table.c.cell.in_(running)))


def owner_row(number: int, since: str, drift: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What makes the running process the owner of a run. since: UTC, ISO 8601."""
    return {"number": number, "since": since, "host": this_host(), "pid": os.getpid(), "drift": drift}


def same_values(row: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether an epoch equals the stored one bit for bit, except for its seconds."""
    return _values(row) == _values(known)


def _values(row: Mapping[str, Any]) -> str:
    """The values of an epoch as text that is equal where they are, NaN included."""
    return repr([row[name] for name in schema.EPOCH_COLUMNS] + sorted(row["further"].items()))


def epoch_row(row: EpochRow) -> dict[str, Any]:
    """An epoch with its values in the columns that the table has for them, and the others together."""
    values = {name: float(value) for name, value in row.values.items()}
    named = {name: values.get(name) for name in schema.EPOCH_COLUMNS}
    further = {name: value for name, value in values.items() if name not in schema.EPOCH_COLUMNS}
    return {
        "cell": index(row.cell),
        "epoch": index(row.epoch),
        "seconds": float(row.seconds),
        **named,
        "further": further,
    }


def prediction_row(row: PredictionRow) -> dict[str, Any]:
    """A prediction as the table has it."""
    return {
        "cell": index(row.cell),
        "sample_id": row.sample_id,
        "source": row.group,
        "label": int(row.label),
        "predicted": int(row.predicted),
        "probabilities": [float(p) for p in row.probabilities],
    }


def ended_row(cell: EndedCell) -> dict[str, Any]:
    """A cell that has ended, as an operation has it."""
    return {
        "position": index(cell.position),
        "predictions": [prediction_row(one) for one in cell.predictions],
        "metrics": {name: float(value) for name, value in cell.metrics.items()},
        "seconds": float(cell.seconds),
    }


def now() -> str:
    """UTC, ISO 8601 with microseconds, so that text order is time order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
