"""The section on leakage, and the same head tested in several ways or on several datasets, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from qtlplat.analysis.comparison import Asked, ComparisonRow
from qtlplat.analysis.several_metrics import compare_by_metrics
from qtlplat.analysis.sides import SETTINGS
from qtlplat.conventions import short
from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import StoredRun, sides
from qtlplat_reports.report.columns import (
    DIFFERENCE,
    EVALUATOR,
    LEAKAGES,
    MODEL,
    RUN,
    SEEN,
    alone,
    difference,
    name_of,
    remarks,
    score,
    score_columns,
    seen,
)
from qtlplat_reports.report.document import Block, Column, Section, Table, Text
from qtlplat_reports.report.material import Material

Tested = tuple[StoredRun, ComparisonRow]


def leakage(material: Material) -> Section:
    """What the backbone has seen of the test samples, and the same head under other evaluators."""
    rows = tuple(
        (short(stored.run.id), stored.name, name_of(stored, "evaluator"), *score(row, material.metric), *seen(stored))
        for stored, row in _tested(material.heads, material.metric)
    )
    if not rows:
        return Section("leakage", "Leakage", (Text("No run of a head has tested anything."),))
    columns = (RUN, MODEL, EVALUATOR, *score_columns(material.metric), *SEEN)
    tables = side_by_side(material.heads, "evaluator", material.metric)
    blocks: list[Block] = [Table("What was seen before it was tested", columns, rows, (LEAKAGES,)), *tables]
    if not tables:
        blocks.append(Text("No head was tested under several evaluators, so what the leakage is worth cannot be told."))
    return Section("leakage", "Leakage", tuple(blocks))


def side_by_side(heads: Sequence[StoredRun], role: str, metric: Metric) -> list[Table]:
    """A table for each head that was tested with several components of a role (evaluator, dataset), all else alike.

    All else: components, and how backbone and head were trained, so that runs of several budgets never share a table.

    The baseline is the run with the highest leakage; the others are the newest of their kind.
    """
    groups: dict[str, dict[str, Tested]] = {}
    for stored, row in _tested(heads, metric):
        parts = {name: _identity(stored, name) for name in ("dataset", "backbone", "head", "evaluator")}
        varied = json.dumps(parts.pop(role), sort_keys=True, default=str)
        own = [stored.run.plan.get(name) for name in SETTINGS]
        key = json.dumps([own, parts], sort_keys=True, default=str)
        group = groups.setdefault(key, {})
        if varied not in group or group[varied][0].run.created < stored.run.created:
            group[varied] = stored, row
    ordered = [sorted(group.values(), key=lambda pair: -(pair[1].leakage or 0)) for group in groups.values()]
    return [_table(group, role, metric) for group in ordered if len(group) > 1]


def _tested(heads: Sequence[StoredRun], metric: Metric) -> list[Tested]:
    rows = [(stored, alone(stored, metric)) for stored in heads]
    return [(stored, row) for stored, row in rows if row is not None]


def _identity(stored: StoredRun, role: str) -> Any:
    """What a component is, whatever it is called; of a dataset its content."""
    if role == "dataset":
        return stored.run.dataset_digest
    component = stored.run.components.get(role)
    return component and [component.component, component.provider, dict(component.options)]


def _table(group: Sequence[Tested], role: str, metric: Metric) -> Table:
    """The runs of a group with their differences from the first one."""
    first, *others = [sides(stored)[0] for stored, _ in group]
    found = compare_by_metrics(first, others, Asked(metric.name))
    rows = tuple(
        (short(row.run), name_of(stored, role), *score(row, metric), *seen(stored), *difference(row, metric))
        for row, (stored, _) in zip(found, group, strict=True)
    )
    named = group[0][0]
    other = "evaluator" if role == "dataset" else "dataset"
    caption = f"{named.name} with {name_of(named, other)}, several {role}s"
    columns = (RUN, Column(role), *score_columns(metric), *SEEN, *DIFFERENCE)
    return Table(caption, columns, rows, remarks(found, lambda row: f"run {short(row.run)}"))
