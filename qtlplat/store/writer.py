"""The only door by which anything gets into the store: everything is committed when a method returns."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from qtlplat.errors import BusyError, StoreError, UsageError, shown
from qtlplat.store import database, hashes, rows, schema
from qtlplat.store.location import StoreLocation
from qtlplat.store.ownership import RunLock, this_host
from qtlplat.store.preparing import choose_journal, prepare
from qtlplat.store.records import ArtifactRow, EpochRow, NewCell, NewReproduction, NewRun, PredictionRow, Status

HURRY_SECONDS = 1.0
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
        self._numbers: dict[str, int] = {}  # which owner of a run this writer is
        prepare(location)
        choose_journal(location)
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

    def hurry(self) -> None:
        """From now on wait for other processes a second at most: somebody has asked to stop."""
        with database.translated(self._location):
            database.wait_at_most(self._connection, HURRY_SECONDS)

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
                        created=rows.now(),
                        host=this_host(),
                        pid=os.getpid(),
                        dataset_digest=run.dataset_digest,
                        plan=run.plan,
                        parameters=run.parameters,
                        seconds={},
                        error="",
                        owner=1,
                    )
                )
                rows.insert_all(connection, schema.owners, run_id, [rows.owner_row(1, {})])
                rows.insert_all(connection, schema.components, run_id, [vars(c) for c in run.components])
                pairs = [{"name": name, "value": value} for name, value in run.environment.items()]
                rows.insert_all(connection, schema.environment, run_id, pairs)
        except BaseException:
            lock.release(remove=True)
            raise
        self._locks[run_id], self._numbers[run_id] = lock, 1
        return run_id

    def resume_run(
        self, run_id: str, drift: Mapping[str, Sequence[str]] | None = None, *, take_over: bool = False
    ) -> None:
        """Become the owner of a run that was interrupted or has failed; it is running again, and so are its open cells.

        Who owned it before cannot write to it any more, whether it lives or not.

        Parameters
        ----------
        drift: what has changed since, as (before, after) by name; it is kept.
        take_over: whether it may be taken from another machine, where nobody here can tell if its owner lives.

        Raises
        ------
        BusyError: somebody owns it; the message says who and since when.
        UsageError: it has finished. StoreError: there is no such run.
        """
        with self._transaction() as connection:
            self._refuse_taking(self._row_of(connection, run_id), connection, take_over=take_over)
        try:
            lock = RunLock(self._location, run_id)
        except BusyError:
            with self._transaction() as connection:
                raise self._busy(self._row_of(connection, run_id), connection) from None
        try:
            with self._transaction() as connection:
                row = self._row_of(connection, run_id)
                _refuse_finished(row)
                number = row.owner + 1
                cells, runs = schema.cells, schema.runs
                connection.execute(
                    update(runs)
                    .where(runs.c.id == run_id)
                    .values(status="running", owner=number, host=this_host(), pid=os.getpid(), finished=None, error="")
                )
                opened = update(cells).where(cells.c.run_id == run_id, cells.c.status.in_(("interrupted", "failed")))
                connection.execute(opened.values(status="running"))
                rows.insert_all(connection, schema.owners, run_id, [rows.owner_row(number, drift or {})])
        except BaseException:
            lock.release(remove=False)
            raise
        self._locks[run_id], self._numbers[run_id] = lock, number

    def add_cells(self, run_id: str, cells: Sequence[NewCell]) -> None:
        """Store cells as running."""
        with self._owned(run_id) as connection:
            rows.insert_all(connection, schema.cells, run_id, [{**asdict(cell), "status": "running"} for cell in cells])

    def add_epochs(self, run_id: str, epochs: Sequence[EpochRow]) -> list[EpochRow]:
        """Store epochs of any cells, in one transaction.

        In a run that was taken up again, what is there already stays; returns what now came out differently.
        """
        with self._owned(run_id) as connection:
            known = rows.known_epochs(connection, run_id, epochs) if self._numbers[run_id] > 1 else {}
            new = [rows.epoch_row(row) for row in epochs if (row.cell, row.epoch) not in known]
            rows.insert_all(connection, schema.epochs, run_id, new)
        return [row for row in epochs if not rows.same_values(row, known.get((row.cell, row.epoch)))]

    def add_predictions(self, run_id: str, predictions: Sequence[PredictionRow]) -> None:
        """Store predictions, in one transaction; those that an earlier owner left of the same cells are replaced."""
        made = [
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
            if self._numbers[run_id] > 1:
                rows.delete_unfinished(connection, run_id, {p.cell for p in predictions})
            rows.insert_all(connection, schema.predictions, run_id, made)

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
            values = [{"cell": position, "name": name, "value": value} for name, value in metrics.items()]
            rows.insert_all(connection, schema.metrics, run_id, values)

    def add_artifact(self, run_id: str, artifact: ArtifactRow) -> None:
        """Store that a file belongs to the run, unless it is known. Write and sync the file first."""
        with self._owned(run_id) as connection:
            rows.insert_new(connection, schema.artifacts, run_id, vars(artifact), ("path", "sha256"))

    def link(self, run_id: str, role: str, parent_id: str) -> None:
        """Store that the run builds on another one, unless it is known. role: what it gives, as in 'pretraining'."""
        with self._owned(run_id) as connection:
            rows.insert_new(
                connection, schema.lineage, run_id, {"role": role, "parent_id": parent_id}, ("role", "parent_id")
            )

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
                .values(status=status, seconds=seconds, error=error, finished=rows.now())
            )
            hashes.seal(connection, "runs", run_id)
        self._locks.pop(run_id).release(remove=True)

    def add_reproduction(self, reproduction: NewReproduction) -> str:
        """Store what became of a recipe's claims; returns its id. What is there already becomes the newest again."""
        with self._transaction() as connection:
            known = schema.reproductions.c.id == reproduction.id
            renewed = connection.execute(update(schema.reproductions).where(known).values(created=rows.now()))
            if not renewed.rowcount:
                row = {key: value for key, value in vars(reproduction).items() if key != "claims"}
                connection.execute(insert(schema.reproductions).values(id=reproduction.id, created=rows.now(), **row))
                claims = [
                    {"reproduction_id": reproduction.id, "position": i, **vars(claim)}
                    for i, claim in enumerate(reproduction.claims)
                ]
                if claims:
                    connection.execute(insert(schema.claims), claims)
            hashes.seal(connection, "reproductions", reproduction.id)
        return reproduction.id

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with database.translated(self._location), self._connection.begin():
            yield self._connection

    @contextmanager
    def _owned(self, run_id: str) -> Iterator[Connection]:
        """A transaction on a run that is running and ours."""
        with self._transaction() as connection:
            row = self._row_of(connection, run_id)
            if self._numbers.get(run_id, row.owner) != row.owner:
                raise self._busy(row, connection)
            if row.status != "running":
                raise self._refused(f"run {run_id} is {row.status} and does not change any more")
            if run_id not in self._locks:
                raise BusyError(f"run {run_id} was not started by this writer", where=str(self._location.path))
            yield connection

    def _row_of(self, connection: Connection, run_id: str) -> Any:
        runs = schema.runs.c
        query = select(runs.id, runs.status, runs.owner, runs.host, runs.pid).where(runs.id == run_id)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise self._refused(f"there is no run {shown(run_id)}")
        return row

    def _refuse_taking(self, row: Any, connection: Connection, *, take_over: bool) -> None:
        _refuse_finished(row)
        if row.status == "running" and row.host != this_host() and not take_over:
            error = self._busy(row, connection)
            error.fix = f"resume it there, or, if that process is gone: qtlplat resume {row.id[:8]} --take-over"
            raise error

    def _busy(self, row: Any, connection: Connection) -> BusyError:
        owners = schema.owners.c
        query = select(owners.since).where(owners.run_id == row.id, owners.number == row.owner)
        since = connection.execute(query).scalar()
        return BusyError(
            f"run {row.id} is owned by process {row.pid} on {shown(row.host)} since {since}",
            where=str(self._location.path),
            fix=f"wait for it, or stop it first: kill {row.pid}",
        )

    def _refused(self, what: str) -> StoreError:
        return StoreError(what, where=str(self._location.path))


def _refuse_finished(row: Any) -> None:
    if row.status == "finished":
        raise UsageError(f"run {row.id} is finished", fix=f"look at it: qtlplat show {row.id[:8]}")
