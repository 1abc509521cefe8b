"""`best` and `pareto`, against pandas and the definition on the same runs."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compared_runs import QUANTUM, cell, store_run
from sqlalchemy import event
from stored_runs import HOSTILE, is_inert, qtlplat, store_runs

from qtlplat.store.read.queries import Reader


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A store of sixteen runs, one of them interrupted and one without a number, and what is in it."""
    store, random, rows = tmp_path_factory.mktemp("best") / "s.db", np.random.default_rng(1), []
    for number in range(16):
        f1 = [round(float(v), 3) for v in random.uniform(0.8, 0.99, 3)]
        head, backbone = ("linear", "mlp")[number % 2], ("lenet1", "lenet2")[number // 2 % 2]
        size = int(random.integers(1, 5)) * 100
        if number == 15:
            f1[0] = math.nan
        status = "interrupted" if number == 14 else "finished"
        parameters = {"model_total": size, "head": {"vqc": 0, "total": 12}}
        cells = [cell(i, i, leakage=0.5) for i in range(3)]
        plan = {"training": {"epochs": 10 * (1 + number % 3)}}
        run = store_run(
            store, f1, head=head, backbone=backbone, parameters=parameters, cells=cells, plan=plan, status=status
        )
        values = {"f1": np.mean(f1), "sd": np.std(f1, ddof=1), "loss": np.mean([1 - v for v in f1]), "size": size}
        rows.append({"run": run, "head": head, "backbone": backbone, "epochs": plan["training"]["epochs"], **values})
    return store, pd.DataFrame(rows).drop(index=[14, 15])


def read(store: Path, *arguments: str) -> dict[str, Any]:
    called = qtlplat(store, *arguments, "--json")
    assert (called.code, called.err) == (0, "")
    found: dict[str, Any] = json.loads(called.out, parse_constant=pytest.fail)
    return found


@pytest.mark.parametrize("by", [["backbone", "head"], ["head"], ["training.epochs", "head"]])
@pytest.mark.parametrize("metric", ["f1", "loss"])
@pytest.mark.sampled(3)
def test_the_best_of_every_group_is_that_of_pandas(rows: tuple[Path, pd.DataFrame], by: list[str], metric: str) -> None:
    store, table = rows
    found = read(store, "best", "--metric", metric, "--by", ",".join(by))
    assert (found["metric"], found["by"], found["lower_is_better"], found["left_out"]) == (
        metric,
        by,
        metric == "loss",
        1,
    )
    groups = table.rename(columns={"epochs": "training.epochs"}).groupby(by)[metric]
    chosen = table.loc[groups.idxmin() if metric == "loss" else groups.idxmax()]
    chosen = chosen.sort_values(metric, ascending=metric == "loss")
    assert [row["run"] for row in found["rows"]] == chosen.run.tolist()
    for row in found["rows"]:
        values = groups.get_group(tuple(row["group"].values()))
        assert (row["runs"], row["cells"], row["leakage"]) == (len(values), 3, 0.5)
        assert row["median"] == pytest.approx(values.median())
    assert [row["mean"] for row in found["rows"]] == pytest.approx(chosen[metric].tolist())
    assert [row["std"] for row in found["rows"]] == pytest.approx(chosen.sd.tolist())
    assert [row["parameters"] for row in found["rows"]] == chosen["size"].tolist()


def test_a_filter_chooses_the_runs(rows: tuple[Path, pd.DataFrame]) -> None:
    store, table = rows
    (row,) = read(store, "best", "--by", "head", "--where", "head = 'mlp' and parameters < 300")["rows"]
    chosen = table[(table["head"] == "mlp") & (table["size"] < 300)]
    assert (row["run"], row["runs"]) == (chosen.loc[chosen.f1.idxmax()].run, len(chosen))


def test_how_many_the_best_is_the_best_of_is_said(rows: tuple[Path, pd.DataFrame]) -> None:
    called = qtlplat(rows[0], "best", "--by", "head")
    assert "the best of up to 7 runs is partly lucky" in called.err
    assert "1 finished run has no f1" in called.err
    one = qtlplat(rows[0], "best", "--by", "run")
    assert "lucky" not in one.err


def test_pandas_reads_the_csv_back_equal(rows: tuple[Path, pd.DataFrame]) -> None:
    store, _ = rows
    table = pd.read_csv(io.StringIO(qtlplat(store, "best", "--csv").out))
    forms = read(store, "best")["rows"]
    assert table["by head"].tolist() == [form["group"]["head"] for form in forms]
    numbers = ["mean", "std", "cells", "runs", "median", "leakage", "parameters"]
    assert table[numbers].to_numpy().tolist() == [[form[name] for name in numbers] for form in forms]
    table = pd.read_csv(io.StringIO(qtlplat(store, "pareto", "f1", "parameters", "--csv").out))
    forms = read(store, "pareto", "f1", "parameters")["rows"]
    assert table[["f1", "parameters"]].to_numpy().tolist() == [list(form["values"].values()) for form in forms]


@pytest.mark.parametrize(
    "fields", [["f1", "parameters"], ["loss", "parameters"], ["f1", "parameters", "loss", "seed:-"]]
)
def test_the_front_is_that_of_the_definition(rows: tuple[Path, pd.DataFrame], fields: list[str]) -> None:
    store, table = rows
    found = read(store, "pareto", *fields)
    costs = table.assign(f1=-table.f1)[["f1", "size"] if fields[0] == "f1" else ["loss", "size"]].to_numpy()
    kept = [not any((other <= cost).all() and (other < cost).any() for other in costs) for cost in costs]
    assert {row["run"] for row in found["rows"]} == set(table[kept].run)
    assert (found["runs"], found["left_out"]) == (14, 1)
    assert found["directions"]["parameters"] == "-"
    every = read(store, "pareto", *fields, "--all")["rows"]
    assert len(every) == 14
    assert {row["run"] for row in every if row["unbeaten"]} == set(table[kept].run)
    first = [row["values"][fields[0]] for row in every]
    assert first == sorted(first, reverse=fields[0] == "f1")
    assert [row for row in every if row["unbeaten"]] == found["rows"]


def test_a_direction_can_be_turned(rows: tuple[Path, pd.DataFrame]) -> None:
    store, table = rows
    found = read(store, "pareto", "f1:-", "loss:+", "--where", "head = 'mlp'")
    worst = table[table["head"] == "mlp"].f1.idxmin()
    assert [row["run"] for row in found["rows"]] == [table.loc[worst].run]
    assert found["directions"] == {"f1": "-", "loss": "+"}
    told = qtlplat(store, "pareto", "f1:-", "loss:+").err
    assert "Pareto-optimal in f1 (lower is better), loss (higher is better)" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["best", "--metric", "f2"], "f2"),
        (["best", "--by", ","], "no field makes a group"),
        (["best", "--by", "haed"], "head"),
        (["best", "--where", "head ="], "head ="),
        (["pareto", "f1"], "two fields or more"),
        (["pareto", "f1", "paramters"], "parameters"),
        (["pareto", "f1", "loss:x"], "where: FIELD"),
        (["best", "--metric", "f1:x"], "where: --metric and --by"),
        (["pareto", "f1", "f1:-"], "two fields or more"),
        (["pareto", "f1", "loss", "--sort", "size"], "unknown column"),
    ],
)
def test_what_is_not_understood_ends_with_2(rows: tuple[Path, pd.DataFrame], arguments: list[str], words: str) -> None:
    called = qtlplat(rows[0], *arguments)
    assert (called.code, called.out) == (2, "")
    assert words in called.err
    assert "--cols" not in called.err  # which nobody has typed


