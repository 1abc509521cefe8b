"""How operations get from a writer into the tables: at once into a file, in order and with retries to a server.

While a server is away, operations wait in memory and training continues. Nothing that waits has been acknowledged: a
run takes no checkpoint until everything before it is stored, so a resumed run repeats what was lost, bit for bit.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import exc
from sqlalchemy.engine import Connection

from qtlplat.errors import QtlplatError, StoreError
from qtlplat.store.core import database
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.retry import LOG, nobody_waits, pause, pauses, retry
from qtlplat.store.write.operations import Operation, carry_out, receive

T = TypeVar("T")
HURRY_SECONDS = 1.0
MOST_WAITING = 50_000  # operations in memory; an epoch of all cells is one of some kilobytes


class Transport:
    """Where a writer sends its operations: a database on this machine, where everything is committed at once.

    Every method raises StoreError as `database.translated` does.
    """

    def __init__(self, location: StoreLocation) -> None:
        self._location = location
        with database.translated(location):
            self._connection = database.engine(location, write=True).connect()

    def at_once(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns in a transaction of its own; it is repeated if the connection was lost."""
        with database.translated(self._location), self._connection.begin():
            return work(self._connection)

    def send(self, operation: Operation) -> Any:
        """Execute an operation; None if that happens later, when the server is back."""
        return self.at_once(lambda connection: carry_out(connection, self._location.name, operation))

    def has_arrived(self, run_id: str) -> bool:
        """Whether every operation of a run has been carried out."""
        return True

    def settle(self) -> None:
        """Wait until everything has arrived. Raises StoreError if patience ends first."""

    def hurry(self) -> None:
        """From now on wait for others a second at most."""
        with database.translated(self._location):
            self._location.backend.wait_at_most(self._connection, HURRY_SECONDS)

    def close(self) -> None:
        """Let go of the store."""
        self._connection.close()


