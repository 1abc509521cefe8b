"""The only door by which anything gets into the store: everything is committed when a method returns."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Table, insert, select, update
from sqlalchemy.engine import Connection

from qtlplat.errors import BusyError, StoreError, shown
from qtlplat.store import database, schema
from qtlplat.store.location import StoreLocation
from qtlplat.store.ownership import RunLock, this_host
from qtlplat.store.records import ArtifactRow, EpochRow, NewCell, NewReproduction, NewRun, PredictionRow, Status

ENDED = ("finished", "failed", "interrupted")


class Writer:
    """Writes runs, and owns those that it started; to be used as a context manager, by one thread.

    The store is created, or upgraded after a backup, where necessary. A run that has not ended when the writer is
    closed, or when its process dies, is `interrupted` from then on.

    Raises
    ------
    StoreError: where the file is not ours, of a newer schema, damaged, locked, or its disk is full or read-only;
        every method does so too, and after it nothing of that call is stored.
    """

    def __init__(self, location: StoreLocation) -> None:
        self._location = location
        self._locks: dict[str, RunLock] = {}
        database.prepare(location)
        database.choose_journal(location)
        with database.translated(location):
            self._connection: Connection = database.engine(location, write=True).connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and of all runs."""
        self._connection.close()
        while self._locks:
            self._locks.popitem()[1].release(remove=False)

    def start_run(self, run: NewRun) -> str:
        """Store a run as running, owned by this process; returns its id, 16 hexadecimal characters."""
        run_id = secrets.token_hex(8)
        lock = RunLock(self._location, run_id)
        try:
            with self._transaction() as connection:
                connection.execute(
                    insert(schema.runs).values(
                        id=run_id,
                        kind=run.kind,
                        status="running",
                        fingerprint=run.fingerprint,
                        seed=run.seed,
                        created=_now(),
                        host=this_host(),
                        pid=os.getpid(),
                        dataset_digest=run.dataset_digest,
                        plan=run.plan,
                        parameters=run.parameters,
                        seconds={},
                        error="",
                    )
                )
                _insert(connection, schema.components, run_id, [vars(c) for c in run.components])
                pairs = [{"name": name, "value": value} for name, value in run.environment.items()]
                _insert(connection, schema.environment, run_id, pairs)
        except BaseException:
            lock.release(remove=True)
            raise
        self._locks[run_id] = lock
        return run_id

    def add_cells(self, run_id: str, cells: Sequence[NewCell]) -> None:
        """Store cells as running."""
        with self._owned(run_id) as connection:
            _insert(connection, schema.cells, run_id, [{**asdict(cell), "status": "running"} for cell in cells])

    def add_epochs(self, run_id: str, epochs: Sequence[EpochRow]) -> None:
        """Store epochs of any cells, in one transaction."""
        with self._owned(run_id) as connection:
            _insert(connection, schema.epochs, run_id, [_epoch(row) for row in epochs])

    def add_predictions(self, run_id: str, predictions: Sequence[PredictionRow]) -> None:
        """Store predictions, in one transaction."""
        rows = [
            {
                "cell": p.cell,
                "sample_id": p.sample_id,
                "source": p.group,
                "label": int(p.label),
                "predicted": int(p.predicted),
                "probabilities": p.probabilities,
            }
            for p in predictions
        ]
        with self._owned(run_id) as connection:
            _insert(connection, schema.predictions, run_id, rows)

    def finish_cell(self, run_id: str, position: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Store a cell's final metrics by name; it was running and is finished now. seconds: spent on it."""
        with self._owned(run_id) as connection:
            changed = connection.execute(
                update(schema.cells)
                .where(schema.cells.c.run_id == run_id, schema.cells.c.position == position)
                .where(schema.cells.c.status == "running")
                .values(status="finished", seconds=seconds)
            )
            if changed.rowcount != 1:
                raise self._refused(f"cell {position} of run {run_id} is not a running one")
            rows = [{"cell": position, "name": name, "value": value} for name, value in metrics.items()]
            _insert(connection, schema.metrics, run_id, rows)

    def add_artifact(self, run_id: str, artifact: ArtifactRow) -> None:
        """Store that a file belongs to the run. Write and sync the file first."""
        with self._owned(run_id) as connection:
            _insert(connection, schema.artifacts, run_id, [vars(artifact)])

    def link(self, run_id: str, role: str, parent_id: str) -> None:
        """Store that the run builds on another one. role: what that one gave, as in 'pretraining'."""
        with self._owned(run_id) as connection:
            _insert(connection, schema.lineage, run_id, [{"role": role, "parent_id": parent_id}])

    def finish_run(self, run_id: str, status: Status, seconds: Mapping[str, float], error: str = "") -> None:
        """End a run; nothing of it changes any more.

        Parameters
        ----------
        status: finished (then every cell must be), failed or interrupted (then unfinished cells become so too).
        seconds: by stage. error: what stopped it.
        """
        if status not in ENDED:
            raise self._refused(f"a run cannot end as {shown(status)}")
        with self._owned(run_id) as connection:
            unfinished = (schema.cells.c.run_id == run_id) & (schema.cells.c.status == "running")
            if status == "finished":
                left = connection.execute(select(schema.cells.c.position).where(unfinished)).scalars().all()
                if left:
                    raise self._refused(f"run {run_id} cannot be finished: its cells {shown(list(left))} are not")
            else:
                connection.execute(update(schema.cells).where(unfinished).values(status=status))
            connection.execute(
                update(schema.runs)
                .where(schema.runs.c.id == run_id)
                .values(status=status, seconds=seconds, error=error, finished=_now())
            )
        self._locks.pop(run_id).release(remove=True)

    def add_reproduction(self, reproduction: NewReproduction) -> str:
        """Store what became of a recipe's claims; returns its id. What is there already becomes the newest again."""
        with self._transaction() as connection:
            known = schema.reproductions.c.id == reproduction.id
            renewed = connection.execute(update(schema.reproductions).where(known).values(created=_now()))
            if not renewed.rowcount:
                row = {key: value for key, value in vars(reproduction).items() if key != "claims"}
                connection.execute(insert(schema.reproductions).values(id=reproduction.id, created=_now(), **row))
                claims = [
                    {"reproduction_id": reproduction.id, "position": i, **vars(claim)}
                    for i, claim in enumerate(reproduction.claims)
                ]
                if claims:
                    connection.execute(insert(schema.claims), claims)
        return reproduction.id

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with database.translated(self._location), self._connection.begin():
            yield self._connection

    @contextmanager
    def _owned(self, run_id: str) -> Iterator[Connection]:
        """A transaction on a run that is running and ours."""
        with self._transaction() as connection:
            status = connection.execute(select(schema.runs.c.status).where(schema.runs.c.id == run_id)).scalar()
            if status is None:
                raise self._refused(f"there is no run {shown(run_id)}")
            if status != "running":
                raise self._refused(f"run {run_id} is {status} and does not change any more")
            if run_id not in self._locks:
                raise BusyError(f"run {run_id} was not started by this writer", where=str(self._location.path))
            yield connection

    def _refused(self, what: str) -> StoreError:
        return StoreError(what, where=str(self._location.path))


def _insert(connection: Connection, table: Table, run_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), [{"run_id": run_id, **row} for row in rows])


def _epoch(row: EpochRow) -> dict[str, Any]:
    named = {name: row.values.get(name) for name in schema.EPOCH_COLUMNS}
    further = {name: value for name, value in row.values.items() if name not in schema.EPOCH_COLUMNS}
    return {"cell": row.cell, "epoch": row.epoch, "seconds": row.seconds, **named, "further": further}


def _now() -> str:
    """UTC, ISO 8601 with microseconds, so that text order is time order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
