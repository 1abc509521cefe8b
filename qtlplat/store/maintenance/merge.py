"""Taking over the runs of another store, by content: what is the same is left alone, what contradicts is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection, Engine

from qtlplat.errors import StoreError, UsageError, safe_repr
from qtlplat.store.backends import bootstrap
from qtlplat.store.core import artifacts, damage, database, parts, row_digests, schema
from qtlplat.store.core.files_lock import taking_up
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.write import annotate

MOST_SHOWN = 6


@dataclass
class Merged:
    """What a merge did. runs, outcomes, sweeps: ids of the runs, reproductions and sweeps that were taken over.

    same: of those that were here.

    running: of runs of the other store that have not ended; trashed: of those in its trash, on which nothing builds;
    left_out: why, by id; files: how many were copied.
    """

    runs: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    sweeps: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    trashed: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    files: int = 0


def merge(
    location: StoreLocation,
    other: StoreLocation,
    *,
    partly: bool = False,
    only: Collection[str] | None = None,
    dry_run: bool = False,
    name: str = "",
) -> Merged:
    """Take over all runs that have ended, reproductions and sweeps, with rows and files, of a store that only is read.

    Each run is one transaction, its files are there before it: after a crash, merge again. What lies in the other's
    trash stays there, unless it is named. Of runs that both have, tags that are missing here are taken over, and notes
    if there is none.

    Args:
        location: of the store that takes the runs over.
        other: the store to read.
        partly: leave out what is refused, and what builds on it.
        only: ids of the runs, reproductions and sweeps that are meant, None for all.
        dry_run: only say what would be done; `files` stays 0. The store must exist then.
        name: what messages call the other store, its path if ''.

    Raises:
        UsageError: if there is no other store, or it is this one.
        StoreError: if a run of the other store has an id of this one's and other content, is damaged or lacks a file
            (unless `partly`), or the other store is of an older schema. Nothing has been taken over then.
    """
    if not database.is_there(other):
        raise UsageError("there is no store to merge", where=other.name)
    if location.backend.is_same(location, other):
        raise UsageError("a store cannot be merged into itself", where=other.name, fix="name another one")
    _refuse_older(other)
    if not dry_run:
        bootstrap.prepare(location)
    done = Merged()
    name = name or other.name
    read, write = database.engine(other, write=False, lenient=True), database.engine(location, write=True)
    with database.translated(other), read.begin() as theirs:
        with database.translated(location), database.engine(location, write=False, lenient=True).begin() as ours:
            _refuse_other_schema(ours, location)
            wanted = _plan(ours, theirs, location, other, done, only, name)
        if done.left_out and not partly:
            raise _refused(f"{name} into {location.name}", done.left_out)
        for owner, record in wanted:
            if not dry_run:
                done.files += _take_over(write, theirs, location, other, owner, record)
            {"runs": done.runs, "reproductions": done.outcomes, "sweeps": done.sweeps}[owner].append(record)
        if not dry_run:
            with database.translated(location), write.begin() as ours:
                annotate.take_over(ours, theirs, done.same)
    return done


def _refuse_older(other: StoreLocation) -> None:
    """Read without rolling anything back: the other store is not ours to change."""
    if not database.has_begun(other):
        raise StoreError("the store to merge is empty", where=other.name, fix="name a store that holds runs")
    with database.translated(other), database.engine(other, write=False).begin() as connection:
        found = database.revision(connection, other)
        if found != schema.REVISIONS[-1]:
            raise StoreError(
                f"the store to merge has the older schema {safe_repr(found)}",
                where=other.name,
                fix=f"qtlplat store upgrade --store {quote(other.name)} (it makes a backup first)",
            )
        if damage_found := next(other.backend.damage(connection, quick=True), ""):
            fix = f"look closer: qtlplat store check --store {quote(other.name)}"
            raise StoreError(f"the store to merge is damaged: {damage_found}", where=other.name, fix=fix)


def _refuse_other_schema(ours: Connection, location: StoreLocation) -> None:
    """Only a dry run gets here with an older store of our own."""
    if database.revision(ours, location) != schema.REVISIONS[-1]:
        fix = f"qtlplat store upgrade{location.flag} (it makes a backup first)"
        raise StoreError("the store has an older schema", where=location.name, fix=fix)


def _plan(
    ours: Connection,
    theirs: Connection,
    location: StoreLocation,
    other: StoreLocation,
    done: Merged,
    only: Collection[str] | None,
    name: str,
) -> list[tuple[str, str]]:
    """Kind and id of all records to merge, dependencies first; fills in the excluded ones with the reason."""
    kept, own = row_digests.sealed(theirs), row_digests.sealed(ours)
    here = {owner: set(parts.ids(ours, owner)) for owner in parts.OWNERS}
    meant = set(parts.ids(theirs, "runs")) if only is None else set(only)
    ended = [one for one in row_digests.ended(theirs) if only is None or one[1] in meant]
    done.running += sorted(meant & set(parts.ids(theirs, "runs")) - {record for _, record in ended})
    wanted: list[tuple[str, str]] = []
    unreadable = {bad.record: f"{bad.place}: {bad.why}" for bad in damage.bad_values(theirs, large=False)}
    thrown_away = _thrown_away(theirs) if only is None else set()
    done.trashed += sorted(thrown_away - here["runs"])
    for owner, record in ended:
        if record in thrown_away:
            continue
        if damaged := row_digests.changed(theirs, owner, record, kept.get(record, {})):
            done.left_out[record] = f"damaged in {name}: {', '.join(damaged)} not as stored"
        elif record in unreadable:  # remarks, of which nothing is sealed
            done.left_out[record] = f"damaged in {name}: {unreadable[record]}"
        elif record not in here[owner]:
            if lost := _lost_file(theirs, location, other, record):
                done.left_out[record] = lost
            else:
                wanted.append((owner, record))
        elif owner == "runs" and (clash := row_digests.changed(ours, owner, record, kept[record])):
            done.left_out[record] = f"differs in {', '.join(clash)}"
            if row_digests.changed(ours, owner, record, own.get(record, {})):
                done.left_out[record] += f"; the one in {location.name} is not as it was stored"
        else:
            done.same.append(record)
    return _parents_first(theirs, wanted, here["runs"], done)


def _thrown_away(theirs: Connection) -> set[str]:
    """Runs in the other store's trash, but for those that others build on."""
    found = set(theirs.execute(select(schema.trash.c.run_id)).scalars())
    pairs = theirs.execute(select(schema.lineage.c.run_id, schema.lineage.c.parent_id)).all()
    while needed := {parent for run, parent in pairs if run not in found and parent in found}:
        found -= needed
    return found


