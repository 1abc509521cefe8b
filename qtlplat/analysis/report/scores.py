"""Sections on what was measured: Table III with spread, the parameter ledger, what was seen before, controls."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from qtlplat.analysis import verdicts
from qtlplat.analysis.comparison import Asked, Row, compare
from qtlplat.analysis.figures.stored import HEAD, StoredRun
from qtlplat.analysis.report.document import Block, Column, Section, Table, Text
from qtlplat.analysis.report.material import Material
from qtlplat.analysis.report.numbers import count, interval, p_value, percent, short
from qtlplat.analysis.sides import Side, variants

METRIC = "f1"
_RUN, _MODEL, _EVALUATOR = Column("run", "runs"), Column("model"), Column("evaluator")
_SCORE = (Column("F1 %", "number"), Column("± sd", "number"), Column("n", "number"))
_SEEN = (Column("leak %", "number"), Column("group leak %", "number"))
LEAKS = (
    "leak: share of the tested samples that the frozen backbone was trained on; group leak: share of which another "
    "sample of the same source image stands in training, of the head or the backbone"
)


def models(material: Material) -> Section:
    """Every head and every backbone that tests all data: F1 with spread, parameters, reduction; then the ledger."""
    totals = _backbone_totals(material)
    scored, counted = [], []
    for stored in [*material.runs]:
        if stored.run.kind == "pretraining":
            if "samples" in stored.run.plan:  # one of many, inside a fold: its run's score is what counts
                continue
            scored.append(_backbone_row(stored, material, totals))
            continue
        ledger = stored.run.parameters
        scored.append(_head_row(stored))
        if "model_total" in ledger:
            counted.append(_ledger_row(stored))
    columns = (
        _RUN, Column("backbone"), Column("replaced", "number"), Column("head"), _EVALUATOR, *_SCORE,
        Column("parameters", "number"), Column("reduction, model %", "number"), Column("reduction, Eq. 7 %", "number"),
        *_SEEN,
    )  # fmt: skip
    notes = (
        "F1: mean over the cells of the head itself, ± their sample standard deviation; a backbone has one test part",
        "replaced: trailing dense layers that the head stands for; reduction: of the whole model, and (Eq. 7) of the "
        "replaced layers alone",
        LEAKS,
    )
    blocks: list[Block] = [Table("All models", columns, tuple(scored), notes)] if scored else []
    if counted:
        names = ("backbone", "frozen", "replaced", "pre-net", "circuit", "post-net", "trainable", "whole model")
        ledger_columns = (_RUN, _MODEL, *(Column(name, "number") for name in names))
        words = ("frozen + trainable = whole model; trainable = pre-net + circuit + post-net",)
        blocks.append(Table("Parameters", ledger_columns, tuple(counted), words))
    return Section("models", "Models", tuple(blocks) or (Text("No run has a score or a parameter ledger."),))


def _backbone_totals(material: Material) -> dict[str, int]:
    """Parameters of a backbone by its pretraining's id: the runs of heads on it know them."""
    found = {}
    for stored in material.heads:
        total = stored.run.parameters.get("backbone_total")
        if isinstance(total, int):
            found |= {parent.id: total for parent in stored.backbones}
    return found


def _head_row(stored: StoredRun) -> tuple[str, ...]:
    run, ledger = stored.run, stored.run.parameters
    names = {role: row.name for role, row in run.components.items()}
    row = alone(stored)
    return (
        short(run.id), names.get("backbone", ""), count(ledger.get("replaced_layers")), names.get("head", ""),
        names.get("evaluator", ""), *score(row), count(ledger.get("model_total")),
        *(_plain_percent(ledger.get(f"reduction_percent_{of}")) for of in ("model", "replaced")), *_leaks(row),
    )  # fmt: skip


def _backbone_row(stored: StoredRun, material: Material, totals: dict[str, int]) -> tuple[str, ...]:
    run = stored.run
    cell = next((c for c in stored.finished() if c.position == material.kept.get(run.id)), None)
    f1 = cell.metrics.get(METRIC) if cell else None
    name = run.components["backbone"].name if "backbone" in run.components else ""
    scored = (percent(f1), "", "" if f1 is None else "1")
    return (short(run.id), name, "", "its own layers", "", *scored, count(totals.get(run.id)), "", "", "", "")


def _ledger_row(stored: StoredRun) -> tuple[str, ...]:
    ledger = stored.run.parameters
    head = ledger["head"]
    parts = [ledger["backbone_total"], ledger["kept"], ledger["replaced"], head["pre_net"], head["vqc"]]
    parts += [head["post_net"], head["total"], ledger["model_total"]]
    return (short(stored.run.id), stored.name, *map(count, parts))


def _plain_percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def alone(stored: StoredRun) -> Row | None:
    """A run's head by itself: mean, spread, leaks; None where it has no finished cell with the metric."""
    side = variants(stored.run, stored.cells)[0]
    return compare(side, [])[0] if any(METRIC in cell.metrics for cell in side.cells) else None


def score(row: Row | None) -> tuple[str, str, str]:
    """Mean, standard deviation and n of a row, for a table."""
    return ("", "", "0") if row is None else (percent(row.mean), percent(row.std), str(row.n))


def _leaks(row: Row | None) -> tuple[str, str]:
    return ("", "") if row is None else (percent(row.leak, 1), percent(row.group_leak, 1))


