"""Saving what can be read of a damaged store into a new one; the damaged one is not changed.

A run of which something is lost never passes for a finished one: it is `failed` in the new store, and says why.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import delete, exc, select, update
from sqlalchemy.engine import Connection

from qtlplat.errors import BusyError, LockedError, StoreError, UsageError, safe_repr
from qtlplat.store.backends import bootstrap, copies
from qtlplat.store.backends.sqlite import SqliteBackend, in_file
from qtlplat.store.backends.sqlite_file import WAL, header
from qtlplat.store.core import artifacts, damage, database, parts, row_digests, schema, summaries
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance import salvage
from qtlplat.store.maintenance.check import held_locks


@dataclass
class Recovered:
    """The result of a recovery.

    whole: ids of the complete runs; in_part: tables of which rows are lost, by run; gone: ids of runs
    of which only pieces were found; outcomes_lost, sweeps_lost: ids of reproductions and sweeps; tables_lost: names of
    whole tables; refused: number of rows that contradict, by table; files_lost: what is wrong, by path.
    """

    whole: list[str] = field(default_factory=list)
    in_part: dict[str, list[str]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    outcomes_lost: list[str] = field(default_factory=list)
    sweeps_lost: list[str] = field(default_factory=list)
    tables_lost: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    files_lost: dict[str, str] = field(default_factory=dict)

    def lost_of(self, owner: str) -> list[str]:
        """The list of lost records of a sort."""
        return {"runs": self.gone, "reproductions": self.outcomes_lost, "sweeps": self.sweeps_lost}[owner]


def recover(location: StoreLocation, new: StoreLocation) -> Recovered:
    """Make a new store of what can be read of a damaged one, with the files of its runs.

    Raises:
        UsageError: if there is no store, or the new one exists.
        BusyError: if a process is writing a run of the damaged store, or LockedError: has its database locked.
        StoreError: if nothing of a store can be read, or the new one cannot be written. Nothing is left of it then.
    """
    if not isinstance(location.backend, SqliteBackend):
        raise UsageError(
            "a store on a server cannot be recovered by qtlplat: restore a backup or dump on the server",
            where=location.name,
            fix="pg_restore a dump; or take over a copy that `store backup` made: qtlplat store merge COPY.db --partly",
        )
    if not isinstance(new.backend, SqliteBackend):
        raise UsageError(
            "what is recovered goes into a file first",
            where="--to",
            fix="--to NEW.db, then: qtlplat store merge NEW.db",
        )
    if not header(location) and not location.exists:
        raise UsageError("there is no store to recover", where=f"{location.path} ({location.why})")
    if new.path.exists():
        raise UsageError(f"{safe_repr(str(new.path))} exists", where="--to", fix="choose another name")
    if running := held_locks(location):
        raise BusyError(f"run {running[0]} is being written to the store", fix="end it, then recover what is there")
    _refuse_locked(location)
    try:
        new.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".recover-", dir=new.path.parent) as folder:
            return _recover(location, new, Path(folder))
    except OSError as error:
        raise StoreError(
            f"cannot recover: {error.strerror}",
            where=str(error.filename or new.path),
            fix="fix that, or name another place with --to; the store has not been touched",
        ) from error


def _refuse_locked(location: StoreLocation) -> None:
    """Raise LockedError if another process may be half way through a write; whatever else is wrong is no matter."""
    if header(location)[18:20] == bytes([WAL, WAL]):  # there, nobody locks readers out
        return
    try:
        with database.translated(location), database.engine(location, write=False).connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")
    except LockedError:
        raise
    except StoreError:
        return


def _recover(location: StoreLocation, new: StoreLocation, folder: Path) -> Recovered:
    old = salvage.open_copy(location, folder)
    if old is None:
        raise StoreError(
            "nothing of a store can be read in that file; it has not been touched",
            where=str(location.path),
            fix="restore a backup",
        )
    found = Recovered()
    with copies.new_file(new.path) as unfinished:
        growing = in_file(unfinished, new.files, new.why)
        try:
            with database.translated(growing):
                _fill(old, growing, found)
                with database.engine(growing, write=True).begin() as connection:
                    _copy_files(connection, location, new, found)
                    connection.exec_driver_sql("PRAGMA journal_mode = delete")
        finally:
            old.close()
        new.locks.mkdir(parents=True, exist_ok=True)
    return found


def _fill(old: sqlite3.Connection, growing: StoreLocation, found: Recovered) -> None:
    from qtlplat.store.backends.migrations import upgrade

    with database.engine(growing, write=True, foreign_keys=False).begin() as connection:
        upgrade(connection, to=_revision(old))
        connection.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    with database.engine(growing, write=True).begin() as connection:
        for owner in parts.OWNERS:
            _take_over(old, connection, owner, found)
    with database.engine(growing, write=True, foreign_keys=False).begin() as connection:
        bootstrap.upgrade_within(connection, growing)


def _revision(old: sqlite3.Connection) -> str:
    """The damaged store's; the newest where it cannot be read."""
    newest = schema.REVISIONS[-1]
    try:
        (revision,) = old.execute(f"SELECT version_num FROM {schema.VERSION_TABLE}").fetchone()  # noqa: S608
    except (sqlite3.Error, TypeError):
        return newest
    if isinstance(revision, str) and revision.isdecimal() and revision > newest:
        raise StoreError(
            f"the store has schema {safe_repr(revision)}, which this version of qtlplat does not know",
            fix="pip install --upgrade qtlplat",
        )
    return revision if revision in schema.REVISIONS else newest


