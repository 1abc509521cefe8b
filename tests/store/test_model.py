"""The store against a model of it in plain Python: whatever is done in whatever order, both say the same."""

from __future__ import annotations

import math
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sample_runs import new_cells, new_run

from qtlplat.errors import BusyError, StoreError
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import EpochRow, PredictionRow
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

FLOATS = st.sampled_from([0.0, 0.5, 1.0, 0.1, 1e-300, 1e300, math.nan, math.inf, -math.inf])
NAMES = st.sampled_from(["train_loss", "test_loss", "test_accuracy", "own", "ü '\"", "NaN"])
VALUES = st.dictionaries(NAMES, FLOATS, max_size=3)
CELLS = st.integers(0, 3)
PICKS = st.integers(0, 1000)


def same(one: Any, other: Any) -> bool:
    """Equal, where NaN is equal to itself."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@dataclass
class Cell:
    status: str = "running"
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: dict[int, EpochRow] = field(default_factory=dict)
    predictions: dict[str, PredictionRow] = field(default_factory=dict)


@dataclass
class Run:
    seed: int
    owned: bool = True
    status: str = "running"
    error: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    cells: dict[int, Cell] = field(default_factory=dict)
    parents: list[str] = field(default_factory=list)

    def end(self, status: str) -> None:
        self.status, self.owned = status, False
        for cell in self.cells.values():
            if cell.status == "running":
                cell.status = status


class Store(RuleBasedStateMachine):
    """A writer, a reader, and the model."""

    @initialize()
    def open_first(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="qtlplat-model-"))
        self.location = find_store(str(self.folder / "store.db"))
        self.runs: dict[str, Run] = {}
        self.writer = self.open()

    def open(self) -> Writer:
        writer = Writer(self.location)
        # what a power cut would do is not tested here, and every commit waits for the disk otherwise
        self.driver(writer).execute("PRAGMA synchronous = OFF")
        return writer

    @staticmethod
    def driver(writer: Writer) -> sqlite3.Connection:
        found = writer._transport._connection.connection.driver_connection
        assert isinstance(found, sqlite3.Connection)
        return found

    def pick(self, number: int) -> str:
        """Any run, mostly one that may still change."""
        open_ones = [run_id for run_id, run in self.runs.items() if run.owned and run.status == "running"]
        several = open_ones if open_ones and number % 5 else list(self.runs)
        return several[number % len(several)]

    def attempt(self, run_id: str, possible: bool, call: Any) -> bool:
        """Call; it succeeds where the model says so, and is refused otherwise."""
        run = self.runs[run_id]
        if run.owned and run.status == "running" and possible:
            call()
            return True
        with pytest.raises((StoreError, BusyError)):
            call()
        return False

    @rule(seed=st.integers(-5, 2**62), n=st.integers(0, 3))
    def start_run(self, seed: int, n: int) -> None:
        run_id = self.writer.start_run(new_run(seed=seed))
        self.writer.add_cells(run_id, new_cells(n))
        self.runs[run_id] = Run(seed, cells={position: Cell() for position in range(n)})

    @precondition(lambda self: self.runs)
    @rule(number=PICKS, n=st.integers(0, 3))
    def add_cells(self, number: int, n: int) -> None:
        run_id = self.pick(number)
        run = self.runs[run_id]
        free = not any(position in run.cells for position in range(n))
        if self.attempt(run_id, free, lambda: self.writer.add_cells(run_id, new_cells(n))):
            run.cells.update({position: Cell() for position in range(n)})

    @precondition(lambda self: self.runs)
    @rule(number=PICKS, cells=st.lists(CELLS, min_size=1, max_size=3), epoch=st.integers(0, 3), values=VALUES)
    def add_epochs(self, number: int, cells: list[int], epoch: int, values: dict[str, float]) -> None:
        run_id = self.pick(number)
        known = self.runs[run_id].cells
        rows = [EpochRow(cell, epoch, 0.5, values) for cell in cells]
        new = all(cell in known and epoch not in known[cell].epochs for cell in cells) and len(set(cells)) == len(cells)
        if self.attempt(run_id, new, lambda: self.writer.add_epochs(run_id, rows)):
            for row in rows:
                known[row.cell].epochs[epoch] = row

    @precondition(lambda self: self.runs)
    @rule(number=PICKS, cell=CELLS, samples=st.lists(st.sampled_from("abc"), max_size=3), share=FLOATS)
    def add_predictions(self, number: int, cell: int, samples: list[str], share: float) -> None:
        run_id = self.pick(number)
        known = self.runs[run_id].cells
        rows = [PredictionRow(cell, sample, "group", 1, 0, (share, 0.5)) for sample in samples]
        new = not rows or (
            cell in known and not set(samples) & set(known[cell].predictions) and len(set(samples)) == len(samples)
        )
        if self.attempt(run_id, new, lambda: self.writer.add_predictions(run_id, rows)):
            for row in rows:
                known[cell].predictions[row.sample_id] = row

    @precondition(lambda self: self.runs)
    @rule(number=PICKS, position=CELLS, metrics=VALUES, seconds=FLOATS)
    def finish_cell(self, number: int, position: int, metrics: dict[str, float], seconds: float) -> None:
        run_id = self.pick(number)
        cell = self.runs[run_id].cells.get(position)
        running = cell is not None and cell.status == "running"
        if self.attempt(run_id, running, lambda: self.writer.finish_cell(run_id, position, metrics, seconds)):
            assert cell is not None
            cell.status, cell.metrics, cell.seconds = "finished", metrics, seconds

    @precondition(lambda self: self.runs)
    @rule(number=PICKS, parent=PICKS)
    def link(self, number: int, parent: int) -> None:
        run_id, parent_id = self.pick(number), self.pick(parent)
        known = self.runs[run_id].parents
        linked = self.attempt(run_id, True, lambda: self.writer.link(run_id, "pretraining", parent_id))
        if linked and parent_id not in known:
            known.append(parent_id)

    @precondition(lambda self: self.runs)
    @rule(number=PICKS, status=st.sampled_from(["finished", "failed", "interrupted"]), seconds=FLOATS)
    def finish_run(self, number: int, status: Any, seconds: float) -> None:
        run_id = self.pick(number)
        run = self.runs[run_id]
        ready = status != "finished" or all(cell.status == "finished" for cell in run.cells.values())
        call = lambda: self.writer.finish_run(run_id, status, {"total": seconds}, error=status)  # noqa: E731
        if self.attempt(run_id, ready, call):
            run.end(status)
            run.error, run.seconds = status, {"total": seconds}

    @rule(kindly=st.booleans())
    def leave(self, kindly: bool) -> None:
        """Close and open again; or the process goes amid a write, and the kernel closes what it had open."""
        if not kindly:
            self.crash()
        self.writer.close()
        for run in self.runs.values():
            run.owned = False
        self.writer = self.open()
        self.both_say_the_same()

    def crash(self) -> None:
        driver = self.driver(self.writer)
        driver.execute("BEGIN IMMEDIATE")
        driver.execute("UPDATE runs SET status = 'finished', error = 'half written'")
        driver.execute("DELETE FROM epochs")
        driver.close()

    @rule()
    def both_say_the_same(self) -> None:
        reader = Reader(self.location)
        found = {run.id: run for run in reader.runs()}
        assert found.keys() == self.runs.keys()
        for run_id, run in self.runs.items():
            record, left = found[run_id], run.status == "running" and not run.owned
            assert record.status == ("interrupted" if left else run.status)
            assert (record.seed, record.error) == (run.seed, run.error)
            assert same(record.seconds, run.seconds)
            cells = {cell.position: cell for cell in reader.cells(run_id)}
            assert cells.keys() == run.cells.keys()
            for position, cell in run.cells.items():
                stored = cells[position]
                assert stored.status == ("interrupted" if left and cell.status == "running" else cell.status)
                assert same(stored.metrics, cell.metrics)
                assert same(stored.seconds, cell.seconds)
            epochs = {(row.cell, row.epoch): row for row in reader.epochs(run_id)}
            expected = {(p, e): row for p, cell in run.cells.items() for e, row in cell.epochs.items()}
            assert epochs.keys() == expected.keys()
            assert all(same(epochs[key].values, expected[key].values) for key in expected)
            predictions = {(row.cell, row.sample_id): row for row in reader.predictions(run_id)}
            wanted = {(p, s): row for p, cell in run.cells.items() for s, row in cell.predictions.items()}
            assert predictions.keys() == wanted.keys()
            assert all(same(predictions[key].probabilities, wanted[key].probabilities) for key in wanted)
            assert set(reader.children(run_id)) == {child for child, it in self.runs.items() if run_id in it.parents}

    def teardown(self) -> None:
        if hasattr(self, "location"):
            self.both_say_the_same()
            self.writer.close()
            assert check(self.location).problems == ()
            shutil.rmtree(self.folder)


# the same examples every time: hypothesis otherwise draws from the constants of whatever modules are imported, too
COMMON: dict[str, Any] = {
    "derandomize": True,
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.generate],  # an example of thirty steps is short enough; to make it shorter would take minutes
}


class TestStore(Store.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=2, stateful_step_count=30, **COMMON)


@pytest.mark.slow
class TestStoreLong(Store.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=20, stateful_step_count=60, **COMMON)


@pytest.mark.nightly
class TestStoreLonger(Store.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=120, stateful_step_count=60, **COMMON)
