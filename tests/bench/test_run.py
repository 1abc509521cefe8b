"""The benchmark of the head stage: both loops do the same work, and what is extrapolated says so."""

from __future__ import annotations

import math

import pytest
from torch import nn

from qtlplat import HeadSpec, NoOptions
from qtlplat.errors import ConfigError
from qtlplat_bench import run as bench
from qtlplat_bench.run import Stage, bench_run
from qtlplat_dressed import qtlplat_heads
from qtlplat_dressed.options import DressedOptions

DRESSED = qtlplat_heads()[0]
SMALL = DressedOptions(qubits=2, layers=1)
STAGE = Stage(in_features=6, samples=41, folds=4, epochs=2, batch=8, plain_steps=8)


@pytest.fixture(scope="module")
def rows():
    return bench_run(DRESSED, SMALL, "test", STAGE, lambda _note: None)


def test_both_rows_say_what_was_measured(rows):
    ours, plain = rows
    assert (ours["engine"], plain["engine"]) == ("qtlplat: compiled", "plain: TorchLayer on default.qubit")
    assert (ours["cells"], plain["cells"]) == (4, 1)
    steps = 2 * (math.ceil(30 / 8) + 3 * math.ceil(31 / 8))
    assert (ours["steps"], ours["measured_steps"], ours["extrapolated"]) == (steps, steps, False)
    assert (plain["steps"], plain["measured_steps"], plain["extrapolated"]) == (steps, 8, True)
    assert ours["seconds"] == ours["measured_seconds"]
    for row in rows:
        assert row["ms_per_cell_step"] == pytest.approx(1e3 * row["seconds"] / steps)
        assert row["ms_per_step"] == pytest.approx(row["ms_per_cell_step"] * row["cells"])


def test_losses_after_the_first_epoch_are_those_of_the_plain_loop(rows):
    assert 0 <= rows[0]["max_value_error"] < 1e-5
    assert rows[1]["max_value_error"] is None


def test_another_learning_rate_in_the_plain_loop_would_be_noticed(monkeypatch):
    plain = bench._Plain.__init__

    def init(self, *arguments):
        plain(self, *arguments)
        self.optimizer.param_groups[0]["lr"] *= 2

    monkeypatch.setattr(bench._Plain, "__init__", init)
    ours, _ = bench_run(DRESSED, SMALL, "test", STAGE, lambda _note: None)
    assert ours["max_value_error"] > 1e-4


def test_less_than_an_epoch_is_evaluated_once_and_compared_with_nothing():
    stage = Stage(in_features=6, samples=80, folds=2, epochs=1, batch=8, plain_steps=2)
    ours, plain = bench_run(DRESSED, SMALL, "test", stage, lambda _note: None)
    assert ours["max_value_error"] is None
    assert plain["measured_steps"] == 2
    assert plain["measured_seconds"] > 2 * 1e-6


def test_a_head_that_cannot_be_stacked_is_trained_cell_by_cell():
    def build(_options, in_features, n_classes):
        return nn.Sequential(nn.BatchNorm1d(in_features), nn.Linear(in_features, n_classes))

    notes: list[str] = []
    rows = bench_run(HeadSpec(name="norm", summary="batch norm", build=build), NoOptions(), "test", STAGE, notes.append)
    assert [(r["engine"], r["cells"], r["qubits"]) for r in rows] == [
        ("qtlplat: torch", 1, None),
        ("plain: torch", 1, None),
    ]
    assert rows[0]["max_value_error"] < 1e-5
    assert any("one by one" in note for note in notes)


def test_too_many_qubits_for_the_plain_loop_are_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(bench, "free_bytes", lambda _device: 1000)
    with pytest.raises(ConfigError, match="2 qubits and batches of 8"):
        bench_run(DRESSED, SMALL, "test", STAGE, lambda _note: None)
