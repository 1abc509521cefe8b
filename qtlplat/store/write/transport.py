"""How operations get from a writer into the tables: at once into a file; to a server in order, whenever it is there.

While a server is away, what is written waits in spools and training goes on; a thread sends it when the server is back.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from sqlalchemy import exc
from sqlalchemy.engine import Connection

from qtlplat.errors import QtlplatError
from qtlplat.store.backends import postgres
from qtlplat.store.backends.retry import LOG, PAUSE_SECONDS, longest_wait, patiently, pause
from qtlplat.store.core import database
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.write.operations import Operation, carry_out, receive
from qtlplat.store.write.spool import spool_of

T = TypeVar("T")
HURRY_SECONDS = 1.0


class Sender(Protocol):
    """What a writer gives its operations to. Every method raises StoreError as `database.translated` does."""

    def at_once(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns in a transaction of its own; it is done again where the connection was lost."""
        ...

    def send_now(self, operation: Operation) -> Any:
        """Have an operation carried out before going on."""
        ...

    def send(self, operation: Operation) -> Any:
        """Have an operation carried out; None where that will be later, as soon as it can be."""
        ...

    def has_arrived(self, run_id: str) -> bool:
        """Whether everything that was sent of a run has been carried out."""
        ...

    def wait(self, seconds: float, on_wait: Callable[[], None]) -> None:
        """Until everything has arrived, or no longer. on_wait: called meanwhile, may raise."""
        ...

    def hurry(self) -> None:
        """From now on wait for others a second at most."""
        ...

    def refused(self) -> QtlplatError | None:
        """The error of a run of which a write was refused, after `send` had returned."""
        ...

    def close(self) -> list[str]:
        """Let go of the store; returns the ids of the runs of which something waits in a spool."""
        ...


class ToFile:
    """To an SQLite file: everything is committed when a method returns."""

    def __init__(self, location: StoreLocation) -> None:
        self._location = location
        with database.translated(location):
            self._connection = database.engine(location, write=True).connect()

    def at_once(self, work: Callable[[Connection], T]) -> T:
        """As `Sender` says."""
        with database.translated(self._location), self._connection.begin():
            return work(self._connection)

    def send_now(self, operation: Operation) -> Any:
        """As `Sender` says."""
        return self.at_once(lambda connection: carry_out(connection, self._location.name, operation))

    def send(self, operation: Operation) -> Any:
        """As `Sender` says."""
        return self.send_now(operation)

    def has_arrived(self, run_id: str) -> bool:
        """It has."""
        return True

    def wait(self, seconds: float, on_wait: Callable[[], None]) -> None:
        """Nothing is on its way."""

    def hurry(self) -> None:
        """As `Sender` says."""
        with database.translated(self._location):
            database.wait_at_most(self._connection, HURRY_SECONDS)

    def refused(self) -> QtlplatError | None:
        """None is."""
        return None

    def close(self) -> list[str]:
        """Close the file."""
        self._connection.close()
        return []


