"""Check the health of a store; reads only, and repairs nothing."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row, select

from qtlplat.conventions import counted
from qtlplat.errors import LockedError, StoreError, safe_repr
from qtlplat.store.backends.own_schema import NotComparedError
from qtlplat.store.core import artifacts, damage, database, row_digests, schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import is_abandoned, lock_path, this_host
from qtlplat.store.maintenance.findings import Finding, OpenStore, noted, past_bad_definitions
from qtlplat.store.read.access import shown_id

MOST = 100  # findings of one sort; a store so damaged is past counting
STALE_SECONDS = 3600.0  # what is being written is younger
_Files = defaultdict[tuple[str, str, int], list[str]]
_SORT = {"runs": "run", "reproductions": "reproduction", "sweeps": "sweep"}
_ROWS_FIX = (
    "do not use its numbers: run it again, or merge it from a backup into a new store: qtlplat store merge BACKUP"
)
_FROM_A_COPY = "take it from a copy of the files, or run again what made it"


@dataclass(frozen=True)
class Health:
    """The result of a check. problems: damage to repair; notes: other findings, in words."""

    problems: tuple[Finding, ...]
    notes: tuple[str, ...]


def check(location: StoreLocation) -> Health:
    """Check a store: its pages, schema, references, values, digests, the files of its runs, and remains of crashes.

    Other processes may write meanwhile: transactions only last while the pages, or one run, are read. Unreadable parts
    are problems, too, and do not stop the check.
    """
    problems: list[Finding] = []
    notes: list[str] = []
    store = OpenStore(location, database.engine(location, write=False, lenient=True))
    with noted(problems):
        if database.has_begun(location):
            store = past_bad_definitions(store, problems)
            if not _is_of_another_schema(store, problems):
                _look(store, problems, notes)
    problems += _left_overs(location)
    return Health(tuple(dict.fromkeys(problems)), tuple(notes))


def _look(store: OpenStore, problems: list[Finding], notes: list[str]) -> None:
    """Everything about a store of the newest schema, step by step."""
    location, files, elsewhere = store.location, _Files(list), set[str]()
    with noted(problems):
        elsewhere = _made_elsewhere(store)
    with noted(problems):
        files = _owned_files(store)
    steps: Sequence[Callable[[], Iterable[Finding]]] = (
        lambda: _damaged_pages(store),
        lambda: _strange_schema(location, notes),
        lambda: _bad_values(store),
        lambda: _changed_rows(store),
        lambda: _lost_files(location, files, elsewhere),
        lambda: _stale_locks(store),
    )
    for step in steps:
        with noted(problems):
            for problem in step():
                problems.append(problem)
    with noted(problems):
        notes += _files_elsewhere(location, files, elsewhere)
        notes += _unfinished_runs(store)
        notes += _files_of_nobody(location, files)


def held_locks(location: StoreLocation) -> list[str]:
    """Ids of the runs that a process of this machine is writing now."""
    return [run for run in _locks(location) if not is_abandoned(location, run, this_host())]


def _is_of_another_schema(store: OpenStore, problems: list[Finding]) -> bool:
    """Whether its schema is not the newest: an older one, of which the pages are checked, or an unknown one.

    That is a problem then.
    """
    location = store.location
    try:
        with store.read() as connection:
            revision = database.revision(connection, location)
    except LockedError:
        raise
    except StoreError as error:
        problems.append(Finding(error.what, error.where, error.fix))
        # where its name alone is gone, the rest is judged as one of the newest
        return not isinstance(error, database.NoRevisionError)
    if revision in (None, schema.REVISIONS[-1]):
        return revision is None
    problems.extend(_damaged_pages(store))
    what = f"the store has the older schema {safe_repr(revision)}, of which only the pages are checked"
    problems.append(Finding(what, location.name, "qtlplat store upgrade (it makes a backup first)"))
    return True


def _damaged_pages(store: OpenStore) -> Iterator[Finding]:
    location = store.location
    with store.read() as connection:
        for what in location.backend.damage(connection, quick=False):
            yield Finding(what, location.name, location.backend.recovery)


def _strange_schema(location: StoreLocation, notes: list[str]) -> Iterator[Finding]:
    try:
        found = location.backend.schema_differences(location)
    except NotComparedError as error:
        notes.append(f"the schema was not compared with that of a new store: {error.what}")
        return
    for what in found:
        yield Finding(what, location.name, location.backend.recovery)


def _bad_values(store: OpenStore) -> Iterator[Finding]:
    """One finding for each column of a record."""
    found: dict[tuple[str, Any, str], list[str]] = defaultdict(list)
    with store.read() as connection:
        for bad in damage.bad_values(connection):
            found[bad.owner, bad.record, bad.place].append(bad.why)
    for (owner, record, place), whys in list(found.items())[:MOST]:
        more = f", and {counted(len(whys) - 1, 'more value')}" if len(whys) > 1 else ""
        what = f"cannot be read: {place}: {whys[0]}{more}"
        yield Finding(what, f"{_SORT[owner]} {shown_id(record)}", _ROWS_FIX)


def _changed_rows(store: OpenStore) -> Iterator[Finding]:
    with store.read() as connection:
        kept, ended = row_digests.sealed(connection), row_digests.ended(connection)
    for owner, record in ended:
        where, digests = f"{_SORT[owner]} {shown_id(record)}", kept.get(record, {})
        unreadable: list[Finding] = []
        with noted(unreadable), store.read() as connection:
            now = row_digests.digests_of(connection, owner, record)
        if unreadable:
            yield Finding(f"cannot be read: {unreadable[0].what}", where, unreadable[0].fix)
            continue
        if changed := [part for part in {**now, **digests} if now.get(part) != digests.get(part)]:
            gone = "its digests are gone, so nothing is known of its rows"
            yield Finding(f"not as stored: rows of {', '.join(changed)}" if digests else gone, where, _ROWS_FIX)
    runs = _runs_of(store)
    for record in sorted(set(kept) - {record for _, record in ended}, key=str):
        if record not in runs:
            yield Finding(
                "it was stored and is not there any more", f"run {shown_id(record)}", store.location.backend.recovery
            )
    for run, finished in ((run, row.finished) for run, row in runs.items() if row.status == "running"):
        if finished is not None:
            what = f"not as stored: it ended {safe_repr(finished)}, and its status is 'running'"
            yield Finding(what, f"run {shown_id(run)}", _ROWS_FIX)


def _rows(store: OpenStore, table: str, *columns: str, order: Sequence[str] = ()) -> list[Row[Any]]:
    """Values of columns as the database holds them, whatever they are."""
    with store.read() as connection:
        wanted: list[sa.ColumnClause[Any]] = list(map(sa.column, columns))
        query = select(*wanted).select_from(sa.table(table)).order_by(*map(sa.column, order))
        return list(connection.execute(query))


def _runs_of(store: OpenStore) -> dict[Any, Row[Any]]:
    """id, status, host and finished of every run, by id."""
    return {row.id: row for row in _rows(store, "runs", "id", "status", "host", "finished")}


def _made_elsewhere(store: OpenStore) -> set[str]:
    """Ids of runs whose files may well be on other machines: of a shared store, those that were never owned here."""
    if not store.location.backend.shared:
        return set()
    here = {row.run_id for row in _rows(store, "owners", "run_id", "host") if row.host == this_host()}
    return set(_runs_of(store)) - here


def _lost_files(location: StoreLocation, files: _Files, elsewhere: set[str]) -> Iterator[Finding]:
    for (path, sha256, size), runs in files.items():
        if elsewhere.issuperset(runs) and not (location.files / path).exists():
            continue
        if wrong := artifacts.what_is_wrong(location, path, sha256, size):
            of = f"run {shown_id(runs[0])}" + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")
            yield Finding(f"{wrong}; it belongs to {of}", str(location.files / path), _FROM_A_COPY)


def _files_elsewhere(location: StoreLocation, files: _Files, elsewhere: set[str]) -> Iterator[str]:
    lost = [path for (path, _, _), runs in files.items() if elsewhere.issuperset(runs)]
    if count := sum(not (location.files / path).exists() for path in lost):
        yield f"on the machines that made them, not below {location.files}: {counted(count, 'file')} of runs"


def _owned_files(store: OpenStore) -> _Files:
    """Path, sha256 and size of every file that belongs to runs, with these; without values that are none."""
    found = _Files(list)
    columns = ("path", "sha256", "bytes", "run_id")
    for path, sha256, size, run in map(tuple, _rows(store, "artifacts", *columns, order=("path", "run_id"))):
        if isinstance(path, str) and isinstance(sha256, str) and isinstance(size, int):
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


def _unfinished_runs(store: OpenStore) -> Iterator[str]:
    for run, row in _runs_of(store).items():
        if row.status == "running" and is_abandoned(store.location, run, row.host):
            yield f"run {shown_id(run)} was left by its process and counts as interrupted"
        elif row.status == "running":
            yield f"run {shown_id(run)} is running on {safe_repr(row.host)}"


def _locks(location: StoreLocation) -> list[str]:
    """Ids of the runs that have a lock's file, held or not."""
    try:
        return sorted(path.stem for path in location.locks.iterdir() if path.suffix == ".lock")
    except OSError:
        return []


def _stale_locks(store: OpenStore) -> Iterator[Finding]:
    """Remaining locks of runs that have ended."""
    free = set(_locks(store.location)) - set(held_locks(store.location))
    running = {run for run, row in _runs_of(store).items() if row.status == "running"}
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
