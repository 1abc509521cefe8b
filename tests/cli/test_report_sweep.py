"""`qtlplat report --sweep`: what was asked for, what became of it, its best member with an honest score."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from reported import NASTY, Page, assert_self_contained
from stored_runs import is_inert, qtlplat
from stored_sweeps import crossed, store_sweep

import qtlplat_reports.report_command

POINTS = [
    *crossed(head=["dressed"], head_in_qubits=[2, 3], head_in_layers=[1, 2], seed=[0, 1]),
    *crossed(head=["linear"], seed=[0, 1]),
]


def scores(point: Mapping[str, Any]) -> Sequence[float] | str:
    if point.get("head.qubits") == 3 and point["head.layers"] == 2:
        return "killed" if point["seed"] else "missing"
    base = 0.6 + 0.1 * point.get("head.qubits", 0) + 0.1 * point["seed"] - 0.1 * point.get("head.layers", 0)
    return [round(base, 1), round(base, 1), 0.5]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store_sweep(tmp_path / "s.db", POINTS, scores, error="no luck in /home/someone/secret.py")
    return tmp_path / "s.db"


def page(store: Path, *arguments: str, sweep: str = "mine") -> Page:
    out = store.with_name("report.html")
    called = qtlplat(store, "report", "--sweep", sweep, *arguments, "-o", str(out), "--force")
    assert called.code == 0, called.err
    return Page(out.read_text(encoding="utf-8"))


def test_the_section_says_what_became_of_the_sweep(store: Path) -> None:
    shown = page(store)
    assert "10 members: 8 finished, 1 failed, 1 missing." in shown.text
    asked = {row["option"]: (row["values"], row["number"]) for row in shown.table("What was asked for")}
    assert asked["head.qubits"] == ("2, 3", "2")
    assert asked["head"] == ("dressed, linear", "2")
    failures = shown.table("Failures")
    assert [(row["point"], row["state"], row["tries"]) for row in failures] == [
        ("head=dressed, qubits=3, layers=2, seed=1", "killed", "3")
    ]
    assert "someone" not in shown.text
    assert_self_contained(shown)


def test_points_are_means_over_seeds_the_best_first(store: Path) -> None:
    rows = page(store).table("Points")
    forms = json.loads(qtlplat(store, "plot", "--sweep", "mine", "--kind", "parallel", "--json").out)["rows"]
    assert [row["F1 %"] for row in rows] == ["" if f["mean"] is None else f"{100 * f['mean']:.2f}" for f in forms]
    assert [row["finished"] for row in rows] == ["2", "2", "2", "2", "0"]
    assert (rows[-1]["qubits"], rows[-1]["failed"], rows[-1]["missing"]) == ("3", "1", "1")


def test_the_best_member_is_the_one_of_best_with_its_honest_score(store: Path) -> None:
    (row,) = page(store).table("The best member")
    best = json.loads(qtlplat(store, "best", "--sweep", "mine", "--json").out)
    assert row["run"] == best["run"][:8]
    assert row["picked F1 %"] == f"{100 * best['picked']:.2f}"
    assert row["honest F1 %"] == f"{100 * best['honest']:.2f}"
    assert row["95 % interval"] == " to ".join(f"{100 * end:.2f}" for end in best["interval"])
    assert row["best of"] == "8"
    assert row["method"].startswith("BBC-CV")


def test_it_draws_the_map_and_the_lines(store: Path) -> None:
    shown = page(store)
    titles = [name for name, _ in shown.tags].count("svg")
    assert titles >= 2
    assert "qtlplat plot --sweep mine --kind heatmap -o heatmap.svg" in shown.text
    assert "qtlplat plot --sweep mine --kind lines -o lines.svg" in shown.text
    assert "--kind heatmap --metric loss" in page(store, "--metric", "loss").text


def test_all_forms_have_the_section(store: Path, tmp_path: Path) -> None:
    markdown = qtlplat(store, "report", "--sweep", "mine").out
    assert "## The sweep mine" in markdown
    assert qtlplat(store, "report", "--sweep", "mine", "-o", str(tmp_path / "r.tex")).code == 0
    tables = (tmp_path / "r.tex").read_text()
    for caption in ("What was asked for", "The best member", "Points", "Failures"):
        assert rf"\caption{{{caption}}}" in tables
        assert f"**{caption}**" in markdown


def test_of_many_members_the_other_sections_tell_of_the_best(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qtlplat_reports.report_command, "MOST_MEMBERS", 3)
    shown = page(store)
    assert "The other sections are about its 3 best members" in shown.text
    assert len([row for row in shown.table("Runs") if row["kind"] == "run"]) == 3
    assert len(shown.table("Points")) == 5


def test_nothing_in_a_sweep_is_markup_or_a_place(tmp_path: Path) -> None:
    points = crossed(dataset=["neu[root=/home/a/x]", "neu[root=/home/b/x]"], backbone=["a", NASTY], seed=[0])
    store_sweep(tmp_path / "s.db", points, lambda _: [0.5, 0.6])
    shown = page(tmp_path / "s.db")
    assert_self_contained(shown)
    assert "/home" not in shown.text
    assert len(shown.table("Points")) == 4  # also those that differ in the place alone
    assert is_inert(qtlplat(tmp_path / "s.db", "report", "--sweep", "mine").out)


def test_refused(store: Path) -> None:
    called = qtlplat(store, "report", "--sweep", "mine", "@last")
    assert (called.code, "--sweep names the runs" in called.err) == (2, True)
    assert qtlplat(store, "report", "--sweep", "none").code == 2
    store_sweep(store, POINTS, lambda _: "failed", name="worse")
    called = qtlplat(store, "report", "--sweep", "worse")
    assert (called.code, "no finished member" in called.err) == (3, True)
