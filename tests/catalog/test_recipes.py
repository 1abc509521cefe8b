"""Recipes: what is refused, what a selection needs, what is asked of each model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.host import load_plugins
from qtlplat.catalog.recipes import RecipeSelection, Work, chosen_work
from qtlplat.catalog.registry import Registry, load_registry, shipped_registry
from qtlplat.catalog.verify import spec_problem
from qtlplat.errors import UsageError
from qtlplat.recipes import Budget, Claim, RecipeModel, RecipeSpec

MODELS = (
    RecipeModel("own", "lenet2", None, protocol="paper"),
    RecipeModel("hybrid", "lenet2", "dressed4x2", 2, "kfold6", "paper", figures=(1,)),
    RecipeModel("again", "lenet2", "dressed4x2", 2, "holdout", "paper", seeds=3, instead_of="hybrid"),
    RecipeModel("other", "lenet3", "linear", figures=(2,)),
)
CLAIMS = (
    Claim("own count", "parameters", "own", "Table 1", 5, 0, table=1),
    Claim("hybrid f1", "f1", "hybrid", "Table 1", 90, 1, table=1),
    Claim("hybrid boost", "boost", "hybrid", "Table 2", 2, 0, baseline="own", table=2),
    Claim("other f1", "f1", "other", "text", 80, 1),
)
BUDGETS = (
    Budget("short", "a moment", models=("own", "hybrid"), protocol="standard", epochs=3, pretrain_epochs=2, n_init=1),
    Budget("whole", "all of it", cuts={"nothing": "nothing at all"}),
)
RECIPE = RecipeSpec(
    name="r",
    summary="a recipe",
    citation="Somebody, 2024",
    dataset="neu-det",
    input_shape=(1, 200, 200),
    n_classes=2,
    models=MODELS,
    claims=CLAIMS,
    budgets=BUDGETS,
)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog(load_plugins())


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(str(shipped_registry()))


@pytest.fixture
def work(registry: Registry, catalog: Catalog):
    def choose(**selection: object) -> Work:
        return chosen_work(RECIPE, RecipeSelection(**selection), registry, catalog)  # type: ignore[arg-type]

    return choose


def names(work: Work) -> tuple[list[str], list[str]]:
    return [p.model.name for p in work.models], [c.name for c in work.claims]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"citation": " "}, "citation of r must be text"),
        ({"input_shape": (200, 200)}, "input_shape of r must be (C, H, W)"),
        ({"n_classes": 1}, "n_classes of r"),
        ({"models": ()}, "models of r must not be empty"),
        ({"models": (*MODELS, MODELS[0])}, "duplicate 'own'"),
        ({"claims": (replace(CLAIMS[0], model="nobody"),)}, "names a model 'nobody'"),
        ({"claims": (replace(CLAIMS[0], quantity="beauty"),)}, "is about 'beauty'"),
        ({"claims": (replace(CLAIMS[0], printed=float("nan")),)}, "finite numbers"),
        ({"claims": (replace(CLAIMS[2], baseline=""),)}, "a comparison claim needs a baseline"),
        ({"claims": (replace(CLAIMS[1], corrected=3),)}, "only an arithmetic claim"),
        ({"claims": (replace(CLAIMS[0], quantity="reduction"),)}, "has no head"),
        ({"budgets": (replace(BUDGETS[0], models=("nobody",)),)}, "budget short of r names a model"),
        ({"notes": [3]}, "notes of r must be a tuple of str"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said(changes: dict[str, object], words: str) -> None:
    assert spec_problem(RECIPE, "recipe") == ""
    assert words in spec_problem(replace(RECIPE, **changes), "recipe")  # type: ignore[arg-type]


def test_everything_is_chosen_where_nothing_is_said(work) -> None:
    chosen = work()
    assert names(chosen) == ([m.name for m in MODELS], [c.name for c in CLAIMS])
    assert chosen.budget.name == "short"
    assert [p.trained for p in chosen.models] == [True, True, False, False]


def test_the_budget_overrides_the_model_and_the_model_the_defaults(work) -> None:
    short, whole = (work(budget=name).models[1].resolved.plan for name in ("short", "whole"))
    assert (short.training.epochs, short.pretraining.epochs, short.pretraining.batch_size) == (3, 2, 16)
    assert (whole.training.epochs, whole.pretraining.epochs, whole.pretraining.n_init) == (40, 120, 5)
    assert (whole.replace, whole.head.name, whole.dataset.name) == (2, "dressed4x2", "neu-det")
    assert work(budget="whole").models[2].resolved.plan.seeds == 3


@pytest.mark.parametrize(
    ("selection", "models", "claims"),
    [
        ({"tables": (1,)}, ["own", "hybrid", "again"], ["own count", "hybrid f1"]),
        ({"tables": (2,)}, ["own", "hybrid", "again"], ["hybrid boost"]),
        ({"figures": (2,)}, ["other"], ["other f1"]),
        ({"tables": (2,), "figures": (2,)}, ["own", "hybrid", "again", "other"], ["hybrid boost", "other f1"]),
        ({"backbones": ("lenet3",)}, ["other"], ["other f1"]),
    ],
)
def test_a_selection_brings_its_claims_and_what_they_need(work, selection, models, claims) -> None:
    chosen = work(**selection)
    assert names(chosen) == (models, claims)
    assert "only" in chosen.cuts["selection"]


def test_other_data_is_noticed_and_told(work) -> None:
    assert not work(dataset="neu-det[root=/elsewhere]").other_data
    chosen = work(dataset="steel-synth")
    assert chosen.other_data
    assert "cannot be judged" in chosen.cuts["dataset"]


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({"budget": "shrt"}, "did you mean: short"),
        ({"tables": (7,)}, "known: 1, 2"),
        ({"figures": (7,)}, "known: 1, 2"),
        ({"backbones": ("lenet3",), "tables": (1,)}, "no claim that fits"),
        ({"backbones": ("lenet1",)}, "unknown backbone of this recipe"),
    ],
)
def test_what_the_recipe_does_not_have_is_a_usage_error(work, selection, words) -> None:
    with pytest.raises(UsageError, match=words):
        work(**selection)
