"""What records are in a table: flat values by column, named as in the filter language and the store's views."""

from __future__ import annotations

from typing import Any

from qtlplat.conventions import LEAKAGES, ROLES, flat_counts, mean_std
from qtlplat.store.core.records import CellRecord, EpochRow, PredictionRow, RunRecord


def run_row(run: RunRecord) -> dict[str, Any]:
    """A run, its components with their options (``head.layers``), every metric's mean and sd, and its parameter counts.

    A metric of a single cell has no sd (None).
    """
    row: dict[str, Any] = {
        "run": run.id,
        "kind": run.kind,
        "status": run.status,
        "created": run.created,
        "seed": run.seed,
        "backbones": run.plan.get("backbones", 1),
    }
    for role in ROLES:
        component = run.components.get(role)
        row[role] = component and component.name
    for name, values in run.metrics.items():
        row[name], row[f"{name}_sd"] = mean_std(values)
    row["cells"] = max((len(values) for values in run.metrics.values()), default=0)
    row |= flat_counts(run.parameters)
    row |= {name: getattr(run, name) for name in LEAKAGES}
    row |= {"seconds": run.seconds.get("total"), "tags": ", ".join(run.tags) or None, "note": run.note}
    for part, component in run.components.items():
        row |= {f"{part}.{option}": value for option, value in component.options.items()}
    return row


def cell_row(cell: CellRecord) -> dict[str, Any]:
    """A cell: its fields, then every metric by name."""
    return {**{name: value for name, value in vars(cell).items() if name != "metrics"}, **cell.metrics}


def epoch_row(epoch: EpochRow) -> dict[str, Any]:
    """An epoch: cell, epoch, its values by name, seconds."""
    return {"cell": epoch.cell, "epoch": epoch.epoch, **epoch.values, "seconds": epoch.seconds}


def prediction_row(prediction: PredictionRow) -> dict[str, Any]:
    """A prediction: its fields, with the probability of label 0 as ``p0``, and so on."""
    fields = {name: value for name, value in vars(prediction).items() if name != "probabilities"}
    return {**fields, **{f"p{label}": value for label, value in enumerate(prediction.probabilities)}}
