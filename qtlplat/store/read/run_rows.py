"""Records of runs and cells, put together from their rows in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.engine import Connection

from qtlplat.conventions import LEAKAGES
from qtlplat.store.core import schema
from qtlplat.store.core.dialect import among
from qtlplat.store.core.records import HEAD, REPLAY, REPLAY_OF_HEADS, CellRecord, ComponentRow, Remarks, RunRecord
from qtlplat.store.read import run_annotations


def records_of(connection: Connection, order: Sequence[str]) -> list[RunRecord]:
    """Runs by their full ids, in that order, in a fixed number of queries; with the status that is stored."""
    ids = among(order)
    runs, components, lineage = schema.runs, schema.components, schema.lineage
    metrics, cells = schema.metrics.c, schema.cells.c
    same_cell = (metrics.run_id == cells.run_id) & (metrics.cell == cells.position)
    values = select(metrics.run_id, metrics.name, metrics.value).join_from(schema.metrics, schema.cells, same_cell)
    queries = (
        select(*(column for column in runs.c if column.name not in schema.FACTS)).where(runs.c.id.in_(ids)),
        select(components).where(components.c.run_id.in_(ids)).order_by(components.c.run_id, components.c.role),
        values.where(metrics.run_id.in_(ids), cells.status == "finished", cells.variant == HEAD).order_by(
            metrics.cell, metrics.name
        ),
        select(lineage).where(lineage.c.run_id.in_(ids)),
        select(cells.run_id, *(_of_tested(cells[name], cells.n_test).label(name) for name in LEAKAGES))
        .where(cells.run_id.in_(ids), cells.variant == HEAD, cells.leakage.is_not(None))
        .group_by(cells.run_id),
    )
    found, of_components, of_metrics, of_parents, of_leaks = (list(connection.execute(query)) for query in queries)
    roles: dict[str, dict[str, ComponentRow]] = defaultdict(dict)
    for row in of_components:
        roles[row.run_id][row.role] = ComponentRow(**plain(row))
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in of_metrics:
        scores[row.run_id][row.name].append(row.value)
    parents: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in of_parents:
        parents[row.run_id][row.role].append(row.parent_id)
    leakage = {row.run_id: {name: row._mapping[name] for name in LEAKAGES} for row in of_leaks}
    remarks = run_annotations.of_runs(connection, order)
    records = {
        row.id: RunRecord(
            **{**plain(row), **_of_data(row)},
            components=roles[row.id],
            metrics={name: tuple(numbers) for name, numbers in scores[row.id].items()},
            **_relations(parents[row.id]),
            **leakage.get(row.id, {}),
            **vars(remarks.get(row.id, Remarks())),
        )
        for row in found
    }
    return [records[run_id] for run_id in order]


def _of_tested(share: Any, n_test: Any) -> Any:
    """A share of each cell's test samples as one of all that is tested."""
    return func.sum(share * n_test) / func.sum(n_test)


def _relations(parents: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What a record says of the runs that it builds on or repeats. parents: ids by role."""
    pretrainings, heads = parents.get("pretraining", ()), parents.get(REPLAY_OF_HEADS, ())
    return {
        "pretraining": pretrainings[0] if len(pretrainings) == 1 else None,
        "replay_of": next(iter((*heads, *parents.get(REPLAY, ()))), None),
        "heads_only": bool(heads),
    }


def _of_data(row: Row[Any]) -> dict[str, Any]:
    """What the data is like; nothing that a store holds may make this fail."""
    shape = row.image_shape or ()
    known = len(shape) == 3 and all(type(n) is int and 0 < n < 10**7 for n in shape)
    return {"classes": tuple(map(str, row.classes)), "image_shape": tuple(shape) if known else None}


def plain(row: Row[Any]) -> dict[str, Any]:
    """A row by column name, without the reference to its run."""
    return {name: value for name, value in row._mapping.items() if name != "run_id"}


def cells_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[CellRecord]]:
    """The cells of runs with their metrics, by run and position, as they are stored."""
    cells, metrics = schema.cells, schema.metrics
    values: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for row in connection.execute(
        select(metrics).where(metrics.c.run_id.in_(ids)).order_by(metrics.c.cell, metrics.c.name)
    ):
        values[row.run_id, row.cell][row.name] = row.value
    found: dict[str, list[CellRecord]] = defaultdict(list)
    for row in connection.execute(select(cells).where(cells.c.run_id.in_(ids)).order_by(cells.c.position)):
        found[row.run_id].append(CellRecord(**plain(row), metrics=values[row.run_id, row.position]))
    return found


def interrupted_cell(cell: CellRecord) -> CellRecord:
    """A cell of a run whose owner has died."""
    return replace(cell, status="interrupted") if cell.status == "running" else cell
