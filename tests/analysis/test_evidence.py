"""Which backbones and folds count in a comparison, which test they allow, and how far its verdict reaches."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from qtlplat.analysis.comparison import Asked, ComparisonRow, compare
from qtlplat.analysis.components import Table, between_backbones, over_backbones
from qtlplat.analysis.evidence import BETWEEN_BACKBONES, CORRECTED, OVER_BACKBONES, WELCH
from qtlplat.analysis.sides import Side
from qtlplat.analysis.statistics import TTest, corrected_t, equivalence, independent
from qtlplat.store.core.records import CellRecord, RunRecord

Value = Callable[[int, int, int], float]  # of backbone, seed and fold


def record(name: str) -> RunRecord:
    empty: dict[str, Any] = dict.fromkeys(RunRecord.__dataclass_fields__)
    values = {"id": name, "kind": "run", "status": "finished", "fingerprint": name, "seed": 0, "plan": {},
              "components": {}, "dataset_digest": "d", "parameters": {}}  # fmt: skip
    return RunRecord(**{**empty, **values})


def side(
    name: str,
    value: Value,
    *,
    backbones: Iterable[str] = ("a", "b", "c"),
    seeds: int = 1,
    folds: int = 4,
    first_seed: int = 0,
    hashes: str = "{seed} {fold}",
    pretraining: str = "{backbone}",
    skip: Iterable[tuple[int, int, int]] = (),
) -> Side:
    """A run whose cells cross backbones, seeds and folds; hashes, pretraining: of a cell's fields."""
    cells = []
    for b, backbone in enumerate(backbones):
        for s in range(seeds):
            for f in range(folds):
                if (b, s, f) in set(skip):
                    continue
                of = {"seed": first_seed + s, "fold": f, "backbone": backbone}
                samples = hashes.format(**of)
                cells.append(
                    CellRecord(
                        len(cells), f, first_seed + s, 60, 20, f"not {samples}", samples, "finished", 1.0,
                        {"f1": value(b, s, f)}, pretraining=pretraining.format(**of), backbone_index=b,
                    )
                )  # fmt: skip
    return Side(record(name), cells)


def drawn(seed: int, backbone: float = 0.02, fold: float = 0.02) -> Value:
    rng = np.random.default_rng(seed)
    own, shared, rest = rng.standard_normal(9), rng.standard_normal((9, 9)), rng.standard_normal((9, 9, 9))
    return lambda b, s, f: float(0.8 + backbone * own[b] + fold * shared[s, f] + 0.02 * rest[b, s, f])


def table(value: Value, shape: tuple[int, int, int]) -> np.ndarray:
    return np.array([[[value(b, s, f) for f in range(shape[2])] for s in range(shape[1])] for b in range(shape[0])])


def alike(test: TTest | None, expected: TTest) -> bool:
    """But for the order of sums."""
    assert test is not None
    numbers = [[one.n, one.mean, one.sd, one.standard_error, one.df, one.p, *one.interval] for one in (test, expected)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-10, nan_ok=True)
    return True


def row(baseline: Side, other: Side, **asked: Any) -> ComparisonRow:
    found = compare(baseline, [other], Asked(**asked))[1]
    assert found.test is not None
    return found


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_same_backbones_are_paired_and_are_the_unit(seeds: int) -> None:
    one, two = drawn(1), drawn(2)
    found = row(side("one", one, seeds=seeds), side("two", two, seeds=seeds))
    difference = table(two, (3, seeds, 4)) - table(one, (3, seeds, 4))
    expected, components = over_backbones(Table(difference, 1 / 3), possible=(-1, 1))
    assert alike(found.test, expected)
    assert (found.test_name, found.unit, found.n_backbones, found.n) == (OVER_BACKBONES, "backbone", 3, 3)
    assert found.components
    assert found.components.form() == pytest.approx(components.form(), nan_ok=True)
    assert found.rope
    assert vars(found.rope) == pytest.approx(vars(equivalence(expected, possible=(-1, 1))))
    assert found.needed
    assert found.power == found.needed.power_now
    assert found.verdict.startswith("no evidence of a difference: ")
    assert found.verdict.endswith(f"power to see 1.0 points: {found.power:.2f}")
    form = found.form()
    assert (form["unit"], form["n_backbones"], form["power"]) == ("backbone", 3, found.power)
    assert sum(form["components"]["shares"].values()) == pytest.approx(1)
    assert form["components"]["seed"] == (None if seeds == 1 else found.components.seed)
    of = f"(3 backbones × {'2 seeds' if seeds == 2 else '1 seed'} × 4 folds)"
    assert any(
        "% of the variance of a difference between two cells is the " in n and n.endswith(of) for n in found.notes
    )


