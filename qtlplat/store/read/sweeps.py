"""Stored sweeps, and what has become of their members: that follows from the runs with their fingerprints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.engine import Connection

from qtlplat.errors import UsageError, safe_repr
from qtlplat.store.core import schema
from qtlplat.store.core.dialect import among
from qtlplat.store.core.ownership import is_abandoned
from qtlplat.store.core.sweep_records import FailureRow, MemberRow, MemberState, NewSweep, SweepRecord
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.run_annotations import LISTED

MOST_KILLED = 3  # times that a member may end its process before it is left alone
_RANK = {"finished": 0, "running": 1, "interrupted": 2}


def sweeps(reader: Reader) -> list[SweepRecord]:
    """All stored sweeps, newest first."""

    def read(connection: Connection) -> list[SweepRecord]:
        table = schema.sweeps.c
        rows = connection.execute(select(schema.sweeps).order_by(table.created.desc(), table.id)).all()
        return [_record(connection, row) for row in rows]

    return reader.read(read) or []


def find_sweep(reader: Reader, name: str) -> SweepRecord | None:
    """The newest sweep of this name, or else the one whose id begins with it (3 characters or more)."""

    def read(connection: Connection) -> SweepRecord | None:
        table = schema.sweeps.c
        newest = select(schema.sweeps).order_by(table.created.desc(), table.id)
        found = connection.execute(newest.where(table.name == name)).first()
        if found is None and len(name) >= 3:
            found = connection.execute(newest.where(table.id.startswith(name.lower(), autoescape=True))).first()
        return None if found is None else _record(connection, found)

    return reader.read(read)


def named_sweep(reader: Reader, name: str) -> SweepRecord:
    """As `find_sweep`; raises UsageError, with the names that there are, if there is none."""
    if found := find_sweep(reader, name):
        return found
    known = list(dict.fromkeys(one.content.name for one in sweeps(reader)))
    what = f"there is no sweep {safe_repr(name)}"
    known_line = f"  known: {', '.join(known[:8])}" if known else "  the store has no sweep"
    raise UsageError("\n".join([what, known_line]), where=reader.location.name, fix="list them: qtlplat sweep list")


def _record(connection: Connection, row: Any) -> SweepRecord:
    members = schema.sweep_members
    columns = [column for column in members.c if column.name != "sweep_id"]
    found = connection.execute(select(*columns).where(members.c.sweep_id == row.id).order_by(members.c.position))
    rows = tuple(MemberRow(**one._mapping) for one in found)
    return SweepRecord(row.id, row.created, NewSweep(row.name, row.definition, rows))


def member_states(reader: Reader, sweep: SweepRecord) -> list[MemberState]:
    """What has become of every member, by position, in a fixed number of queries."""
    found = reader.read(lambda connection: _states(connection, reader, sweep.id, sweep.content.members))
    return found if found is not None else [MemberState(member, "missing") for member in sweep.content.members]


def finished_members(reader: Reader, sweep: SweepRecord) -> set[str]:
    """The ids of the finished runs that are members of a sweep, one for each."""
    return {one.run for one in member_states(reader, sweep) if one.state == "finished" and one.run is not None}


def states_of(reader: Reader, members: Sequence[MemberRow]) -> list[MemberState]:
    """The same of members of a sweep that is not stored."""
    found = reader.read(lambda connection: _states(connection, reader, None, members))
    return found if found is not None else [MemberState(member, "missing") for member in members]


def _states(
    connection: Connection, reader: Reader, sweep_id: str | None, members: Sequence[MemberRow]
) -> list[MemberState]:
    best = _best_runs(connection, reader, {member.fingerprint for member in members})
    failures = _failures(connection, sweep_id)
    states = []
    for member in members:
        status, run = best.get(member.fingerprint, ("", None))
        failed = tuple(failures[member.position])
        states.append(MemberState(member, _state(status, failed), run, failed))
    return states


def _state(
    status: str, failures: Sequence[FailureRow]
) -> Literal["finished", "running", "interrupted", "failed", "killed", "missing"]:
    if status == "finished":
        return "finished"
    if status == "running":
        return "running"
    if any(one.kind == "failed" for one in failures):
        return "failed"
    if len(failures) >= MOST_KILLED:
        return "killed"
    return "interrupted" if status == "interrupted" else "missing"


def _best_runs(connection: Connection, reader: Reader, wanted: set[str]) -> dict[str, tuple[str, str]]:
    """Status and id of the run that a fingerprint has come to: a finished one, the newest, before any other."""
    runs, lineage = schema.runs.c, schema.lineage.c
    replays = select(lineage.run_id).where(lineage.role.startswith("replay"))
    query = select(runs.id, runs.fingerprint, runs.status, runs.host).where(runs.fingerprint.in_(among(wanted)))
    query = query.where(runs.kind == "run", runs.status != "failed", runs.id.not_in(replays), LISTED)
    found: dict[str, tuple[str, str]] = {}
    for run, fingerprint, status, host in connection.execute(query.order_by(runs.created)):
        now = "interrupted" if status == "running" and is_abandoned(reader.location, run, host) else status
        if fingerprint not in found or _RANK[now] <= _RANK[found[fingerprint][0]]:
            found[fingerprint] = (now, run)
    return found


def _failures(connection: Connection, sweep_id: str | None) -> dict[int, list[FailureRow]]:
    table = schema.sweep_failures
    found: dict[int, list[FailureRow]] = defaultdict(list)
    query = select(table).where(table.c.sweep_id == sweep_id).order_by(table.c.position, table.c.number)
    for row in connection.execute(query) if sweep_id is not None else ():
        found[row.position].append(FailureRow(row.position, row.since, row.kind, row.error, row.log))
    return found


def pretrainings_of(reader: Reader, runs: Sequence[str]) -> list[str]:
    """Ids of the pretrainings that runs build on, each once."""
    lineage = schema.lineage.c
    query = select(lineage.parent_id).where(lineage.role == "pretraining", lineage.run_id.in_(among(runs))).distinct()
    return reader.read(lambda connection: list(connection.execute(query).scalars())) or []
