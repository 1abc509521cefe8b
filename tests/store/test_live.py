"""What is asked of relatives and of running runs reads their own rows, however large the store is."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from qtlplat.cli.commands.show import read_run
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import EpochRow, NewCell, NewRun
from qtlplat.store.read.lineage import family
from qtlplat.store.read.progress import progress
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def start(writer: Writer, kind: Any = "run", plan: dict[str, Any] | None = None) -> str:
    run = writer.start_run(NewRun(kind, "f" * 64, 7, plan or {}, [], "a" * 64, {}))
    writer.add_cells(run, [NewCell(i, i, 7, 10, 5, "1" * 64, "2" * 64) for i in range(2)])
    return run


def test_every_query_behind_a_page_uses_an_index_on_the_large_tables(store: Path) -> None:
    reader, asked = Reader(find_store(str(store))), []
    with Writer(find_store(str(store))) as writer:
        run = start(writer)
        event.listen(reader._engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
        read_run(reader, run)
    with sqlite3.connect(store) as connection:
        steps = [
            detail
            for statement, values in asked
            if statement.lstrip().upper().startswith("SELECT")
            for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    connection.close()
    assert any("epochs" in step for step in steps)
    large = ("epochs", "cells", "metrics", "lineage", "environment", "components")
    assert [step for step in steps if step.startswith("SCAN") and step.split()[1] in large] == []


def test_initialisations_come_one_after_the_other(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    with Writer(find_store(str(store))) as writer:
        run = start(writer, "pretraining", {"pretraining": {"epochs": 10}})
        writer.add_epochs(run, [EpochRow(0, e, 1.0, {"test_accuracy": 0.9}) for e in range(1, 6)])
        writer.add_epochs(run, [EpochRow(1, e, 1.0, {"test_accuracy": 0.5}) for e in range(1, 3)])
        now = progress(reader, [reader.run(run)])[run]
    assert (now.epoch, now.epochs, now.done, now.planned, now.seconds_left) == (2, 10, 7, 20, 13.0)


def test_a_plan_without_epochs_tells_no_time(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    with Writer(find_store(str(store))) as writer:
        run = start(writer)
        writer.add_epochs(run, [EpochRow(0, 1, 1.0, {})])
        now = progress(reader, [reader.run(run)])[run]
    assert (now.epoch, now.epochs, now.planned, now.accuracy, now.seconds_left) == (1, None, None, None, None)


def test_a_replay_knows_what_it_does_again(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    with Writer(find_store(str(store))) as writer:
        first, again = start(writer), start(writer)
        writer.link(again, "replay", first)
    assert reader.run(again).replay_of == first
    assert reader.run(first).replay_of is None
    (below,) = family(reader, first).below
    assert (below.role, below.record.id) == ("replay", again)


def test_an_empty_store_has_no_relatives(store: Path) -> None:
    found = family(Reader(find_store(str(store))), "0" * 16)
    assert (found.above, found.below, found.parents, found.children) == ((), (), 0, 0)
