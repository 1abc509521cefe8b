"""Do work that several runs share only once: a second process waits for the first, and takes over if that one dies.

A claim on work, named by its content, is a lock on a file of the store, or in a transaction on its server. It is
released however its holder ends. Work whose result is a file is claimed by a file lock even for a store on a server:
files on another machine's disk cannot be used here, and on a shared disk all processes see the same lock.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import exc

from qtlplat.errors import StoreError, safe_repr
from qtlplat.store.backends.sqlite import SQLITE
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import RunRecord
from qtlplat.store.core.retry import pause, retry
from qtlplat.store.read.queries import Reader

SHORTLY = 0.3  # seconds before a wait is worth a line: looking for a result takes less
PAUSE_SECONDS = 0.5  # between two tries
WITHOUT_A_NAME = 5.0  # seconds after which somebody is waited for whose run is not stored yet


@dataclass(frozen=True)
class Work:
    """What a claim is about. key: what it is made of; result: where it is found, in files or in the store's rows."""

    key: str
    result: Literal["files", "rows"]

    @property
    def digest(self) -> str:
        """A name of fixed length."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:32]


@contextmanager
def announced(location: StoreLocation, work: Work, on_wait: Callable[[], None]) -> Iterator[None]:
    """Do work that `claimed` waits for, without waiting for anybody but a server that is away."""
    held = _try(location, work, alone=False, on_wait=on_wait)
    try:
        yield
    finally:
        if held is not None:
            held()


@contextmanager
def claimed(
    location: StoreLocation,
    work: Work,
    doing: Callable[[], RunRecord | None],
    tell: Callable[[str], None],
    on_wait: Callable[[], None],
) -> Iterator[bool]:
    """Claim exclusive access to finding and doing the work; yields whether it waited for another process.

    Args:
        location: The store.
        work: The work.
        doing: The run that does it now, if the store knows it, for the message about waiting.
        tell: Called with one line for each run that it waits for.
        on_wait: Called ten times a second while waiting; may raise to stop.

    Raises:
        StoreError: The claim is impossible: no locks on this disk, or the server does not answer.
    """
    began, told, waited = time.monotonic(), "", False
    while (held := _try(location, work, alone=True, on_wait=on_wait)) is None:
        waited, spent = True, time.monotonic() - began
        if spent > SHORTLY:
            run = doing()
            name = _described(Reader(location), run) if run else told or "another process"
            if name != told and (run or spent > WITHOUT_A_NAME):
                tell(f"waiting for {name}")
                told = name
        pause(PAUSE_SECONDS if spent > SHORTLY else 0.05, on_wait)
    try:
        yield waited
    finally:
        held()


def _described(reader: Reader, run: RunRecord) -> str:
    since = next((owner.since for owner in reversed(reader.owners(run.id))), run.created)
    return f"{run.kind} {run.id} (process {run.pid} on {safe_repr(run.host)[1:-1]}, since {since})"


def _try(location: StoreLocation, work: Work, *, alone: bool, on_wait: Callable[[], None]) -> Callable[[], None] | None:
    """Claim without waiting; returns a function that releases the claim, None if it is taken."""
    backend = location.backend if work.result == "rows" else SQLITE
    try:
        return retry(location, lambda: backend.lock(location, f"work-{work.digest}", alone=alone), on_wait)
    except OSError as error:
        raise StoreError(
            f"cannot lock work that runs share: {error.strerror}",
            where=str(location.locks),
            fix=f"keep locks on a disk that supports them: {location.other_place}",
        ) from error
    except exc.SQLAlchemyError as error:
        raise location.backend.explain_error(error, location) from error
