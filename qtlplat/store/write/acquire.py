"""Taking up a run again: who may, and what makes a process its owner. The caller holds the lock and the transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from qtlplat.errors import UsageError
from qtlplat.store.core import schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import lock_path, this_host
from qtlplat.store.write import rows
from qtlplat.store.write.operations import busy, row_of


def refuse_taking(connection: Connection, location: StoreLocation, run_id: str, *, take_over: bool) -> None:
    """Raise UsageError if a run has finished or lies in the trash, BusyError if another machine may be at it.

    Of a server's store a run is of this machine where its lock is here: names of machines may be the same. take_over:
    never mind other machines.
    """
    row = row_of(connection, location.name, run_id)
    _refuse_going_on(row)
    elsewhere = not lock_path(location, run_id).exists() if location.backend.shared else row.host != this_host()
    if row.status == "running" and elsewhere and not take_over:
        error = busy(connection, location.name, row)
        error.fix = (
            f"resume it there, or, if that process is gone: qtlplat resume {row.id[:8]} --take-over{location.flag}"
        )
        raise error


def take(connection: Connection, where: str, run_id: str, since: str, drift: Mapping[str, Sequence[str]]) -> int:
    """Make this process the owner of a run; returns the owner's number.

    since: the moment of asking; asking again with the same one changes nothing.
    """
    row = row_of(connection, where, run_id)
    owners, cells, runs = schema.owners, schema.cells, schema.runs
    newest = select(owners).where(owners.c.run_id == run_id, owners.c.number == row.owner)
    mine = rows.owner_row(row.owner + 1, since, drift)
    if _same_process(connection.execute(newest).one_or_none(), mine):
        return int(row.owner)
    _refuse_going_on(row)
    connection.execute(
        update(runs)
        .where(runs.c.id == run_id)
        .values(status="running", owner=mine["number"], host=mine["host"], pid=mine["pid"], finished=None, error="")
    )
    opened = update(cells).where(cells.c.run_id == run_id, cells.c.status.in_(("interrupted", "failed")))
    connection.execute(opened.values(status="running"))
    rows.insert_all(connection, owners, run_id, [mine])
    return int(mine["number"])


def _same_process(row: Any, mine: Mapping[str, Any]) -> bool:
    return row is not None and all(row._mapping[name] == mine[name] for name in ("since", "host", "pid"))


def _refuse_going_on(row: Any) -> None:
    if row.trashed:
        fix = f"restore it first: qtlplat rm --restore {row.id[:8]}"
        raise UsageError(f"run {row.id} is in the trash since {row.trashed}", fix=fix)
    if row.status == "finished":
        raise UsageError(f"run {row.id} is finished", fix=f"show it: qtlplat show {row.id[:8]}")
