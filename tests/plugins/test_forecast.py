"""Forecasts: controls are trained too, and stores of an older plan format still say how long things took."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.host import load_plugins
from qtlplat.catalog.recipes import PlannedModel, RecipeSelection, chosen_work
from qtlplat.catalog.registry import load_registry, shipped_registry
from qtlplat.recipes import Budget, Claim, RecipeModel, RecipeSpec
from qtlplat_bhowmik import qtlplat_recipes
from qtlplat_reproduction.forecast import FEATURE_SECONDS, GUESSED_SAMPLES, HEAD_EPOCH_SECONDS, forecast

DIGEST = "d" * 64
NEU_DET = 2_206 / GUESSED_SAMPLES  # as prepared; pretraining, nearly all of the time, goes with the samples


class Images:
    """As many samples as the guesses are about; nothing of them is looked at but label and source."""

    labels = np.arange(GUESSED_SAMPLES) % 2
    groups = tuple(f"image {i}" for i in range(GUESSED_SAMPLES))
    digest = DIGEST

    def __len__(self) -> int:
        return GUESSED_SAMPLES


class Stored:
    """A store with these runs, newest first, and no epochs."""

    def __init__(self, *runs: Any) -> None:
        self._runs = list(runs)

    def runs(self) -> list[Any]:
        return self._runs

    def epochs(self, run: str) -> list[Any]:
        return []


def planned(recipe: RecipeSpec, budget: str) -> list[PlannedModel]:
    catalog, registry = Catalog(load_plugins()), load_registry(str(shipped_registry()))
    work = chosen_work(recipe, RecipeSelection(budget=budget), registry, catalog)
    return [one for one in work.models if one.trained]


def small(head: str, controls: str | None, backbones: int | None = None) -> list[PlannedModel]:
    model = RecipeModel("m", "lenet2", head, "all", "kfold6", controls=controls, backbones=backbones)
    claim = Claim("c", "f1", "m", "Table 1", 90, 1)
    budget = Budget("b", "a moment", epochs=10, pretrain_epochs=1, n_init=1)
    return planned(
        RecipeSpec(
            name="r",
            summary="a recipe",
            citation="Somebody, 2024",
            dataset="neu-det",
            input_shape=(1, 200, 200),
            n_classes=2,
            models=(model,),
            claims=(claim,),
            budgets=(budget,),
        ),
        "b",
    )


@pytest.mark.parametrize(
    ("head", "controls", "variants"),
    [
        ("dressed5x3", None, 1), ("dressed5x3", "none", 1), ("dressed5x3", "linear,mlp", 3), ("dressed5x3", "auto", 7),
        ("mlp", "auto", 4),
    ],
)  # fmt: skip
def test_a_guess_contains_the_controls(head: str, controls: str | None, variants: int) -> None:
    (one,) = small(head, controls)
    found = forecast([one], Images(), Stored())["m"]  # type: ignore[arg-type]
    assert found.cells == 6 * variants
    heads = 6 * variants * 10 * HEAD_EPOCH_SECONDS
    assert found.seconds == pytest.approx(one.model.epoch_seconds + FEATURE_SECONDS + heads, abs=1e-9)


def test_a_guess_contains_every_backbone_that_is_not_there() -> None:
    (one,) = small("linear", None, backbones=3)
    rest = 3 * FEATURE_SECONDS + 18 * 10 * HEAD_EPOCH_SECONDS
    found = forecast([one], Images(), Stored())["m"]  # type: ignore[arg-type]
    assert found.cells == 18
    assert found.seconds == pytest.approx(3 * one.model.epoch_seconds + rest, abs=1e-9)
    plan = one.resolved.plan.bind(DIGEST)
    first = {"kind": "pretraining", "status": "finished", "dataset_digest": "", "plan": {}}
    there = SimpleNamespace(fingerprint=plan.pretraining_fingerprint, **first)
    found = forecast([one], Images(), Stored(there))["m"]  # type: ignore[arg-type]
    assert found.seconds == pytest.approx(2 * one.model.epoch_seconds + rest, abs=1e-9)


def past_run(one: PlannedModel, plan: dict[str, Any]) -> Any:
    head = one.resolved.plan.head
    row = SimpleNamespace(component=head.component, options=head.options)
    return SimpleNamespace(
        id="r", kind="run", status="finished", dataset_digest=DIGEST, components={"head": row, "backbone": row},
        plan={"training": {"epochs": 40}, **plan}, metrics={"f1": [0.9] * 6}, seconds={"heads": 480.0}, fingerprint="f",
    )  # fmt: skip


def test_a_run_of_a_format_without_controls_says_how_long_a_head_takes() -> None:
    (one,) = small("dressed5x3", None)
    found = forecast([one], Images(), Stored(past_run(one, {})))["m"]  # type: ignore[arg-type]
    assert found.seconds == pytest.approx(one.model.epoch_seconds + FEATURE_SECONDS + 480 / 4, abs=1e-9)


def test_a_run_with_the_same_controls_says_how_long_all_of_them_take() -> None:
    (one,) = small("dressed5x3", "auto")
    found = forecast([one], Images(), Stored(past_run(one, {"controls": ["auto"]})))["m"]  # type: ignore[arg-type]
    assert (found.cells, found.seconds) == (42, pytest.approx(one.model.epoch_seconds + FEATURE_SECONDS + 480 / 4))


def test_the_quick_budget_of_the_paper_is_under_an_hour_by_its_own_guess() -> None:
    (recipe,) = qtlplat_recipes()
    found = forecast(planned(recipe, "quick"), Images(), Stored())  # type: ignore[arg-type]
    assert 30 * 60 < sum(one.seconds for one in found.values()) * NEU_DET < 55 * 60


def test_the_paper_budget_takes_about_ten_hours_by_its_own_guess() -> None:
    (recipe,) = qtlplat_recipes()
    found = forecast(planned(recipe, "paper"), Images(), Stored())  # type: ignore[arg-type]
    assert sum(one.seconds for one in found.values()) * NEU_DET / 3600 == pytest.approx(10, abs=0.5)
    assert "about ten hours" in next(budget.summary for budget in recipe.budgets if budget.name == "paper")
