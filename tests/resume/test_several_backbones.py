"""A run with three backbones that is stopped in the middle of one of them resumes there, and ends bitwise equal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quick_runs import RUN, leftovers, numbers_of

from qtlplat.signals import Stop
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

Call = Callable[[str], int]
MORE = "--head 'dressed[qubits=2,layers=1]' --controls linear --backbones 3"
EPOCH = 5  # steps


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Stop training at the n-th step from now, as Ctrl-C would; returns a list that counts the steps."""

    def at(step: int) -> list[int]:
        seen: list[int] = []

        def check(_self: Stop) -> None:
            seen.append(len(seen) + 1)
            if len(seen) == step:
                raise KeyboardInterrupt

        monkeypatch.setattr(Stop, "check", check)
        return seen

    return at


# about 60 steps of each pretraining, then 3 x 2 of features and 48 of heads
@pytest.mark.parametrize("step", [95, *(pytest.param(n, marks=pytest.mark.slow) for n in (20, 61, 150, 183, 200, 225))])
def test_a_run_stopped_in_any_backbone_ends_bitwise_equal(
    step: int, qtlplat: Call, store: Path, stop_at: Any, undisturbed: Any
) -> None:
    stop_at(step)
    assert qtlplat(f"{RUN} {MORE} -q") == 130
    reader = Reader(find_store(str(store)))
    states = [run.status for run in reversed(reader.runs(kind="pretraining"))]
    if step == 95:
        assert states == ["finished", "interrupted"]
    seen = stop_at(-1)
    assert qtlplat("resume -q") == 0
    assert len(reader.runs(kind="pretraining")) == 3
    expected = undisturbed(MORE)
    assert numbers_of(store) == expected["numbers"]
    assert step + len(seen) - expected["steps"] <= EPOCH, "more than an epoch was trained again"
    assert leftovers(store) == []


def test_resuming_goes_by_the_backbone_of_each_cell(
    qtlplat: Call, store: Path, stop_at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cells whose backbones were exchanged are not those of the plan."""
    import sqlite3
    from contextlib import closing

    stop_at(225)
    assert qtlplat(f"{RUN} {MORE} -q") == 130
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("UPDATE cells SET backbone_index = 2 - backbone_index WHERE position < 9")
    stop_at(-1)
    assert qtlplat("resume -q") != 0
    assert "its evaluator now gives" in capsys.readouterr().err
