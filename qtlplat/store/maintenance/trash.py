"""Empty the trash, the only module that deletes from a store: first rows, in one transaction, then files.

If it is killed, all remaining rows have their files, and the next call deletes files without rows. Data that a run may
be about to use is safe. Rows: runs in the trash are not reused, and a run that was trashed during another run stays
until that one has ended. Files: by the lock that `files_lock` describes.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from qtlplat.errors import StoreError, safe_repr
from qtlplat.store.backends import bootstrap
from qtlplat.store.backends.sqlite import is_a_store
from qtlplat.store.core import artifacts, database, schema
from qtlplat.store.core.dialect import among
from qtlplat.store.core.files_lock import undisturbed
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import is_abandoned, remove_free_lock, this_host
from qtlplat.store.maintenance.check import STALE_SECONDS
from qtlplat.store.read.queries import Reader

# directories of files that are found by content: what no row names, nobody needs
SHARED = ("weights", "features", "groups", "images", "circuits")
CLOCKS = timedelta(hours=1)  # how far those of two machines may be apart
_SEAL, _SEALED = ".sha256", ".npy"  # of cached features: the one file has a row, the other says whether it is whole


@dataclass(frozen=True)
class Unneeded:
    """An unused file or directory of checkpoints. kind: weights, features, checkpoints, ..."""

    path: Path
    kind: str
    bytes: int


@dataclass
class Collected:
    """What was deleted, or would be.

    runs: ids of those that are gone; kept: why, of the others in the trash, by id; files: number and bytes by kind;
    outcomes: how many stored outcomes of reproductions name a run that is gone.
    """

    runs: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    outcomes: int = 0

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(size for _, size in self.files.values())

    def count(self, one: Unneeded) -> None:
        """Add a file."""
        number, size = self.files.get(one.kind, (0, 0))
        self.files[one.kind] = number + 1, size + one.bytes


def empty(location: StoreLocation, *, older_than: timedelta = timedelta(), dry_run: bool = False) -> Collected:
    """Delete the runs in the trash that no other run builds on, and all unused files.

    older_than: only runs that were trashed that long ago; dry_run: delete nothing, return what would be deleted.

    Raises:
        StoreError: the store cannot be written, a file cannot be deleted, or another store uses the same directory of
            files.
        BusyError: a run does not release its lock on files.
    """
    _refuse_shared_files(location)
    before = (datetime.now(UTC) - older_than).isoformat(timespec="microseconds")
    if dry_run:
        found = Reader(location).read(lambda connection: _look(connection, location, before), whole=True)
        done, unneeded = found if found is not None else (Collected(), [])
        for one in unneeded:
            done.count(one)
        return done
    bootstrap.prepare(location)
    with undisturbed(location):
        with database.translated(location), database.engine(location, write=True).begin() as connection:
            location.backend.hold_runs(connection)
            done, unneeded = _look(connection, location, before)
            _delete_rows(connection, done.runs)
        _delete_files(location, unneeded, done)
    return done


def _look(connection: Connection, location: StoreLocation, before: str) -> tuple[Collected, list[Unneeded]]:
    """What to delete. Directories are listed before rows are read: what begins meanwhile has nothing among them."""
    working = [*_inside(location.files / "checkpoints"), *_inside(location.locks)]
    done = Collected()
    done.runs, done.kept = _runs(connection, location, before)
    gone = set(done.runs)
    claims = schema.claims.c
    named = connection.execute(select(claims.reproduction_id, claims.runs).distinct()).all()
    done.outcomes = len({outcome for outcome, runs in named if gone.intersection(runs)})
    return done, [*_files(connection, location, gone), *_leftovers(connection, location, working, gone)]


def _runs(connection: Connection, location: StoreLocation, before: str) -> tuple[list[str], dict[str, str]]:
    """Runs of the trash that can go, and why the others cannot."""
    runs, trash, lineage = schema.runs.c, schema.trash.c, schema.lineage.c
    found = dict(tuple(row) for row in connection.execute(select(trash.run_id, trash.since)))
    live = dict(_live(connection, location))
    first = min(live.items(), key=lambda one: one[1], default=None)
    kept: dict[str, str] = {}
    for run, since in found.items():
        if since >= before:
            kept[run] = f"it was put there {since[:16]}"
        elif run in live:
            kept[run] = "it is running"
        elif first is not None and first[1] <= since:
            kept[run] = f"run {first[0]} was running already when it was put there, and may be about to build on it"
    children: dict[str, list[str]] = defaultdict(list)
    for child, parent in connection.execute(select(lineage.run_id, lineage.parent_id).order_by(lineage.run_id)):
        children[parent].append(child)
    while True:
        holding = {run: [c for c in children[run] if c not in found or c in kept] for run in found if run not in kept}
        held = {run: by for run, by in holding.items() if by}
        if not held:
            break
        for run, by in held.items():
            more = f" and {len(by) - 1} more" if len(by) > 1 else ""
            kept[run] = f"run {by[0]}{more} builds on it" + (", and stays in the trash" if by[0] in found else "")
    order = connection.execute(select(runs.id).order_by(runs.created, runs.id)).scalars()
    return [run for run in order if run in found and run not in kept], kept


def _live(connection: Connection, location: StoreLocation) -> Iterator[tuple[str, str]]:
    """Runs whose owner lives, or may live, and since when it owns them, by our clock at the latest."""
    runs, owners = schema.runs.c, schema.owners.c
    query = select(runs.id, runs.host, owners.since).where(runs.status == "running")
    query = query.where(owners.run_id == runs.id, owners.number == runs.owner)
    for run, host, told in connection.execute(query):
        if not is_abandoned(location, run, host):
            since = datetime.fromisoformat(told) - (timedelta() if host == this_host() else CLOCKS)
            yield run, since.isoformat(timespec="microseconds")


def _files(connection: Connection, location: StoreLocation, gone: Collection[str]) -> Iterator[Unneeded]:
    """Files that only runs which go refer to, and those in the shared directories that no run refers to."""
    table = schema.artifacts.c
    owned: set[Path] = set()
    named: set[Path] = set()
    for run, path in connection.execute(select(table.run_id, table.path)):
        (named if run in gone else owned).add(location.files / path)
    for folder in SHARED:
        named.update(path for path in _inside(location.files / folder) if not artifacts.is_unfinished(path))
    named |= {path.with_suffix(_SEAL) for path in named if path.suffix == _SEALED}
    owned |= {path.with_suffix(_SEAL) for path in owned if path.suffix == _SEALED}
    for path in sorted(path for path in named - owned if path.is_relative_to(location.files)):
        relative = path.relative_to(location.files).as_posix()
        if artifacts.path_below(location, relative) is not None and path.is_file():
            with suppress(OSError):
                yield Unneeded(path, relative.partition("/")[0] if "/" in relative else "files", path.lstat().st_size)


def _leftovers(
    connection: Connection, location: StoreLocation, working: list[Path], gone: Collection[str]
) -> Iterator[Unneeded]:
    """Checkpoints and locks of runs that have ended, and incomplete files."""
    runs = schema.runs.c
    rows: dict[str, str] = dict(tuple(row) for row in connection.execute(select(runs.id, runs.status)))
    for path in working:
        run = path.stem if path.parent == location.locks else path.name
        status = None if run in gone else rows.get(run)
        with suppress(OSError):
            if path.parent != location.locks and status in (None, "finished"):
                yield Unneeded(path, "checkpoints", _size(path))
            elif path.suffix == ".lock" and status != "running" and is_abandoned(location, run, this_host()):
                yield Unneeded(path, "locks", path.lstat().st_size)
    for path in artifacts.all_files(location):
        with suppress(OSError):
            known = path.lstat()
            if artifacts.is_unfinished(path) and time.time() - known.st_mtime > STALE_SECONDS:
                yield Unneeded(path, "half written", known.st_size)


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _size(path: Path) -> int:
    inside = [one.lstat().st_size for one in path.rglob("*") if one.is_file()] if not path.is_symlink() else []
    return sum(inside) if path.is_dir() else path.lstat().st_size


def _delete_rows(connection: Connection, runs: list[str]) -> None:
    """A run's rows go with it; that it built on another one goes first, for that one may be among them."""
    ids = among(runs)
    for column in (schema.lineage.c.run_id, schema.digests.c.record, schema.runs.c.id):
        connection.execute(delete(column.table).where(column.in_(ids)))