@pytest.mark.parametrize("command", [["best"], ["pareto", "f1", "loss"]])
def test_stores_without_finished_runs_are_no_error(tmp_path: Path, command: list[str]) -> None:
    called = qtlplat(tmp_path / "none.db", *command)
    assert called.out == ""
    if called.code:  # a store that is not there knows no metrics
        assert "f1" in called.err
    store_runs(tmp_path / "s.db")
    called = qtlplat(tmp_path / "s.db", "best", "--where", "head = 'nobody'")
    assert (called.code, called.out) == (0, "")
    assert "no finished run has f1" in called.err


@pytest.mark.sampled(2)
@pytest.mark.parametrize("command", [["best", "--by", "head,dataset"], ["pareto", "f1", "loss"]])
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--md"]])
def test_hostile_names_are_inert(tmp_path: Path, command: list[str], form: list[str]) -> None:
    store_run(tmp_path / "s.db", QUANTUM, head=HOSTILE, dataset="=1+1")
    called = qtlplat(tmp_path / "s.db", *command, *form)
    assert called.code == 0, called.err
    assert is_inert(called.out + called.err)
    assert form != ["--md"] or "<script>" not in called.out.replace("\\<", "")
    assert form != ["--csv"] or "'=1+1" in called.out


def test_neither_reads_the_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_run(tmp_path / "s.db", QUANTUM)
    statements: list[str] = []

    class Listening(Reader):
        def __init__(self, location: Any) -> None:
            super().__init__(location)
            event.listen(self._engine, "before_cursor_execute", lambda *a: statements.append(a[2]))

    monkeypatch.setattr("qtlplat.store.read.queries.Reader", Listening)
    assert qtlplat(tmp_path / "s.db", "best").code == 0
    assert qtlplat(tmp_path / "s.db", "pareto", "f1", "parameters").code == 0
    assert len(statements) > 4
    assert not any("FROM epochs" in statement or "JOIN epochs" in statement for statement in statements)
