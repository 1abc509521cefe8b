"""What is stored of a run a second time, in a form that listings and rankings of many runs find quickly."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Connection

from qtlplat.conventions import ROLES, mean_std
from qtlplat.store.core import schema
from qtlplat.store.core.columns import to_json
from qtlplat.store.core.records import ComponentRow


def facts(components: Iterable[ComponentRow], dataset_digest: str) -> dict[str, str | None]:
    """The columns of `runs` that follow from a run's components: their names by role, and its condition."""
    of_role = {row.role: row for row in components}
    names: dict[str, str | None] = {role: of_role[role].name if role in of_role else None for role in ROLES}
    return {**names, "condition": condition(dataset_digest, of_role.get("evaluator"))}


def condition(dataset_digest: str, evaluator: ComponentRow | None) -> str:
    """16 hexadecimal characters, the same for the same data and the same evaluator with the same options."""
    how = [None] * 3 if evaluator is None else [evaluator.provider, evaluator.component, evaluator.options]
    return hashlib.sha256(to_json([dataset_digest, *how], sort_keys=True).encode()).hexdigest()[:16]


def over_cells(values: Sequence[float]) -> dict[str, Any]:
    """A metric over cells, as `run_metrics` has it."""
    numbers = [value for value in values if not math.isnan(value)]
    none: dict[str, Any] = dict.fromkeys(("mean", "sd", "least", "most"))
    if len(numbers) < len(values):
        return {**none, "n": len(numbers)}
    mean, sd = (None if value is None or math.isnan(value) else value for value in mean_std(numbers))
    return {"mean": mean, "sd": sd, "least": min(numbers), "most": max(numbers), "n": len(numbers)}


def summarize(connection: Connection, run_id: str, positions: Collection[int] | None = None) -> None:
    """Recompute the metrics of a run over its finished cells: of the variants of these cells, None for all."""
    cells, metrics, table = schema.cells.c, schema.metrics.c, schema.run_metrics
    of_run = cells.run_id == run_id
    variants = select(cells.variant).where(of_run)
    if positions is not None:
        variants = variants.where(cells.position.in_(positions))
    query = (
        select(cells.variant, metrics.name, metrics.value)
        .join_from(schema.cells, schema.metrics, (metrics.run_id == cells.run_id) & (metrics.cell == cells.position))
        .where(of_run, cells.status == "finished", cells.variant.in_(variants))
        .order_by(cells.position)
    )
    values: Mapping[tuple[str, str], list[float]] = defaultdict(list)
    for variant, name, value in connection.execute(query):
        values[variant, name].append(value)
    connection.execute(delete(table).where(table.c.run_id == run_id, table.c.variant.in_(variants)))
    rows = [
        {"run_id": run_id, "variant": variant, "name": name, **over_cells(found)}
        for (variant, name), found in sorted(values.items())
    ]
    if rows:
        connection.execute(insert(table), rows)