def test_other_backbones_are_independent_and_folds_still_paired() -> None:
    one, two = drawn(1), drawn(2)
    other = side("two", two, backbones="vwxyz")
    found = row(side("one", one), other)
    expected, _ = between_backbones(Table(table(two, (5, 1, 4)), 1 / 3), Table(table(one, (3, 1, 4)), 1 / 3))
    assert alike(found.test, expected)
    assert found.test_name == BETWEEN_BACKBONES
    assert (found.unit, found.n_backbones, found.n) == ("backbone", 3, 8)
    assert any("5 and 3 backbones" in words for words in found.notes)
    # folds that do not depend on the seed are the same for runs with other seeds
    fixed = [side(name, value, backbones=of, hashes="{fold}", first_seed=first) for name, value, of, first in
             (("one", one, "abc", 0), ("two", two, "vwx", 7))]  # fmt: skip
    assert row(*fixed).test_name == BETWEEN_BACKBONES


def test_other_backbones_on_other_folds_are_two_independent_estimates() -> None:
    one, two = drawn(1), drawn(2)
    found = row(side("one", one), side("two", two, backbones="xyz", first_seed=5, folds=5))
    sides = [over_backbones(Table(table(value, (3, 1, n)), 1 / 3))[0] for value, n in ((two, 5), (one, 4))]
    assert alike(found.test, independent(*sides, possible=(-1, 1)))
    assert (found.test_name, found.unit) == (WELCH, "backbone")
    assert found.verdict.endswith("(unpaired)")


def test_one_backbone_allows_a_verdict_about_itself_only() -> None:
    one, two = drawn(1), drawn(2)
    found = row(side("one", one, backbones="a"), side("two", two, backbones="a"))
    d = table(two, (1, 1, 4))[0, 0] - table(one, (1, 1, 4))[0, 0]
    assert alike(found.test, corrected_t(d, 1 / 3, possible=(-1, 1)))
    assert (found.test_name, found.unit, found.n_backbones) == (CORRECTED, "fold", 1)
    assert found.verdict.endswith("(for this backbone only)")
    assert any("one backbone (pretraining a)" in words and "--backbones 3" in words for words in found.notes)
    assert any(words.startswith("on this backbone, ") for words in found.notes)
    assert found.components is None


@pytest.mark.parametrize(("mine", "theirs"), [("a", "b"), ("a", "bcd"), ("bcd", "a"), ("a", "abc")])
def test_a_single_backbone_against_others_allows_no_verdict(mine: str, theirs: str) -> None:
    """Unless the other side has it too: then the verdict is about this one."""
    found = row(side("one", drawn(1), backbones=theirs), side("two", drawn(2), backbones=mine))
    assert found.test
    if set(mine) & set(theirs):
        assert found.verdict.endswith("(for this backbone only)")
        assert any("8 cells have no partner" in words for words in found.notes)
        return
    assert math.isnan(found.test.p)
    assert (found.unit, found.n_backbones, found.rope) == (None, 1, None)
    assert found.verdict.startswith("nothing can be concluded: ")
    assert found.verdict.endswith("(one backbone against another)")
    assert any("A verdict takes 3 or more on both sides (--backbones 3)" in words for words in found.notes)


def test_one_backbone_in_common_of_several_is_not_all_that_counts() -> None:
    found = row(side("one", drawn(1), backbones="abc"), side("two", drawn(2), backbones="axy"))
    assert (found.test_name, found.n_backbones) == (BETWEEN_BACKBONES, 3)
    paired = row(side("one", drawn(1), backbones="abc"), side("two", drawn(2), backbones="aby"))
    assert (paired.test_name, paired.n_backbones) == (OVER_BACKBONES, 2)
    assert any("8 cells have no partner" in words for words in paired.notes)


def test_numbers_that_are_all_the_same_need_no_test() -> None:
    """A replay has pretrainings of its own."""
    found = row(side("one", drawn(1), backbones="a"), side("two", drawn(1), backbones="b"))
    assert (found.verdict, found.test and found.test.p) == ("the same in every cell", 1)


