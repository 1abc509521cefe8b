import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stored_runs import HOSTILE, is_inert, qtlplat, store_runs
from test_show import STYLE, Terminal

from qtlplat.cli.commands.watch import watch
from qtlplat.cli.render.output import Listing
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import ComponentRow, EpochRow, NewCell, NewRun, RunRecord
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


def start(writer: Writer, name: str = "mine") -> str:
    """A run of two epochs that is running."""
    head = ComponentRow("head", name, "dressed", "qtlplat", "0.1", "d" * 64, {})
    plan = {"training": {"epochs": 2}}
    run = writer.start_run(NewRun("run", "f" * 64, 7, plan, [head], "a" * 64, {}))
    writer.add_cells(run, [NewCell(0, 0, 7, 10, 5, "1" * 64, "2" * 64)])
    return run


def train(writer: Writer, run: str) -> list[Callable[[], None]]:
    """What a run does from now on, step by step."""
    return [
        lambda: None,
        lambda: writer.add_epochs(run, [EpochRow(0, 1, 3.0, {"test_accuracy": 0.5})]) and None,
        lambda: None,
        lambda: writer.add_epochs(run, [EpochRow(0, 2, 3.0, {"test_accuracy": 0.75})]) and None,
        lambda: writer.finish_cell(run, 0, {"f1": 0.8, "accuracy": 0.75}, 6.0),
        lambda: writer.finish_run(run, "finished", {"total": 6.0}),
    ]


def watched(store: Path, steps: list[Callable[[], None]], out: io.StringIO) -> str:
    """What is printed while the store changes, one step between two looks at it."""
    reader, left = Reader(find_store(str(store))), iter(steps)

    def read(most: int) -> list[RunRecord]:
        next(left)()
        return reader.runs(most)

    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        watch(reader, read, 0.0, Listing(), until_done=True)
    return out.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def test_each_change_of_a_running_run_is_a_line(store: Path) -> None:
    store_runs(store)
    with Writer(find_store(str(store))) as writer:
        run = start(writer)
        out = watched(store, train(writer, run), io.StringIO())
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0] == ["run", "kind", "status", "model", "progress", "f1"]
    assert [(line[0], line[2], *line[4:]) for line in lines[1:]] == [
        (run, "running", "before its first epoch", ""),
        (run, "running", "epoch 1 of 2, accuracy 0.500, 3 s left", ""),
        (run, "running", "epoch 2 of 2, accuracy 0.750, 0 s left", ""),
        (run, "finished", "", "0.8000"),
    ]


def test_a_terminal_gets_a_table_with_what_is_running_first(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    with Writer(find_store(str(store))) as writer:
        run, other = start(writer), start(writer, name="another")
        writer.finish_run(other, "failed", {}, error="no")
        shown = STYLE.sub("", watched(store, train(writer, run), Terminal()))
    tables = shown.split(" status ")[1:]
    assert len(tables) >= 5  # one for every look
    assert "epoch 1 of 2, accuracy 0.500, 3 s left" in tables[1]
    assert tables[1].index(run[:8]) < tables[1].index(other[:8])
    assert "0.8000" in tables[-1]


def test_names_are_inert_while_they_are_watched(store: Path) -> None:
    with Writer(find_store(str(store))) as writer:
        run = start(writer, name=HOSTILE)
        assert is_inert(watched(store, train(writer, run), io.StringIO()))


def test_nothing_to_watch_ends_at_once_where_that_is_wanted(store: Path) -> None:
    called = qtlplat(store, "runs", "--watch", "--until-done")
    assert called.code == 0
    assert "no run is running" in called.err


def test_watching_goes_with_no_other_form(store: Path) -> None:
    called = qtlplat(store, "runs", "--watch", "--json")
    assert (called.code, called.out) == (2, "")


def test_until_done_needs_something_to_wait_for(store: Path) -> None:
    called = qtlplat(store, "runs", "--until-done")
    assert (called.code, called.out) == (2, "")
    assert "--watch" in called.err


def test_ctrl_c_leaves_with_130(store: Path) -> None:
    program = "from qtlplat.cli.app import main; main(['runs', '--watch', '0.2'])"
    with Writer(find_store(str(store))) as writer:
        start(writer)
        env = {**os.environ, "QTLPLAT_STORE": str(store)}
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=env, text=True)
        assert process.stdout
        assert process.stdout.readline().startswith("run\t")
        assert "running" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert process.wait(10) == 130
