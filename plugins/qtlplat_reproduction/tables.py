"""The tables of `qtlplat reproduce`: claims with verdicts, checks, leakage, cuts and notes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import note, say
from qtlplat.conventions import claim_text, interval_text, short

if TYPE_CHECKING:
    from qtlplat.catalog.recipes import Work
    from qtlplat_reproduction.claims import Estimate, Judged
    from qtlplat_reproduction.reproduce import Check, ModelState


def note_of(one: Judged) -> str:
    """Why a verdict is what it is, and what the recipe says about the claim."""
    return "; ".join(part for part in (one.note, one.claim.note) if part)


def print_claims(
    work: Work,
    states: Sequence[ModelState],
    judged: Sequence[Judged],
    checks: Sequence[Check],
    leaks: Mapping[str, tuple[float | None, float | None]],
) -> None:
    """The table of claims, what was cut, what the folds share with the backbone, and what a reader should know."""
    rows = [
        {
            "claim": one.claim.name,
            "printed": claim_text(one.claim.printed, one.claim.unit),
            "ours": claim_text(one.ours, one.claim.unit) or None,
            "interval": interval_text(*one.interval, one.claim.unit) if one.interval else None,
            "verdict": one.verdict,
            "runs": list(map(short, one.runs)),
            "note": note_of(one),
        }
        for one in judged
    ]
    right = ("printed", "ours", "interval")
    emit(rows, [Column(key, key, right=key in right) for key in rows[0]] if rows else [], empty="no claims")
    counts = Counter(one.verdict for one in judged)
    say("", ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common()))
    if checks:
        say("", "other evaluators (F1 in %)")
        emit([_check_row(check) for check in checks], _CHECK_COLUMNS)
        one_part = [check.model for check in checks if check.f1 and bounded(check.f1) and math.isinf(check.f1.freedom)]
        if one_part:
            say(f"interval of {', '.join(one_part)}: a bootstrap over the samples of one test part")
    shared = [(name, leakage) for name, (leakage, _) in leaks.items() if leakage]
    sources = [(name, leakage) for name, (_, leakage) in leaks.items() if leakage]
    for found, words in (
        (shared, "their backbone was trained on"),
        (sources, "the source image is in a training set, of head or backbone, for"),
    ):
        if found:
            least, most = (f"{100 * pick(leakage for _, leakage in found):.0f}" for pick in (min, max))
            span = f"{least} %" if least == most else f"{least} to {most} %"
            say("", f"leakage: {words} {span} of what the cells of {_models(found, states)} test")
    if work.cuts:
        say("", f"omitted by budget {work.budget.name}")
        for name, words in work.cuts.items():
            say(f"  {name}: {words}")
    say("", "notes on the publication")
    for words in work.recipe.notes:
        say(f"  - {words}")
    run = next((state.run.id for state in states if state.run), None)
    if run:
        note(f"next: qtlplat show {short(run)}")


_CHECK_COLUMNS = [
    Column("model", "model"),
    Column("evaluator", "evaluator"),
    Column("f1", "F1", right=True),
    Column("interval", "interval", right=True),
    Column("difference", "difference", right=True),
    Column("leakage", "leakage", right=True),
    Column("runs", "runs"),
]


def bounded(estimate: Estimate) -> bool:
    """Whether an estimate has an interval."""
    return math.isfinite(estimate.low)


def _interval_text(estimate: Estimate | None) -> str | None:
    if estimate is None or not bounded(estimate):
        return None
    return interval_text(100 * estimate.low, 100 * estimate.high)


def _check_row(check: Check) -> dict[str, Any]:
    return {
        "model": check.model,
        "evaluator": check.evaluator,
        "f1": f"{100 * check.f1.value:.2f}" if check.f1 else "not run",
        "interval": _interval_text(check.f1),
        "difference": f"{100 * check.difference:+.2f}" if check.difference is not None else None,
        "leakage": None if check.leakage is None else f"{100 * check.leakage:.0f} %",
        "runs": list(map(short, check.runs)),
    }


def _models(found: Sequence[tuple[str, float]], states: Sequence[ModelState]) -> str:
    heads = [state.name for state in states if state.run and state.planned.model.head is not None]
    names = [name for name, _ in found]
    return "all heads" if set(names) == set(heads) else ", ".join(names)
