"""Figures of sweeps: as text, as data, as files."""

import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from stored_runs import HOSTILE, Called, is_inert, qtlplat
from stored_sweeps import crossed, store_sweep

from qtlplat_reports.figures.flat import flat
from qtlplat_reports.figures.sweeps import on_a_log_scale

DRESSED = crossed(head=["dressed"], head_in_qubits=[2, 3, 4], head_in_layers=[1, 2], seed=[0, 1])
LINEAR = crossed(head=["linear"], seed=[0, 1])


def scores(point: Mapping[str, Any]) -> Sequence[float] | str:
    """Better with qubits; 3 x 2 fails, 4 x 2 lacks a seed."""
    qubits, layers = point.get("head.qubits", 0), point.get("head.layers", 0)
    if (qubits, layers) == (3, 2):
        return "failed"
    if (qubits, layers, point["seed"]) == (4, 2, 1):
        return "missing"
    mean = 0.6 + 0.05 * qubits + 0.01 * layers + 0.02 * point["seed"]
    return [mean - 0.05, mean, mean + 0.05]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    store_sweep(path, [*DRESSED, *LINEAR], scores)
    return path


def plot(store: Path, *arguments: str) -> Called:
    called = qtlplat(store, "plot", "--sweep", "mine", *arguments)
    assert called.code == 0, called.err
    return called


