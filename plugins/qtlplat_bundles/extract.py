"""A store with just some runs of another one, and those that they build on; made by merging."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from qtlplat.errors import StoreError, UsageError
from qtlplat.store.core import database, schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance.merge import MOST_SHOWN, merge
from qtlplat.store.read.queries import Reader


class NotWholeError(StoreError):
    """Runs are damaged or lack a file. runs: their ids."""

    runs: frozenset[str] = frozenset()


def with_parents(reader: Reader, runs: Sequence[str]) -> list[str]:
    """Full ids of runs, then of all that they build on, directly or not; each once."""

    def read(connection: Connection) -> list[str]:
        lineage = schema.lineage.c
        found = dict.fromkeys(runs)
        new = list(found)
        while new:
            query = select(lineage.parent_id).where(lineage.run_id.in_(new)).order_by(lineage.parent_id)
            new = [parent for parent in dict.fromkeys(connection.execute(query).scalars()) if parent not in found]
            found |= dict.fromkeys(new)
        return list(found)

    return reader.read(read, runs) or []


def extract(location: StoreLocation, runs: Collection[str], new: StoreLocation) -> None:
    """Make a new store of runs that build on none but each other, with rows, remarks and files. In none is it trash.

    Raises:
        UsageError: if a run has not ended.
        NotWholeError: if one is damaged or lacks a file.
    """
    done = merge(new, location, only=runs, partly=True)
    if done.running:
        run = done.running[0]
        raise UsageError(f"run {run} has not ended", fix=f"qtlplat resume {run}, or wait for it")
    if done.left_out:
        lines = [f"  {record}: {why}" for record, why in list(done.left_out.items())[:MOST_SHOWN]]
        what = f"{len(done.left_out)} runs are not whole, so nothing was made of them"
        fix = f"look closer: qtlplat store check{location.flag}"
        error = NotWholeError("\n".join([what, *lines]), where=location.name, fix=fix)
        error.runs = frozenset(done.left_out)
        raise error
    with database.translated(new), database.engine(new, write=True).begin() as connection:
        connection.execute(delete(schema.trash))
    with database.translated(new):
        _write_anew(new.path)


def _write_anew(path: Path) -> None:
    """Write a database once more, so that its bytes follow from what is in it."""
    anew = path.with_name(f"{path.name}-anew")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(anew),))
    anew.replace(path)
