"""The only place that selects from the store; it hands out records."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, NoReturn

from sqlalchemy import Row, Select, Table, select
from sqlalchemy.engine import Connection

from qtlplat.conventions import SHORT, short
from qtlplat.errors import UsageError, safe_repr
from qtlplat.store.core import schema
from qtlplat.store.core.dialect import among
from qtlplat.store.core.ownership import is_abandoned
from qtlplat.store.core.records import (
    ArtifactRow,
    CandidateRow,
    CellRecord,
    ClaimRow,
    EpochRow,
    NewReproduction,
    OwnerRow,
    PredictionRow,
    Remarks,
    ReproductionRecord,
    RunKind,
    RunRecord,
    Status,
)
from qtlplat.store.core.retry import LOG
from qtlplat.store.read import run_annotations
from qtlplat.store.read.access import Access
from qtlplat.store.read.filters.references import described
from qtlplat.store.read.filters.selection import NEWEST_FIRST, Columns, Selection, check
from qtlplat.store.read.run_rows import cells_of, interrupted_cell, plain, records_of

MIN_PREFIX = 3


class Reader(Access):
    """Reads a store; one that does not exist reads as an empty one. It holds no file open between calls.

    on_wait: called while a server is waited for, may raise.

    Raises:
        StoreError: from every method, where the store is not ours, of another schema, damaged, locked or away for too
            long.
    """

    def runs(
        self,
        limit: int | None = None,
        kind: RunKind | None = None,
        *,
        where: str = "",
        sort: str = "",
        trash: bool = False,
    ) -> list[RunRecord]:
        """The runs outside of the trash that a filter selects, newest first, or sorted by fields, as ``-f1,head``.

        At most `limit`, and only of one `kind` where that is given; trash: those in the trash instead. Raises
        UsageError for a filter or a field that cannot be understood (`docs/reference/filters.md`).
        """
        check(where, sort)

        def ids(connection: Connection) -> list[str]:
            return Selection(connection, self.location, where, sort, trash=trash).first(*_of_kind(kind), limit=limit)

        return self._records(ids)

    def remarks(self, run_ids: Collection[str]) -> dict[str, Remarks]:
        """Tags, note and whether it lies in the trash, of each of these runs."""
        found = self.read(lambda connection: run_annotations.of_runs(connection, run_ids), run_ids) or {}
        return {run: found.get(run, Remarks()) for run in run_ids}

    def table(
        self,
        fields: Sequence[str],
        kind: RunKind | None = None,
        *,
        where: str = "",
        sort: str = "",
        limit: int | None = None,
        trash: bool = False,
        place: str = "--cols",
    ) -> list[dict[str, Any]]:
        """Values by field, for each run that a filter selects, without making records; None if one is not there.

        Lists and objects of JSON are values, `tag` a list; trash: of the runs there; place: what errors about `fields`
        name. Raises UsageError as `runs`.
        """
        check(where, sort, fields, place)

        def read(connection: Connection) -> list[dict[str, Any]]:
            selection = Selection(connection, self.location, where, sort, trash=trash)
            return selection.rows(fields, *_of_kind(kind), limit=limit, place=place)

        return self.read(read) or []

    def finished_runs(self, fields: Sequence[str], where: str, place: str) -> Columns:
        """Values by field, a column each, of all finished runs of heads that a filter selects, in no order.

        For rankings, which look at every run; otherwise as `table`.
        """
        check(where, "", fields, place)
        of_heads = (schema.runs.c.kind == "run", schema.runs.c.status == "finished")
        found = self.read(lambda one: Selection(one, self.location, where).columns(fields, *of_heads, place=place))
        nothing: dict[str, Sequence[Any]] = dict.fromkeys(fields, ())
        return found or Columns(nothing, nothing)

    def newest_first(self, ids: Collection[str]) -> list[str]:
        """Runs by their full ids, in the order of a listing."""
        query = select(schema.runs.c.id).where(schema.runs.c.id.in_(among(ids))).order_by(*NEWEST_FIRST)
        return [row.id for row in self._rows(query)] if ids else []

    def run(self, run_id: str) -> RunRecord:
        """One run by its full id, in the trash or not. Raises UsageError if there is none."""
        found = self._records(select(schema.runs.c.id).where(schema.runs.c.id == run_id), [run_id])
        return found[0] if found else self._unknown(run_id)

    def several(self, ids: Sequence[str]) -> list[RunRecord]:
        """Runs by their full ids, in that order, in a fixed number of queries; raises UsageError for an unknown one."""
        wanted = select(schema.runs.c.id).where(schema.runs.c.id.in_(among(ids)))
        found = {run.id: run for run in self._records(wanted, ids)}
        return [found[run_id] if run_id in found else self._unknown(run_id) for run_id in ids]

    def find_finished(self, fingerprint: str, kind: RunKind) -> RunRecord | None:
        """The newest finished run with a fingerprint outside of the trash, or None."""
        return next(iter(self.finished(fingerprint, kind, limit=1)), None)

    def finished(self, fingerprint: str, kind: RunKind, limit: int | None = None) -> list[RunRecord]:
        """Finished runs with a fingerprint outside of the trash, newest first; at most `limit`."""
        runs = schema.runs.c
        query = select(runs.id).where(runs.fingerprint == fingerprint, runs.status == "finished", runs.kind == kind)
        return self._records(query.where(run_annotations.LISTED).order_by(*NEWEST_FIRST).limit(limit))

    def interrupted(self, fingerprint: str | None = None, kind: RunKind | None = None) -> list[RunRecord]:
        """Runs outside of the trash that were interrupted, or whose owner died on this machine, newest first."""
        return self._begun("interrupted", fingerprint, kind)

    def running(self, fingerprint: str, kind: RunKind) -> list[RunRecord]:
        """Runs with a fingerprint that have an owner now, newest first."""
        return self._begun("running", fingerprint, kind)

    def _begun(self, status: Status, fingerprint: str | None, kind: RunKind | None) -> list[RunRecord]:
        runs = schema.runs.c
        query = select(runs.id).where(runs.status.in_(("running", "interrupted")), run_annotations.LISTED)
        query = query.order_by(*NEWEST_FIRST)
        if fingerprint is not None:
            query = query.where(runs.fingerprint == fingerprint)
        if kind is not None:
            query = query.where(runs.kind == kind)
        return [run for run in self._records(query) if run.status == status]

    def owners(self, run_id: str) -> list[OwnerRow]:
        """Who owned a run, one after another."""
        return [OwnerRow(**plain(row)) for row in self._rows_of(run_id, schema.owners)]

    def resolve(self, reference: str) -> str:
        """The full id that is meant by an id's first characters (3 or more), `@last` or `@-N` (`@-1` is the last).

        Also by `@best:f1` (the finished run with the best value), `@best:-loss` (the lowest), `@best:+loss` (the
        highest) and `@tag:x` (the newest with that tag). `@` references count runs of heads, not pretrainings, but for
        tags, and nothing that lies in the trash. Raises UsageError if nothing or too much is meant.
        """
        run = self._resolved(reference)
        self.named.add(run)
        return run

    def _resolved(self, reference: str) -> str:
        if reference.startswith(("@best:", "@tag:")):
            return self._described(reference)
        if reference.startswith("@"):
            return self._counted(reference)
        prefix = reference.lower()
        if re.fullmatch(r"[0-9a-f]+", prefix) and len(prefix) < MIN_PREFIX:
            raise UsageError(
                f"run reference {safe_repr(reference)} is too short",
                fix=f"type {MIN_PREFIX} characters of an id, or more",
            )
        if not re.fullmatch(r"[0-9a-f]{1,16}", prefix):
            self._unknown(reference)
        runs = schema.runs.c
        # 'g' follows every hexadecimal digit; a range uses the index where LIKE would not
        query = select(runs.id, runs.kind, runs.created).where(runs.id >= prefix, runs.id < prefix + "g")
        found = self._rows(query.order_by(*NEWEST_FIRST))
        if not found:
            self._unknown(reference)
        if len(found) > 1:
            lines = [f"  {row.id}  {row.kind}  {row.created}" for row in found]
            raise UsageError(
                "\n".join([f"run reference {safe_repr(reference)} is ambiguous", *lines]), fix="type more characters"
            )
        return str(found[0].id)

    def cells(self, run_id: str) -> list[CellRecord]:
        """The cells of a run, by position."""
        found = (self.read(lambda connection: cells_of(connection, [run_id]), [run_id]) or {}).get(run_id, [])
        if any(cell.status == "running" for cell in found) and self.run(run_id).status == "interrupted":
            found = list(map(interrupted_cell, found))
        return found

    def epochs(self, run_id: str) -> list[EpochRow]:
        """The epochs of a run, by cell and number."""
        return [_epoch(row) for row in self._rows_of(run_id, schema.epochs)]

    def candidates(self, run_id: str) -> list[CandidateRow]:
        """What was tried for the cells of a run, by cell and place in the grid."""
        return [CandidateRow(**plain(row)) for row in self._rows_of(run_id, schema.candidates)]

    def predictions(self, run_id: str) -> list[PredictionRow]:
        """The predictions of a run, by cell and sample id."""
        return [
            PredictionRow(row.cell, row.sample_id, row.source, row.label, row.predicted, tuple(row.probabilities))
            for row in self._rows_of(run_id, schema.predictions)
        ]

    def artifacts(self, run_id: str) -> list[ArtifactRow]:
        """The files that belong to a run, by path."""
        return [ArtifactRow(**plain(row)) for row in self._rows_of(run_id, schema.artifacts)]

    def environment(self, run_id: str) -> dict[str, str]:
        """What surrounded a run, as text by name."""
        return {row.name: row.value for row in self._rows_of(run_id, schema.environment)}

    def children(self, run_id: str) -> list[str]:
        """Ids of the runs that build on this one, newest first."""
        lineage = schema.lineage.c
        query = select(schema.runs.c.id).join_from(schema.lineage, schema.runs, lineage.run_id == schema.runs.c.id)
        return [row.id for row in self._rows(query.where(lineage.parent_id == run_id).order_by(*NEWEST_FIRST))]

    def reproductions(self, recipe: str | None = None) -> list[ReproductionRecord]:
        """The stored verdicts on recipes' claims, newest first; of all recipes, or of one."""
        table, claims = schema.reproductions, schema.claims
        query = select(table).order_by(table.c.created.desc(), table.c.id)
        found = []
        for row in self._rows(query if recipe is None else query.where(table.c.recipe == recipe)):
            rows = self._rows(select(claims).where(claims.c.reproduction_id == row.id).order_by(claims.c.position))
            plain = [{k: v for k, v in r._mapping.items() if k not in ("reproduction_id", "position")} for r in rows]
            content = {k: v for k, v in row._mapping.items() if k not in ("id", "created")}
            judged = tuple(ClaimRow(**{**one, "runs": tuple(one["runs"])}) for one in plain)
            found.append(ReproductionRecord(row.id, row.created, NewReproduction(**content, claims=judged)))
        return found

    def _described(self, reference: str) -> str:
        found = self.read(lambda connection: described(connection, self.location, reference))
        if found and found.mixed:
            LOG.warning("%s", found.mixed)
        return found.run if found else self._unknown(reference)

    def _counted(self, reference: str) -> str:
        match = re.fullmatch(r"@(?:last|-([1-9]\d{0,8}))", reference)
        if not match:
            raise UsageError(
                f"unknown run reference {safe_repr(reference)}",
                fix="use the first characters of an id (a3f), @last, @-2 for the one before it, @best:f1 or @tag:NAME",
            )
        offset = int(match[1] or 1) - 1
        query = (
            select(schema.runs.c.id).where(schema.runs.c.kind == "run", run_annotations.LISTED).order_by(*NEWEST_FIRST)
        )
        found = self._rows(query.limit(1).offset(offset))
        return str(found[0].id) if found else self._unknown(reference)

    def _unknown(self, reference: str) -> NoReturn:
        self.refuse_damaged([one for one in self.damaged if str(one).startswith(reference.lower())])
        known = [
            r.id for r in self._rows(select(schema.runs.c.id).where(run_annotations.LISTED).order_by(*NEWEST_FIRST))
        ]
        lines = [f"there is no run {safe_repr(reference)}"]
        beginnings = [k[: max(len(reference), SHORT)] for k in known]
        if near := get_close_matches(reference.lower(), beginnings, n=3, cutoff=0.5):
            lines.append(f"  did you mean: {', '.join(near)}")
        if known:
            lines.append(f"  newest of {len(known)}: {', '.join(map(short, known[:3]))}")
        else:
            lines.append("  the store is empty" if self.location.exists else "  there is no store yet")
        where = f"{self.location.name} ({self.location.why})"
        raise UsageError("\n".join(lines), where=where, fix="list them: qtlplat runs")

    def _rows(self, query: Select[Any], *of: str) -> list[Row[Any]]:
        return self.read(lambda connection: list(connection.execute(query)), of) or []

    def _rows_of(self, run_id: str, table: Table) -> list[Row[Any]]:
        """Rows of a run in one table, by its primary key."""
        return self._rows(select(table).where(table.c.run_id == run_id).order_by(*table.primary_key), run_id)

    def _records(
        self, ids: Select[Any] | Callable[[Connection], list[str]], of: Collection[str] = ()
    ) -> list[RunRecord]:
        """The runs whose ids are found, in that order, in a fixed number of queries."""

        def read(connection: Connection) -> list[RunRecord]:
            order = ids(connection) if callable(ids) else list(connection.execute(ids).scalars())
            return records_of(connection, order)

        found = self.read(read, of) or []
        abandoned = {r.id for r in found if r.status == "running" and is_abandoned(self.location, r.id, r.host)}
        if abandoned:
            # Its owner may have ended it between our reading the row and our looking at the lock: read again.
            still = select(schema.runs.c.id).where(schema.runs.c.id.in_(abandoned), schema.runs.c.status == "running")
            if {row.id for row in self._rows(still)} != abandoned:
                return self._records(ids, of)
        return [replace(r, status="interrupted") if r.id in abandoned else r for r in found]


def _of_kind(kind: RunKind | None) -> list[Any]:
    return [schema.runs.c.kind == kind] if kind else []


def _epoch(row: Row[Any]) -> EpochRow:
    named = {name: row._mapping[name] for name in schema.EPOCH_COLUMNS}
    values = {name: value for name, value in named.items() if value is not None}
    return EpochRow(row.cell, row.epoch, row.seconds, {**values, **row.further})
