"""All writes to the store go through this module.

Everything is committed when a method returns; if the server is unreachable, when `has_arrived` returns true.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from sqlalchemy.engine import Connection

from qtlplat.errors import BusyError, StoreError, safe_repr
from qtlplat.store.backends.bootstrap import prepare
from qtlplat.store.core import summaries
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import RunLock, is_abandoned, this_host
from qtlplat.store.core.records import (
    ArtifactRow,
    CandidateRow,
    EndedCell,
    EpochRow,
    NewCell,
    NewReproduction,
    NewRun,
    PredictionRow,
    Status,
)
from qtlplat.store.core.retry import nobody_waits
from qtlplat.store.core.sweep_records import FailureRow, NewSweep
from qtlplat.store.read.run_annotations import note_of
from qtlplat.store.write import acquire, annotate, at_once, rows
from qtlplat.store.write.operations import Operation, busy, row_of
from qtlplat.store.write.transport import QueuedTransport, Transport

ENDED = ("finished", "failed", "interrupted")


class Writer:
    """Writes runs, and owns those that it started; to be used as a context manager, by one thread.

    The store is created, or upgraded after a backup, where necessary. A run that has not ended when the writer is
    closed, or when its process dies, is `interrupted` from then on.

    A server that is away is waited for when a run starts, is resumed or ends. What a run writes in between waits in
    memory until the server is back; when the location's patience ends, every method raises StoreError.
    on_wait: called while a server is waited for, may raise.

    Raises:
        StoreError: if the store is not ours, of a newer schema, damaged, locked, away for too long, or its disk is full
            or read-only; every method does so too, and after it nothing of that call is stored.
    """

    def __init__(self, location: StoreLocation, on_wait: Callable[[], None] = nobody_waits) -> None:
        self._location = location
        self._locks: dict[str, RunLock] = {}
        self._numbers: dict[str, int] = {}  # which owner of a run this writer is
        self._written: dict[str, int] = {}  # number of the last operation on a run
        self._ended: set[str] = set()  # runs whose end may not have arrived
        prepare(location, on_wait)
        self._transport = QueuedTransport(location, on_wait) if location.backend.shared else Transport(location)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._transport.settle()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the store and of all runs."""
        self._transport.close()
        while self._locks:
            self._locks.popitem()[1].release(remove=False)

    def has_arrived(self, run_id: str) -> bool:
        """Whether all that was written of a run is committed; only then may a checkpoint rely on it."""
        return self._transport.has_arrived(run_id)

    def hurry(self) -> None:
        """Wait for other processes at most a second from now on, because a signal asked to stop."""
        self._transport.hurry()

    def start_run(self, run: NewRun) -> str:
        """Store a run as running, owned by this process; returns its id, 16 hexadecimal characters.

        Raises UsageError if one of its tags, or its note, is refused.
        """
        run_id = secrets.token_hex(8)
        lock = RunLock(self._location, run_id)
        self._numbers[run_id] = 1
        values = {
            "run": {
                "kind": run.kind,
                "fingerprint": run.fingerprint,
                "seed": run.seed,
                "host": this_host(),
                "pid": os.getpid(),
                "dataset_digest": run.dataset_digest,
                **summaries.facts(run.components, run.dataset_digest),
                "plan": run.plan,
                "parameters": run.parameters,
                "classes": list(run.classes),
                "image_shape": run.image_shape and list(run.image_shape),
                "made_for": run.made_for,
            },
            "parents": [{"role": role, "parent_id": parent} for role, parent in run.parents.items()],
            "components": [vars(c) for c in run.components],
            "environment": [{"name": name, "value": value} for name, value in run.environment.items()],
            "tags": list(run.tags),
            "note": run.note,
        }
        try:
            self._transport.send(self._operation("start_run", run_id, values))
        except BaseException:
            del self._numbers[run_id]
            lock.release(remove=True)
            raise
        self._locks[run_id] = lock
        return run_id

    def resume_run(
        self, run_id: str, drift: Mapping[str, Sequence[str]] | None = None, *, take_over: bool = False
    ) -> None:
        """Become the owner of a run that was interrupted or has failed; it is running again, and so are its open cells.

        The previous owner cannot write to it any more, even if it is alive.

        Args:
            run_id: of the run.
            drift: changes since it started, as (before, after) by name, to store.
            take_over: whether to take it from another machine, although its owner may be alive.

        Raises:
            BusyError: a process owns it; the message names it and its start time.
            UsageError: it has finished, or is in the trash.
            StoreError: there is no such run.
        """
        where, since = self._location.name, rows.now()
        refuse = acquire.refuse_taking
        self._transport.at_once(lambda connection: refuse(connection, self._location, run_id, take_over=take_over))
        try:
            lock = RunLock(self._location, run_id)
        except BusyError:

            def tell(connection: Connection) -> None:
                raise busy(connection, where, row_of(connection, where, run_id)) from None

            self._transport.at_once(tell)
            raise
        try:
            number = self._transport.at_once(
                lambda connection: acquire.take(connection, where, run_id, since, drift or {})
            )
        except BaseException:
            lock.release(remove=False)
            raise
        self._locks[run_id], self._numbers[run_id] = lock, number
        self._written[run_id] = 0

    def add_cells(self, run_id: str, cells: Sequence[NewCell]) -> None:
        """Store cells as running."""
        self._send("add_cells", run_id, {"cells": [{**asdict(cell), "status": "running"} for cell in cells]})

    def add_candidates(self, run_id: str, candidates: Sequence[CandidateRow]) -> None:
        """Store what was tried for cells, in one transaction."""
        self._send("add_candidates", run_id, {"candidates": [vars(one) for one in candidates]})

    def add_epochs(self, run_id: str, epochs: Sequence[EpochRow]) -> list[EpochRow]:
        """Store epochs of any cells, in one transaction.

        In a resumed run, stored epochs stay; returns those that differ now. If that is not known yet, it is logged
        later.
        """
        different = self._send("add_epochs", run_id, {"epochs": [rows.epoch_row(row) for row in epochs]}) or ()
        return [row for row in epochs if (row.cell, row.epoch) in different]

    def add_predictions(self, run_id: str, predictions: Sequence[PredictionRow]) -> None:
        """Store predictions, in one transaction; those that an earlier owner left of the same cells are replaced."""
        self._send("add_predictions", run_id, {"predictions": [rows.prediction_row(p) for p in predictions]})

    def finish_cell(self, run_id: str, position: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Store a cell's final metrics by name; it was running and is finished now. seconds: spent on it."""
        values = {name: float(value) for name, value in metrics.items()}
        self._send("finish_cell", run_id, {"position": position, "metrics": values, "seconds": float(seconds)})

    def finish_cells(self, run_id: str, cells: Sequence[EndedCell]) -> None:
        """Predictions and metrics of several cells, in one transaction; otherwise as the two methods above."""
        if cells:
            self._send("finish_cells", run_id, {"cells": [rows.ended_row(cell) for cell in cells]})

    def add_artifact(self, run_id: str, artifact: ArtifactRow) -> None:
        """Store that a file belongs to the run, unless it is known. Write and sync the file first."""
        self._send("add_artifact", run_id, vars(artifact))

    def link(self, run_id: str, role: str, parent_id: str) -> None:
        """Store that the run builds on another one, unless it is known. role: what it gives, as in 'pretraining'."""
        self._send("link", run_id, {"role": role, "parent_id": parent_id})

    def finish_run(self, run_id: str, status: Status, seconds: Mapping[str, float], error: str = "") -> None:
        """End a run; nothing of it changes any more. A server that is away is waited for if no other run is open.

        Args:
            run_id: of the run.
            status: finished (then every cell must be), failed or interrupted (then unfinished cells become so too).
            seconds: by stage.
            error: what stopped it.
        """
        if status not in ENDED:
            raise StoreError(f"a run cannot end as {safe_repr(status)}", where=self._location.name)
        took = {name: float(value) for name, value in seconds.items()}
        words = error.replace("\0", "\\x00")  # of whatever went wrong; PostgreSQL takes no NUL
        self._send("finish_run", run_id, {"status": status, "seconds": took, "error": words})
        self._ended.add(run_id)
        if self._ended >= self._locks.keys():  # nothing is trained meanwhile
            self._transport.settle()
        for one in [one for one in self._ended if self.has_arrived(one)]:
            self._ended.discard(one)
            self._locks.pop(one).release(remove=True)

    def add_reproduction(self, reproduction: NewReproduction) -> str:
        """Store the verdicts on a recipe's claims; returns their id. An identical stored outcome becomes the newest."""
        created = rows.now()
        self._transport.at_once(lambda connection: at_once.add_reproduction(connection, reproduction, created))
        return reproduction.id

    def add_sweep(self, sweep: NewSweep) -> str:
        """Store what a sweep asks for, unless it is there; returns its id."""
        created = rows.now()
        self._transport.at_once(lambda connection: at_once.add_sweep(connection, sweep, created))
        return sweep.id

    def remove_sweep(self, sweep_id: str) -> None:
        """Delete what a sweep asks for; its runs stay."""
        self._transport.at_once(lambda connection: at_once.remove_sweep(connection, sweep_id))

    def add_failure(self, sweep_id: str, failure: FailureRow) -> None:
        """Store that a member of a sweep could not be trained."""
        self._transport.at_once(lambda connection: at_once.add_failure(connection, sweep_id, failure))

    def forget_failures(self, sweep_id: str, positions: Collection[int]) -> None:
        """Let members of a sweep be tried again as if they had not failed."""
        self._transport.at_once(lambda connection: at_once.forget_failures(connection, sweep_id, positions))

    def tag(self, run_ids: Sequence[str], add: Sequence[str] = (), remove: Sequence[str] = ()) -> set[str]:
        """Give runs tags and take others from them, whatever their status; returns what was taken from any.

        Raises UsageError for what is no tag, or too many of them. StoreError: there is no such run.
        """
        had: set[str] = set()

        def write(connection: Connection) -> None:
            for run in run_ids:
                row_of(connection, self._location.name, run)
                had.update(annotate.remove_tags(connection, run, remove))
                annotate.add_tags(connection, run, add)

        self._transport.at_once(write)
        return had

    def note(self, run_id: str, text: str | None, *, append: bool = False) -> None:
        """Note something on a run, or take its note away (None). append: below the note that it has.

        Raises UsageError for an empty note, or one that is too long. StoreError: there is no such run.
        """
        tried: list[str | None] = []

        def write(connection: Connection) -> None:
            row_of(connection, self._location.name, run_id)
            if not tried or note_of(connection, run_id) != tried[0]:  # else only the acknowledgement was lost
                tried[:] = [annotate.set_note(connection, run_id, text, append=append)]

        self._transport.at_once(write)

    def trash(self, run_ids: Sequence[str]) -> list[str]:
        """Put runs into the trash, all of them or none; returns those that were not there.

        Raises BusyError for a run whose owner lives, or may live. StoreError: there is no such run.
        """
        where, put_away = self._location.name, dict[str, None]()

        def write(connection: Connection) -> None:
            for row in [row_of(connection, where, run) for run in run_ids]:
                if row.status == "running" and not is_abandoned(self._location, row.id, row.host):
                    raise busy(connection, where, row)
            new = [run for run in dict.fromkeys(run_ids) if annotate.put_away(connection, run)]
            put_away.update(dict.fromkeys(new))

        self._transport.at_once(write)
        return list(put_away)

    def restore(self, run_ids: Sequence[str]) -> list[str]:
        """Take runs out of the trash; returns those that were there. Raises StoreError if there is no such run."""
        taken_out = dict[str, None]()

        def write(connection: Connection) -> None:
            for run in run_ids:
                row_of(connection, self._location.name, run)
            taken_out.update((run, None) for run in dict.fromkeys(run_ids) if annotate.take_out(connection, run))

        self._transport.at_once(write)
        return list(taken_out)

    def _operation(self, name: str, run_id: str, values: Mapping[str, Any]) -> Operation:
        # never the number of an operation of which it is not known whether it has arrived
        number = self._written[run_id] = self._written.get(run_id, 0) + 1
        return Operation(name, run_id, self._numbers.get(run_id, 0), number, rows.now(), values)

    def _send(self, name: str, run_id: str, values: Mapping[str, Any]) -> Any:
        return self._transport.send(self._operation(name, run_id, values))
