"""Everything that can be found out about a store's health; it only reads, and mends nothing."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.engine import Connection, Engine

from qtlplat.conventions import counted
from qtlplat.errors import StoreError, shown
from qtlplat.store import artifacts, database, hashes, schema
from qtlplat.store.location import StoreLocation
from qtlplat.store.ownership import is_abandoned, lock_path, this_host
from qtlplat.store.server.spool import spools

MOST = 100  # findings of one sort; a store so damaged is past counting
STALE_SECONDS = 3600.0  # what is being written is younger
_Files = dict[tuple[str, str, int], list[str]]
_FROM_A_COPY = "take it from a copy of the files, or run again what made it"


@dataclass(frozen=True)
class Finding:
    """Something wrong with a store. where: file, table or run; fix: a command, or what to do."""

    what: str
    where: str
    fix: str


@dataclass(frozen=True)
class Health:
    """What a check found. problems: what has to be mended; notes: what is worth knowing, in words."""

    problems: tuple[Finding, ...]
    notes: tuple[str, ...]


def check(location: StoreLocation) -> Health:
    """Look at a store: its pages and references, the digests of its runs, their files, and what lies about.

    Other processes may go on: no transaction is open longer than it takes to read the pages, or one run.
    """
    problems: list[Finding] = []
    notes: list[str] = []
    try:
        store = _Open(location, database.engine(location, write=False))
        revision = _check_database(store, problems)
        if revision is not None:
            problems += _changed_rows(store)
            files = _owned_files(store)
            problems += _lost_files(location, files, elsewhere := _made_elsewhere(store))
            problems += _stale_locks(store)
            notes += _files_elsewhere(location, files, elsewhere)
            notes += _unsent(location)
            notes += _unfinished_runs(store)
            notes += _files_of_nobody(location, files)
    except StoreError as error:
        problems.append(Finding(error.what, error.where, error.fix))
    problems += _left_overs(location)
    return Health(tuple(problems), tuple(notes))


def held_locks(location: StoreLocation) -> list[str]:
    """Ids of the runs that a process of this machine is writing now."""
    return [run for run in _locks(location) if not is_abandoned(location, run, this_host())]


@dataclass(frozen=True)
class _Open:
    """A store that is being looked at."""

    location: StoreLocation
    engine: Engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One reading transaction."""
        with database.translated(self.location), self.engine.begin() as connection:
            yield connection


def _check_database(store: _Open, problems: list[Finding]) -> str | None:
    """The schema's revision, if there are tables and they are those of this version; pages and references."""
    location, where = store.location, store.location.name
    if not database.check_header(location):
        return None
    with store.read() as connection:
        revision = database.revision(connection, location)
        if not location.server:  # which looks after its pages and references itself
            problems += _damage(connection, where)
    if revision not in (None, schema.REVISIONS[-1]):
        what = f"the store has the older schema {shown(revision)}, of which only the pages are checked"
        problems.append(Finding(what, where, "qtlplat store upgrade (it makes a backup first)"))
        return None
    return revision


def _damage(connection: Connection, where: str) -> Iterator[Finding]:
    for (line,) in connection.exec_driver_sql(f"PRAGMA integrity_check({MOST})").all():
        if line != "ok":
            yield Finding(f"damaged: {shown(line, 200)}", where, database.RECOVER)
    for table, _, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check").all()[:MOST]:
        what = f"a row of {shown(table)} refers to a row of {shown(parent)} that is not there"
        yield Finding(what, where, database.RECOVER)


def first_changed_rows(location: StoreLocation, seconds: float) -> Finding | None:
    """The first run found of which rows are not as stored; None where none is found in that time.

    Raises StoreError as every reading.
    """
    store = _Open(location, database.engine(location, write=False))
    if not database.check_header(location):
        return None
    with store.read() as connection:
        if database.revision(connection, location) != schema.REVISIONS[-1]:
            return None
    return next(_changed_rows(store, until=time.monotonic() + seconds), None)


def _changed_rows(store: _Open, until: float = math.inf) -> Iterator[Finding]:
    fix = "do not use its numbers: run it again, or merge it from a backup into a new store: qtlplat store merge BACKUP"
    with store.read() as connection:
        kept, ended = hashes.sealed(connection), hashes.ended(connection)
    words = {"runs": "run", "reproductions": "reproduction"}
    for owner, record in ended:
        if time.monotonic() > until:
            return
        with store.read() as connection:
            changed = hashes.changed(connection, owner, record, kept.get(record, {}))
        if changed and record not in kept:
            yield Finding("its digests are gone, so nothing is known of its rows", f"{words[owner]} {record}", fix)
        elif changed:
            yield Finding(f"not as stored: rows of {', '.join(changed)}", f"{words[owner]} {record}", fix)
    for record in sorted(set(kept) - {record for _, record in ended}):
        if not _is_known(store, record):
            yield Finding("it was stored and is not there any more", f"run {record}", database.RECOVER)


