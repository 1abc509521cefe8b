"""The section on mistakes: how often each class was taken for which, out of fold, for every head."""

from __future__ import annotations

from collections.abc import Sequence

from qtlplat.conventions import short
from qtlplat_reports.figures.confusion import Confusion, pooled, samples_text
from qtlplat_reports.report.columns import EVALUATOR, MODEL, RUN, name_of
from qtlplat_reports.report.document import Block, Column, Section, Table, Text
from qtlplat_reports.report.material import Material
from qtlplat_reports.report.numbers import percent

MOST_CLASSES = 8  # columns that fit beside the others
_NOTE = (
    "samples by the predictions of the head itself out of fold, in its finished cells: one that several cells test "
    "counts once, by its shares (wrong in 3 of 5 cells: 0.6); right %: of the samples of the true class"
)


def mistakes(material: Material) -> Section:
    """A table for all heads that tell the same classes apart."""
    by_classes: dict[tuple[str, ...], list[Confusion]] = {}
    for stored in material.heads:
        tested = {cell.position for cell in stored.finished()}
        if any(row.cell in tested for row in stored.predictions):
            found = pooled(stored)
            by_classes.setdefault(found.classes, []).append(found)
    blocks: list[Block] = []
    for classes, runs in by_classes.items():
        blocks.append(_table(classes, runs) if len(classes) <= MOST_CLASSES else _too_many(runs))
    return Section("mistakes", "Mistakes", tuple(blocks) or (Text("No run of a head has stored predictions."),))


def _table(classes: Sequence[str], runs: Sequence[Confusion]) -> Table:
    columns = (
        RUN, MODEL, EVALUATOR, Column("true class"), *(Column(f"taken for {name}", "number") for name in classes),
        Column("right %", "number"),
    )  # fmt: skip
    rows = []
    for run in runs:
        stored = run.stored
        for label, name in enumerate(classes):
            counts, right = run.counts[label], float(run.shares[label, label])
            words = [short(stored.run.id), stored.name, name_of(stored, "evaluator"), name, *map(samples_text, counts)]
            rows.append((*words, percent(right) if counts.any() else ""))
    return Table("What was taken for what", columns, tuple(rows), (_NOTE,))


def _too_many(runs: Sequence[Confusion]) -> Text:
    ids = " ".join(short(run.stored.run.id) for run in runs)
    return Text(f"{len(runs[0].classes)} classes are too many for a table: qtlplat plot {ids} --kind confusion")
