"""The section on models: Table III with spread, every metric of heads, and the parameter counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtlplat.conventions import mean_std, short
from qtlplat.metrics import SHIPPED, Metric
from qtlplat_reports.figures.stored import StoredRun
from qtlplat_reports.report.columns import (
    EVALUATOR,
    LEAKAGES,
    MODEL,
    RUN,
    SEEN,
    alone,
    name_of,
    score,
    score_columns,
    seen,
)
from qtlplat_reports.report.document import Block, Column, Section, Table, Text
from qtlplat_reports.report.material import Material
from qtlplat_reports.report.numbers import count, score as number


def models(material: Material) -> Section:
    """Every head and backbone that tests all data: a metric with spread, parameters, reduction; metrics; counts."""
    totals = _backbone_totals(material)
    scored, counted = [], []
    for stored in [*material.runs]:
        if stored.run.kind == "pretraining":
            if "samples" in stored.run.plan:  # one of many, inside a fold: its run's score is what counts
                continue
            scored.append(_backbone_row(stored, material, totals))
            continue
        counts = stored.run.parameters
        scored.append(_head_row(stored, material.metric))
        if "model_total" in counts:
            counted.append(_counts_row(stored))
    columns = (
        RUN, Column("backbone"), Column("replaced", "number"), Column("head"), EVALUATOR,
        *score_columns(material.metric),
        Column("parameters", "number"), Column("reduction, model %", "number"), Column("reduction, Eq. 7 %", "number"),
        *SEEN,
    )  # fmt: skip
    notes = (
        f"{material.metric.title}: mean over the cells of the head itself, ± their sample standard deviation; a "
        "backbone has one test part",
        "replaced: trailing dense layers that the head stands for; reduction: of the whole model, and (Eq. 7) of the "
        "replaced layers alone",
        LEAKAGES,
    )
    blocks: list[Block] = [Table("All models", columns, tuple(scored), notes)] if scored else []
    if every := _all_metrics(material):
        blocks.append(every)
    if counted:
        names = ("backbone", "frozen", "replaced", "pre-net", "circuit", "post-net", "trainable", "whole model")
        count_columns = (RUN, MODEL, *(Column(name, "number") for name in names))
        words = ("frozen + trainable = whole model; trainable = pre-net + circuit + post-net",)
        blocks.append(Table("Parameters", count_columns, tuple(counted), words))
    return Section("models", "Models", tuple(blocks) or (Text("No run has a score or parameter counts."),))


def _all_metrics(material: Material) -> Table | None:
    """Mean ± sd of the metrics of every cell, for every head; None if no run has more than F1."""
    spreads = {
        (short(stored.run.id), stored.name, name_of(stored, "evaluator")): [
            _spread([cell.metrics[name] for cell in stored.finished() if name in cell.metrics]) for name in SHIPPED
        ]
        for stored in material.heads
    }
    shown = [i for i in range(len(SHIPPED)) if any(texts[i] for texts in spreads.values())]
    if len(shown) < 2:
        return None
    titles = [list(SHIPPED.values())[i].title for i in shown]
    columns = (RUN, MODEL, EVALUATOR, *(Column(title, "number") for title in titles))
    rows = tuple((*names, *(texts[i] for i in shown)) for names, texts in spreads.items())
    words = "mean ± sample standard deviation over the finished cells of the head itself, not in percent"
    return Table("Metrics", columns, rows, (words,))


def _spread(values: Sequence[float]) -> str:
    mean, std = mean_std(values)
    if mean is None or not math.isfinite(mean):
        return "" if mean is None else "not defined"
    return f"{mean:.4f}" + ("" if std is None else f" ± {std:.4f}")


def _backbone_totals(material: Material) -> dict[str, int]:
    """Parameters of a backbone by its pretraining's id: the runs of heads on it know them."""
    found: dict[str, int] = {}
    for stored in material.heads:
        total = stored.run.parameters.get("backbone_total")
        if isinstance(total, int):
            found |= {parent.id: total for parent in stored.backbones}
    return found


def _head_row(stored: StoredRun, metric: Metric) -> tuple[str, ...]:
    run, counts = stored.run, stored.run.parameters
    row = alone(stored, metric)
    return (
        short(run.id), name_of(stored, "backbone"), count(counts.get("replaced_layers")), name_of(stored, "head"),
        name_of(stored, "evaluator"), *score(row, metric), count(counts.get("model_total")),
        *(_plain_percent(counts.get(f"reduction_percent_{of}")) for of in ("model", "replaced")), *seen(stored),
    )  # fmt: skip


def _backbone_row(stored: StoredRun, material: Material, totals: dict[str, int]) -> tuple[str, ...]:
    run = stored.run
    cell = next((c for c in stored.finished() if c.position == material.kept.get(run.id)), None)
    value = cell.metrics.get(material.metric.name) if cell else None
    scored = (number(value, material.metric), "", "" if value is None else "1")
    return (
        short(run.id),
        name_of(stored, "backbone"),
        "",
        "its own layers",
        "",
        *scored,
        count(totals.get(run.id)),
        "",
        "",
        *seen(stored),
    )


def _counts_row(stored: StoredRun) -> tuple[str, ...]:
    counts = stored.run.parameters
    head = counts.get("head", {})
    parts = [*map(counts.get, ("backbone_total", "kept", "replaced"))]
    parts += [*map(head.get, ("pre_net", "vqc", "post_net", "total")), counts.get("model_total")]
    return (short(stored.run.id), stored.name, *map(count, parts))


def _plain_percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
