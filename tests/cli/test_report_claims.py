"""`qtlplat report`: what a reproduction came to, claim by claim."""

from dataclasses import replace
from pathlib import Path

import pytest
from compared_runs import store_run
from reported import NASTY, PARAMETERS, assert_self_contained, filled, page
from stored_runs import qtlplat

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import ClaimRow, NewReproduction
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return filled(tmp_path / "s.db")


def outcome(*claims: ClaimRow, budget: str = "smoke") -> NewReproduction:
    cuts = {"epochs": f"6 instead of 120 {NASTY}"}
    return NewReproduction("nobody2024", "dist", "1.0", "d" * 64, budget, "a" * 64, cuts, claims)


def claim(name: str, runs: tuple[str, ...], ours: float | None, verdict: str) -> ClaimRow:
    ends = (None, None) if ours is None else (94.5, 97.25)
    place = "Table III"
    return ClaimRow(name, "metric", "f1", "m", place, 95.0, "%", 1.0, ours, *ends, verdict, "6 cells", runs)


def test_claims_stand_with_our_number_and_their_runs(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    nested = next(r.id for r in reader.runs() if r.components["evaluator"].name == "nested6")
    with Writer(find_store(str(store))) as writer:
        writer.add_reproduction(outcome(claim("old", (), None, "not run")))
        rows = (claim("F1", (nested,), 96.125, "inconclusive"), claim("other", (), None, "not run"))
        writer.add_reproduction(outcome(*rows, budget="quick"))
        writer.add_reproduction(outcome(claim("old", (), None, "not run"), budget="paper"))
    shown = page(store, "--recipe", "nobody2024", "--budget", "quick")
    assert_self_contained(shown)
    first, second = shown.table("Claims")
    assert (first["claim"], first["where"], first["printed"], first["ours"]) == (
        "F1",
        "Table III",
        "95.00 %",
        "96.12 %",
    )
    assert (first["interval"], first["verdict"], first["runs"]) == ("94.50 to 97.25", "inconclusive", nested[:8])
    assert (second["ours"], second["interval"], second["verdict"]) == ("", "", "not run")
    assert "1 inconclusive, 1 not run" in shown.text
    assert "6 instead of 120" in shown.text
    assert {row["run"] for row in shown.table("Runs")} == {run.id[:8] for run in reader.runs()}
    assert "Reproduction of nobody2024" in qtlplat(store, "report", "--recipe", "nobody2024").out
    unknown = qtlplat(store, "report", "--recipe", "nobody2024", "--budget", "huge")
    assert unknown.code == 2
    assert "there is paper, quick, smoke" in unknown.err


def test_a_reproduction_brings_its_heads_under_other_evaluators(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    first = store_run(path, (0.9, 0.8), parameters=PARAMETERS)
    other = store_run(path, (0.7, 0.8), parameters=PARAMETERS, evaluator="nested6")
    store_run(path, (0.7, 0.8), parameters=PARAMETERS, head="linear")
    matched = store_run(path, (0.6, 0.7), parameters=PARAMETERS, dataset="matched", digest="b" * 64)
    shorter = {"seed": 0, "pretraining": {"epochs": 3}}  # of another budget: another training of the same head
    store_run(path, (0.5, 0.6), parameters=PARAMETERS, evaluator="nested6", plan=shorter)
    store_run(path, (0.5, 0.6), parameters=PARAMETERS, dataset="matched", digest="b" * 64, plan=shorter)
    with Writer(find_store(str(path))) as writer:
        writer.add_reproduction(outcome(claim("F1", (first,), 85.0, "inconclusive")))
    shown = page(path, "--recipe", "nobody2024")
    assert {row["run"] for row in shown.table("Runs")} == {first[:8], other[:8], matched[:8]}
    rows = shown.table(next(c for c in shown.tables if "several datasets" in c))
    assert {row["run"] for row in rows} == {first[:8], matched[:8]}


@pytest.mark.parametrize("name", ["training", "pretraining", "seed"])
def test_runs_that_were_trained_otherwise_do_not_stand_side_by_side(tmp_path: Path, name: str) -> None:
    path = tmp_path / "s.db"
    paper = store_run(path, (0.9, 0.8))
    nested = store_run(path, (0.7, 0.8), evaluator="nested6")
    store_run(path, (0.5, 0.6), evaluator="nested6", plan={"seed": 0, name: 3})  # the newest of its sort
    shown = page(path)
    (caption,) = [c for c in shown.tables if "several evaluators" in c]
    assert {row["run"] for row in shown.table(caption)} == {paper[:8], nested[:8]}


def test_an_outcome_of_a_whole_budget_comes_before_a_newer_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    whole = outcome(claim("whole", (), None, "not run"))
    part = outcome(claim("part", (), None, "not run"))
    part = replace(part, cuts={**part.cuts, "selection": "only figure 4, as requested"})
    with Writer(find_store(str(path))) as writer:
        writer.add_reproduction(part)
    assert [row["claim"] for row in page(path, "--recipe", "nobody2024").table("Claims")] == ["part"]
    with Writer(find_store(str(path))) as writer:
        writer.add_reproduction(whole)
        writer.add_reproduction(part)
    for budget in ((), ("--budget", "smoke")):
        shown = page(path, "--recipe", "nobody2024", *budget)
        assert [row["claim"] for row in shown.table("Claims")] == ["whole"]


def test_what_a_recipe_says_of_its_publication_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Writer(find_store(str(path))) as writer:
        writer.add_reproduction(replace(outcome(claim("F1", (), None, "not run")), recipe="bhowmik2024"))
    called = qtlplat(path, "report", "--recipe", "bhowmik2024")
    assert called.code == 0, called.err
    assert "Surface Anomaly Detection" in called.out
