"""What is the same wherever a run is told of."""

import math
import statistics

import pytest

from qtlplat.conventions import (
    SHORT,
    cells_in_words,
    counted,
    leakage_line,
    mean_std,
    percent,
    said_once,
    share_of,
    short,
)


@pytest.mark.parametrize("values", [[0.9, 1.0], [0.1] * 7, [1e16, 1.0, -1e16], [0.9870, 0.9823, 0.9912, 0.9733]])
def test_mean_and_sample_deviation_agree_with_exact_arithmetic(values: list[float]) -> None:
    mean, std = mean_std(values)
    assert mean == pytest.approx(statistics.mean(values), rel=1e-14)
    assert std == pytest.approx(statistics.stdev(values), rel=1e-13, abs=1e-16)


def test_too_few_values_have_no_deviation() -> None:
    assert mean_std([]) == (None, None)
    assert mean_std([0.5]) == (0.5, None)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_not_hidden(bad: float) -> None:
    mean, std = mean_std([0.5, bad])
    assert mean is not None
    assert std is not None
    assert not math.isfinite(mean)
    assert not math.isfinite(std)


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0 %"), (0.004, "under 1 %"), (0.01, "1 %"), (0.724, "72 %"), (0.996, "over 99 %"), (1.0, "100 %")],
)
def test_shares_that_are_there_never_read_as_nothing_or_all(share: float, words: str) -> None:
    assert percent(share) == words


def test_the_leak_line_names_what_there_is() -> None:
    none = {"leakage": None, "group_leakage": None, "selection_leakage": None}
    assert leakage_line(none) == leakage_line({"leakage": 0.0, "group_leakage": 0.0, "selection_leakage": 0.0}) == ""
    assert leakage_line({"leakage": 0.0, "group_leakage": 0.5, "selection_leakage": 0.0}) == (
        "leakage: the source image of 50 % of the test samples is in a training set"
    )
    assert leakage_line({"leakage": 0.8, "group_leakage": 0.9, "selection_leakage": 0.2}).count(";") == 2


def test_an_id_is_cut_to_what_references_take() -> None:
    assert short("0123456789abcdef") == "01234567"
    assert SHORT >= 3  # what `Reader.resolve` asks for
    assert short(None) == ""


def test_a_note_is_told_once_with_those_that_it_belongs_to() -> None:
    said = [("a", ["x", "y"]), ("b", ["x"]), ("c", ["x", "z"])]
    assert said_once(said) == ["all: x", "a: y", "c: z"]
    assert said_once([*said, ("d", [])]) == ["a, b, c: x", "a: y", "c: z"]
    assert said_once([]) == []


def test_one_thing_has_no_plural() -> None:
    assert [counted(n, "set") for n in (0, 1, 2)] == ["0 sets", "1 set", "2 sets"]


@pytest.mark.parametrize(
    ("variant", "share"), [("head", 1), ("linear/0.25", 0.25), ("x/y", 1), ("x/nan", 1), ("x/-1", 1), ("a/0.5/b", 1)]
)
def test_the_share_in_a_name_is_one_that_can_be_meant(variant: str, share: float) -> None:
    assert share_of(variant) == share


def test_cells_are_counted_by_their_factors() -> None:
    crossed = [(b, s, f) for b in range(3) for s in (5, 6) for f in range(6)]
    assert cells_in_words(crossed) == "36 cells, 3 backbones × 2 seeds × 6 folds"
    assert cells_in_words([cell for cell in crossed if cell[1] == 5]) == "18 cells, 3 backbones × 6 folds"
    assert cells_in_words([cell for cell in crossed if cell[2] == 0]) == "6 cells, 3 backbones × 2 seeds"
    assert cells_in_words(crossed[:6]) == "6 cells"  # one backbone, one seed
    assert cells_in_words(crossed[:-1]) == "35 cells"  # not all combinations
    assert cells_in_words(crossed[:1]) == "1 cell"
    assert cells_in_words([]) == "0 cells"
