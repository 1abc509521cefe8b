"""Interleaved timing: who runs how often, and what median and spread are."""

import pytest
import torch

from qtlplat.quantum.devices.threads import torch_threads
from qtlplat_bench import timing
from qtlplat_bench.timing import interleaved, row, summary


def test_median_and_spread_are_those_of_the_measured_seconds():
    found = summary([5.0, 1.0, 4.0, 2.0, 3.0])
    assert (found.median, found.spread, found.repeats) == (3.0, pytest.approx(2 / 3), 5)
    assert summary([2.0]).spread == 0


def test_steps_take_turns_and_each_is_warmed_up_once():
    calls: list[str] = []
    timings = interleaved({name: lambda name=name: calls.append(name) for name in "ab"}, repeats=10)
    assert [t.repeats for t in timings.values()] == [10, 10]
    assert "".join(calls) == "ab" + "aabb" * timing.ROUNDS


def test_without_a_number_of_repeats_the_budget_decides(monkeypatch):
    seconds = {"quick": 0.001, "slow": 2.0, "very slow": 11.0}
    monkeypatch.setattr(timing, "_seconds", lambda step: step())
    timings = interleaved({name: lambda s=s: s for name, s in seconds.items()})
    assert {name: t.repeats for name, t in timings.items()} == {"quick": timing.MOST, "slow": 3, "very slow": 1}


def test_a_row_divides_by_the_cells_and_converts_to_milliseconds():
    one = row("e", summary([0.5]), qubits=2, layers=None, batch=4, cells=5, threads=1, errors=(None, 0.0))
    assert (one["ms_per_step"], one["ms_per_cell_step"]) == (500, 100)


def test_threads_are_set_and_restored():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
