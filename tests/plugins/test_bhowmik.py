"""The recipe of Bhowmik & Thapliyal agrees with itself where the paper does."""

import pytest

from qtlplat_bhowmik import TABLE_III, qtlplat_recipes

(RECIPE,) = qtlplat_recipes()
ROWS = [(number, row) for number, rows in TABLE_III.items() for row in range(1, len(rows))]


def test_there_are_twelve_models_and_two_that_repeat_the_best_one() -> None:
    published = [model for model in RECIPE.models if not model.instead_of]
    assert len(published) == 12
    assert {model.instead_of for model in RECIPE.models} == {"", "QTL-M-3 of CM-2"}
    assert {model.evaluator for model in RECIPE.models if model.instead_of} == {"holdout", "nested6"}


@pytest.mark.parametrize(("number", "row"), ROWS)
def test_the_boost_column_follows_from_the_f1_column(number: str, row: int) -> None:
    model, baseline = TABLE_III[number][row], TABLE_III[number][0]
    # one unit of the last place: the paper computed it from F1 scores with more digits
    assert 100 * (model.f1 / baseline.f1 - 1) == pytest.approx(model.boost, abs=0.01)


@pytest.mark.parametrize(("number", "row"), ROWS)
def test_the_reduction_column_is_of_the_whole_model(number: str, row: int) -> None:
    model, baseline = TABLE_III[number][row], TABLE_III[number][0]
    assert 100 * (1 - model.parameters / baseline.parameters) == pytest.approx(model.reduction, abs=0.0051)


def test_two_counts_are_said_to_be_misprints() -> None:
    corrected = {c.printed: c.corrected for c in RECIPE.claims if c.corrected is not None}
    assert corrected == {671_764: 671_774, 525_824: 525_854}


def test_a_figure_shows_one_hybrid_of_each_backbone() -> None:
    shown = {number: [m.name for m in RECIPE.models if number in m.figures] for number in (4, 5, 6)}
    assert shown == {3 + row: [f"QTL-M-{row} of CM-{n}" for n in (1, 2, 3)] for row in (1, 2, 3)}


def test_the_recipe_names_all_contradictions_of_the_paper() -> None:
    text = " ".join(RECIPE.notes)
    for words in ("671,764", "525,824", "Eq. 7", "Figures 4 to 6", "0.9732", "model-4", "1,076,229"):
        assert words in text


def test_smoke_is_the_default_and_paper_cuts_nothing() -> None:
    assert [budget.name for budget in RECIPE.budgets] == ["smoke", "quick", "paper"]
    assert RECIPE.budgets[0].trains_less
    paper = RECIPE.budgets[2]
    assert (paper.cuts, paper.epochs, paper.pretrain_epochs, paper.n_init, paper.protocol) == (
        {},
        None,
        None,
        None,
        None,
    )
    assert len(paper.models) == 12
