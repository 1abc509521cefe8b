"""The section on controls: every head compared with its baselines and ablations on the same cells."""

from __future__ import annotations

from collections.abc import Sequence

from qtlplat.analysis import verdicts
from qtlplat.analysis.comparison import Asked
from qtlplat.analysis.several_metrics import compare_by_metrics
from qtlplat.analysis.sides import Side
from qtlplat.conventions import short
from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import StoredRun, sides
from qtlplat_reports.report.columns import (
    DIFFERENCE,
    RUN,
    difference,
    measured,
    name_of,
    remarks,
    score,
    score_columns,
)
from qtlplat_reports.report.document import Block, Column, Section, Table, Text
from qtlplat_reports.report.material import Material
from qtlplat_reports.report.numbers import count, p_value

MCNEMAR = (
    "McNemar: exact, on the out-of-fold predictions, a vote for each sample, samples of one source as one; about "
    "accuracy, and not adjusted for several comparisons"
)


def controls(material: Material) -> Section:
    """Every head against its controls, on the same cells."""
    blocks: list[Block] = []
    for stored in material.heads:
        head, *others = sides(stored, predictions=True)
        others = [side for side in others if measured(side, material.metric)]
        if others and measured(head, material.metric):
            blocks.append(_control_table(stored, head, others, material.metric))
    if not blocks:
        blocks = [Text("No run has controls. They are trained with: qtlplat run ... --controls auto")]
    return Section("controls", "Controls", tuple(blocks))


def _control_table(stored: StoredRun, head: Side, others: Sequence[Side], metric: Metric) -> Table:
    found = compare_by_metrics(head, others, Asked(metric.name))
    columns = (
        RUN, Column("variant"), Column("trainable", "number"), *score_columns(metric), *DIFFERENCE,
        Column("McNemar p", "number"),
    )  # fmt: skip
    rows = tuple(
        (
            short(row.run),
            row.variant,
            count(row.trainable),
            *score(row, metric),
            *difference(row, metric),
            p_value(row.mcnemar["p"]) if row.mcnemar else "",
        )
        for row in found
    )
    tests = dict.fromkeys(row.test_name for row in found if row.test_name)
    level = verdicts.share(Asked().level)
    of = f"{'in points of ' if metric.name in verdicts.IN_POINTS else 'of the '}{metric.title}"
    words = f"difference: the control minus the head, {of}, with its {level} interval; {'; '.join(tests)}"
    tested = (MCNEMAR,) if any(row.mcnemar for row in found) else ()
    return Table(
        f"{stored.name}, {name_of(stored, 'evaluator')}",
        columns,
        rows,
        (words, *tested, *remarks(found, lambda row: row.variant)),
    )
