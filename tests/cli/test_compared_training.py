"""A verdict says which of its sides have not converged, by the rule of `run` and `show`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from compared_runs import CLASSICAL, LINEAR, QUANTUM, cell, store_run
from stored_runs import qtlplat

from qtlplat.api.store import open_store
from qtlplat.store.core.records import CandidateRow, EpochRow

FALLING = [1.0 - 0.03 * epoch for epoch in range(20)]  # within the last 4 of 20 epochs by 4 * 0.03
STILL = [0.1] * 20
TUNING = {"learning_rates": [0.001, 0.01], "epochs": 50, "folds": 3}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def trained(
    store: Path, curves: Mapping[str, Sequence[float]], best: Mapping[str, int] | None = None, **facts: Any
) -> str:
    """A run with three cells for each variant: their training losses, and the epochs that a tuned one chose."""
    cells = [cell(3 * i + fold, fold, variant=name) for i, name in enumerate(curves) for fold in range(3)]
    values = [value for i, _ in enumerate(curves) for value in (QUANTUM if i == 0 else LINEAR)[:3]]
    return store_run(
        store,
        values,
        cells=cells,
        epochs=[
            EpochRow(one.position, i, 0.1, {"train_loss": loss})
            for one in cells
            for i, loss in enumerate(curves[one.variant], 1)
        ],
        candidates=[
            CandidateRow(one.position, *tried)
            for one in cells
            for tried in ([(0, 0.4, 0.001, 10), (1, 0.2, 0.01, best[one.variant])] if best else [])
        ],
        **facts,
    )


def compared(store: Path, *arguments: str) -> list[dict[str, Any]]:
    called = qtlplat(store, "compare", *arguments, "--json")
    assert called.code == 0, called.err
    rows: list[dict[str, Any]] = json.loads(called.out)["rows"]
    return rows


def test_controls_of_a_run(store: Path) -> None:
    run = trained(store, {"head": FALLING, "linear": STILL, "mlp": FALLING, "svm-rbf": [], "shuffled": FALLING})
    head, linear, mlp, svm, shuffled = compared(store, run)
    why = "training loss fell by 0.120 nats in the last 4 epochs"
    of_head = {"run": run, "variant": "head", "fall": pytest.approx(0.12), "epochs": 4, "why": why}
    assert head["not_converged"] == [of_head]
    assert head["verdict"] == "baseline"
    assert linear["not_converged"] == svm["not_converged"] == [of_head]
    assert linear["verdict"].endswith(f"; not converged: head ({why})")
    assert mlp["not_converged"] == [of_head, {**of_head, "variant": "mlp"}]
    assert mlp["verdict"].endswith(f"; not converged: head ({why}), mlp ({why})")
    assert (shuffled["not_converged"], "converged" in shuffled["verdict"]) == ([], False)
    called = qtlplat(store, "compare", run)
    assert f"not converged: head ({why})" in called.out
    assert "linear, mlp, svm-rbf: longer training may change the verdict: train longer with --epochs" in called.err
    assert "not converged" in qtlplat(store, "show", run).out  # by the same rule


def test_two_runs_are_named_by_their_ids(store: Path) -> None:
    one = trained(store, {"head": STILL}, head="linear", parameters=CLASSICAL)
    other = trained(store, {"head": FALLING})
    (_, row) = compared(store, one, other)
    assert [side["run"] for side in row["not_converged"]] == [other]
    assert f"; not converged: run {other[:8]} (training loss" in row["verdict"]
    (_, back) = compared(store, other, one)
    assert back["not_converged"] == row["not_converged"]
    (_, same) = compared(store, other, other)
    assert len(same["not_converged"]) == 1
    (_, api) = open_store(store).compare(one, other)
    assert api.form()["not_converged"] == row["not_converged"]


def test_a_converged_comparison_says_nothing(store: Path) -> None:
    run = trained(store, {"head": STILL, "linear": STILL})
    called = qtlplat(store, "compare", run)
    assert "converge" not in called.out + called.err
    assert [row["not_converged"] for row in compared(store, run)] == [[], []]


def test_a_tuned_run_has_converged_unless_it_chose_the_most_epochs(store: Path) -> None:
    """Its training loss may still fall: more epochs were tried, and were worse on the inner folds."""
    curves = {"head": FALLING, "linear": FALLING}
    run = trained(store, curves, {"head": 20, "linear": 20}, plan={"tuning": TUNING})
    assert [row["not_converged"] for row in compared(store, run)] == [[], []]
    run = trained(store, curves, {"head": 20, "linear": 50}, plan={"tuning": TUNING})
    why = "best after the most epochs that were tried, 50"
    (_, row) = compared(store, run)
    assert row["not_converged"] == [{"run": run, "variant": "linear", "fall": None, "epochs": 50, "why": why}]
    assert row["verdict"].endswith(f"; not converged: linear ({why})")
    assert any(note.endswith("try more with -S tuning.epochs=N") for note in row["notes"])


def test_a_report_says_it_too(store: Path, tmp_path: Path) -> None:
    run = trained(store, {"head": FALLING, "linear": STILL})
    called = qtlplat(store, "report", run, "-o", str(tmp_path / "r.md"))
    assert called.code == 0, called.err
    assert "not converged: head" in (tmp_path / "r.md").read_text()