def rows_of(store: Path, *arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(plot(store, *arguments, "--json").out)["rows"]
    return rows


# --- heat map


def test_a_map_has_a_field_for_every_pair_of_values(store: Path) -> None:
    called = plot(store)
    assert [line.split("\t") for line in called.out.splitlines()] == [
        ["head.qubits", "layers=1", "layers=2"],
        ["2", "0.7200 ░", "0.7300 ░"],
        ["3", "0.7700 ▓", "(2 failed)"],
        ["4", "0.8200 █ *", "0.8200 █ (1 missing)"],
    ]
    said = " ".join(called.err.split())
    assert "Averaged over seed (2 values)" in said
    assert "In brackets: members that have failed or are missing" in said
    assert "11 of 14 members finished, 2 failed, 1 missing" in said
    assert "a: head=linear, 0.6100" in said
    assert "picked on the folds" in said
    assert "Tested by kfold6" in said


def test_its_numbers_are_means_of_the_stored_members(store: Path) -> None:
    form = json.loads(plot(store, "--json").out)
    assert {key: form[key] for key in ("kind", "sweep", "metric", "axes", "over", "members", "failed", "missing")} == {
        "kind": "heatmap", "sweep": "mine", "metric": "f1", "axes": ["head.qubits", "head.layers"], "over": ["seed"],
        "members": 14, "failed": 2, "missing": 1,
    }  # fmt: skip
    first, *_, hole, _, incomplete, apart = form["rows"]
    assert first["point"] == {"head.qubits": 2, "head.layers": 1}
    assert (first["mean"], first["n"]) == (pytest.approx(0.72), 2)
    assert first["std"] == pytest.approx(statistics.stdev([0.71, 0.73]))
    assert (hole["mean"], hole["failed"], hole["runs"]) == (None, 2, [])
    assert (incomplete["finished"], incomplete["missing"], incomplete["best"]) == (1, 1, False)
    assert (apart["apart"], apart["point"]) == (True, {"head": "linear"})
    # the best of the fields that are whole, though the incomplete one has a higher mean by rounding or luck
    assert [row["point"] for row in form["rows"] if row["best"]] == [{"head.qubits": 4, "head.layers": 1}]


def test_axes_are_named_by_their_last_part(store: Path) -> None:
    rows = rows_of(store, "--axes", "seed,qubits")
    assert {tuple(row["point"]) for row in rows} == {("head.qubits", "seed"), ("seed",)}
    assert len(rows) == 2 * 3 + 2
    without = [row for row in rows if "head.qubits" not in row["point"]]
    assert [row["mean"] for row in without] == pytest.approx([0.6, 0.62])


def test_of_a_loss_the_least_is_the_best(store: Path) -> None:
    assert [row["point"] for row in rows_of(store, "--metric", "loss") if row["best"]] == [
        {"head.qubits": 4, "head.layers": 1}
    ]


# --- lines


def test_lines_have_intervals_over_seeds(store: Path) -> None:
    form = json.loads(plot(store, "--kind", "lines", "--json").out)
    assert form["axes"] == ["head.qubits", "head.layers"]
    points = [(row["point"].get("head.qubits"), row["point"].get("head.layers")) for row in form["rows"]]
    assert points == [(2, 1), (3, 1), (4, 1), (2, 2), (3, 2), (4, 2), (None, None)]
    whole, hole, single, level = (form["rows"][i] for i in (0, 4, 5, 6))
    assert (whole["unit"], whole["n"], whole["level"]) == ("seed", 2, 0.95)
    low, high = whole["interval"]
    assert (low + high) / 2 == pytest.approx(whole["mean"])
    assert (hole["mean"], hole["interval"], hole["why"]) == (None, None, "no finished member")
    assert (single["unit"], single["n"], single["finished"], single["members"]) == ("fold", 3, 1, 2)
    assert level["point"] == {"head": "linear"}

    called = plot(store, "--kind", "lines")
    table = [line.split("\t") for line in called.out.splitlines()]
    assert table[1][:7] == ["layers = 1", "2", "0.7200", f"{low:.4f}", f"{high:.4f}", "2 seeds", "2 of 2"]
    assert table[7][:3] == ["head=linear", "", "0.6100"]
    assert "over 2 seeds, each with its own backbone and folds; 3 folds (for this backbone only)" in called.err


def test_an_axis_is_logarithmic_where_its_values_are() -> None:
    assert on_a_log_scale([1e-4, 3.16228e-4, 1e-3, 3.16228e-3, 1e-2])
    assert on_a_log_scale([1, 2, 4, 8])
    assert on_a_log_scale([0.001, 0.1])
    assert not on_a_log_scale([2, 3, 4, 5])
    assert not on_a_log_scale([2, 4])
    assert not on_a_log_scale([0, 1, 10])
    assert not on_a_log_scale([5])


def test_lines_over_one_axis(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    rates = {"training.learning_rate": [1e-3, 1e-2, 1e-1]}
    store_sweep(store, crossed(**rates), lambda point: [point["training.learning_rate"], 0.5, 0.6])
    form = json.loads(plot(store, "--json").out)
    assert (form["kind"], form["axes"], form["over"]) == ("lines", ["training.learning_rate"], [])
    assert [row["unit"] for row in form["rows"]] == ["fold"] * 3
    assert plot(store, "-o", str(tmp_path / "lines.svg")).out.startswith("file\t")


# --- parallel coordinates, front


def test_parallel_has_a_row_for_each_point_the_best_first(store: Path) -> None:
    rows = rows_of(store, "--kind", "parallel")
    means = [row["mean"] for row in rows]
    assert means[:-1] == sorted(means[:-1], reverse=True)
    assert means[-1] is None
    assert len(rows) == 7
    table = [line.split("\t") for line in plot(store, "--kind", "parallel").out.splitlines()]
    assert table[0][:4] == ["head", "head.qubits", "head.layers", "F1"]
    assert table[-1][:6] == ["dressed", "3", "2", "", "", "0"]
    assert table[-1][6] == "2 failed"


@pytest.mark.parametrize(("cost", "expected"), [("trainable", 40), ("seconds", 20.0), ("parameters", 2040)])
def test_the_front_is_against_what_was_asked_for(store: Path, cost: str, expected: float) -> None:
    called = json.loads(plot(store, "--kind", "pareto", "--against", cost, "--json").out)
    assert called["against"] == cost
    rows = {row["name"]: row for row in called["rows"]}
    best = rows["head=dressed, qubits=4, layers=1"]
    assert best[cost] == expected
    assert (best["n"], len(best["runs"]), best["unbeaten"]) == (6, 2, True)
    # the backbones of the seeds are one point, too; they were not timed by the cell
    assert ("lenet2, whole" in rows) == (cost != "seconds")
    if cost != "seconds":
        assert rows["lenet2, whole"]["values"] == pytest.approx([0.9, 0.91])
    # as many parameters at a lower mean
    assert not rows["head=dressed, qubits=2, layers=2"]["unbeaten"]
    assert {row["name"] for row in called["rows"] if row["unbeaten"]} >= {"head=linear"}


def test_the_other_kinds_take_the_finished_members(store: Path) -> None:
    assert len(rows_of(store, "--kind", "box")) == 11


# --- files and CSV


@pytest.mark.parametrize("kind", ["heatmap", "lines", "parallel", "pareto"])
def test_every_figure_is_a_file_and_the_same_one_twice(store: Path, tmp_path: Path, kind: str) -> None:
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    for path in (first, second):
        plot(store, "--kind", kind, "-o", str(path))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize("kind", ["heatmap", "lines", "parallel", "pareto", "box"])
def test_csv_has_the_numbers_of_json(store: Path, kind: str) -> None:
    rows = list(csv.DictReader(io.StringIO(plot(store, "--kind", kind, "--csv").out)))
    expected = rows_of(store, "--kind", kind)
    cells = sum(len(row.get("cells", [0])) for row in expected)
    assert len(rows) == cells
    mean = expected[0]["mean"]
    assert float(rows[0]["mean"]) == mean
    if kind == "heatmap":
        assert (rows[0]["head.qubits"], rows[0]["head.layers"]) == ("2", "1")


def test_parts_of_a_row_are_rows_of_csv() -> None:
    cells = [{"fold": 0, "difference": 0.5, "mean": 7}, {"fold": 1, "difference": 0.25}]
    rows, names = flat([{"first": {"run": "a"}, "mean": 0.375, "interval": [0.1, 0.9], "cells": cells, "none": []}])
    assert names == ["first.run", "mean", "interval", "none", "fold", "difference", "own mean"]
    common = {"first.run": "a", "mean": 0.375, "interval": "0.1 0.9", "none": ""}
    assert rows == [
        {**common, "fold": 0, "difference": 0.5, "own mean": 7},
        {**common, "fold": 1, "difference": 0.25},
    ]


# --- what is refused, and what is hostile


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "heatmap"], "a figure of heatmap is of a sweep"),
        (["--sweep", "mine", "@last"], "--sweep names the runs"),
        (["--sweep", "other"], "there is no sweep 'other'"),
        (["--sweep", "mine", "--axes", "qubits"], "this figure has 2 axes"),
        (["--sweep", "mine", "--axes", "qubits,depth"], "nothing called 'depth' varies"),
        (["--sweep", "mine", "--kind", "lines", "--axes", "head"], "the values of head are no numbers"),
        (["--sweep", "mine", "--kind", "box", "--axes", "qubits"], "--axes is of heatmap and lines and parallel only"),
        (["--sweep", "mine", "--metric", "nothing"], "nothing"),
        (["--sweep", "mine", "--against", "seconds"], "--against is of pareto only"),
        (["--sweep", "mine", "--json", "--csv"], "several answers"),
    ],
)
def test_refused(store: Path, arguments: list[str], said: str) -> None:
    called = qtlplat(store, "plot", *arguments)
    assert called.code == 2
    assert said in called.err


