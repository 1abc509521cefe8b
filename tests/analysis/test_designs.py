"""What each design of cells allows to be tested, and that no sample counts twice; against scipy and statsmodels."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import KFold, RepeatedKFold, ShuffleSplit
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from qtlplat.analysis.comparison import compare
from qtlplat.analysis.evidence import CORRECTED, ONE_SPLIT, WELCH
from qtlplat.analysis.sides import Side
from qtlplat.analysis.single_samples import against_chance, vote
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


def votes(of: Parts, right: np.ndarray) -> np.ndarray:
    """Float (N,): 1, 0.5 or 0 for each sample, NaN if no cell tests it."""
    found = np.full(N, np.nan)
    for j in range(N):
        answers = [bool(right[i, j]) for i, (_, _, _, test) in enumerate(of) if j in test]
        if answers:
            found[j] = 0.5 + 0.5 * np.sign(sum(answers) - len(answers) / 2)
    return found


@pytest.mark.parametrize(
    "of",
    [
        parts(KFold(5).split(LABELS)),
        repeated(),
        repeated(2),  # of an even number of predictions there are ties
        parts(ShuffleSplit(6, test_size=0.5, random_state=0).split(LABELS)),
        [(f, s, *p) for s in (0, 1) for f, p in enumerate(KFold(5, shuffle=True, random_state=s).split(LABELS))],
        [(0, s, np.arange(40), np.arange(40, N)) for s in range(4)],
        [(0, 0, np.arange(40), np.arange(40, N))],
    ],
    ids=["k-fold", "repeated", "two repeats", "random splits", "k-fold x seeds", "seeds of one split", "one cell"],
)
def test_mcnemar_counts_one_vote_for_each_sample_and_agrees_with_statsmodels(of: Parts) -> None:
    baseline, other, mine, theirs = pair(of)
    row = compare(baseline, [other])[1]
    ours, others = votes(of, mine), votes(of, theirs)
    first, second = int((ours > others).sum()), int((others > ours).sum())
    assert row.mcnemar is not None
    assert (row.mcnemar["run_only"], row.mcnemar["baseline_only"]) == (first, second)
    p = statsmodels_mcnemar([[0, first], [second, 0]], exact=True).pvalue
    assert row.mcnemar["p"] == pytest.approx(p, abs=1e-12)
    tested = [len(test) for _, _, _, test in of]
    assert (row.mcnemar["samples"], row.mcnemar["predictions"]) == (np.isfinite(ours).sum(), sum(tested))
    several = row.mcnemar["samples"] < sum(tested)
    assert any("once, by a vote of its predictions" in words for words in row.notes) == several


def test_a_vote_is_that_of_more_than_half_and_a_tie_counts_half() -> None:
    assert [vote(n, 5) for n in range(6)] == [0, 0, 0, 1, 1, 1]
    assert [vote(n, 4) for n in range(5)] == [0, 0, 0.5, 1, 1]


def test_the_same_run_repeated_is_no_further_evidence() -> None:
    """Five seeds that predict alike have the p of one of them, not that of five times as many samples."""
    once = parts(KFold(5).split(LABELS))
    several = [(fold, seed, train, test) for seed in range(5) for fold, _, train, test in once]
    random = np.random.default_rng(4)
    mine, theirs = (random.random((5, N)) < share for share in (0.8, 0.65))
    rows = []
    for of, times in ((once, 1), (several, 5)):
        one, two = (side(name, of, np.tile(right, (times, 1))) for name, right in (("a", theirs), ("b", mine)))
        rows.append(compare(one, [two])[1].mcnemar)
    assert rows[0] is not None
    assert {**rows[0], "predictions": 5 * N} == rows[1]


def test_votes_span_backbones() -> None:
    """Three backbones with the same folds: a sample has three predictions and one vote."""
    once = parts(KFold(5).split(LABELS))
    of = [(fold, backbone, train, test) for backbone in range(3) for fold, _, train, test in once]
    baseline, other, mine, theirs = pair(of)
    sides = [
        Side(one.run, [replace(c, seed=0, backbone_index=c.seed) for c in one.cells], one.predictions)
        for one in (baseline, other)
    ]
    row = compare(sides[0], sides[1:])[1]
    net = votes(of, mine) - votes(of, theirs)
    assert row.mcnemar is not None
    assert (row.mcnemar["run_only"], row.mcnemar["baseline_only"]) == ((net > 0).sum(), (net < 0).sum())
    assert (row.mcnemar["samples"], row.mcnemar["predictions"]) == (N, 3 * N)


@pytest.mark.parametrize("sources", [12, 59, 1])
def test_samples_of_one_source_count_as_one(sources: int) -> None:
    of = repeated(3)
    baseline, other, mine, theirs = pair(of, sources=sources)
    net = np.zeros(sources)
    np.add.at(net, np.arange(N) % sources, votes(of, mine) - votes(of, theirs))
    won, lost = int((net > 0).sum()), int((net < 0).sum())
    row = compare(baseline, [other])[1]
    assert row.mcnemar == {
        "run_only": won, "baseline_only": lost, "p": pytest.approx(stats.binomtest(won, won + lost).pvalue),
        "form": "exact binomial", "counted": "sources", "samples": 60, "sources": sources, "predictions": 180,
    }  # fmt: skip
    assert any(f"60 samples come from {sources} source" in note and "it counts sources" in note for note in row.notes)
    assert not any("p = " in note for note in row.notes)


def test_the_accuracy_on_shuffled_labels_is_compared_with_permutations_of_the_labels() -> None:
    """Mean and standard deviation agree with those of drawn permutations (scipy), each sample counted once."""
    of = repeated(3)
    right = np.random.default_rng(8).random((15, N)) < 0.6
    said = against_chance(side("r", of, right, variant="shuffled"))
    tested = np.zeros((15, N), dtype=bool)
    for i, (_, _, _, test) in enumerate(of):
        tested[i, test] = True
    ones = np.where(tested, np.where(right, LABELS, 1 - LABELS), 0).sum(axis=0) / 3  # share of answers that are class 1

    def accuracy(labels: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(np.where(labels == 1, ones, 1 - ones).mean(axis=axis))

    drawn = stats.permutation_test(
        (LABELS,), accuracy, permutation_type="pairings", n_resamples=20_000, rng=np.random.default_rng(1)
    ).null_distribution
    found = re.fullmatch(
        r"accuracy on shuffled labels (.*), chance (.*), (.*) standard errors away \(over 60 samples, each counted "
        r"once; mean and standard error over all permutations of the labels\)",
        said,
    )
    assert found
    away = abs(accuracy(LABELS) - drawn.mean()) / drawn.std()
    assert float(found[1]) == pytest.approx(accuracy(LABELS), abs=5e-4)
    assert float(found[2]) == pytest.approx(drawn.mean(), abs=2e-3)
    assert float(found[3]) == pytest.approx(away, rel=0.02, abs=0.06)
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
    assert alone.verdict.endswith("(one seed of one split)")
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
