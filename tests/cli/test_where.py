"""`--where`, `--sort` and `--cols` with fields of the filter language, on listings of runs and of other things."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from compared_runs import store_controls, store_run
from stored_runs import qtlplat, store_runs


def listed(path: Path, *arguments: str) -> list[dict[str, str]]:
    called = qtlplat(path, "runs", *arguments, "--csv")
    assert called.code == 0, called.err
    return list(csv.DictReader(io.StringIO(called.out)))


def test_runs_are_chosen_sorted_and_counted_by_fields(tmp_path: Path) -> None:
    pretraining, run, failed = store_runs(tmp_path / "s.db")
    path = tmp_path / "s.db"
    assert [row["run"] for row in listed(path, "--where", "f1 > 0.9")] == [run]
    assert [row["run"] for row in listed(path, "--where", "not f1 > 0.9")] == [failed, pretraining]
    assert [row["run"] for row in listed(path, "--where", "head.qubits = 5", "--sort", "created")] == [run, failed]
    assert [row["run"] for row in listed(path, "--sort=-seconds,created", "-n", "2")] == [run, pretraining]
    assert [row["run"] for row in listed(path, "--kind", "run", "--where", "status = 'failed'")] == [failed]
    assert [row["run"] for row in listed(path, "--where", "error like '%nan'")] == [failed]


def test_columns_may_be_any_field(tmp_path: Path) -> None:
    _, run, _ = store_runs(tmp_path / "s.db")
    cols = "run,head,head.qubits,min(f1),last(test_loss),env.python,f1"
    rows = listed(tmp_path / "s.db", "--cols", cols, "--where", "cells = 2")
    assert rows == [
        {
            "run": run,
            "head": "mine",
            "head.qubits": "5",
            "min(f1)": "0.9",
            "last(test_loss)": "",  # one of the two is no number
            "env.python": "3.11",
            "f1": "0.95",
        }
    ]
    called = qtlplat(tmp_path / "s.db", "runs", "--cols", "run,head.qubits,tag", "--json", "-n", "1", "--sort", "f1")
    assert json.loads(called.out) == [{"run": run, "head.qubits": 5, "tag": None}]


def test_fields_of_controls_are_columns_too(tmp_path: Path) -> None:
    run = store_controls(tmp_path / "s.db", linear=[0.5] * 6)
    (row,) = listed(tmp_path / "s.db", "--cols", "run,f1@linear,n(f1)", "--where", "max(f1@linear) = 0.5")
    assert row == {"run": run, "f1@linear": "0.5", "n(f1)": "6"}


def test_nothing_found_says_so(tmp_path: Path) -> None:
    store_runs(tmp_path / "s.db")
    called = qtlplat(tmp_path / "s.db", "runs", "--where", "f1 > 2")
    assert (called.code, called.out, called.err) == (0, "", "no runs match the filter\n")
    assert json.loads(qtlplat(tmp_path / "s.db", "runs", "--where", "f1 > 2", "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--where", "f1 >"], "expected a text in quotes"),
        (["--where", "hed = 'x'"], "did you mean: head"),
        (["--sort", "hed"], "did you mean: head"),
        (["--cols", "run,hed"], "did you mean: head"),
        (["--cols", "run,hed = 1"], "is no field"),
    ],
)
def test_what_cannot_be_understood_ends_with_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    store_runs(tmp_path / "s.db")
    called = qtlplat(tmp_path / "s.db", "runs", *arguments)
    assert (called.code, called.out) == (2, "")
    assert said in called.err
    assert len(called.err.splitlines()) <= 12


def test_other_listings_are_filtered_by_their_columns(tmp_path: Path) -> None:
    called = qtlplat(tmp_path / "s.db", "ls", "--where", "kind = 'backbone' and name like 'LENET_'", "--json")
    assert [row["name"] for row in json.loads(called.out)] == ["lenet1", "lenet2", "lenet3"]
    called = qtlplat(tmp_path / "s.db", "plugins", "list", "--where", "state != 'installed'", "--csv")
    assert len(called.out.splitlines()) == 1
    called = qtlplat(tmp_path / "s.db", "ls", "--where", "nmae = 'x'")
    assert called.code == 2
    assert "did you mean: name" in called.err


def test_rows_of_a_comparison_are_filtered(tmp_path: Path) -> None:
    run = store_controls(tmp_path / "s.db", linear=[0.5] * 6, mlp=[0.9] * 6)
    called = qtlplat(tmp_path / "s.db", "compare", run, "--where", "mean < 0.8", "--csv")
    assert [row["variant"] for row in csv.DictReader(io.StringIO(called.out))] == ["linear"]


def test_runs_are_referred_to_by_what_they_are(tmp_path: Path) -> None:
    _, run, _ = store_runs(tmp_path / "s.db")
    assert json.loads(qtlplat(tmp_path / "s.db", "show", "@best:f1", "--json").out)["run"] == run
    called = qtlplat(tmp_path / "s.db", "show", "@best:f2")
    assert called.code == 2
    assert called.err.startswith("error: unknown field 'f2'")
    assert "@best:f2" in called.err


def test_figures_and_reports_are_made_of_runs_that_a_filter_chooses(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    named, chosen = store_run(path, [0.9, 0.8]), store_run(path, [0.5, 0.6], head="mlp")
    assert chosen != named
    drawn = json.loads(qtlplat(path, "plot", "--kind", "box", "--where", "f1 < 0.7", "--json").out)
    both = json.loads(qtlplat(path, "plot", named, chosen, "--kind", "box", "--where", "f1 > 0.7", "--json").out)
    assert chosen in json.dumps(drawn)
    assert named not in json.dumps(drawn)
    assert named in json.dumps(both)
    assert chosen not in json.dumps(both)
    report = qtlplat(path, "report", "--where", "head = 'mlp'").out
    assert chosen[:8] in report
    assert named[:8] not in report
    for command in ("plot", "report"):
        called = qtlplat(path, command, "--where", "f1 > 2")
        assert (called.code, called.out) == (2, "")
        assert "no runs match the filter" in called.err
    assert "no run is named" in qtlplat(path, "plot").err


def test_help_names_the_filter() -> None:
    for command in (["runs"], ["ls"], ["plugins", "list"]):
        assert "--where FILTER" in qtlplat("none.db", *command, "--help").out