@pytest.mark.parametrize("other", ["{backbone} {fold}", "x{backbone} {fold}"])
def test_a_backbone_for_each_fold_varies_with_the_folds(other: str) -> None:
    """As with `nested`: the values of folds hold the spread between backbones, whether they are the same or not."""
    one, two = drawn(1), drawn(2)
    found = row(
        side("one", one, backbones="a", pretraining="{backbone} {fold}", folds=6),
        side("two", two, backbones="a", pretraining=other, folds=6),
    )
    d = table(two, (1, 1, 6))[0, 0] - table(one, (1, 1, 6))[0, 0]
    assert found.test
    assert found.test.p == pytest.approx(corrected_t(d, 1 / 3).p, rel=1e-12)
    assert (found.unit, found.n_backbones) == ("backbone", 6)
    assert "for this backbone" not in found.verdict
    assert any("all of a run from the same initial weights" in words for words in found.notes)
    unlike = row(
        side("one", one, backbones="a", pretraining="{backbone} {fold}", folds=6),
        side("two", two, backbones="a", pretraining="y{fold}", folds=6, first_seed=3),
    )
    assert (unlike.test_name, unlike.unit) == (WELCH, "backbone")


@pytest.mark.parametrize("other", ["{backbone} {fold}", "x{backbone} {fold}"])
def test_several_backbones_for_each_fold_are_crossed_by_their_initial_weights(other: str) -> None:
    """As with `nested` and `--backbones 3`: what starts from the same initial weights is one level of the factor."""
    one, two = drawn(1), drawn(2)
    found = row(
        side("one", one, pretraining="{backbone} {fold}", folds=6),
        side("two", two, pretraining=other, folds=6),
    )
    tables = [Table(table(value, (3, 1, 6)), 1 / 3) for value in (two, one)]
    if other.startswith("x"):
        expected, components = between_backbones(*tables, possible=(-1, 1))
        name = BETWEEN_BACKBONES
    else:
        expected, components = over_backbones(Table(tables[0].values - tables[1].values, 1 / 3), possible=(-1, 1))
        name = OVER_BACKBONES
    assert alike(found.test, expected)
    assert found.components
    assert found.components.form() == pytest.approx(components.form(), nan_ok=True)
    assert (found.test_name, found.unit, found.n_backbones) == (name, "backbone", 3)
    assert not any("initial weights" in words for words in found.notes)


def test_folds_with_one_backbone_each_are_compared_with_folds_that_have_several() -> None:
    one, two = drawn(1), drawn(2)
    found = row(
        side("one", one, backbones="a", pretraining="{backbone} {fold}", folds=6),
        side("two", two, backbones="xyz", pretraining="{backbone} {fold}", folds=6),
    )
    d = table(two, (3, 1, 6)).mean(axis=0)[0] - table(one, (1, 1, 6))[0, 0]
    assert found.test
    assert found.test.p == pytest.approx(corrected_t(d, 1 / 3).p, rel=1e-9)
    assert (found.test_name, found.unit) == (CORRECTED, "backbone")
    assert any("all of a run from the same initial weights" in words for words in found.notes)


def test_other_seeds_are_other_initial_weights() -> None:
    one, two = drawn(1), drawn(2)
    of = {"backbones": "a", "pretraining": "{backbone} {seed} {fold}", "seeds": 2}
    found = row(side("one", one, **of), side("two", two, **of))
    assert found.unit == "backbone"
    assert not any("initial weights" in words for words in found.notes)


def test_same_plan_runs_of_folds_with_backbones_are_found_different_at_most_as_often_as_the_level_says() -> None:
    """300 pairs of nested runs: initial weights make up 5 points, and each fold's own backbone another 2."""
    rejected = 0
    for i in range(300):
        one, two = (drawn(2 * i + k, backbone=0.05, fold=0.0) for k in range(2))
        sides = side("one", one, pretraining="{backbone} {fold}"), side("two", two, pretraining="x{backbone} {fold}")
        rejected += row(*sides).verdict.startswith(("better", "worse"))
    assert stats.binomtest(rejected, 300, 0.05, alternative="greater").pvalue > 0.01


