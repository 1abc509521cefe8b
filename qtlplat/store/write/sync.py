"""Sending what a server did not take while a run was going on: what processes that are gone have left in spools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import exc

from qtlplat.errors import BusyError, QtlplatError, StoreError
from qtlplat.store.backends import postgres
from qtlplat.store.backends.retry import LOG, nobody_waits, patiently
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import RunLock
from qtlplat.store.write.operations import Operation
from qtlplat.store.write.spool import Spool, spools
from qtlplat.store.write.transport import Line


@dataclass(frozen=True)
class Sent:
    """What became of a spool. writes: how many it holds; why: what keeps them from being sent, '' where they were.

    torn: whether a last write, which nobody was told of, was cut off by a crash; overtaken: whether the run belongs to
    somebody else by now.
    """

    run: str
    owner: int
    writes: int
    torn: bool
    why: str
    file: str
    overtaken: bool = False


def sync(location: StoreLocation, on_wait: Callable[[], None] = nobody_waits) -> list[Sent]:
    """Send every spool of a store on this machine; what the server refuses stays where it is, and is told.

    Sending twice changes nothing: every write has a number, which the server keeps. on_wait: called while the server is
    waited for. Raises StoreError where it is away for too long; everything that is left stays in the spools.
    """
    return [_send_alone(location, spool, on_wait) for spool in spools(location)]


def send_leftovers(location: StoreLocation) -> None:
    """The same for whoever begins to write to the store; nothing is said of what has to stay."""
    for spool in spools(location):
        try:
            _tell(_send_alone(location, spool, nobody_waits))
        except QtlplatError:
            return


def send_leftovers_of(location: StoreLocation, run_id: str, on_wait: Callable[[], None]) -> None:
    """Send what former owners of a run have left; the caller holds its lock.

    Raises StoreError as `sync`, and where something of the last owner's cannot be sent: the run would go on without it.
    """
    for spool in spools(location):
        if spool.run == run_id:
            sent, _ = _send(location, spool, on_wait)
            _tell(sent)
            if sent.why and not sent.overtaken:
                raise StoreError(
                    f"run {run_id} has written what cannot be sent: {sent.why}",
                    where=sent.file,
                    fix="move that file away to go on without what is in it",
                )


def _tell(sent: Sent) -> None:
    if not sent.why:
        LOG.warning("run %s: %d writes that had been left here were sent", sent.run, sent.writes)


def _send_alone(location: StoreLocation, spool: Spool, on_wait: Callable[[], None]) -> Sent:
    """Send a spool, unless the process that it belongs to is alive."""
    try:
        lock = RunLock(location, spool.run)
    except BusyError:
        return Sent(spool.run, spool.owner, 0, False, "its process is running, and sends it itself", str(spool.path))
    over = False
    try:
        sent, over = _send(location, spool, on_wait)
    finally:
        lock.release(remove=over)
    return sent


def waiting_runs(location: StoreLocation) -> list[str]:
    """Ids of the runs of which something waits on this machine; those of files never do."""
    return list(dict.fromkeys(spool.run for spool in spools(location)))


def unsent(location: StoreLocation, runs: Sequence[str]) -> StoreError:
    """The error of a command that ends before everything could be sent."""
    waiting = [spool for spool in spools(location) if spool.run in runs]
    return StoreError(
        f"the server did not take all that was written of {', '.join(f'run {run}' for run in runs)}; nothing is lost, "
        "it waits on this machine",
        where=", ".join(str(spool.path) for spool in waiting[:3]),
        fix=f"when the server is back: qtlplat store sync{location.flag}",
    )


def _send(location: StoreLocation, spool: Spool, on_wait: Callable[[], None]) -> tuple[Sent, bool]:
    """Send a spool; also whether the run has ended with it. Raises StoreError where the server is away."""
    torn, operations = False, list[Operation]()

    def told(why: str, *, overtaken: bool = False) -> Sent:
        return Sent(spool.run, spool.owner, len(operations), torn, why, str(spool.path), overtaken)

    try:
        operations, torn = spool.read()
    except StoreError as error:
        return told(error.what), False
    line = Line(location)
    try:
        for operation in operations:
            patiently(location, partial(line.deliver, operation), on_wait)
    except QtlplatError as error:
        return told(error.what, overtaken=isinstance(error, BusyError)), False
    except exc.SQLAlchemyError as error:
        assert location.server
        why = postgres.explained(error, location.server)
        if postgres.is_of_the_rows(error):
            return told(why.what), False
        raise why from error
    finally:
        line.drop()
    spool.remove()
    return told(""), any(operation.name == "finish_run" for operation in operations)
