"""Metrics that disagree are named in the verdict; what each says follows from scipy's test and Holm's p."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from test_designs import record

from qtlplat.analysis.comparison import Asked, ComparisonRow
from qtlplat.analysis.several_metrics import KINDS, compare_by_metrics
from qtlplat.analysis.sides import Side
from qtlplat.errors import UsageError
from qtlplat.metrics import SHIPPED
from qtlplat.store.core.records import CellRecord

UP, DOWN = (np.array([0.02, 0.03, 0.025, 0.022, 0.028, 0.027]) * sign for sign in (1, -1))
NOISE = np.array([0.02, -0.02, 0.03, -0.03, 0.01, -0.011])
TINY = NOISE / 100
BASE = {"f1": 0.8, "roc_auc": 0.9, "loss": 0.4}


def side(name: str, *, variant: str = "head", **changes: np.ndarray) -> Side:
    """A run on six folds whose metrics differ from `BASE` by the changes."""
    values = {metric: value + changes.get(metric, np.zeros(6)) for metric, value in BASE.items()}
    cells = [
        CellRecord(i, i, 0, 500, 100, f"train {i}", f"test {i}", "finished", 1.0,
                   {metric: float(of[i]) for metric, of in values.items()}, variant)
        for i in range(6)
    ]  # fmt: skip
    return Side(record(name), cells, (), variant)


def said(asked: str = "f1", **changes: np.ndarray) -> ComparisonRow:
    return compare_by_metrics(side("a"), [side("b", **changes)], Asked(asked))[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"f1": UP, "roc_auc": NOISE, "loss": NOISE},
         ["F1 says better", "ROC-AUC shows no difference (0.0 points", "log-loss shows no difference",
          "perhaps a threshold effect: no evidence that the samples are ranked otherwise"]),
        ({"f1": UP, "roc_auc": TINY},
         ["F1 says better", "a threshold effect: the samples are ranked practically alike"]),
        ({"f1": NOISE, "roc_auc": NOISE, "loss": UP},
         ["F1 shows no difference", "log-loss says worse (+0.02533, p =",
          "the probabilities are worse, which the predicted classes do not show: perhaps calibration"]),
        ({"f1": NOISE, "roc_auc": DOWN, "loss": UP},
         ["ROC-AUC says worse (-2.5 points", "the samples are ranked worse, which the predicted classes do not show"]),
        ({"f1": UP, "roc_auc": UP, "loss": UP},
         ["F1 says better", "ROC-AUC says better", "log-loss says worse",
          "the predicted classes are better and their probabilities worse: perhaps calibration"]),
        ({"f1": UP, "roc_auc": UP, "loss": DOWN}, []),
        ({"f1": NOISE, "roc_auc": NOISE, "loss": -NOISE}, []),
    ],
)  # fmt: skip
def test_the_verdict_says_which_metrics_disagree(changes: Mapping[str, np.ndarray], words: Sequence[str]) -> None:
    row = said(**changes)
    if not words:
        assert (row.disagreement, "disagree" in row.verdict) == ("", False)
        return
    assert row.verdict.endswith(f"; the metrics disagree: {row.disagreement.removeprefix('the metrics disagree: ')}")
    for part in words:
        assert part in row.verdict


def test_the_metric_that_is_asked_for_comes_first_and_kinds_have_one_each() -> None:
    row = said("loss", f1=UP, roc_auc=NOISE, loss=NOISE)
    assert [one["metric"] for one in row.by_metric] == ["loss", "f1", "roc_auc"]
    assert row.disagreement.startswith(
        "the metrics disagree: log-loss shows no difference, F1 says better (+2.5 points"
    )
    assert set().union(*KINDS.values()) == set(SHIPPED)


def test_p_is_adjusted_over_rows_and_further_metrics() -> None:
    """Against statsmodels' Holm over the p of the corrected t-test, written out."""
    noise = np.random.default_rng(3)
    changes = [{name: noise.normal(0.01, 0.01, 6) for name in BASE} for _ in range(3)]
    shuffled = side("a", variant="shuffled", **changes[0])
    rows = compare_by_metrics(
        side("a"), [*(side(f"r{i}", **of) for i, of in enumerate(changes)), shuffled], Asked("f1")
    )
    family = {}
    for name in ("roc_auc", "loss"):
        for i, of in enumerate(changes):
            d = of[name]
            t = d.mean() / (d.std(ddof=1) * math.sqrt(1 / 6 + 1 / 5))
            family[name, i] = 2 * stats.t.sf(abs(t), 5)
    adjusted = dict(zip(family, multipletests(list(family.values()), method="holm")[1], strict=True))
    for i, row in enumerate(rows[1:4]):
        own, *further = row.by_metric
        assert (own["p"], own["p_adjusted"]) == (row.test and row.test.p, row.p_adjusted)
        for one in further:
            assert one["p"] == pytest.approx(family[one["metric"], i], rel=1e-6)
            assert one["p_adjusted"] == pytest.approx(adjusted[one["metric"], i], rel=1e-6)
            raw, p, worse = (
                one["p"],
                one["p_adjusted"],
                (one["difference"] > 0) != SHIPPED[one["metric"]].higher_is_better,
            )
            expected = ("worse" if worse else "better") if p < 0.05 else "no difference" if raw >= 0.05 else "undecided"
            assert one["says"] == expected
    assert (rows[4].disagreement, [one["p_adjusted"] for one in rows[4].form()["by_metric"]]) == ("", [None] * 3)