def _take_over(old: sqlite3.Connection, connection: Connection, owner: str, found: Recovered) -> None:
    """Insert all readable records of a sort, then judge what is there of each."""
    kinds = [_known(old, part, found) for part in parts.all_parts(connection, owner)]
    if not kinds:
        return
    own, others = kinds[0], kinds[1:]
    kept = _digests(old)
    records = salvage.record_ids(old, owner, [(part.name, part.key) for part in others])
    records += [record for record in kept if owner in kept[record] and record not in records]
    unread: dict[str, set[str]] = defaultdict(set)
    for record in records:
        _insert(connection, own, _rows_of(old, own, record, (), unread), found)
    there = set(parts.ids(connection, owner))
    for part in others:
        for record in filter(there.__contains__, records):
            cells = _cells(connection, record) if "cell" in part.order else ()
            _insert(connection, part, _rows_of(old, part, record, cells, unread), found)
    ended = {record for _, record in row_digests.ended(connection)}
    for record in records:
        if record not in there:
            found.lost_of(owner).append(record)
            continue
        lost = sorted(unread[record] - {*schema.REMARKS})  # without which a run is what it was
        if record in ended and record in kept:
            changed = row_digests.changed(connection, owner, record, kept[record])
            lost = [part for part in changed if part in kept[record] or part in unread[record]]
        if owner == "runs":
            if lost:  # what follows from other rows is as good as they are
                summaries.summarize(connection, record)
                lost = [part for part in lost if part != schema.run_metrics.name]
            _judge(connection, record, lost, found)
        elif lost:
            table = schema.metadata.tables[owner]
            connection.execute(delete(table).where(table.c.id == record))
            found.lost_of(owner).append(record)
            continue
        row_digests.seal(connection, owner, record)


def _known(old: sqlite3.Connection, part: parts.Part, found: Recovered) -> parts.Part:
    """A table with the columns only that the damaged store has too."""
    known = {name for (name,) in old.execute("SELECT name FROM pragma_table_info(?)", (part.name,))}
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in part.columns if name in known]
    if columns:
        return replace(part, table=sa.table(part.name, *columns))
    found.tables_lost.append(part.name)
    return part


def _rows_of(
    old: sqlite3.Connection, part: parts.Part, record: str, cells: Sequence[int], unread: dict[str, set[str]]
) -> list[salvage.Row]:
    """All rows of a record in one table that can be read; where some cannot, cell by cell once more."""
    condition = f'"{part.key}" = ?'
    there, whole = salvage.every_row(old, part.name, part.columns, part.order, condition, [record])
    if not whole:
        unread[record].add(part.name)
        for cell in cells:
            by_cell = f'{condition} AND "cell" = ?'
            there |= salvage.every_row(old, part.name, part.columns, part.order, by_cell, [record, cell])[0]
    return list(there.values())


def _cells(connection: Connection, record: str) -> list[int]:
    """Positions of a run's cells, as far as they are there."""
    query = select(schema.cells.c.position).where(schema.cells.c.run_id == record)
    return list(connection.execute(query).scalars())


def _insert(connection: Connection, part: parts.Part, read: list[salvage.Row], found: Recovered) -> None:
    """Insert rows one by one, without those that nothing can read, or that contradict what the tables demand."""
    judge = damage.judge_of(part, connection)
    for row in read:
        try:
            if any(judge(row)):
                found.refused[part.name] += 1
                continue
            parts.insert(connection, part, [row])
        except (exc.IntegrityError, exc.InterfaceError, UnicodeEncodeError, OverflowError):
            found.refused[part.name] += 1


def _digests(old: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The digests that the damaged store keeps, as far as they can be read."""
    kept: dict[str, dict[str, str]] = {}
    names = [column.name for column in schema.digests.columns]
    for record, part, sha256 in salvage.every_row(old, schema.digests.name, names, names[:2])[0].values():
        kept.setdefault(record, {})[part] = sha256
    return kept


def _judge(connection: Connection, run: str, lost: list[str], found: Recovered) -> None:
    """End a run without an owner, or with lost rows. lost: tables of which rows are lost."""
    table = schema.runs
    same = table.c.id == run
    if connection.execute(select(table.c.status).where(same)).scalar() == "running":
        connection.execute(update(table).where(same).values(status="interrupted"))
        running = (schema.cells.c.run_id == run) & (schema.cells.c.status == "running")
        connection.execute(update(schema.cells).where(running).values(status="interrupted"))
    elif lost:
        error = f"recovered from a damaged store without all of its rows: {', '.join(lost)}"
        connection.execute(update(table).where(same).values(status="failed", error=error))
    if lost:
        found.in_part[run] = lost
    else:
        found.whole.append(run)


def _copy_files(connection: Connection, location: StoreLocation, new: StoreLocation, found: Recovered) -> None:
    """Copy the files of runs by content; a row whose file is lost keeps its name, as `store check` says."""
    table = schema.artifacts
    files: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    query = select(table.c.run_id, table.c.path, table.c.sha256, table.c.bytes)
    for run, path, sha256, size in connection.execute(query.order_by(table.c.run_id, table.c.path)):
        files[run][path] = sha256, size
    for run, of_run in files.items():
        moved = artifacts.paths_by_content({path: sha256 for path, (sha256, _) in of_run.items()})
        for path, (sha256, size) in of_run.items():
            if wrong := artifacts.what_is_wrong(location, path, sha256, size):
                found.files_lost[path] = wrong
                continue
            source = artifacts.path_below(location, path)
            assert source is not None
            artifacts.copy_file(source, new.files / moved[path], sha256)
            same = (table.c.run_id == run) & (table.c.path == path)
            connection.execute(update(table).where(same).values(path=moved[path]))
