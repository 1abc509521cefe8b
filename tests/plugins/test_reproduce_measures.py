"""What a run says about a claim depends on what its cells were tested on."""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qtlplat.analysis.components import Table, over_backbones
from qtlplat.recipes import Claim, RecipeModel
from qtlplat.store.core.records import CellRecord, PredictionRow
from qtlplat_reproduction.reproduce import ModelState, measure

N = 120


@dataclass
class Stored:
    """A store with one run: cells, each with its predictions of the same samples."""

    hashes: list[str]
    backbones: int = 1
    location: Any = None
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(2))

    def __post_init__(self) -> None:
        self.labels = np.arange(N) % 2
        # Seeds that agree but for one sample each: their spread is tiny, that of the samples is not.
        shared = np.where(self.rng.random(N) < 0.8, self.labels, 1 - self.labels)
        self.predicted = [np.where(np.arange(N) == i, 1 - shared, shared) for i in range(len(self.hashes))]

    def cells(self, run: str) -> list[CellRecord]:
        per_backbone = len(self.hashes) // self.backbones
        return [
            CellRecord(
                i, i % per_backbone, i if self.backbones == 1 else 0, 400, N, "t", hash_, "finished", 1.0, {},
                backbone_index=i // per_backbone, pretraining=f"p{i // per_backbone}",
            )
            for i, hash_ in enumerate(self.hashes)
        ]  # fmt: skip

    def predictions(self, run: str) -> list[PredictionRow]:
        rows = [
            PredictionRow(i, f"s{sample:03}", f"g{sample:03}", int(self.labels[sample]), int(found), [0.5, 0.5])
            for i, of_cell in enumerate(self.predicted)
            for sample, found in enumerate(of_cell)
        ]
        return rows[::-1]

    def f1(self) -> dict[str, list[float]]:
        hits = [int((found & self.labels).sum()) for found in self.predicted]
        return {"f1": [2 * h / int(p.sum() + N / 2) for h, p in zip(hits, self.predicted, strict=True)]}


def measured(stored: Stored, tmp_path: Any, *claims: Claim) -> Any:
    model = RecipeModel("m", "lenet2", "linear")
    planned: Any = SimpleNamespace(model=model, resolved=None, trained=True)
    run: Any = SimpleNamespace(id="r" * 16, metrics=stored.f1())
    recipe = SimpleNamespace(input_shape=(1, 200, 200), n_classes=2)
    work: Any = SimpleNamespace(recipe=recipe, claims=claims, models=(planned,))
    return measure(work, [ModelState(planned, run)], stored, keep=False)["m"]  # type: ignore[arg-type]


def test_seeds_of_one_split_have_the_interval_of_its_samples(tmp_path: Any) -> None:
    stored = Stored(["same"] * 6)
    found = measured(stored, tmp_path).metrics["f1"]
    assert found.value == pytest.approx(np.mean(stored.f1()["f1"]), abs=1e-12)
    # the standard error of a share of 0.8 over 120 samples is 0.037; the seeds alone would say 0.002
    assert 0.1 < found.high - found.low < 0.2


def test_metrics_of_probabilities_are_estimated_where_one_is_claimed(tmp_path: Any) -> None:
    stored = Stored(["same"] * 2)
    assert "loss" not in measured(stored, tmp_path).metrics
    claimed = measured(stored, tmp_path, Claim("c", "loss", "m", "Table 1", 0.7, 0.1)).metrics
    assert claimed["loss"].value == pytest.approx(math.log(2))
    assert math.isnan(claimed["loss"].low)  # every probability is one half


def test_folds_have_the_interval_of_their_spread(tmp_path: Any) -> None:
    found = measured(Stored([f"fold {i}" for i in range(6)]), tmp_path).metrics["f1"]
    assert (found.n, found.freedom) == (6, 5)
    assert found.high - found.low < 0.05


def test_several_backbones_have_the_interval_over_them(tmp_path: Any) -> None:
    stored = Stored([f"fold {i % 3}" for i in range(12)], backbones=4)
    found = measured(stored, tmp_path).metrics["f1"]
    values = np.array(stored.f1()["f1"]).reshape(4, 1, 3)
    expected, _ = over_backbones(Table(values, N / 400), possible=(0, 1))
    assert (found.value, found.se, found.n) == pytest.approx((expected.mean, expected.standard_error, 4), rel=1e-12)


def test_a_metric_that_is_not_finite_is_none(tmp_path: Any) -> None:
    stored = Stored([f"fold {i}" for i in range(3)])
    stored.f1 = lambda: {"f1": [0.9, math.nan, 0.8]}  # type: ignore[method-assign]
    assert measured(stored, tmp_path).metrics == {}
