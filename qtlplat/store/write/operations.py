"""What is written to a run, as plain values, and how each of it gets into the tables.

It happens in a transaction of the caller's. An operation knows its run's owner and its own number: one of an owner who
was overtaken is refused, and one that is sent to a server a second time changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from qtlplat.errors import BusyError, StoreError, safe_repr
from qtlplat.store.backends.postgres_schema import received
from qtlplat.store.core import row_digests, schema, summaries
from qtlplat.store.write import annotate, rows


@dataclass(frozen=True)
class Operation:
    """One write to a run.

    name: as in `_KINDS`; owner: number of the run's owner, 0 for other processes; number: those of an owner
    increase; at: when, UTC, ISO 8601; values: rows as they go into the tables, floats, whole numbers and text by name.
    """

    name: str
    run: str
    owner: int
    number: int
    at: str
    values: Mapping[str, Any]


def receive(connection: Connection, where: str, operation: Operation) -> Any:
    """`carry_out` on a server, once: an operation that has arrived before is skipped.

    In a transaction of its own. The row that is locked first lets a transaction end whose client has lost it.
    """
    from sqlalchemy.dialects import postgresql

    mine = (received.c.record == operation.run) & (received.c.owner == operation.owner)
    if operation.owner:
        first = postgresql.insert(received).values(record=operation.run, owner=operation.owner, number=0)
        newer = update(received).where(mine, received.c.number < operation.number).values(number=operation.number)
        if connection.execute(newer).rowcount == 0:
            connection.execute(first.on_conflict_do_nothing())
            if connection.execute(newer).rowcount == 0:
                return None
    return carry_out(connection, where, operation)


def carry_out(connection: Connection, where: str, operation: Operation) -> Any:
    """Write it; returns what its kind does. where: the store, for messages.

    Raises:
        BusyError: another process owns the run.
        StoreError: it has ended, or has contradictory rows.
    """
    if operation.name == "start_run":
        return _start_run(connection, operation)
    row = row_of(connection, where, operation.run)
    if operation.owner not in (0, row.owner):
        raise busy(connection, where, row)
    if row.status != "running":
        raise StoreError(f"run {operation.run} is {row.status} and does not change any more", where=where)
    if not operation.owner:
        what = f"run {operation.run} was not started by this writer"
        raise BusyError(what, where=where, fix="take it up with Writer.resume_run")
    return _KINDS[operation.name](connection, where, operation)


def row_of(connection: Connection, where: str, run_id: str) -> Any:
    """What tells who owns a run; no other writer changes that until the transaction ends. Raises StoreError."""
    runs, trash = schema.runs.c, schema.trash.c
    trashed = select(trash.since).where(trash.run_id == runs.id).scalar_subquery().label("trashed")
    query = select(runs.id, runs.status, runs.owner, runs.host, runs.pid, trashed).where(runs.id == run_id)
    row = connection.execute(query.with_for_update(key_share=True, of=schema.runs)).one_or_none()
    if row is None:
        raise StoreError(f"there is no run {safe_repr(run_id)}", where=where)
    return row


def busy(connection: Connection, where: str, row: Any) -> BusyError:
    """The error that says who owns a run and since when. row: as `row_of` gave it."""
    owners = schema.owners.c
    query = select(owners.since).where(owners.run_id == row.id, owners.number == row.owner)
    since = connection.execute(query).scalar()
    return BusyError(
        f"run {row.id} is owned by process {row.pid} on {safe_repr(row.host)} since {since}",
        where=where,
        fix=f"wait for it, or stop it first: kill {row.pid}",
    )


def _start_run(connection: Connection, operation: Operation) -> None:
    values, since = operation.values, rows.now()  # when others can see it, after whatever was waited for
    run = {**values["run"], "id": operation.run, "created": since, "status": "running", "owner": 1}
    connection.execute(insert(schema.runs).values(**run, seconds={}, error=""))
    owner = {"number": 1, "since": since, "host": run["host"], "pid": run["pid"], "drift": {}}
    rows.insert_all(connection, schema.owners, operation.run, [owner])
    rows.insert_all(connection, schema.components, operation.run, values["components"])
    rows.insert_all(connection, schema.environment, operation.run, values["environment"])
    rows.insert_all(connection, schema.lineage, operation.run, values["parents"])
    annotate.add_tags(connection, operation.run, values["tags"])
    if values["note"]:
        annotate.set_note(connection, operation.run, values["note"])


def _add_cells(connection: Connection, _where: str, operation: Operation) -> None:
    rows.insert_all(connection, schema.cells, operation.run, operation.values["cells"])


def _add_candidates(connection: Connection, _where: str, operation: Operation) -> None:
    rows.insert_all(connection, schema.candidates, operation.run, operation.values["candidates"])


def _add_epochs(connection: Connection, _where: str, operation: Operation) -> list[tuple[int, int]]:
    """Cell and number of epochs that differ from stored ones, which stay."""
    epochs = operation.values["epochs"]
    known = rows.known_epochs(connection, operation.run, epochs) if operation.owner > 1 else {}
    new = [row for row in epochs if (row["cell"], row["epoch"]) not in known]
    rows.insert_all(connection, schema.epochs, operation.run, new)
    of_both = [(row, known[place]) for row in epochs if (place := (row["cell"], row["epoch"])) in known]
    return [(row["cell"], row["epoch"]) for row, before in of_both if not rows.same_values(row, before)]


def _add_predictions(connection: Connection, _where: str, operation: Operation) -> None:
    predictions = operation.values["predictions"]
    if operation.owner > 1:
        rows.delete_unfinished(connection, operation.run, {row["cell"] for row in predictions})
    rows.insert_all(connection, schema.predictions, operation.run, predictions)


def _finish_cell(connection: Connection, where: str, operation: Operation) -> None:
    _end_cell(connection, where, operation)
    summaries.summarize(connection, operation.run, [operation.values["position"]])


def _end_cell(connection: Connection, where: str, operation: Operation) -> None:
    position, cells = operation.values["position"], schema.cells
    changed = connection.execute(
        update(cells)
        .where(cells.c.run_id == operation.run, cells.c.position == position, cells.c.status == "running")
        .values(status="finished", seconds=operation.values["seconds"])
    )
    if changed.rowcount != 1:
        raise StoreError(f"cell {position} of run {operation.run} is not a running one", where=where)
    metrics = operation.values["metrics"].items()
    values = [{"cell": position, "name": name, "value": value} for name, value in metrics]
    rows.insert_all(connection, schema.metrics, operation.run, values)


def _finish_cells(connection: Connection, where: str, operation: Operation) -> None:
    for values in operation.values["cells"]:
        one = replace(operation, values=values)
        _add_predictions(connection, where, one)
        _end_cell(connection, where, one)
    summaries.summarize(connection, operation.run, [values["position"] for values in operation.values["cells"]])


def _add_artifact(connection: Connection, _where: str, operation: Operation) -> None:
    rows.insert_new(connection, schema.artifacts, operation.run, operation.values, ("path", "sha256"))


def _link(connection: Connection, _where: str, operation: Operation) -> None:
    rows.insert_new(connection, schema.lineage, operation.run, operation.values, ("role", "parent_id"))


def _finish_run(connection: Connection, where: str, operation: Operation) -> None:
    run, values, cells = operation.run, operation.values, schema.cells
    unfinished = (cells.c.run_id == run) & (cells.c.status == "running")
    if values["status"] == "finished":
        left = connection.execute(select(cells.c.position).where(unfinished)).scalars().all()
        if left:
            raise StoreError(f"run {run} cannot be finished: its cells {safe_repr(list(left))} are not", where=where)
    else:
        connection.execute(update(cells).where(unfinished).values(status=values["status"]))
    connection.execute(update(schema.runs).where(schema.runs.c.id == run).values(**values, finished=operation.at))
    row_digests.seal(connection, "runs", run)


_KINDS: dict[str, Callable[[Connection, str, Operation], Any]] = {
    "add_cells": _add_cells,
    "add_candidates": _add_candidates,
    "add_epochs": _add_epochs,
    "add_predictions": _add_predictions,
    "finish_cell": _finish_cell,
    "finish_cells": _finish_cells,
    "add_artifact": _add_artifact,
    "link": _link,
    "finish_run": _finish_run,
}
