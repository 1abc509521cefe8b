"""Shared work is claimed by one process at a time; who waits is told for whom, and takes over if that one dies."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sample_runs import new_run

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.queries import Reader
from qtlplat.store.write import shared_work
from qtlplat.store.write.shared_work import Work, announced, claimed
from qtlplat.store.write.writer import Writer

pytestmark = pytest.mark.every_store


@pytest.fixture(params=["rows", "files"])
def work(request: pytest.FixtureRequest) -> Work:
    return Work("run abc", request.param)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_work, "PAUSE_SECONDS", 0.05)


def nothing(*_: Any) -> None:
    """Nobody is known, nobody is told, nobody stops."""


class Held(threading.Thread):
    """Holds a claim until it is told to go on, as another run would."""

    def __init__(self, location: StoreLocation, work: Work) -> None:
        super().__init__()
        self.location, self.work = location, work
        self.has_it, self.done = threading.Event(), threading.Event()

    def run(self) -> None:
        with claimed(self.location, self.work, nothing, nothing, nothing):
            self.has_it.set()
            self.done.wait(30)


@pytest.fixture
def held(location: StoreLocation, work: Work) -> Iterator[Held]:
    thread = Held(location, work)
    thread.start()
    assert thread.has_it.wait(30)
    yield thread
    thread.done.set()
    thread.join(30)


def test_one_at_a_time_and_whoever_waits_is_told_once_for_whom(location: StoreLocation, work: Work, held: Held) -> None:
    told: list[str] = []
    with Writer(location) as writer:
        run = Reader(location).run(writer.start_run(new_run()))
        looks: list[int] = []

        def look() -> None:
            looks.append(1)
            if len(told) and len(looks) > 12:
                held.done.set()

        with claimed(location, work, lambda: run, told.append, look) as waited:
            assert waited
            assert held.done.is_set()
    (since,) = [owner.since for owner in Reader(location).owners(run.id)]
    assert told == [f"waiting for run {run.id} (process {os.getpid()} on {run.host}, since {since})"]
    with claimed(location, work, nothing, told.append, nothing) as waited:
        assert not waited
    assert list(location.locks.glob("work-*")) == []


def test_other_work_waits_for_nobody(location: StoreLocation, work: Work, held: Held) -> None:
    with claimed(location, Work("run abd", work.result), nothing, nothing, nothing) as waited:
        assert not waited


def test_who_is_not_stored_yet_is_waited_for_without_a_name(
    location: StoreLocation, held: Held, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_work, "WITHOUT_A_NAME", 0.4)
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        held.done.set()

    with claimed(location, work, lambda: None, tell, nothing):
        pass
    assert told == ["waiting for another process"]


def test_who_stops_waiting_leaves_nothing_behind(location: StoreLocation, work: Work, held: Held) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), claimed(location, work, nothing, nothing, stop):
        raise AssertionError
    held.done.set()
    held.join(30)
    with claimed(location, work, nothing, nothing, stop) as waited:
        assert not waited


def test_an_announcement_waits_for_nobody_and_is_waited_for(location: StoreLocation, work: Work, held: Held) -> None:
    with announced(location, work, nothing):  # although somebody holds the claim
        held.done.set()
        held.join(30)
    first, second = announced(location, work, nothing), announced(location, work, nothing)
    with first, second:
        thread = Held(location, work)
        thread.start()
        assert not thread.has_it.wait(0.3)
    assert thread.has_it.wait(30)
    thread.done.set()
    thread.join(30)


def hold_for_ever(store: str, result: Any, has_it: Any) -> None:
    with claimed(find_store(store), Work("run abc", result), nothing, nothing, nothing):
        has_it.set()
        time.sleep(600)


def test_whoever_waits_takes_over_from_a_process_that_was_killed(
    location: StoreLocation, work: Work, request: pytest.FixtureRequest
) -> None:
    context = multiprocessing.get_context("fork")
    has_it = context.Event()
    server = getattr(location.backend, "server", None)
    store = str(location.path)
    if server:
        store = request.getfixturevalue("postgres").url(server.database, more=f"?schema={server.schema}")
    process = context.Process(target=hold_for_ever, args=(store, work.result, has_it))
    process.start()
    assert has_it.wait(30)
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        if len(looks) == 3:
            process.kill()

    with claimed(location, work, nothing, nothing, look) as waited:
        assert waited
    process.join(30)
    assert process.exitcode == -9


def test_many_take_turns(location: StoreLocation, work: Work) -> None:
    inside, most, turns = 0, 0, 0

    def one() -> None:
        nonlocal inside, most, turns
        with claimed(location, work, nothing, nothing, nothing):
            inside += 1
            most, turns = max(most, inside), turns + 1
            time.sleep(0.02)
            inside -= 1

    threads = [threading.Thread(target=one) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, turns) == (1, 5)