def test_a_p_that_only_holm_makes_large_is_no_sign_of_a_disagreement() -> None:
    barely = UP.mean() + (UP - UP.mean()) * 3.9  # p is about 0.03 alone, and above 0.05 with a second test
    row = said(f1=UP, roc_auc=barely, loss=np.zeros(6) + TINY)
    found = {one["metric"]: one for one in row.by_metric}
    assert found["roc_auc"]["p"] < 0.05 < found["roc_auc"]["p_adjusted"]
    assert found["roc_auc"]["says"] == "undecided"
    assert "ROC-AUC" not in row.disagreement


def test_what_another_metric_would_say_if_it_were_asked_for_is_not_kept_back() -> None:
    """F1 sees nothing; ROC-AUC, asked for alone, is significant, but not as one of two further tests."""
    barely = UP.mean() + (UP - UP.mean()) * 3.9
    row, asked_for = (said(name, f1=NOISE, roc_auc=barely, loss=NOISE) for name in ("f1", "roc_auc"))
    assert asked_for.verdict.startswith("better")
    assert "the metrics disagree: ROC-AUC says better, F1 shows no difference" in asked_for.verdict
    assert row.verdict.startswith("no evidence")
    p, adjusted = (row.by_metric[1][name] for name in ("p", "p_adjusted"))
    assert row.disagreement.startswith("the metrics may disagree: F1 shows no difference, ROC-AUC is undecided (+")
    assert f"p = {p:.2g}, {adjusted:.2g} after Holm over 2 tests" in row.disagreement


def without(one: Side, name: str) -> Side:
    cells = [replace(cell, metrics={n: v for n, v in cell.metrics.items() if n != name}) for cell in one.cells]
    return replace(one, cells=cells)


def test_runs_of_older_versions_are_compared_by_the_metrics_that_they_have() -> None:
    old, new = without(without(side("a"), "roc_auc"), "loss"), side("b", f1=UP, roc_auc=UP, loss=UP)
    row = compare_by_metrics(old, [new], Asked("f1"))[1]
    assert [one["metric"] for one in row.by_metric] == ["f1"]
    with pytest.raises(UsageError, match="has no roc_auc: it was stored by an older version"):
        compare_by_metrics(old, [new], Asked("roc_auc"))


def test_a_metric_that_is_not_defined_in_a_cell_says_nothing() -> None:
    row = said(f1=UP, roc_auc=np.array([math.nan, *UP[1:]]), loss=DOWN)
    found: dict[str, Any] = {one["metric"]: one for one in row.form()["by_metric"]}
    assert (found["roc_auc"]["says"], found["roc_auc"]["p"], found["f1"]["says"]) == (None, None, "better")
    assert row.disagreement == ""
