"""`qtlplat reproduce RECIPE`: reproduce a publication and check its claims. No SQL here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.render.columns import write_json
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, pass_settings, store_patience
from qtlplat.cli.stores import asked_store, name_store
from qtlplat.errors import QtlplatError, TrainingError
from qtlplat_reproduction.tables import bounded, note_of, print_claims

if TYPE_CHECKING:
    from qtlplat.catalog.plan import ComponentChoice
    from qtlplat.catalog.recipes import Work
    from qtlplat.store.core.records import NewReproduction
    from qtlplat_reproduction.claims import Judged
    from qtlplat_reproduction.reproduce import Check, ModelState

CONTRADICTED = 9  # exit code of --strict


@click.command("reproduce")
@click.argument("recipe")
@click.option("--table", "tables", type=int, multiple=True, metavar="N", help="Only the claims of this table.")
@click.option("--figure", "figures", type=int, multiple=True, metavar="N", help="Only the models of this figure.")
@click.option("--budget", metavar="B", help="How much to train, e.g. smoke, quick or paper. Default: the first.")
@click.option("--backbone", "backbones", multiple=True, metavar="B", help="Only the models with this backbone.")
@click.option("--dataset", metavar="D", help="Other data than the recipe's; claims about metrics are then not judged.")
@click.option("--seed", type=int, help="Everything random follows from it. Default: 0.")
@click.option("--accelerator", type=click.Choice(["cpu", "cuda"]), help="Where torch computes. Default: cpu.")
@click.option("--dry-run", is_flag=True, help="List missing runs, their duration and parameter counts; train nothing.")
@click.option("--strict", is_flag=True, help="Exit with 9 if a claim is contradicted.")
@store_patience
@click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
@pass_settings
def reproduce_command(
    settings: Settings, /, recipe: str, dry_run: bool, strict: bool, as_json: bool, **selection: Any
) -> int:
    """Reproduce a publication and check its claims.

    Stored runs are reused, so the same command continues an interrupted reproduction. A model that cannot be trained
    does not stop the others; the exit code is then 6. `qtlplat ls recipes` lists the recipes, `qtlplat info RECIPE`
    shows models, claims and budgets.
    """
    from qtlplat.catalog.recipes import RecipeSelection, chosen_work
    from qtlplat.catalog.resolve import resolve_component
    from qtlplat.cli.components import open_components
    from qtlplat.cli.render.progress import make_progress
    from qtlplat.store.read.queries import Reader

    location = asked_store(settings)
    registry, catalog = open_components(settings)
    component, _, choice = resolve_component("recipe", recipe, registry, catalog)
    work = chosen_work(component.spec, RecipeSelection(**selection), registry, catalog)
    reader = Reader(location)
    reader.runs(limit=1)  # a store that cannot be used is refused before any work
    progress = make_progress(settings.verbosity)
    with progress.stage("reading data", 1) as stage:
        from qtlplat_reproduction import reproduce
        from qtlplat_reproduction.claims import judge

        images = reproduce.read_data(work, needed=not dry_run)
        stage.advance()
    states = reproduce.survey(work, images, reader)
    if settings.verbosity >= 0:
        _announce(work, states, is_available=images is not None)
    if not dry_run:
        name_store(location)
    failed: dict[str, QtlplatError] = {}
    if images is not None and not dry_run and any(state.run is None for state in states):
        failed = reproduce.carry_out(states, images, location, progress)
        states = reproduce.survey(work, images, reader)
    measured = reproduce.measure(work, states, reader, keep=not dry_run, failed=failed)
    judged = judge(work.claims, measured, trains_less=work.budget.trains_less, other_data=work.other_data)
    checks = reproduce.checks(states, measured)
    leaks = {state.name: (state.run.leakage, state.run.group_leakage) for state in states if state.run}
    outcome = _outcome(work, choice, judged, images.digest if images is not None else "")
    if not dry_run:
        _store(outcome, location, reader)
    if as_json:
        write_json(_json(work, states, judged, checks, leaks, None if dry_run else outcome.id))
    else:
        print_claims(work, states, judged, checks, leaks)
    if failed:
        note(f"error: could not be run: {', '.join(failed)}; see the errors above; the other claims are checked")
        return TrainingError.exit_code
    return CONTRADICTED if strict and any(one.verdict == "contradicted" for one in judged) else 0


def _announce(work: Work, states: Sequence[ModelState], *, is_available: bool) -> None:
    """Print stored and missing models with the expected time to stderr."""
    note(f"{work.recipe.citation}")
    note(f"budget {work.budget.name}: {work.budget.summary}")
    if not is_available:
        note(f"dataset {work.models[0].resolved.plan.dataset.name} is not available: only parameters are counted")
        return
    missing = [state for state in states if state.run is None]
    note(f"{len(states) - len(missing)} of {len(states)} models are stored")
    for state in missing:
        if state.expected:
            kind = "initialisation" if state.planned.model.head is None else "cell"
            n, sure = state.expected.cells, "from stored runs" if state.expected.measured else "guessed"
            note(f"  missing: {state.name}, {n} {kind}{'s' * (n != 1)}, {_time(state.expected.seconds)} ({sure})")
    if len(missing) > 1:
        note(f"  in all: {_time(sum(state.expected.seconds for state in missing if state.expected))}")


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {seconds / 60:.0f} min" if seconds < 90 * 60 else f"about {seconds / 3600:.1f} h"


def _outcome(work: Work, choice: ComponentChoice, judged: Sequence[Judged], digest: str) -> NewReproduction:
    """What is stored of a reproduction."""
    from qtlplat.store.core.records import ClaimRow, NewReproduction

    rows = []
    for one in judged:
        claim, (low, high) = one.claim, one.interval or (None, None)
        rows.append(
            ClaimRow(
                name=claim.name,
                kind=claim.kind,
                quantity=claim.quantity,
                model=claim.model,
                place=claim.where,
                printed=float(claim.printed),
                unit=claim.unit,
                tolerance=float(claim.tolerance),
                ours=one.ours,
                low=low,
                high=high,
                verdict=one.verdict,
                note=note_of(one),
                runs=one.runs,
            )
        )
    recipe, budget = work.recipe.name, work.budget.name
    return NewReproduction(
        recipe, choice.provider, choice.version, choice.digest, budget, digest, dict(work.cuts), tuple(rows)
    )


def _store(outcome: NewReproduction, location: Any, reader: Any) -> None:
    """Keep an outcome, unless it is the newest one of its recipe already."""
    newest = next(iter(reader.reproductions(outcome.recipe)), None)
    if newest is not None and newest.id == outcome.id:
        return
    from qtlplat.store.write.writer import Writer

    with Writer(location) as writer:
        writer.add_reproduction(outcome)


def _json(
    work: Work,
    states: Sequence[ModelState],
    judged: Sequence[Judged],
    checks: Sequence[Check],
    leaks: Mapping[str, tuple[float | None, float | None]],
    stored: str | None,
) -> dict[str, Any]:
    """The fixed shape of ``reproduce --json``, with further keys."""
    return {
        "recipe": work.recipe.name,
        "budget": work.budget.name,
        "claims": [
            {
                "name": one.claim.name,
                "kind": one.claim.kind,
                "quantity": one.claim.quantity,
                "model": one.claim.model,
                "where": one.claim.where,
                "printed": one.claim.printed,
                "ours": one.ours,
                "interval": one.interval,
                "tolerance": one.claim.tolerance,
                "verdict": one.verdict,
                "runs": one.runs,
                "unit": one.claim.unit,
                "baseline": one.claim.baseline or None,
                "note": note_of(one),
            }
            for one in judged
        ],
        "cuts": dict(work.cuts),
        "notes": list(work.recipe.notes),
        "models": [
            {
                "model": state.name,
                "run": state.run.id if state.run else None,
                "cells": state.expected.cells if state.expected else None,
                "expected_seconds": state.expected.seconds if state.expected else None,
                "leakage": leaks.get(state.name, (None, None))[0],
                "group_leakage": leaks.get(state.name, (None, None))[1],
            }
            for state in states
        ],
        "checks": [
            {
                "model": check.model,
                "of": check.of,
                "evaluator": check.evaluator,
                "f1": check.f1.value if check.f1 else None,
                "interval": (check.f1.low, check.f1.high) if check.f1 and bounded(check.f1) else None,
                "difference": check.difference,
                "leakage": check.leakage,
                "group_leakage": check.group_leakage,
                "runs": check.runs,
            }
            for check in checks
        ],
        "citation": work.recipe.citation,
        "dataset": work.models[0].resolved.plan.dataset.public(),
        "reproduction": stored,
    }
