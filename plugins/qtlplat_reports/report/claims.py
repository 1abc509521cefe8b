"""The table of a publication's claims, from a stored reproduction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtlplat.conventions import claim_text, interval_text, short
from qtlplat_reports.report.document import Block, Column, Section, Table, Text
from qtlplat_reports.report.numbers import when

if TYPE_CHECKING:
    from qtlplat.store.core.records import ClaimRow, ReproductionRecord

_COLUMNS = (
    Column("claim"), Column("where"), Column("printed", "number"), Column("ours", "number"),
    Column("interval", "number"), Column("verdict"), Column("runs", "runs"), Column("note", "sentence"),
)  # fmt: skip


def claims(record: ReproductionRecord, publication: Sequence[str] = ()) -> Section:
    """Claim, printed, ours, interval, verdict and runs; what the budget cuts; what to know about the publication."""
    content = record.content
    verdicts = Counter(claim.verdict for claim in content.claims)
    told = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.most_common())
    blocks: list[Block] = [
        Text(
            f"Recipe {content.recipe} of {content.provider} {content.version}, budget {content.budget}, judged "
            f"{when(record.created)} UTC: {told}."
        )
    ]
    blocks += [Text(f"The budget cuts {name}: {words}") for name, words in content.cuts.items()]
    notes = (
        "interval: 95 %; of a mean over cells, corrected for the training data that they share; of one test part, a "
        "bootstrap over its samples; of a comparison, that of a ratio of independent values; arithmetic claims have "
        "none and need no run",
        f"made by qtlplat reproduce {content.recipe} --budget {content.budget}, with what else the cuts name",
    )
    blocks.append(Table("Claims", _COLUMNS, tuple(_row(claim) for claim in content.claims), notes))
    blocks += [Text(words) for words in publication]
    return Section("claims", "Claims", tuple(blocks))


def _row(claim: ClaimRow) -> tuple[str, ...]:
    return (
        claim.name, claim.place, claim_text(claim.printed, claim.unit), claim_text(claim.ours, claim.unit),
        interval_text(claim.low, claim.high, claim.unit), claim.verdict, " ".join(map(short, claim.runs)), claim.note,
    )  # fmt: skip