def _is_known(store: _Open, record: str) -> bool:
    with store.read() as connection:
        return connection.execute(select(schema.runs.c.id).where(schema.runs.c.id == record)).first() is not None


def _made_elsewhere(store: _Open) -> set[str]:
    """Ids of runs whose files may well be on other machines: behind a server, those that were never owned here."""
    if not store.location.server:
        return set()
    owners = schema.owners.c
    with store.read() as connection:
        here = set(connection.execute(select(owners.run_id).where(owners.host == this_host())).scalars())
        return set(_runs(connection)) - here


def _lost_files(location: StoreLocation, files: _Files, elsewhere: set[str]) -> Iterator[Finding]:
    for (path, sha256, size), runs in files.items():
        if elsewhere.issuperset(runs) and not (location.files / path).exists():
            continue
        if wrong := artifacts.what_is_wrong(location, path, sha256, size):
            of = f"run {runs[0]}" + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")
            yield Finding(f"{wrong}; it belongs to {of}", str(location.files / path), _FROM_A_COPY)


def _files_elsewhere(location: StoreLocation, files: _Files, elsewhere: set[str]) -> Iterator[str]:
    lost = [path for (path, _, _), runs in files.items() if elsewhere.issuperset(runs)]
    if count := sum(not (location.files / path).exists() for path in lost):
        yield f"on the machines that made them, not below {location.files}: {counted(count, 'file')} of runs"


def _unsent(location: StoreLocation) -> Iterator[str]:
    for spool in spools(location):
        yield f"writes of run {spool.run} wait in {spool.path}: qtlplat store sync{location.flag}"


def _owned_files(store: _Open) -> _Files:
    """Path, sha256 and size of every file that belongs to runs, with these."""
    table = schema.artifacts.c
    query = select(table.path, table.sha256, table.bytes, table.run_id).order_by(table.path, table.run_id)
    found: _Files = defaultdict(list)
    with store.read() as connection:
        for path, sha256, size, run in connection.execute(query):
            found[path, sha256, size].append(run)
    return found


def _files_of_nobody(location: StoreLocation, files: _Files) -> Iterator[str]:
    """One line per directory; caches are such files, and may go whenever space is needed."""
    owned = {location.files / path for path, _, _ in files}
    counts: dict[str, list[int]] = defaultdict(list)
    for path in artifacts.all_files(location):
        if path not in owned and not artifacts.is_unfinished(path):
            with suppress(OSError):
                counts[str(path.parent)].append(path.lstat().st_size)
    for folder, sizes in sorted(counts.items()):
        size = f"{counted(len(sizes), 'file')}, {sum(sizes) / 1e6:.1f} MB"
        yield f"of no run, caches or left behind: {size} in {folder}"


def _runs(connection: Connection) -> dict[str, tuple[str, str]]:
    """Status and host of every run."""
    runs = schema.runs.c
    return {run: (status, host) for run, status, host in connection.execute(select(runs.id, runs.status, runs.host))}


def _unfinished_runs(store: _Open) -> Iterator[str]:
    with store.read() as connection:
        running = {run: host for run, (status, host) in _runs(connection).items() if status == "running"}
    for run, host in running.items():
        if is_abandoned(store.location, run, host):
            yield f"run {run} was left by its process and counts as interrupted"
        else:
            yield f"run {run} is running on {shown(host)}"


def _locks(location: StoreLocation) -> list[str]:
    """Ids of the runs that have a lock's file, held or not."""
    try:
        return sorted(path.stem for path in location.locks.iterdir() if path.suffix == ".lock")
    except OSError:
        return []


def _stale_locks(store: _Open) -> Iterator[Finding]:
    """Locks of runs that have ended: nobody will take them away any more."""
    free = set(_locks(store.location)) - set(held_locks(store.location))
    with store.read() as connection:
        running = {run for run, (status, _) in _runs(connection).items() if status == "running"}
    for run in sorted(free - running):
        path = lock_path(store.location, run)
        yield Finding("a lock was left by a run that has ended, or is not in this store", str(path), f"rm {path}")


def _left_overs(location: StoreLocation) -> Iterator[Finding]:
    try:
        beside = sorted(location.path.parent.iterdir())
    except OSError:
        beside = []
    copies = [path for path in beside if path.name.startswith(f".{location.path.stem}.")]
    for path in filter(artifacts.is_unfinished, [*copies, *artifacts.all_files(location)]):
        try:
            age = time.time() - path.stat().st_mtime
        except OSError:  # it has its name by now
            continue
        if age > STALE_SECONDS:
            yield Finding("a file was left half written", str(path), f"rm {'-r ' if path.is_dir() else ''}{path}")
