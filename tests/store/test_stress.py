"""Many processes at one store: nobody is told that it is locked, nothing is lost, readers see whole transactions."""

import multiprocessing
import sqlite3
from typing import Any

import pytest
from sample_runs import open_and_store_one, read_until_told, store_many

from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


def together(targets: list[tuple[Any, ...]]) -> list[int | None]:
    """Start processes, each a function and its arguments, and wait; their exit codes."""
    context = multiprocessing.get_context("forkserver")
    workers = [context.Process(target=target, args=arguments) for target, *arguments in targets]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    return [worker.exitcode for worker in workers]


@pytest.fixture
def context() -> Any:
    return multiprocessing.get_context("forkserver")


@pytest.mark.parametrize(("writers", "runs"), [(4, 3), pytest.param(8, 20, marks=pytest.mark.slow)])
def test_writers_side_by_side_store_every_run_and_readers_see_only_whole_ones(
    location: StoreLocation, context: Any, writers: int, runs: int
) -> None:
    with Writer(location):
        pass
    barrier, done, told = context.Barrier(writers + 1), context.Event(), context.Queue()
    readers = [context.Process(target=read_until_told, args=(location, barrier, done, told))]
    readers[0].start()
    codes = together([(store_many, location, barrier, runs)] * writers)
    done.set()
    looks, broken = told.get(timeout=60)
    readers[0].join(60)
    assert codes == [0] * writers
    found = Reader(location).runs()
    assert [run.status for run in found] == ["finished"] * (writers * runs)
    assert {len(run.metrics["f1"]) for run in found} == {2}
    assert looks > 0
    assert broken == []
    raw = sqlite3.connect(location.path)
    assert raw.execute("SELECT count(*) FROM epochs").fetchone() == (writers * runs * 4,)
    raw.close()
    assert [p.what for p in check(location).problems if "file is missing" not in p.what] == []
    assert list(location.locks.iterdir()) == []


@pytest.mark.slow
def test_thirty_two_processes_open_a_new_store_at_once(location: StoreLocation, context: Any) -> None:
    barrier = context.Barrier(32)
    assert together([(open_and_store_one, location, barrier)] * 32) == [0] * 32
    assert [run.status for run in Reader(location).runs()] == ["finished"] * 32
    assert check(location).problems == ()
