"""Turns a recipe, a budget and a choice of tables, figures and backbones into plans. Pure: no torch, no data read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.registry import Registry
from qtlplat.catalog.request import Request
from qtlplat.catalog.resolve import Resolved, resolve
from qtlplat.errors import UsageError, safe_repr, unknown_name
from qtlplat.recipes import Budget, Claim, RecipeModel, RecipeSpec


@dataclass(frozen=True)
class RecipeSelection:
    """What of a recipe is wanted; nothing said means all of it.

    budget: name, None for the recipe's first one; tables, figures: numbers; backbones: as the recipe's models name
    them; dataset: a reference in place of the recipe's own; accelerator, seed: as in a request.
    """

    budget: str | None = None
    tables: tuple[int, ...] = ()
    figures: tuple[int, ...] = ()
    backbones: tuple[str, ...] = ()
    dataset: str | None = None
    accelerator: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class PlannedModel:
    """A model with its plan. trained: whether the budget trains it; if not, its parameters can still be counted."""

    model: RecipeModel
    resolved: Resolved
    trained: bool


@dataclass(frozen=True)
class Work:
    """The models to train, and the claims to check.

    cuts: omitted parts of the publication, by name, each in a sentence.
    other_data: whether another dataset than the recipe's is used.
    """

    recipe: RecipeSpec
    budget: Budget
    claims: tuple[Claim, ...]
    models: tuple[PlannedModel, ...]
    cuts: Mapping[str, str]
    other_data: bool


def chosen_work(recipe: RecipeSpec, selection: RecipeSelection, registry: Registry, catalog: Catalog) -> Work:
    """The plans of the models that a selection needs, and the claims about them.

    A table stands for its claims, a figure for all claims about the models that it shows; with both, either will do.
    Raises UsageError for a budget, table, figure or backbone that the recipe does not have, else as `resolve`.
    """
    budget = _budget(recipe, selection.budget)
    _check_numbers("table", selection.tables, {c.table for c in recipe.claims if c.table is not None})
    _check_numbers("figure", selection.figures, {number for m in recipe.models for number in m.figures})
    known = {m.backbone for m in recipe.models}
    for name in selection.backbones:
        if name not in known:
            raise UsageError(unknown_name("backbone of this recipe", name, known), where="--backbone")
    by_name = {m.name: m for m in recipe.models}
    claims = tuple(c for c in recipe.claims if _wants(selection, c, by_name[c.model]))
    if not claims:
        raise UsageError("the recipe has no claim that fits this choice", fix="ask for less at once")
    about = {name for c in claims for name in (c.model, c.baseline) if name}
    wanted = [m for m in recipe.models if _fits(m, selection) and (m.instead_of or m.name) in about]
    planned = [
        PlannedModel(
            model,
            resolve(_request(model, recipe, budget, selection), registry, catalog),
            trained=not budget.models or model.name in budget.models,
        )
        for model in wanted
    ]
    recipe_data = resolve(Request(dataset=recipe.dataset), registry, catalog).plan.dataset
    other = bool(planned) and planned[0].resolved.plan.dataset.identity() != recipe_data.identity()
    return Work(recipe, budget, claims, tuple(planned), _cuts(budget, selection, other), other)


def _budget(recipe: RecipeSpec, name: str | None) -> Budget:
    budgets = {budget.name: budget for budget in recipe.budgets}
    if name is None:
        return recipe.budgets[0]
    if name not in budgets:
        raise UsageError(unknown_name("budget", name, budgets), where="--budget")
    return budgets[name]


def _check_numbers(what: str, asked: Sequence[int], known: set[int]) -> None:
    for number in asked:
        if number not in known:
            numbers = ", ".join(map(str, sorted(known))) or "none"
            raise UsageError(
                f"the recipe has no claims about {what} {safe_repr(number)}; known: {numbers}", where=f"--{what}"
            )


def _wants(selection: RecipeSelection, claim: Claim, model: RecipeModel) -> bool:
    """Whether a claim is asked for."""
    if not _fits(model, selection):
        return False
    if not selection.tables and not selection.figures:
        return True
    return claim.table in selection.tables or bool(set(model.figures) & set(selection.figures))


def _fits(model: RecipeModel, selection: RecipeSelection) -> bool:
    return not selection.backbones or model.backbone in selection.backbones


def _request(model: RecipeModel, recipe: RecipeSpec, budget: Budget, selection: RecipeSelection) -> Request:
    epochs = budget.pretrain_epochs
    return Request(
        dataset=selection.dataset or recipe.dataset,
        backbone=model.backbone,
        head=model.head,
        evaluator=model.evaluator,
        replace=str(model.replace),
        seed=selection.seed,
        seeds=model.seeds,
        backbones=model.backbones,
        controls=model.controls,
        epochs=budget.epochs,
        pretrain_epochs=epochs.get(model.backbone) if isinstance(epochs, Mapping) else epochs,
        n_init=budget.n_init,
        protocol=budget.protocol or model.protocol,
        accelerator=selection.accelerator,
        sets=budget.sets,
    )


def _cuts(budget: Budget, selection: RecipeSelection, other_data: bool) -> dict[str, str]:
    cuts = dict(budget.cuts)
    parts = [f"table {n}" for n in selection.tables] + [f"figure {n}" for n in selection.figures]
    parts += [f"backbone {name}" for name in selection.backbones]
    if parts:
        cuts["selection"] = f"only {' and '.join(parts)}, as requested"
    if other_data:
        cuts["dataset"] = f"{selection.dataset} instead of the publication's data: its metrics cannot be judged"
    return cuts
