"""The fixed JSON shapes of a run and of its parts: functions on records, no printing.

NaN and infinities are returned as stored; the JSON writer turns them into null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.conventions import HEAD, ROLES, mean_std, share_of
from qtlplat.store.core.records import (
    ArtifactRow,
    CandidateRow,
    CellRecord,
    ComponentRow,
    EpochRow,
    OwnerRow,
    RunRecord,
)

if TYPE_CHECKING:
    from qtlplat.store.read.queries import Reader

STAGES = ("total", "pretrain", "features", "heads")


def component(row: ComponentRow | None) -> dict[str, Any] | None:
    """A component as {"name", "component", "provider", "version", "options"}, or None if a run has none."""
    if row is None:
        return None
    return {
        "name": row.name,
        "component": row.component,
        "provider": row.provider,
        "version": row.version,
        "options": dict(row.options),
    }


def short_form(record: RunRecord) -> dict[str, Any]:
    """A run as every listing's `--json` shows it; keys are never renamed."""
    return {
        "run": record.id,
        "kind": record.kind,
        "status": record.status,
        "fingerprint": record.fingerprint,
        **{role: component(record.components.get(role)) for role in ROLES},
        "metrics": {name: _spread(values) for name, values in record.metrics.items()},
        "parameters": dict(record.parameters),
        "pretraining": record.pretraining,
        "seconds": {**dict.fromkeys(STAGES), **record.seconds},
        "seed": record.seed,
        "backbones": record.plan.get("backbones", 1),
        "created": record.created,
        "finished": record.finished,
        "dataset_digest": record.dataset_digest,
        "error": record.error,
        "host": record.host,
        "pid": record.pid,
        "leakage": record.leakage,
        "group_leakage": record.group_leakage,
        "selection_leakage": record.selection_leakage,
        "tags": list(record.tags),
        "note": record.note,
        "trashed": record.trashed,
    }


def full_form(
    record: RunRecord,
    cells: Sequence[CellRecord],
    epochs: Sequence[EpochRow],
    environment: Mapping[str, str],
    artifacts: Sequence[ArtifactRow],
    children: Sequence[str] = (),
    owners: Sequence[OwnerRow] = (),
    candidates: Sequence[CandidateRow] = (),
) -> dict[str, Any]:
    """A run with everything but its predictions; children: the runs that build on it; owners: the processes it had."""
    return {
        **short_form(record),
        "cells": [cell_form(cell) for cell in cells],
        "epochs": [epoch_form(epoch) for epoch in epochs],
        "candidates": [{**vars(one), "options": dict(one.options)} for one in candidates],
        "plan": dict(record.plan),
        "environment": dict(environment),
        "artifacts": [{**vars(artifact), "meta": dict(artifact.meta)} for artifact in artifacts],
        "children": list(children),
        "owners": [{**vars(owner), "drift": {k: list(v) for k, v in owner.drift.items()}} for owner in owners],
    }


def stored_form(reader: Reader, record: RunRecord) -> dict[str, Any]:
    """A stored run in its full form, with all that the store has of it."""
    run = record.id
    return full_form(
        record,
        reader.cells(run),
        reader.epochs(run),
        reader.environment(run),
        reader.artifacts(run),
        reader.children(run),
        reader.owners(run),
        reader.candidates(run),
    )


def cell_form(cell: CellRecord) -> dict[str, Any]:
    """A cell with its final metrics by name."""
    return {**vars(cell), "metrics": dict(cell.metrics)}


def epoch_form(epoch: EpochRow) -> dict[str, Any]:
    """An epoch with cell, epoch, seconds and its values by name."""
    return {**epoch.values, "cell": epoch.cell, "epoch": epoch.epoch, "seconds": epoch.seconds}


def head_cells(cells: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The cells, as `cell_form` gives them, that are no controls."""
    return [cell for cell in cells if cell["variant"] == HEAD]


def by_variant(cells: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and sample standard deviation of every metric over the finished cells of each variant, by its name.

    Cells that were trained on a part of their training samples are left out.
    In the order in which variants stand in the run: ``{"n": ..., "metrics": {name: {"mean", "std", "values"}}}``; an
    evaluator's own metrics may be missing in some cells.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        if cell["status"] == "finished" and share_of(cell["variant"]) == 1:
            found.setdefault(cell["variant"], []).append(cell["metrics"])
    return {
        variant: {
            "n": len(metrics),
            "metrics": {
                name: _spread([values[name] for values in metrics if name in values])
                for name in dict.fromkeys(name for values in metrics for name in values)
            },
        }
        for variant, metrics in found.items()
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    mean, std = mean_std(values)
    return {"mean": mean, "std": std, "values": list(values)}
