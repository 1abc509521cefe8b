"""Honest scores of picked candidates: against plain loops with scikit-learn, and in simulations of known truth.

The algorithm is that of Tsamardinos, Greasidou & Borboudakis, Machine Learning 107 (2018), algorithm 2.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from qtlplat.analysis.metrics import classification_metrics
from qtlplat.analysis.picked import Candidates
from qtlplat.errors import UsageError
from qtlplat.metrics import SHIPPED, Metric
from qtlplat.store.read.out_of_fold import OutOfFold

FOLDS = 4


def predicted(
    random: np.random.Generator, n: int = 60, k: int = 2, repeats: int = 1, per_source: int = 1, skill: float = 1.0
) -> OutOfFold:
    """A candidate's predictions for n samples of k classes, `repeats` times in `FOLDS` folds; labels depend on n alone.

    Probabilities are rounded, so that there are ties.
    """
    labels = np.random.default_rng(n).integers(0, k, n)
    rows = np.concatenate([random.permutation(n) for _ in range(repeats)])
    parts = np.concatenate([np.arange(n) % FOLDS + FOLDS * repeat for repeat in range(repeats)])
    logits = random.normal(size=(len(rows), k)) + skill * np.eye(k)[labels[rows]]
    probabilities = np.round(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 2) + 1e-9
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    samples = [f"sample {row}" for row in rows]
    sources = [f"image {row // per_source}" for row in rows]
    return OutOfFold(
        f"{random.integers(1 << 60):016x}", "d", samples, sources, parts, parts // FOLDS, labels[rows], probabilities
    )


def macro(of: Callable[..., float], **options: Any) -> Callable[[Any, Any, int], float]:
    def score(labels: Any, probabilities: Any, k: int) -> float:
        if k == 2:
            return float(of(labels, probabilities.argmax(axis=1), zero_division=0, **options))
        names = list(range(k))
        return float(
            of(labels, probabilities.argmax(axis=1), average="macro", labels=names, zero_division=0, **options)
        )

    return score


def ranks(of: Callable[..., float], needed: int) -> Callable[[Any, Any, int], float]:
    """The mean over the classes that are there, as it is for whole cells."""

    def score(labels: Any, probabilities: Any, k: int) -> float:
        found = []
        for label in [1] if k == 2 else range(k):
            true = labels == label
            if true.any() and (needed == 1 or not true.all()):
                found.append(float(of(true, probabilities[:, label])))
        return float(np.mean(found)) if found else math.nan

    return score


def ece(labels: Any, probabilities: Any, k: int) -> float:
    return classification_metrics(labels, probabilities)["ece"]  # which is tested against a plain loop itself


POOLED = {
    "f1": macro(sklearn.f1_score),
    "precision": macro(sklearn.precision_score),
    "recall": macro(sklearn.recall_score),
    "accuracy": lambda labels, p, k: float(sklearn.accuracy_score(labels, p.argmax(axis=1))),
    "loss": lambda labels, p, k: float(sklearn.log_loss(labels, p, labels=list(range(k)))),
    "brier": lambda labels, p, k: float(np.mean(np.sum((p - np.eye(k)[labels]) ** 2, axis=1)) / 2),
    "ece": ece,
}
BY_CELL = {"roc_auc": ranks(sklearn.roc_auc_score, 2), "average_precision": ranks(sklearn.average_precision_score, 1)}


def plain_bbc(candidates: list[OutOfFold], name: str, k: int, resamples: int) -> tuple[float, float, float]:
    """The same by loops over resamples, candidates, parts and samples."""
    sources = sorted(set(candidates[0].sources))
    drawn = np.random.default_rng(0).multinomial(len(sources), np.full(len(sources), 1 / len(sources)), resamples)

    def score(one: OutOfFold, times: dict[str, int]) -> float:
        found = []
        parts = one.cells if name in BY_CELL else one.repeats
        for part in sorted(set(parts.tolist())):
            rows = [i for i, at in enumerate(parts) if at == part for _ in range(times[one.sources[i]])]
            if rows:
                value = (POOLED | BY_CELL)[name](one.labels[rows], one.probabilities[rows], k)
                if not math.isnan(value):
                    found.append(value)
        return float(np.mean(found)) if found else math.nan

    scores, sign = [], -1 if SHIPPED[name].lower_is_better else 1
    for counts in drawn.tolist():
        bag = dict(zip(sources, counts, strict=True))
        left = {source: int(not count) for source, count in bag.items()}
        inside = [sign * score(one, bag) for one in candidates]
        best = max(range(len(candidates)), key=lambda i: (-math.inf if math.isnan(inside[i]) else inside[i], -i))
        scores.append(score(candidates[best], left))
    scores = [one for one in scores if not math.isnan(one)]
    return float(np.mean(scores)), *np.quantile(scores, [0.025, 0.975]).tolist()


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", list(SHIPPED))
@pytest.mark.sampled(6)
def test_every_metric_agrees_with_plain_loops_and_scikit_learn(name: str, k: int) -> None:
    random = np.random.default_rng(7)
    candidates = [predicted(random, k=k, repeats=r, per_source=2, skill=s) for r, s in ((1, 0.8), (2, 1.0), (1, 0.9))]
    found = Candidates(candidates, SHIPPED[name], resamples=25).honest()
    expected = plain_bbc(candidates, name, k, 25)
    assert [found.estimate, *found.interval] == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert (found.candidates, found.samples, found.groups, found.resamples) == (3, 60, 30, 25)
    whole = [float(np.mean(_parts(one, name, k))) for one in candidates]
    assert found.pooled == pytest.approx(whole, rel=1e-12)


def _parts(one: OutOfFold, name: str, k: int) -> list[float]:
    parts = one.cells if name in BY_CELL else one.repeats
    return [(POOLED | BY_CELL)[name](one.labels[parts == p], one.probabilities[parts == p], k) for p in set(parts)]


def test_a_metric_of_a_plugin_is_computed_one_by_one() -> None:
    random = np.random.default_rng(3)
    candidates = [predicted(random, skill=skill) for skill in (0.5, 1.5)]
    calls = []

    def youden(labels: Any, probabilities: Any) -> float:
        calls.append(len(labels))
        found = probabilities.argmax(axis=1)
        shares = [
            float((found[labels == label] == label).mean()) if (labels == label).any() else math.nan for label in (0, 1)
        ]
        return sum(shares) - 1

    metric = Metric("youden", higher_is_better=True)
    found = Candidates(candidates, metric, youden, resamples=40)
    assert len(calls) >= 2 * 2 * FOLDS * 40
    expected = np.mean([youden(candidates[1].labels[c], candidates[1].probabilities[c]) for c in _cells(candidates[1])])
    assert found.pooled[1] == pytest.approx(expected, rel=1e-12)
    least = Candidates(candidates, replace(metric, higher_is_better=False), youden, resamples=40)
    assert least.honest().estimate < found.honest().estimate
    with pytest.raises(UsageError, match="youden cannot be computed"):
        Candidates(candidates, metric)


def _cells(one: OutOfFold) -> list[Any]:
    return [np.flatnonzero(one.cells == cell) for cell in np.unique(one.cells)]


def test_some_of_the_candidates_are_as_if_there_were_no_others() -> None:
    random = np.random.default_rng(5)
    candidates = [predicted(random) for _ in range(5)]
    every = Candidates(candidates, SHIPPED["f1"], resamples=60)
    alone = Candidates([candidates[i] for i in (1, 3, 4)], SHIPPED["f1"], resamples=60)
    assert every.honest([1, 3, 4]) == alone.honest()
    assert every.honest() != alone.honest()


def test_the_order_of_rows_and_the_size_of_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    candidates = [predicted(random) for _ in range(3)]
    first = Candidates(candidates, SHIPPED["accuracy"], resamples=50).honest()
    order = random.permutation(60)
    last = candidates[2]
    turned = OutOfFold(
        last.run, last.digest, [last.samples[i] for i in order], [last.sources[i] for i in order], last.cells[order],
        last.repeats[order], last.labels[order], last.probabilities[order],
    )  # fmt: skip
    monkeypatch.setattr("qtlplat.analysis.picked.AT_ONCE", 60 * 7)
    assert Candidates([*candidates[:2], turned], SHIPPED["accuracy"], resamples=50).honest() == first


@pytest.mark.parametrize(
    ("change", "words", "fix"),
    [
        ({"digest": "e"}, "tested on other data", "dataset_digest"),
        (
            {"samples": [f"other {i}" for i in range(60)]},
            "different samples: .* on 60, .* on 60, 0 of them",
            "evaluator",
        ),
        ({"labels": np.zeros(60, dtype=np.int64)}, "other labels or sources", "store check"),
        ({"sources": ["one"] * 60}, "other labels or sources", "store check"),
        ({"probabilities": np.full((60, 3), 1 / 3)}, "other numbers of classes", "leave"),
        ({"labels": np.zeros(0, dtype=np.int64)}, "no stored predictions", "qtlplat replay"),
    ],
)
def test_candidates_that_cannot_be_compared_are_refused(change: dict[str, Any], words: str, fix: str) -> None:
    random = np.random.default_rng(1)
    first, second = predicted(random), predicted(random)
    with pytest.raises(UsageError, match=words) as caught:
        Candidates([first, replace(second, **change)], SHIPPED["f1"])
    assert fix in caught.value.fix


def test_too_few_images_are_refused() -> None:
    random = np.random.default_rng(1)
    with pytest.raises(UsageError, match="from 6 source images, too few"):
        Candidates([predicted(random, per_source=10) for _ in range(2)], SHIPPED["f1"])


def test_a_metric_that_is_never_defined_is_refused() -> None:
    one = predicted(np.random.default_rng(1))
    one = replace(one, labels=np.zeros(60, dtype=np.int64))
    with pytest.raises(UsageError, match="not defined for what was drawn"):
        Candidates([one, one], SHIPPED["roc_auc"], resamples=10).honest()


def predicting(random: np.random.Generator, labels: Any, accuracy: float) -> OutOfFold:
    """A candidate that is right with this probability, for each sample on its own."""
    n = len(labels)
    predicted = np.where(random.random(n) < accuracy, labels, 1 - labels)
    names = [str(i) for i in range(n)]
    cells = np.arange(n) % 6
    return OutOfFold("r", "d", names, names, cells, np.zeros(n, dtype=np.int64), labels, np.eye(2)[predicted])


def simulated(accuracy: float, samples: int, studies: int, resamples: int) -> tuple[Any, Any, Any]:
    """Picked scores, honest scores and intervals of studies with 50 equally good candidates."""
    random = np.random.default_rng(11)
    picked, honest, intervals = [], [], []
    for _ in range(studies):
        labels = random.permutation(np.arange(samples) % 2)
        candidates = [predicting(random, labels, accuracy) for _ in range(50)]
        found = Candidates(candidates, SHIPPED["accuracy"], resamples=resamples).honest()
        picked.append(max(found.pooled))
        honest.append(found.estimate)
        intervals.append(found.interval)
    return np.array(picked), np.array(honest), np.array(intervals)


def test_fifty_equally_good_candidates_are_scored_as_what_they_are() -> None:
    """The greatest of 50 scores with mean 0.9 and deviation sqrt(0.9 * 0.1 / 300) is 2.25 deviations above it."""
    picked, honest, _ = simulated(0.9, 300, 20, 200)
    assert picked.mean() == pytest.approx(0.9 + 2.25 * math.sqrt(0.09 / 300), abs=0.006)
    assert honest.mean() == pytest.approx(0.898, abs=0.005)


def test_intervals_of_the_best_of_noise_contain_chance() -> None:
    picked, honest, intervals = simulated(0.5, 80, 30, 150)
    assert np.mean((intervals[:, 0] <= 0.5) & (intervals[:, 1] >= 0.5)) >= 0.9
    assert picked.min() > 0.55
    assert honest.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_in_200_studies_of_noise_the_interval_contains_chance_in_95_percent() -> None:
    picked, _, intervals = simulated(0.5, 200, 200, 500)
    assert np.mean((intervals[:, 0] <= 0.5) & (intervals[:, 1] >= 0.5)) >= 0.95
    assert np.mean(picked > 0.5) == 1
    low = picked - 1.96 * np.sqrt(picked * (1 - picked) / 200)  # the interval of one score that nobody picked
    assert np.mean(low <= 0.5) < 0.9
