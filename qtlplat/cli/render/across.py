"""A comparison across datasets as tables: a row for each configuration, then a row for each dataset."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.output import Listing, emit
from qtlplat.cli.render.terminal import note, say
from qtlplat.conventions import counted

if TYPE_CHECKING:
    from qtlplat.analysis.across import Across


def _number(value: float) -> str:
    return f"{value:.4f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _short(value: float) -> str:
    return f"{value:.3g}"


def _chances(value: dict[str, float]) -> str:
    return f"{value['worse']:.2f} / {value['equal']:.2f} / {value['better']:.2f}"


COLUMNS = (
    Column("label", "configuration"),
    Column("rank", "mean rank", right=True, show="{:.2f}".format),
    Column("mean", "mean", right=True, show=_number),
    Column("std", "± sd", right=True, show=_number),
    Column("n", "n", right=True),
    Column("difference", "difference", right=True, show=_signed),
    Column("better", "better on", right=True),
    Column("worse", "worse on", right=True),
    Column("p", "p", right=True, show=_short),
    Column("p_adjusted", "p (Holm)", right=True, show=_short),
    Column("rope", "worse / equal / better", right=True, show=_chances),
    Column("verdict", "verdict"),
)
FURTHER = (Column("test", "test"), Column("needed", "needed"), Column("variance", "variance"), Column("runs", "runs"))


def print_across(found: Across, listing: Listing, frame: dict[str, Any]) -> None:
    """Print a comparison across datasets. frame: further keys of its JSON."""
    forms = [row.form() for row in found.rows]
    on_terminal = sys.stdout.isatty() and not listing.fmt and not listing.cols
    columns: Sequence[Column] = (*COLUMNS, *FURTHER) if listing.cols or listing.for_programs else COLUMNS
    if on_terminal:
        columns = [column for column in COLUMNS if column.key != "verdict"]
    emit(forms, columns, listing, json_rows=forms, json_frame={**frame, **found.facts()})
    if listing.fmt:
        if listing.fmt != "json":
            _remarks(found, forms)
        return
    if on_terminal:
        for form in forms[1:]:
            say(f"{form['label']}: {form['verdict']}")
        emit(*_by_block(found))
    _remarks(found, forms)


def _by_block(found: Across) -> tuple[list[dict[str, Any]], list[Column]]:
    """The value of each configuration on each dataset, with its rank, and its difference from the baseline."""
    rows = []
    for block, ranks in zip(found.blocks, found.ranks.ranks.tolist(), strict=True):
        cells = {}
        for row, rank in zip(found.rows, ranks, strict=True):
            by = "" if row.differences is None else f", {row.differences[block]:+.4f}"
            cells[row.configuration.label] = f"{row.values[block]:.4f} ({rank:g}{by})"
        rows.append({"block": block, **cells})
    labels = [row.configuration.label for row in found.rows]
    heading = f"{' and '.join(found.fields)} (rank, difference)"
    return rows, [Column("block", heading), *(Column(label, label, right=True) for label in labels)]


def _remarks(found: Across, forms: Sequence[dict[str, Any]]) -> None:
    what = " and ".join(found.fields)
    if len(found.rows) > 2:
        ranks = found.ranks
        alpha = f"{1 - found.level:.2g}"
        if ranks.p < 1 - found.level:
            names = [row.configuration.label for row in found.rows]
            alike = "; ".join(", ".join(names[i] for i in group) for group in ranks.groups) or "none"
            note(
                f"Friedman: p = {ranks.p:.3g}, the configurations differ; Nemenyi: mean ranks differ from "
                f"{ranks.critical_difference:.2f} on (level {alpha}); not told apart: {alike}"
            )
        else:
            note(f"Friedman: p = {ranks.p:.3g}, no evidence that any of the {len(found.rows)} configurations differ")
    for form in forms[1:]:
        if needed := form["needed"]:
            _needed(form["label"], needed, what)
        if variance := form["variance"]:
            total = sum(variance.values())
            if total > 0:
                shares = ", ".join(f"{100 * value / total:.0f} % {what if name == 'block' else name}"
                                   for name, value in sorted(variance.items(), key=lambda item: -item[1]))  # fmt: skip
                note(f"{form['label']}: the difference of two cells varies by {shares}")
    for words in found.notes:
        note(words)


def _needed(label: str, needed: dict[str, Any], what: str) -> None:
    if needed["power_now"] is None:
        return
    now = f"power to see {needed['difference']:g} now: {needed['power_now']:.2f}"
    if needed["datasets"] is None:
        note(f"{label}: no number of {what}s shows a difference of {needed['difference']:g} ({now})")
    else:
        more = counted(needed["datasets"], what)
        wanted = f"to see a difference of {needed['difference']:g} with power {needed['power']:g}"
        note(f"{label}: it takes {more} {wanted} ({now})")