def test_a_sweep_without_a_finished_member_says_so(tmp_path: Path) -> None:
    store_sweep(tmp_path / "s.db", DRESSED, lambda _: "killed")
    called = qtlplat(tmp_path / "s.db", "plot", "--sweep", "mine")
    assert (called.code, "sweep mine has no finished member" in called.err) == (3, True)


def test_hostile_values_are_drawn_as_text(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    points = crossed(backbone=["a", HOSTILE], training_in_note=[HOSTILE, "$x^2$"])
    store_sweep(store, points, lambda _: [0.5, 0.6])
    for kind in ("heatmap", "parallel"):
        called = plot(store, "--kind", kind)
        assert is_inert(called.out)
        assert is_inert(called.err)
        plot(store, "--kind", kind, "-o", str(tmp_path / f"{kind}.svg"))


def test_values_may_be_lists_and_true_is_not_1(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    points = crossed(head_in_hidden=[[8], [16, 16]], head_in_bias=[True, 1], seed=[0, 1])
    store_sweep(store, points, lambda point: [0.5 + 0.1 * len(point["head.hidden"]) + 0.01 * point["seed"], 0.6])
    for kind in ("heatmap", "parallel"):
        rows = rows_of(store, "--kind", kind)
        assert sorted(json.dumps(row["point"]) for row in rows) == sorted(
            json.dumps({"head.hidden": hidden, "head.bias": bias}) for hidden in ([8], [16, 16]) for bias in (True, 1)
        )
        plot(store, "--kind", kind, "-o", str(tmp_path / f"{kind}.svg"))
    table = qtlplat(store, "sweep", "show", "mine", "--pivot", "hidden,bias").out
    assert table.splitlines()[0] == "head.hidden\thead.bias=True\thead.bias=1"
    assert len(table.splitlines()) == 3
