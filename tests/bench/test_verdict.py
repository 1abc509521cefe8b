import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from qtlplat.analysis.components import Components
from qtlplat.analysis.sides import Side
from qtlplat.conventions import HEAD
from qtlplat.store.core.records import CellRecord, RunRecord
from qtlplat_bench.verdict import DESIGNS, Measured, Simulation, independent_pairs, measured, rate, real_pairs, rejected
from qtlplat_bench.verdict_command import OTHER_HEAD, OTHER_ROUNDING, bench_verdict

FOLDS, BACKBONES = 6, 3
SD = {"backbone": 0.05, "fold": 0.03, "rest": 0.04}


def record(name: str) -> RunRecord:
    empty: dict[str, Any] = dict.fromkeys(RunRecord.__dataclass_fields__)
    known = {"id": name, "status": "finished", "plan": {}, "components": {}, "parameters": {}, "dataset_digest": "d"}
    return RunRecord(**{**empty, **known})


def run(number: int, random: np.random.Generator, folds: np.ndarray) -> dict[str, Side]:
    """A run with backbones of its own, and a second head that differs from the first by 2 points and by fold."""
    values = 0.8 + folds + SD["backbone"] * random.standard_normal((BACKBONES, 1))
    values = values + SD["rest"] * random.standard_normal((BACKBONES, FOLDS))
    other = values + 0.02 + 0.01 * random.standard_normal((BACKBONES, FOLDS))
    return {
        variant: Side(
            record(f"run {number}"),
            [
                CellRecord(
                    i, f, number, 100, 20, f"not {f}", f"fold {f}", "finished", 1.0, {"f1": float(of[b, f])}, variant,
                    pretraining=f"{number} {b}", backbone_index=b,
                )
                for i, (b, f) in enumerate(itertools.product(range(BACKBONES), range(FOLDS)))
            ],
            variant=variant,
        )
        for variant, of in ((HEAD, values), (OTHER_HEAD, other))
    }  # fmt: skip


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Side]]:
    random = np.random.default_rng(1)
    folds = SD["fold"] * random.standard_normal((1, FOLDS))
    return [run(number, random, folds) for number in range(8)]


def test_interval_of_independent_pairs_is_that_of_clopper_and_pearson() -> None:
    for found, pairs in ((0, 66), (3, 66), (66, 66)):
        expected = stats.binomtest(found, pairs).proportion_ci(method="exact")
        assert rate(found, pairs)["interval"] == pytest.approx([expected.low, expected.high], abs=1e-9)
    assert rate(3, 66)["rate"] == pytest.approx(3 / 66)
    wide, narrow = (rate(3, 66, effective)["interval"] for effective in (20, 66))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_components_of_runs_are_found_again(runs: list[dict[str, Side]]) -> None:
    of = measured([one[HEAD] for one in runs], [one[OTHER_HEAD] for one in runs], "f1")
    assert (of.folds, of.ratio) == (FOLDS, pytest.approx(0.2))
    assert math.sqrt(of.values.rest) == pytest.approx(SD["rest"], rel=0.2)
    assert math.sqrt(of.values.backbone) == pytest.approx(SD["backbone"], rel=0.4)
    assert math.sqrt(of.differences.rest) == pytest.approx(0.01, rel=0.2)
    assert of.differences.backbone < 1e-5


def test_simulated_tables_have_the_components_that_they_are_drawn_from() -> None:
    of = Measured(
        Components(4e-4, math.nan, 1e-4, 9e-4, ((4e-4, 9e-4),)), Components(1e-4, math.nan, 2e-4, 1e-4), 6, 0.2
    )
    simulation = Simulation(of, seed=3)
    tables = np.array([simulation.own(of.values, 4) for _ in range(3000)])
    assert tables.shape == (3000, 4, 1, 6)
    assert tables.mean(axis=(2, 3)).var() == pytest.approx(4e-4 + 9e-4 / 6, rel=0.05)
    folds = np.array([simulation.folds() for _ in range(6000)])[:, 0, 0]
    covariance = np.cov(folds.T)
    assert np.diag(covariance).mean() == pytest.approx(2e-4, rel=0.05)
    assert covariance[0, 1:].mean() / np.diag(covariance).mean() == pytest.approx(0.2 / 1.2, abs=0.04)


@pytest.mark.parametrize("design", DESIGNS)
def test_planted_differences_are_found_the_more_often_the_larger(design: str) -> None:
    of = Measured(Components(1e-4, math.nan, 0, 4e-4), Components(1e-4, math.nan, 1e-4, 4e-4), 6, 0.2)
    none, some, all_ = (rejected(Simulation(of).tests(design, 5, 1, size, 200)) for size in (0.0, 0.02, 0.2))
    assert none < 0.05 * 200 + 3 * math.sqrt(0.05 * 0.95 * 200)
    assert none < some < 195 < all_


def test_pairs_that_share_runs_tell_less_than_independent_ones() -> None:
    of = Measured(Components(1e-4, math.nan, 0, 4e-4), Components(0, math.nan, 0, 1e-4), 6, 0.2)
    assert 3 < independent_pairs(Simulation(of), 6, 3) <= 15


def test_every_pair_of_runs_gets_a_verdict_and_the_json_has_its_keys(
    runs: list[dict[str, Side]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtlplat_bench.verdict.FAMILIES", 20)
    pairs, found, without = real_pairs([one[HEAD] for one in runs], "f1", lambda _text: None)
    assert (pairs, without) == (28, 0)
    assert found <= 6
    told: list[str] = []
    same_seed = [runs[0], runs[0]]
    designs = {"same folds": runs, OTHER_ROUNDING: same_seed}
    result = bench_verdict(designs, "f1", BACKBONES, 50, (0.05, 0.5), told.append)
    assert {"pairs", "rejected", "rate", "interval"} <= set(result["real"]) & set(result["simulated"])
    assert (result["real"]["pairs"], result["simulated"]["pairs"]) == (28, 50 * 2 * 3)
    [repeated] = [row for row in result["rows"] if row.get("design") == OTHER_ROUNDING]
    assert (repeated["pairs"], repeated["rejected"], repeated["without_verdict"], repeated["independent"]) == (
        1,
        0,
        0,
        1,
    )
    assert repeated["interval"] == pytest.approx([0, 0.975])  # of one pair
    assert {(row["difference"], row["backbones"], row["seeds"]) for row in result["power"]} == {
        (difference, backbones, 1) for difference in (0.05, 0.5) for backbones in (3, 5, 10)
    }
    assert all(row["rate"] > 0.9 for row in result["power"] if row["difference"] == 0.5)
    json.dumps(result, allow_nan=False)