def leakage(material: Material) -> Section:
    """What the backbone had seen of what is tested, and the same head under other evaluators."""
    rows = [(stored, alone(stored)) for stored in material.heads]
    tested = [(stored, row) for stored, row in rows if row is not None]
    columns = (_RUN, _MODEL, _EVALUATOR, *_SCORE, *_SEEN)
    table = tuple(
        (short(stored.run.id), stored.name, _evaluator(stored), *score(row), *_leaks(row)) for stored, row in tested
    )
    if not table:
        return Section("leakage", "Leakage", (Text("No run has tested anything."),))
    blocks: list[Block] = [Table("What was seen before it was tested", columns, table, (LEAKS,))]
    compared = [group for group in _same_heads(tested) if len(group) > 1]
    blocks += [_side_by_side(group) for group in compared]
    if not compared:
        blocks.append(Text("No head was tested under several evaluators, so what the leak is worth cannot be told."))
    return Section("leakage", "Leakage", tuple(blocks))


def _evaluator(stored: StoredRun) -> str:
    return stored.run.components["evaluator"].name if "evaluator" in stored.run.components else ""


def _same_heads(tested: Iterable[tuple[StoredRun, Row]]) -> list[list[tuple[StoredRun, Row]]]:
    """Runs of one head on one backbone and data, the newest of every evaluator, the one that leaks most first."""
    groups: dict[str, dict[str, tuple[StoredRun, Row]]] = {}
    for stored, row in tested:
        run = stored.run
        parts = {role: _identity(run.components.get(role)) for role in ("backbone", "head", "evaluator")}
        key = [run.dataset_digest, run.plan.get("replace"), parts["backbone"], parts["head"]]
        group = groups.setdefault(json.dumps(key, sort_keys=True, default=str), {})
        evaluator = json.dumps(parts["evaluator"], sort_keys=True, default=str)
        if evaluator not in group or group[evaluator][0].run.created < run.created:
            group[evaluator] = stored, row
    return [sorted(group.values(), key=lambda pair: -(pair[1].leak or 0)) for group in groups.values()]


def _identity(component: Any) -> Any:
    return component and [component.component, component.provider, dict(component.options)]


def _side_by_side(group: Sequence[tuple[StoredRun, Row]]) -> Table:
    sides = [variants(stored.run, stored.cells)[0] for stored, _ in group]
    found = compare(sides[0], sides[1:], Asked(METRIC))
    columns = (_RUN, _EVALUATOR, *_SCORE, *_SEEN, *_DIFFERENCE)
    rows = tuple(
        (short(row.run), _evaluator(stored), *score(row), *_leaks(row), *_difference(row))
        for row, (stored, _) in zip(found, group, strict=True)
    )
    return Table(f"{group[0][0].name} under several evaluators", columns, rows, remarks(found, _short_label))


_DIFFERENCE = (
    Column("difference", "number"), Column("interval", "number"), Column("p", "number"), Column("p (Holm)", "number"),
    Column("verdict", "sentence"),
)  # fmt: skip


def _difference(row: Row) -> tuple[str, ...]:
    if row.test is None:
        return ("", "", "", "", row.verdict)
    mean, ends = row.test.mean, row.test.interval
    return (percent(mean, signed=True), interval(ends), p_value(row.test.p), p_value(row.p_adjusted), row.verdict)


def controls(material: Material) -> Section:
    """Every head against its controls, on the same cells."""
    blocks: list[Block] = []
    for stored in material.heads:
        head, *others = variants(stored.run, stored.cells)
        others = [side for side in others if _can_be_compared(side)]
        if others and _can_be_compared(head):
            blocks.append(_control_table(stored, head, others))
    if not blocks:
        blocks = [Text("No run has controls. They are trained with: qtlplat run ... --controls auto")]
    return Section("controls", "Controls", tuple(blocks))


def _can_be_compared(side: Side) -> bool:
    return any(METRIC in cell.metrics for cell in side.cells)


def _control_table(stored: StoredRun, head: Side, others: Sequence[Side]) -> Table:
    found = compare(head, others, Asked(METRIC))
    ledger = stored.run.parameters
    trainable = {HEAD: ledger.get("head", {}).get("total"), **ledger.get("controls", {})}
    columns = (_RUN, Column("variant"), Column("trainable", "number"), *_SCORE, *_DIFFERENCE)
    rows = tuple(
        (short(row.run), row.variant, count(trainable.get(row.variant)), *score(row), *_difference(row))
        for row in found
    )
    tests = dict.fromkeys(row.test_name for row in found if row.test_name)
    level = verdicts.share(Asked().level)
    words = f"difference: the control minus the head, in points of F1, with its {level} interval; {'; '.join(tests)}"
    return Table(f"{stored.name}, {_evaluator(stored)}", columns, rows, (words, *remarks(found, _variant)))


def _variant(row: Row) -> str:
    return row.variant


def _short_label(row: Row) -> str:
    return f"run {short(row.run)}"


def remarks(rows: Sequence[Row], name: Any) -> tuple[str, ...]:
    """What a reader must know besides the rows, each thing once, with the rows that it belongs to."""
    about: dict[str, list[str]] = {}
    for row in rows:
        for words in row.notes:
            about.setdefault(words, []).append(name(row))
    return tuple(f"{', '.join(who) if len(who) < len(rows) else 'all'}: {words}" for words, who in about.items())