class Line:
    """A connection to a server that is made anew whenever it was lost; of one thread at a time."""

    def __init__(self, location: StoreLocation) -> None:
        self._where = location.name
        self._engine = database.engine(location, write=True)
        self._connection: Connection | None = None

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns in a transaction of its own. Raises what SQLAlchemy and `work` raise."""
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin():
                return work(self._connection)
        except QtlplatError:
            raise
        except BaseException:  # whatever it was, the next transaction begins with a connection that is whole
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


class ToServer:
    """To a server. One thread may call it.

    on_wait: called while the server is waited for, may raise.
    """

    def __init__(self, location: StoreLocation, on_wait: Callable[[], None]) -> None:
        self._location, self._on_wait = location, on_wait
        self._line = Line(location)  # of the thread while anything waits
        self._mutex = threading.Lock()  # of what follows
        self._waiting: deque[Operation] = deque()
        self._left = Counter[str]()  # how many of them are of which run
        self._refused: dict[str, QtlplatError] = {}
        self._thread: threading.Thread | None = None
        self._why = QtlplatError("")
        self._closing = threading.Event()

    def at_once(self, work: Callable[[Connection], T]) -> T:
        """As `Sender` says; the server is waited for."""
        self.wait(longest_wait(), self._on_wait)
        if self._waiting:
            raise self._why
        with database.translated(self._location):
            return patiently(self._location, lambda: self._line.transaction(work), self._on_wait)

    def send_now(self, operation: Operation) -> Any:
        """As `Sender` says; the server is waited for."""
        return self.at_once(lambda connection: receive(connection, self._location.name, operation))

    def send(self, operation: Operation) -> Any:
        """As `Sender` says. Raises StoreError where neither server nor spool takes it, and what refused the run."""
        if operation.run in self._refused:
            raise self._refused[operation.run]
        with self._mutex:
            if self._waiting:
                self._keep(operation)
                return None
        try:
            with database.translated(self._location):
                return self._deliver_twice(operation)
        except _NotTaken as error:
            LOG.warning(
                "%s; what runs write meanwhile is kept in %s, and sent when it is back",
                error.why.what,
                self._location.spool,
            )
            self._why = error.why
            with self._mutex:
                self._keep(operation)
                self._thread = threading.Thread(target=self._carry, name="qtlplat store", daemon=True)
                self._thread.start()
        return None

    def has_arrived(self, run_id: str) -> bool:
        """As `Sender` says."""
        with self._mutex:
            return not self._left[run_id]

    def wait(self, seconds: float, on_wait: Callable[[], None]) -> None:
        """As `Sender` says."""
        until = time.monotonic() + seconds
        if left := len(self._waiting):
            LOG.warning("waiting up to %.0f seconds for the server, to send %d writes", seconds, left)
        while self._waiting and time.monotonic() < until:
            pause(0.05, on_wait)

    def hurry(self) -> None:
        """Nothing that is sent is waited for but by `wait`."""

    def refused(self) -> QtlplatError | None:
        """As `Sender` says."""
        return next(iter(self._refused.values()), None)

    def close(self) -> list[str]:
        """As `Sender` says."""
        self._closing.set()
        if thread := self._thread:
            thread.join(PAUSE_SECONDS)
        if not (thread and thread.is_alive()):
            self._line.drop()
        with self._mutex:
            return sorted({run for run, left in self._left.items() if left} | set(self._refused))

    def _keep(self, operation: Operation) -> None:
        spool_of(self._location, operation.run, operation.owner).append(operation)
        self._waiting.append(operation)
        self._left[operation.run] += 1

    def _deliver_twice(self, operation: Operation) -> Any:
        """Deliver it, by a new connection where the old one was lost. Raises _NotTaken where it has to wait."""
        for again in (True, False):
            try:
                return self._line.deliver(operation)
            except exc.SQLAlchemyError as error:
                if postgres.is_of_the_rows(error):
                    raise
                if not again:
                    assert self._location.server
                    raise _NotTaken(postgres.explained(error, self._location.server)) from error
        raise AssertionError

    def _carry(self) -> None:
        """In the thread: send what waits, in order, until there is nothing."""
        while not self._closing.wait(PAUSE_SECONDS):
            if self._carry_on():
                return
        self._line.drop()

    def _carry_on(self) -> bool:
        """Whether everything has been sent."""
        sent = 0
        while not self._closing.is_set():
            with self._mutex:
                if not self._waiting:
                    return True
                operation = self._waiting[0]
            try:
                with database.translated(self._location):
                    different = self._deliver_twice(operation)
            except _NotTaken as error:
                self._why = error.why
                return False
            except QtlplatError as error:
                self._refuse(operation.run, error)
                continue
            sent += 1
            for cell, epoch in different or ():
                LOG.warning("%s", came_out_differently(operation.run, cell, epoch))
            with self._mutex:
                self._waiting.popleft()
                self._left[operation.run] -= 1
                if not self._left[operation.run]:
                    spool_of(self._location, operation.run, operation.owner).remove()
                if not self._waiting:
                    LOG.warning("the server is back: %d writes were sent", sent)
                    return True
        return False

    def _refuse(self, run: str, error: QtlplatError) -> None:
        """Nothing of a run is taken any more; its spool stays."""
        with self._mutex:
            self._refused[run] = error
            kept = [operation for operation in self._waiting if operation.run != run]
            self._waiting.clear()
            self._waiting.extend(kept)
            del self._left[run]


class _NotTaken(Exception):  # noqa: N818 -- it is not told to anybody
    """The server took an operation no more, for reasons of its own. why: as we say it."""

    def __init__(self, why: QtlplatError) -> None:
        super().__init__(why.what)
        self.why = why


def came_out_differently(run: str, cell: int, epoch: int) -> str:
    """What is said of an epoch that was trained again with another result."""
    return f"epoch {epoch} of cell {cell} of run {run} came out differently than before it was interrupted"
