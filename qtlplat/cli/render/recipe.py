"""What `qtlplat info` says about a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from qtlplat.catalog.provider import Component
from qtlplat.cli.render.columns import Column, text
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import note, say
from qtlplat.recipes import RecipeSpec


def recipe_facts(component: Component[Any]) -> dict[str, Any] | None:
    """What a recipe holds, None for everything else."""
    spec = component.spec
    if not isinstance(spec, RecipeSpec):
        return None
    return {
        "citation": spec.citation,
        "dataset": spec.dataset,
        "models": [asdict(model) for model in spec.models],
        "claims": [{"kind": claim.kind, **asdict(claim)} for claim in spec.claims],
        "budgets": [asdict(budget) for budget in spec.budgets],
        "notes": list(spec.notes),
    }


def print_recipe(name: str, recipe: Mapping[str, Any]) -> None:
    """Citation, models, claims, budgets and notes."""
    say("", recipe["citation"], f"dataset {recipe['dataset']}", "", "models")
    emit(
        recipe["models"], [Column(key, key) for key in ("name", "backbone", "head", "replace", "evaluator", "protocol")]
    )
    say("", "claims")
    columns = [Column(key, key, show=_number) for key in ("where", "quantity", "printed", "unit", "tolerance", "note")]
    emit(recipe["claims"], columns)
    say("", "budgets")
    emit(recipe["budgets"], [Column("name", "name"), Column("summary", "summary")])
    for line in recipe["notes"]:
        say("", line)
    note(f"next: qtlplat reproduce {name} --dry-run")


def _number(value: Any) -> str:
    """A printed number with all its digits."""
    return f"{value:,.10g}" if isinstance(value, float) else text(value)
