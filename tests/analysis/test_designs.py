"""What each design of cells allows to be tested, and that no sample counts twice; against scipy and statsmodels."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import KFold, RepeatedKFold, ShuffleSplit
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from qtlplat.analysis.comparison import CORRECTED, ONE_SPLIT, WELCH, compare
from qtlplat.analysis.sides import Side
from qtlplat.analysis.single_samples import against_chance, disjoint_cells
from qtlplat.store.core.records import CellRecord, PredictionRow, RunRecord

N = 60
LABELS = np.arange(N) % 2
Parts = Sequence[tuple[int, int, np.ndarray, np.ndarray]]  # fold, seed, train, test


def record(name: str) -> RunRecord:
    values: dict[str, Any] = {
        "id": name, "kind": "run", "status": "finished", "fingerprint": name, "seed": 0, "plan": {}, "components": {},
        "dataset_digest": "d", "parameters": {},
    }  # fmt: skip
    empty: dict[str, Any] = dict.fromkeys(RunRecord.__dataclass_fields__)
    return RunRecord(**{**empty, **values})


def side(name: str, parts: Parts, right: np.ndarray, *, variant: str = "head", sources: int = N) -> Side:
    """A run on cells; right: bool (cells, N), which samples each of them would get right."""
    cells, rows = [], []
    for i, (fold, seed, train, test) in enumerate(parts):
        accuracy = float(right[i, test].mean())
        hashes = (" ".join(map(str, sorted(train))), " ".join(map(str, sorted(test))))
        cells.append(
            CellRecord(i, fold, seed, len(train), len(test), *hashes, "finished", 1.0, {"f1": accuracy}, variant)
        )
        for j in test:
            answer = int(LABELS[j]) if right[i, j] else 1 - int(LABELS[j])
            rows.append(PredictionRow(i, f"s{j:02}", f"g{j % sources}", int(LABELS[j]), answer, (0.5, 0.5)))
    return Side(record(name), cells, rows[::-1], variant)


def parts(splits: Iterable[tuple[np.ndarray, np.ndarray]], seed: int = 0) -> Parts:
    return [(fold, seed, train, test) for fold, (train, test) in enumerate(splits)]


def repeated(repeats: int = 5) -> Parts:
    return parts(RepeatedKFold(n_splits=5, n_repeats=repeats, random_state=1).split(LABELS))


def pair(of: Parts, **options: Any) -> tuple[Side, Side, np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    mine, theirs = (random.random((len(of), N)) < share for share in (0.8, 0.65))
    return side("theirs", of, theirs, **options), side("mine", of, mine, **options), mine, theirs


def expected_mcnemar(of: Parts, mine: np.ndarray, theirs: np.ndarray, cells: Iterable[int]) -> tuple[int, int, float]:
    first = second = 0
    for i in cells:
        test = of[i][3]
        first += int((mine[i, test] & ~theirs[i, test]).sum())
        second += int((theirs[i, test] & ~mine[i, test]).sum())
    return first, second, statsmodels_mcnemar([[0, first], [second, 0]], exact=True).pvalue


@pytest.mark.parametrize(
    ("of", "cells"),
    [
        (parts(KFold(5).split(LABELS)), range(5)),
        (repeated(), range(5)),  # the first repeat
        (parts(ShuffleSplit(6, test_size=0.5, random_state=0).split(LABELS)), [0]),
        ([(f, s, *p) for s in (0, 1) for f, p in enumerate(KFold(5, shuffle=True, random_state=s).split(LABELS))],
         range(5)),
        ([(0, s, np.arange(40), np.arange(40, N)) for s in range(4)], [0]),
        ([(0, 0, np.arange(40), np.arange(40, N))], [0]),
    ],
    ids=["k-fold", "repeated k-fold", "random splits", "k-fold x seeds", "seeds of one split", "one cell"],
)  # fmt: skip
def test_mcnemar_counts_each_sample_once_and_agrees_with_statsmodels(of: Parts, cells: Iterable[int]) -> None:
    baseline, other, mine, theirs = pair(of)
    row = compare(baseline, [other])[1]
    first, second, p = expected_mcnemar(of, mine, theirs, cells)
    assert row.mcnemar is not None
    assert (row.mcnemar["run_only"], row.mcnemar["baseline_only"]) == (first, second)
    assert row.mcnemar["p"] == pytest.approx(p, abs=1e-12)
    assert row.mcnemar["samples"] == len({j for i in cells for j in of[i][3]}) <= N
    of_seed = sum(seed == 0 for _, seed, _, _ in of)
    assert any("test some samples several times: it uses the first" in words for words in row.notes) == (
        of_seed > len(list(cells))
    )


@pytest.mark.parametrize("sources", [12, 59, 1])
def test_samples_of_one_source_count_as_one(sources: int) -> None:
    of = repeated(2)
    baseline, other, mine, theirs = pair(of, sources=sources)
    net = np.zeros(sources, dtype=int)
    for i, (_, _, _, test) in enumerate(of[:5]):
        np.add.at(net, test % sources, mine[i, test].astype(int) - theirs[i, test])
    won, lost = int((net > 0).sum()), int((net < 0).sum())
    row = compare(baseline, [other])[1]
    assert row.mcnemar == {
        "run_only": won, "baseline_only": lost, "p": pytest.approx(stats.binomtest(won, won + lost).pvalue),
        "form": "exact binomial", "counted": "sources", "samples": 60, "sources": sources, "seed": 0,
    }  # fmt: skip
    assert any(f"60 samples come from {sources} source" in note and "it counts sources" in note for note in row.notes)
    assert not any("p = " in note for note in row.notes)


def test_the_first_repeat_is_found_whatever_the_order_of_cells() -> None:
    baseline, _, _, _ = pair(repeated())
    samples: dict[int, set[str]] = {}
    for row in baseline.predictions:
        samples.setdefault(row.cell, set()).add(row.sample_id)
    assert [cell.position for cell in disjoint_cells(baseline.cells[::-1], samples)] == [0, 1, 2, 3, 4]
    assert disjoint_cells([], {}) == []


def test_shuffled_labels_have_the_standard_error_of_distinct_samples() -> None:
    of = repeated()
    right = np.random.default_rng(8).random((25, N)) < 0.6
    once = np.concatenate([right[i, of[i][3]] for i in range(5)])
    answers = np.concatenate([np.where(right[i, of[i][3]], LABELS[of[i][3]], 1 - LABELS[of[i][3]]) for i in range(5)])
    chance = 0.5 * answers.mean() + 0.5 * (1 - answers.mean())
    away = abs(once.mean() - chance) / math.sqrt(chance * (1 - chance) / N)
    said = against_chance(side("r", of, right, variant="shuffled"))
    assert said.startswith(f"accuracy on shuffled labels {once.mean():.3f}, chance {chance:.3f}, {away:.1f} standard")
    assert said.endswith("(standard error of a share over 60 samples, each counted once, 5 of 25 cells)")
    assert against_chance(side("r", [], right)) == ""


def corrected_p(values: Sequence[float], ratio: float) -> float:
    t = np.mean(values) / (np.std(values, ddof=1) * math.sqrt(1 / len(values) + ratio))
    return float(2 * stats.t.sf(abs(t), len(values) - 1))


@pytest.mark.parametrize(("of", "ratio"), [
    (repeated(), 12 / 48),
    (repeated(1), 12 / 48),
    (parts(ShuffleSplit(6, test_size=0.5, random_state=0).split(LABELS)), 1.0),
])  # fmt: skip
def test_cells_that_share_training_data_are_never_taken_as_independent(of: Parts, ratio: float) -> None:
    baseline, other, mine, theirs = pair(of)
    row = compare(baseline, [other])[1]
    found = [mine[i, test].mean() - theirs[i, test].mean() for i, (_, _, _, test) in enumerate(of)]
    assert row.test
    assert (row.test_name, row.test.n) == (CORRECTED, len(of))
    assert row.test.p == pytest.approx(corrected_p(found, ratio))
    assert all(map(math.isnan, row.bootstrap))


def test_seeds_and_training_parts_of_one_test_part_are_no_further_samples() -> None:
    """Three training parts for each of two seeds, all tested on the same samples: the mean of a seed is one value."""
    of = [(fold, seed, np.arange(fold, 40, 2 + seed), np.arange(40, N)) for seed in range(4) for fold in range(3)]
    baseline, other, mine, theirs = pair(of)
    row = compare(baseline, [other])[1]
    found = np.array([mine[i, 40:].mean() - theirs[i, 40:].mean() for i in range(12)]).reshape(4, 3).mean(axis=1)
    assert row.test
    assert (row.test_name, row.test.n) == (ONE_SPLIT, 4)
    assert row.test.p == pytest.approx(stats.ttest_1samp(found, 0).pvalue)
    alone = compare(*_first(baseline, other, 3))[1]
    assert alone.test
    assert math.isnan(alone.test.p)
    assert alone.verdict.endswith("(one seed of one split) (on this one split)")
    assert alone.form()["test"] is None


def _first(baseline: Side, other: Side, n: int) -> tuple[Side, list[Side]]:
    return Side(baseline.run, baseline.cells[:n], baseline.predictions), [
        Side(other.run, other.cells[:n], other.predictions)
    ]


def test_one_training_part_tested_on_several_says_nothing_about_another_training() -> None:
    of = [(fold, 0, np.arange(30), np.arange(30 + 10 * fold, 40 + 10 * fold)) for fold in range(3)]
    baseline, other, _, _ = pair(of)
    row = compare(baseline, [other])[1]
    assert row.test
    assert math.isnan(row.test.p)
    assert row.verdict.endswith("(every cell trains on the same samples)")


def test_unpaired_folds_are_corrected_on_both_sides() -> None:
    one, two = repeated(1), parts(KFold(6, shuffle=True, random_state=9).split(LABELS))
    baseline, _, _, theirs = pair(one)
    _, other, mine, _ = pair(two)
    row = compare(baseline, [other])[1]
    x = [mine[i, test].mean() for i, (_, _, _, test) in enumerate(two)]
    y = [theirs[i, test].mean() for i, (_, _, _, test) in enumerate(one)]
    errors = [np.std(v, ddof=1) * math.sqrt(1 / len(v) + ratio) for v, ratio in ((x, 0.2), (y, 0.25))]
    assert row.test
    assert (row.test_name, row.mcnemar) == (WELCH, None)
    assert row.test.standard_error == pytest.approx(math.hypot(*errors))
    assert row.test.p > stats.ttest_ind(x, y, equal_var=False).pvalue