class Session:
    """A connection to a server that reconnects when it is lost; used by one thread at a time."""

    def __init__(self, location: StoreLocation) -> None:
        self._where = location.name
        self._engine = database.engine(location, write=True)
        self._connection: Connection | None = None

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns in a transaction of its own. Raises what SQLAlchemy and `work` raise."""
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin():
                return work(self._connection)
        except QtlplatError:
            raise
        except BaseException:  # whatever it was, the next transaction begins with a new connection
            self.drop()
            raise

    def deliver(self, operation: Operation) -> Any:
        """Have an operation carried out, once."""
        return self.transaction(lambda connection: receive(connection, self._where, operation))

    def drop(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            with suppress(exc.SQLAlchemyError):
                self._connection.invalidate()
            with suppress(exc.SQLAlchemyError):
                self._connection.close()
            self._connection = None


class QueuedTransport(Transport):
    """To a server that may go away. One thread may call it.

    on_wait: called while the server is waited for, may raise.
    """

    def __init__(self, location: StoreLocation, on_wait: Callable[[], None]) -> None:
        self._location, self._on_wait, self._patience = location, on_wait, location.patience
        self._session = Session(location)  # of the thread while anything waits
        self._mutex = threading.Lock()  # of what follows
        self._waiting: deque[Operation] = deque()
        self._left = Counter[str]()  # how many of them are of which run
        self._refused: dict[str, QtlplatError] = {}
        self._thread: threading.Thread | None = None
        self._why = QtlplatError("")
        self._until = 0.0  # when patience ends, while anything waits
        self._closing = threading.Event()

    def at_once(self, work: Callable[[Connection], T]) -> T:
        """As `Transport` says; the server is waited for."""
        self.settle()
        with database.translated(self._location):
            return retry(self._location, lambda: self._session.transaction(work), self._on_wait)

    def send(self, operation: Operation) -> Any:
        """As `Transport` says. Raises StoreError if patience has ended, or what refused an earlier operation."""
        if operation.name == "start_run" or not operation.owner:
            return self.at_once(lambda connection: receive(connection, self._location.name, operation))
        if operation.run in self._refused:
            raise self._refused[operation.run]
        while len(self._waiting) >= MOST_WAITING:
            self._refuse_if_patience_ended()
            pause(0.05, self._on_wait)
        with self._mutex:
            if self._waiting:
                self._refuse_if_patience_ended()
                self._keep(operation)
                return None
        try:
            with database.translated(self._location):
                return self._deliver_twice(operation)
        except _NotTaken as error:
            LOG.warning("%s; retrying for %.0f seconds while training continues", error.why.what, self._patience)
            with self._mutex:
                self._why, self._until = error.why, time.monotonic() + self._patience
                self._keep(operation)
                self._thread = threading.Thread(target=self._carry, name="qtlplat store", daemon=True)
                self._thread.start()
        return None

    def has_arrived(self, run_id: str) -> bool:
        """As `Transport` says."""
        with self._mutex:
            return not self._left[run_id] and run_id not in self._refused

    def settle(self) -> None:
        """As `Transport` says."""
        if (left := len(self._waiting)) and (seconds := self._until - time.monotonic()) > 0:
            LOG.warning("waiting up to %.0f seconds for the server to take %d writes", seconds, left)
        while self._waiting and time.monotonic() < self._until:
            pause(0.05, self._on_wait)
        for error in self._refused.values():
            raise error
        if self._waiting:
            raise self._ended()

    def hurry(self) -> None:
        """As `Transport` says; nothing interrupts that second."""
        self._patience, self._on_wait = HURRY_SECONDS, nobody_waits
        self._until = min(self._until, time.monotonic() + HURRY_SECONDS)

    def close(self) -> None:
        """As `Transport` says."""
        self._closing.set()
        if thread := self._thread:
            thread.join(2.0)
        if not (thread and thread.is_alive()):
            self._session.drop()

    def _refuse_if_patience_ended(self) -> None:
        if time.monotonic() >= self._until:
            raise self._ended()

    def _ended(self) -> StoreError:
        run, flag = self._waiting[0].run if self._waiting else "RUN", self._location.flag
        return StoreError(
            f"{self._why.what}; run {run} is interrupted, and stored up to its last checkpoint",
            where=self._location.name,
            fix=f"when the server is back: qtlplat resume {run[:8]}{flag}",
        )

    def _keep(self, operation: Operation) -> None:
        self._waiting.append(operation)
        self._left[operation.run] += 1

    def _deliver_twice(self, operation: Operation) -> Any:
        """Deliver it, by a new connection if the old one was lost. Raises _NotTaken if it has to wait."""
        for again in (True, False):
            try:
                return self._session.deliver(operation)
            except exc.SQLAlchemyError as error:
                if self._location.backend.is_of_the_rows(error):
                    raise
                if not again:
                    raise _NotTaken(self._location.backend.explain_error(error, self._location)) from error
        raise AssertionError

    def _carry(self) -> None:
        """In the thread: send what waits, in order, until there is nothing."""
        for seconds in pauses():
            if self._closing.wait(seconds):
                break
            if self._carry_on():
                LOG.warning("the server is back, and has what was written meanwhile")
                return
        self._session.drop()

    def _carry_on(self) -> bool:
        """Send until nothing waits, or the server does not take it; returns whether nothing waits."""
        while not self._closing.is_set():
            operation = self._waiting[0]
            try:
                with database.translated(self._location):
                    different = self._deliver_twice(operation)
            except _NotTaken as error:
                self._why = error.why
                return False
            except QtlplatError as error:
                self._refused[operation.run] = error  # nothing of that run is taken any more
                done = [one for one in self._waiting if one.run == operation.run]
            else:
                done = [operation]
                for cell, epoch in different or ():
                    LOG.warning("%s", came_out_differently(operation.run, cell, epoch))
            with self._mutex:
                for one in done:
                    self._waiting.remove(one)
                    self._left[one.run] -= 1
                if not self._waiting:
                    return True
        return False


class _NotTaken(Exception):  # noqa: N818 -- it is not told to anybody
    """The server took an operation no more, for reasons of its own. why: as we say it."""

    def __init__(self, why: QtlplatError) -> None:
        super().__init__(why.what)
        self.why = why


def came_out_differently(run: str, cell: int, epoch: int) -> str:
    """The warning about an epoch that was trained again with another result."""
    return f"epoch {epoch} of cell {cell} of run {run} differs from the one stored before the interruption"
