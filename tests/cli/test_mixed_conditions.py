"""Scores on other data, or by another evaluator, are not compared without saying so."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from compared_runs import LINEAR, QUANTUM, store_run
from stored_runs import qtlplat

import qtlplat as api
from qtlplat.store.core.records import ComponentRow
from qtlplat.store.core.summaries import condition

PARAMETERS = {"model_total": 100, "head": {"vqc": 0, "total": 12}}
LOW = tuple(value - 0.2 for value in LINEAR)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture
def runs(store: Path) -> dict[str, str]:
    """Two datasets and two evaluators: scores are high on the easy data."""
    easy = {"dataset": "easy", "digest": "e" * 64, "parameters": PARAMETERS}
    hard = {"dataset": "hard", "digest": "f" * 64, "parameters": PARAMETERS}
    return {
        "easy": store_run(store, QUANTUM, **easy),  # type: ignore[arg-type]
        "hard": store_run(store, LINEAR, **hard),  # type: ignore[arg-type]
        "hard, worse": store_run(store, LOW, **hard),  # type: ignore[arg-type]
        "hard, nested": store_run(store, LOW, evaluator="nested6", **hard),  # type: ignore[arg-type]
    }


def asked(store: Path, *arguments: str) -> Any:
    called = qtlplat(store, *arguments, "--json")
    assert (called.code, called.err) == (0, "")
    return json.loads(called.out)


def test_the_best_is_that_of_runs_that_were_tested_alike(store: Path, runs: dict[str, str]) -> None:
    found = asked(store, "best")
    best = {(row["group"]["dataset"], row["group"]["evaluator"]): (row["run"], row["runs"]) for row in found["rows"]}
    assert best == {
        ("easy", "kfold6"): (runs["easy"], 1),
        ("hard", "kfold6"): (runs["hard"], 2),
        ("hard", "nested6"): (runs["hard, nested"], 1),
    }
    assert (found["datasets"], found["evaluators"], found["mixed"]) == (["easy", "hard"], ["kfold6", "nested6"], False)
    words = "these runs use 2 datasets (easy, hard) and 2 evaluators (kfold6, nested6): each is compared only with"
    assert words in qtlplat(store, "best").err
    listed = api.open_store(store).best()
    assert {row["run"] for row in listed.rows()} == {runs[name] for name in ("easy", "hard", "hard, nested")}


def test_groups_that_mix_them_are_made_with_a_warning(store: Path, runs: dict[str, str]) -> None:
    found = asked(store, "best", "--by", "head")
    assert ([row["run"] for row in found["rows"]], found["mixed"]) == ([runs["easy"]], True)
    said = qtlplat(store, "best", "--by", "head").err
    assert "their scores are not comparable; try --by dataset,evaluator,head, or use --where" in said
    with pytest.warns(UserWarning, match="not comparable"):
        api.open_store(store).best(by=["head"])
    alone = asked(store, "best", "--by", "dataset,evaluator,head")
    assert (len(alone["rows"]), alone["mixed"]) == (3, False)
    one = qtlplat(store, "best", "--by", "head", "--where", "dataset = 'easy'")
    assert "not comparable" not in one.err


def test_a_run_is_beaten_only_by_one_that_was_tested_alike(store: Path, runs: dict[str, str]) -> None:
    found = asked(store, "pareto", "f1", "parameters")
    assert {row["run"] for row in found["rows"]} == {runs["easy"], runs["hard"], runs["hard, nested"]}
    assert (found["datasets"], found["evaluators"]) == (["easy", "hard"], ["kfold6", "nested6"])
    assert "2 datasets (easy, hard) and 2 evaluators" in qtlplat(store, "pareto", "f1", "parameters").err
    front = api.open_store(store).pareto("f1", "parameters")
    assert [row["run"] for row in front] == [row["run"] for row in found["rows"]]


def test_one_name_for_other_data_or_other_options_is_told_apart(store: Path) -> None:
    store_run(store, QUANTUM, digest="1" * 64)
    store_run(store, LINEAR, digest="2" * 64)
    found = asked(store, "best")
    assert found["datasets"] == ["steel [11111111]", "steel [22222222]"]
    assert len(found["rows"]) == 2
    said = qtlplat(store, "best", "--by", "dataset,head").err
    assert "not comparable; try --by dataset_digest,evaluator,head, or use --where" in said
    assert asked(store, "best", "--by", "dataset_digest,evaluator,head")["mixed"] is False
    # one dataset by two names is one
    store_run(store, LINEAR, digest="2" * 64, dataset="copy")
    assert asked(store, "best", "--where", "dataset_digest like '2%'")["datasets"] == ["steel"]


def test_evaluators_of_one_name_are_told_apart(store: Path) -> None:
    for provider, options in (("qtlplat", {}), ("qtlplat", {"folds": 5}), ("another", {})):
        run = store_run(store, QUANTUM)
        with closing(sqlite3.connect(store)) as connection, connection:
            connection.execute(
                "UPDATE components SET provider = ?, options = ? WHERE run_id = ? AND role = 'evaluator'",
                [provider, json.dumps(options), run],
            )
            ((digest,),) = connection.execute("SELECT dataset_digest FROM runs WHERE id = ?", [run])
            changed = condition(digest, ComponentRow("evaluator", "kfold6", "kfold6", provider, "", "", options))
            connection.execute("UPDATE runs SET condition = ? WHERE id = ?", [changed, run])
        names = {
            1: ["kfold6"],
            2: ["kfold6 [folds=5]", "kfold6 [no options]"],
            3: [
                "kfold6 [kfold6 of another, no options]",
                "kfold6 [kfold6 of qtlplat, folds=5]",
                "kfold6 [kfold6 of qtlplat, no options]",
            ],
        }
        found = asked(store, "best")
        assert found["evaluators"] == names[len(found["rows"])]
    assert len(found["rows"]) == 3
    assert "not comparable; leave --by out, or use --where" in qtlplat(store, "best", "--by", "evaluator").err


def test_references_and_figures_say_what_they_mix(
    store: Path, runs: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    words = "2 datasets (easy, hard) and 2 evaluators (kfold6, nested6): their scores are not comparable"
    called = qtlplat(store, "show", "@best:f1")
    assert (called.code, words in called.err) == (0, True)
    with caplog.at_level("WARNING"):
        assert api.open_store(store).run("@best:f1").id == runs["easy"]
    assert words in caplog.text
    assert words in qtlplat(store, "plot", *runs.values(), "--kind", "pareto").err
    assert "comparable" not in qtlplat(store, "plot", runs["hard"], runs["hard, worse"], "--kind", "pareto").err


def test_runs_that_were_tested_alike_are_no_mixture(store: Path) -> None:
    first, second = store_run(store, QUANTUM), store_run(store, LINEAR, head="linear")
    called = qtlplat(store, "best", "--by", "dataset")
    assert "comparable" not in called.err
    assert asked(store, "best")["rows"][0]["group"] == {"backbone": "lenet2", "head": "dressed5x3"}
    assert "comparable" not in qtlplat(store, "show", "@best:f1").err + qtlplat(store, "pareto", "f1", "loss").err
    assert {first, second} == {row["run"] for row in asked(store, "best")["rows"]}