def _lost_file(theirs: Connection, location: StoreLocation, other: StoreLocation, run: str) -> str:
    """What is wrong with the first file of a run that is whole in neither store, '' if there is none."""
    files = _files(theirs, run)
    moved = artifacts.paths_by_content({path: sha256 for path, sha256, _ in files})
    for path, sha256, size in files:
        wrong = artifacts.what_is_wrong(other, path, sha256, size)
        if wrong and artifacts.what_is_wrong(location, moved[path], sha256, size):
            return f"{wrong}: {other.files / path}"
    return ""


def _files(theirs: Connection, run: str) -> list[tuple[str, str, int]]:
    """Path, sha256 and size of every file of a run."""
    table = schema.artifacts.c
    query = select(table.path, table.sha256, table.bytes).where(table.run_id == run)
    return [(path, sha256, size) for path, sha256, size in theirs.execute(query.order_by(table.path))]


def _parents_first(
    theirs: Connection, wanted: list[tuple[str, str]], here: set[str], done: Merged
) -> list[tuple[str, str]]:
    parents: dict[str, list[str]] = {}
    for run, parent in theirs.execute(select(schema.lineage.c.run_id, schema.lineage.c.parent_id)):
        parents.setdefault(run, []).append(parent)
    order: list[tuple[str, str]] = []
    there = set(here)
    left = list(wanted)
    while ready := [one for one in left if all(parent in there for parent in parents.get(one[1], ()))]:
        order += ready
        there |= {record for _, record in ready}
        left = [one for one in left if one not in ready]
    for _, record in left:
        missing = next(parent for parent in parents[record] if parent not in there)
        done.left_out[record] = f"it builds on run {missing}, which is not merged"
    return order


def _refused(where: str, left_out: Mapping[str, str]) -> StoreError:
    lines = [f"  {record}: {why}" for record, why in list(left_out.items())[:MOST_SHOWN]]
    if len(left_out) > MOST_SHOWN:
        lines.append(f"  and {len(left_out) - MOST_SHOWN} more")
    return StoreError(
        "\n".join([f"{len(left_out)} records cannot be merged, so nothing was", *lines]),
        where=where,
        fix="look at both: qtlplat store check; or leave these out: --partly",
    )


def _take_over(
    write: Engine, theirs: Connection, location: StoreLocation, other: StoreLocation, owner: str, record: str
) -> int:
    """Copy a record's files, then insert its rows and compare them with what was read; returns the number of files."""
    files = _files(theirs, record)
    moved = artifacts.paths_by_content({path: sha256 for path, sha256, _ in files})
    with taking_up(location):
        for path, sha256, size in files:
            if artifacts.what_is_wrong(location, moved[path], sha256, size):
                source = artifacts.path_below(other, path)
                assert source is not None
                artifacts.copy_file(source, location.files / moved[path], sha256)
        with database.translated(location), write.begin() as ours:
            for part in parts.all_parts(theirs, owner):
                parts.insert(ours, part, [_moved(part, row, moved) for row in parts.read(theirs, part, record)])
            row_digests.seal(ours, owner, record)
            if row_digests.changed(ours, owner, record, row_digests.digests_of(theirs, owner, record)):
                raise StoreError(f"the merged rows of {record} differ from the original ones", where=location.name)
    return len(moved)


def _moved(part: parts.Part, row: tuple[Any, ...], moved: Mapping[str, str]) -> tuple[Any, ...]:
    if part.name != "artifacts":
        return row
    place = part.columns.index("path")
    return (*row[:place], moved[row[place]], *row[place + 1 :])