def test_a_test_set_for_each_backbone_is_random_splits() -> None:
    """As with `holdout` and several backbones, each with a split of its own."""
    one, two = drawn(1), drawn(2)
    sides = [side(name, value, backbones="abcd", folds=1, seeds=2, hashes="{backbone}")
             for name, value in (("one", one), ("two", two))]  # fmt: skip
    found = row(*sides)
    d = (table(two, (4, 2, 1)) - table(one, (4, 2, 1))).mean(axis=(1, 2))
    assert found.test
    assert found.test.p == pytest.approx(corrected_t(d, 1 / 3).p)
    assert (found.unit, found.n_backbones, found.n) == ("backbone", 4, 4)


def test_backbones_on_one_split_say_nothing_about_other_images() -> None:
    one, two = drawn(1), drawn(2)
    found = row(*(side(n, v, folds=1, seeds=2, hashes="held out") for n, v in (("one", one), ("two", two))))
    d = table(two, (3, 2, 1)) - table(one, (3, 2, 1))
    expected, components = over_backbones(Table(d, 1 / 3, same_folds=True), possible=(-1, 1))
    assert alike(found.test, expected)
    assert found.components
    assert found.components.form() == pytest.approx(components.form(), nan_ok=True)
    assert math.isnan(components.fold)
    assert found.verdict.endswith("(on this one split)")


def test_folds_that_a_backbone_lacks_are_left_out_of_all_or_the_backbone_is() -> None:
    one, two = drawn(1), drawn(2)
    found = row(side("one", one), side("two", two, skip=[(2, 0, 3)]))
    d = table(two, (3, 1, 4)) - table(one, (3, 1, 4))
    assert alike(found.test, over_backbones(Table(d[:, :, :3], 1 / 3), possible=(-1, 1))[0])
    assert any(words.startswith("2 cells left out") for words in found.notes)
    found = row(
        side("one", one, backbones="abcd"), side("two", two, backbones="abcd", skip=[(3, 0, f) for f in (1, 2, 3)])
    )
    d = table(two, (4, 1, 4)) - table(one, (4, 1, 4))
    assert alike(found.test, over_backbones(Table(d[:3], 1 / 3), possible=(-1, 1))[0])
    disjoint = [(b, 0, f) for b in range(2) for f in range(4) if (f < 2) == (b == 0)]
    nothing = row(*(side(n, v, backbones="ab", skip=disjoint) for n, v in (("one", one), ("two", two))))
    assert nothing.verdict.endswith("(no fold that all backbones have)")


def test_seeds_that_test_the_same_folds_are_crossed_with_them() -> None:
    one, two = drawn(1), drawn(2)
    sides = [side(n, v, seeds=3, hashes="{fold}") for n, v in (("one", one), ("two", two))]
    d = table(two, (3, 3, 4)) - table(one, (3, 3, 4))
    assert alike(row(*sides).test, over_backbones(Table(d, 1 / 3, same_folds=True), possible=(-1, 1))[0])


def test_a_difference_that_holds_for_every_backbone_is_found_and_less_is_better_for_losses() -> None:
    value, rest = drawn(1, backbone=0.05, fold=0.05), drawn(2, backbone=0.001, fold=0.001)
    one = side("one", value, backbones="abcde")
    two = side("two", lambda *at: value(*at) + 0.04 + 0.1 * (rest(*at) - 0.8), backbones="abcde")
    found = row(one, two)
    assert found.verdict.startswith("better: +4.")
    assert "power" not in found.verdict
    less = row(one, two, higher_is_better=False)
    assert less.verdict.startswith("worse: +")
    assert less.rope
    assert less.rope.worse > 0.99


def test_same_plan_runs_with_other_backbones_are_found_different_at_most_as_often_as_the_level_says() -> None:
    """300 pairs whose backbones differ by 5 points: over folds, the test of a single backbone rejects most of them."""
    over_all = naive = 0
    for i in range(300):
        one, two = drawn(2 * i, backbone=0.05, fold=0.0), drawn(2 * i + 1, backbone=0.05, fold=0.0)
        over_all += row(side("one", one), side("two", two, backbones="xyz")).verdict.startswith(("better", "worse"))
        d = table(two, (1, 1, 4))[0, 0] - table(one, (1, 1, 4))[0, 0]
        naive += corrected_t(d, 1 / 3).p < 0.05
    assert over_all / 300 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    assert naive / 300 > 0.3
    assert stats.binomtest(over_all, 300, 0.05, alternative="greater").pvalue > 0.01