def _delete_files(location: StoreLocation, unneeded: list[Unneeded], done: Collected) -> None:
    failed: list[str] = []
    for one in unneeded:
        try:
            if one.kind == "locks":
                remove_free_lock(location, one.path.stem)
            elif one.path.is_dir() and not one.path.is_symlink():
                shutil.rmtree(one.path)
            else:
                one.path.unlink()
        except FileNotFoundError:
            continue  # its run has removed it itself
        except OSError as error:
            failed.append(f"  {safe_repr(str(one.path))}: {error.strerror}")
            continue
        done.count(one)
    if failed:
        raise StoreError(
            "\n".join([f"{len(failed)} files cannot be deleted; the rows of {len(done.runs)} runs are", *failed[:6]]),
            where=str(location.files),
            fix="fix the permissions, then: qtlplat store gc",
        )


def _refuse_shared_files(location: StoreLocation) -> None:
    """Another store whose name differs in its ending only has the same directory of files, and rows that we lack."""
    for path in _inside(location.path.parent):
        if path.stem == location.path.stem and path != location.path and path.is_file() and is_a_store(path):
            raise StoreError(
                f"another store, {safe_repr(path.name)}, has the same directory of files",
                where=str(location.files),
                fix="move that one elsewhere, with a copy of the files",
            )
