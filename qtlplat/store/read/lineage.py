"""The ancestors and descendants of a run in the store's lineage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.engine import Connection

from qtlplat.store.core import schema
from qtlplat.store.core.records import REPLAY, REPLAY_OF_HEADS, RunRecord
from qtlplat.store.read.queries import Reader

MOST_TOLD = 12  # relatives that are told with their names; a backbone may have thousands


@dataclass(frozen=True)
class Relative:
    """A run related to another one. role: of the parent, as in 'pretraining'."""

    role: str
    record: RunRecord

    def form(self) -> dict[str, Any]:
        """As `show --json` has it."""
        run = self.record
        names = {role: row.name for role, row in run.components.items()}
        facts = {"role": self.role, "run": run.id, "kind": run.kind, "status": run.status}
        return {**facts, "backbone": names.get("backbone"), "head": names.get("head")}


@dataclass(frozen=True)
class Family:
    """The newest runs that a run builds on, and the newest that build on it; parents, children: how many there are."""

    above: tuple[Relative, ...]
    below: tuple[Relative, ...]
    parents: int
    children: int

    def form(self) -> dict[str, Any]:
        """As `show --json` has it."""
        return {
            "parents": [one.form() for one in self.above],
            "children": [one.form() for one in self.below],
            "count": {"parents": self.parents, "children": self.children},
        }


def family(reader: Reader, run_id: str, most: int = MOST_TOLD) -> Family:
    """The relatives of a run, at most `most` in each direction, newest first. Raises StoreError as the reader does."""
    lineage, runs = schema.lineage.c, schema.runs.c
    columns = select(lineage.role, runs.id).order_by(runs.created.desc(), runs.id)
    above = columns.join_from(schema.lineage, schema.runs, lineage.parent_id == runs.id)
    below = columns.join_from(schema.lineage, schema.runs, lineage.run_id == runs.id)

    def read(connection: Connection) -> tuple[list[Row[Any]], ...]:
        wanted = above.where(lineage.run_id == run_id), below.where(lineage.parent_id == run_id)
        return tuple(list(connection.execute(query)) for query in wanted)

    parents, children = reader.read(read, [run_id]) or ([], [])

    def told(rows: list[Row[Any]]) -> tuple[Relative, ...]:
        roles = {REPLAY_OF_HEADS: REPLAY}
        return tuple(Relative(roles.get(row.role, row.role), reader.run(row.id)) for row in rows[:most])

    return Family(told(parents), told(children), len(parents), len(children))
