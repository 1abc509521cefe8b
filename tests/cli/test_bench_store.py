"""`bench store`: what it makes is a store like any other, and no command that it times reads all epochs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from stored_runs import qtlplat

from qtlplat.cli.app import COMMANDS as KNOWN
from qtlplat.store.backends.find import find_store
from qtlplat.store.core import database
from qtlplat.store.read.queries import Reader
from qtlplat_bench.store import COMMANDS, make_store
from qtlplat_bench.synthetic_runs import CELLS, EPOCHS, made_up

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "json.md"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made up") / "s.db"
    make_store(find_store(str(path)), 40)
    return path


def test_commands_are_timed_and_their_lines_counted(tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    called = qtlplat(
        tmp_path / "none.db", "bench", "store", "--runs", "12", "--repeats", "1", "--json", "--keep", str(kept)
    )
    assert called.code == 0
    rows = json.loads(called.out)["rows"]
    assert [list(row) for row in rows] == [["command", "seconds", "rows"]] * len(rows)
    assert [row["command"].split()[0] for row in rows] == [c[0] for c in COMMANDS if c[0] in KNOWN]
    by_name = {row["command"].split()[0]: row for row in reversed(rows)}
    assert rows[0] == {"command": "runs -n 20", "seconds": rows[0]["seconds"], "rows": 13}  # and a pretraining
    assert by_name["compare"]["rows"] == 10
    assert all(row["seconds"] > 0 for row in rows)
    assert not (tmp_path / "none.db").exists()
    assert '{"command": ' in PAGE.read_text(encoding="utf-8")
    again = qtlplat(tmp_path / "none.db", "bench", "store", "--keep", str(kept))
    assert (again.code, again.out) == (2, "")


@pytest.mark.slow
def test_what_is_made_up_is_whole_and_has_everything_that_runs_have(store: Path) -> None:
    assert qtlplat(store, "store", "check").code == 0
    reader = Reader(find_store(str(store)))
    runs = reader.runs(kind="run")
    assert (len(runs), len(reader.runs(kind="pretraining"))) == (40, 1)
    whole = [run for run in runs if run.status == "finished"]
    assert len(whole) > 30
    run = whole[0]
    assert len(run.metrics["f1"]) == CELLS
    epochs = reader.epochs(run.id)
    assert len([epoch for epoch in epochs if epoch.cell < CELLS]) == CELLS * EPOCHS
    assert len(reader.predictions(run.id)) > 1000
    assert {cell.variant for run in runs for cell in reader.cells(run.id)} == {"head", "linear", "shuffled"}
    facts = reader.table(["head", "backbone", "tag", "note", "head.layers", "leakage", "error", "status"])
    for name in ("head", "backbone", "head.layers"):
        assert len({row[name] for row in facts if row[name] is not None}) > 1
    for name in ("tag", "note", "error"):
        assert [row for row in facts if row[name]]


def test_the_same_runs_are_made_up_again(store: Path) -> None:
    def told(runs: Any) -> list[Any]:
        moving = ("created", "finished", "since")
        return [
            (run, name, [[v for c, v in zip(columns, row, strict=True) if c not in moving] for row in rows])
            for run, tables in runs
            for name, (columns, rows) in tables.items()
        ]

    assert told(made_up(5)) == told(made_up(5))
    assert told(made_up(5)) != told(made_up(5, seed=1))


def statements(store: Path, arguments: tuple[str, ...]) -> list[tuple[str, Any]]:
    """All statements that a command sends, with their values."""
    sent: list[tuple[str, Any]] = []

    def keep(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", keep)
    try:
        assert qtlplat(store, *arguments).code == 0
    finally:
        event.remove(Engine, "before_cursor_execute", keep)
    return sent


def plans(store: Path, arguments: tuple[str, ...]) -> list[str]:
    """The query plans of all statements that a command sends, a line for each of their steps."""
    sent = statements(store, arguments)
    with database.engine(find_store(str(store)), write=False).connect() as connection:
        return [
            row.detail
            for statement, parameters in sent
            if statement.startswith(("SELECT", "WITH"))
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] in KNOWN], ids=lambda c: " ".join(c)[:30])
def test_no_timed_command_reads_all_epochs(store: Path, command: tuple[str, ...]) -> None:
    steps = plans(store, command)
    assert len(steps) > 5
    assert [step for step in steps if re.match("SCAN (epochs|e|predictions|p)( |$)", step)] == []


def test_the_newest_runs_are_found_without_reading_the_others(store: Path) -> None:
    scanned = {step for step in plans(store, ("runs", "-n", "20")) if step.startswith("SCAN")}
    assert scanned == {
        "SCAN qtlplat_schema",
        "SCAN value VIRTUAL TABLE INDEX 1:",  # the ids that were found
        "SCAN runs USING INDEX ix_runs_created",
    }


FILTERED = next(command for command in COMMANDS if "--where" in command)


def test_a_list_sorted_by_a_metric_is_filled_from_the_best(store: Path) -> None:
    steps = plans(store, (*FILTERED[:-1], "2"))
    assert [step for step in steps if "ix_run_metrics_mean" in step] == [
        "SEARCH run_metrics USING COVERING INDEX ix_run_metrics_mean (name=? AND variant=? AND mean>?)"
    ]
    assert [step for step in steps if re.match("SCAN (runs|run_metrics|metrics|cells|components)( |$)", step)] == []
    # with fewer than were asked for, runs without that metric would follow
    assert len([step for step in plans(store, FILTERED) if "ix_run_metrics_mean" in step]) == 1


@pytest.mark.parametrize("sort", ["f1", "-f1", "-f1@linear,created", "min(f1)", "-f1,head"])
@pytest.mark.parametrize("where", ["", "head = 'dressed5x3' or tag = 'paper'", "f1 is null or f1 > 0.9"])
def test_a_list_from_the_best_is_the_beginning_of_the_whole_one(store: Path, sort: str, where: str) -> None:
    reader = Reader(find_store(str(store)))
    whole = [run.id for run in reader.runs(sort=sort, where=where)]
    assert len(whole) > 3
    for limit in (1, 3, len(whole) - 1, len(whole), len(whole) + 1):
        assert [run.id for run in reader.runs(limit, sort=sort, where=where)] == whole[:limit]
        assert [row["run"] for row in reader.table(["run"], sort=sort, where=where, limit=limit)] == whole[:limit]


@pytest.mark.parametrize("command", [("best",), ("best", "--by", "head"), ("pareto", "f1", "accuracy")], ids=" ".join)
def test_rankings_read_an_index_of_runs_and_one_row_for_a_metric(store: Path, command: tuple[str, ...]) -> None:
    steps = plans(store, command)
    assert {step for step in steps if re.match("SCAN (?!value)", step)} <= {
        "SCAN qtlplat_schema",
        "SCAN runs USING COVERING INDEX ix_runs_facts",
        "SCAN anon_1",
    }
    assert "SEARCH run_metrics USING PRIMARY KEY (run_id=? AND variant=? AND name=?)" in steps


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] in KNOWN], ids=lambda c: " ".join(c)[:40])
def test_the_number_of_statements_does_not_grow_with_the_store(
    store: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    make_store(find_store(str(tmp_path / "small.db")), 12)
    if command[0] == "best":  # which reads the predictions of a limited number of candidates
        command = (*command, "--no-honest")
    assert len(statements(store, command)) <= len(statements(tmp_path / "small.db", command)) + 1


def test_the_runs_that_are_running_are_found_by_their_own_index(store: Path) -> None:
    steps = plans(store, ("runs", "--where", "status = 'interrupted'", "-n", "3"))
    assert [step for step in steps if "ix_runs_running" in step]


def test_runs_of_which_the_parameter_counts_hold_totals_alone_are_reported(store: Path) -> None:
    """Parameters by part of a head are empty cells where they are not stored."""
    called = qtlplat(store, "report", "@last")
    assert called.code == 0
    run = Reader(find_store(str(store))).runs(1, "run")[0]
    parameters = called.out.partition("| trainable | whole model |")[2]
    line = next(line for line in parameters.splitlines() if line.startswith(f"| {run.id[:8]} |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[-5:-2] == ["", "", ""]
    assert cells[-1] == f"{run.parameters['model_total']:,}"


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "compared"), [(1, "compare @-1 @-1"), (3, "compare @-1 @-2 @-3")])
def test_a_small_store_is_timed_with_the_runs_that_it_has(tmp_path: Path, runs: int, compared: str) -> None:
    called = qtlplat(tmp_path / "none.db", "bench", "store", "--runs", str(runs), "--repeats", "1", "--json")
    assert called.code == 0
    assert json.loads(called.out)["rows"][-1]["command"] == compared
