"""A server that goes away: nothing that was told to be stored is lost, nothing is there twice, nobody waits in vain."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from a_server import PostgresServer
from by_hand import sql
from sample_runs import epoch, new_cells, new_run, prediction, whole_run
from sqlalchemy import exc
from test_reproductions import OUTCOME

from qtlplat.errors import BusyError, StoreError
from qtlplat.store.backends.find import find_store
from qtlplat.store.backends.postgres import PostgresBackend
from qtlplat.store.core import retry
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import lock_path
from qtlplat.store.core.records import ArtifactRow
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.transport import Session
from qtlplat.store.write.writer import Writer


@pytest.fixture
def location(
    behind_a_server: StoreLocation, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StoreLocation]:
    """Asked again more often than usual; whatever a test does, the server is there for the next one."""
    for name in ("SHORTEST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(retry, name, 0.1)
    yield replace(behind_a_server, asked_patience=60.0)  # a busy machine starts a server slowly
    if not postgres.is_running():
        postgres.start()


def write_everything(writer: Writer, run_id: str, between: dict[int, Any] | None = None) -> None:
    """Every kind of write, one after another; `between`: what is done before the n-th of them."""
    steps = [
        lambda: writer.add_cells(run_id, new_cells(2)),
        lambda: writer.add_artifact(run_id, ArtifactRow("weights", "weights/w", "c" * 64, 12, None, {"cut": 1})),
        lambda: writer.add_epochs(run_id, [epoch(0, 1, test_loss=float("nan")), epoch(1, 1, other=float("inf"))]),
        lambda: writer.add_epochs(run_id, [epoch(0, 2), epoch(1, 2)]),
        lambda: writer.add_predictions(run_id, [prediction(0, "s1"), prediction(0, "s2", (float("nan"), 0.1))]),
        lambda: writer.finish_cell(run_id, 0, {"f1": 0.1, "loss": float("-inf")}, 0.5),
        lambda: writer.add_predictions(run_id, [prediction(1, "s1")]),
        lambda: writer.finish_cell(run_id, 1, {"f1": 1 / 3}, 0.25),
        lambda: writer.finish_run(run_id, "finished", {"total": 0.1}),
    ]
    for number, step in enumerate(steps, start=1):
        if action := (between or {}).get(number):
            action()
        step()


def all_rows(location: StoreLocation) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables that a run writes, without ids, times and processes."""
    rows = {
        "cells": sql(location, "SELECT position, status, seconds FROM cells ORDER BY 1"),
        "epochs": sql(location, "SELECT cell, epoch, train_loss, test_loss, further FROM epochs ORDER BY 1, 2"),
        "metrics": sql(location, "SELECT cell, name, value FROM metrics ORDER BY 1, 2"),
        "predictions": sql(location, "SELECT cell, sample_id, probabilities FROM predictions ORDER BY 1, 2"),
        "artifacts": sql(location, "SELECT path, sha256, meta FROM artifacts ORDER BY 1"),
        "runs": sql(location, "SELECT kind, status, seconds, error FROM runs ORDER BY created"),
    }
    return {name: [tuple(map(repr, row)) for row in found] for name, found in rows.items()}


@pytest.fixture
def undisturbed(location: StoreLocation, postgres: PostgresServer) -> dict[str, list[tuple[Any, ...]]]:
    other = find_store(postgres.store())
    with Writer(other) as writer:
        write_everything(writer, writer.start_run(new_run()))
    return all_rows(other)


def test_what_is_written_while_a_server_is_away_arrives_when_it_is_back(
    location: StoreLocation, postgres: PostgresServer, undisturbed: object, caplog: pytest.LogCaptureFixture
) -> None:
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
        write_everything(writer, run_id, {3: postgres.stop, 7: lambda: took_no_time(writer, run_id), 8: postgres.start})
    assert all_rows(location) == undisturbed
    assert not lock_path(location, run_id).exists()
    assert [problem.what for problem in check(location).problems] == [
        "the file is missing; it belongs to run " + run_id
    ]
    assert "retrying for 60 seconds while training continues" in caplog.text
    assert "the server is back" in caplog.text
    assert "s3cret" not in caplog.text


def took_no_time(writer: Writer, run_id: str) -> None:
    """A write, while the server is away, waits for nothing."""
    started = time.monotonic()
    writer.add_epochs(run_id, [])
    assert time.monotonic() - started < 0.5
    assert not writer.has_arrived(run_id)


@pytest.mark.slow
def test_a_server_that_restarts_between_two_writes_is_not_even_noticed(
    location: StoreLocation, postgres: PostgresServer, undisturbed: object, caplog: pytest.LogCaptureFixture
) -> None:
    def restart() -> None:
        postgres.stop()
        postgres.start()

    with Writer(location) as writer:
        write_everything(writer, writer.start_run(new_run()), dict.fromkeys((2, 5, 9), restart))
    assert all_rows(location) == undisturbed
    assert caplog.text == ""


@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.slow), "after"])
def test_a_write_whose_acknowledgement_is_lost_is_there_once(
    location: StoreLocation, undisturbed: object, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Every transaction is carried out, or not, and then the connection breaks; the next attempt is heard."""
    transaction, calls = Session.transaction, iter(range(10_000))

    def broken(self: Session, work: Any) -> Any:
        number = next(calls)
        if number % 2 == 0:
            if when == "after":
                transaction(self, work)
            self.drop()
            raise exc.OperationalError("COMMIT", None, psycopg.OperationalError("server closed the connection"))
        return transaction(self, work)

    monkeypatch.setattr(Session, "transaction", broken)
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
        write_everything(writer, run_id)
        writer.add_reproduction(OUTCOME)
        other = writer.start_run(new_run())
        writer.finish_run(other, "interrupted", {})
        writer.resume_run(other)
        writer.finish_run(other, "failed", {}, error="no\0way")
        for line in ("one", "two", "two"):
            writer.note(other, line, append=True)
        assert writer.tag([other], ["a", "b"]) == set()
        assert writer.tag([other], remove=["a", "c"]) == {"a"}
        assert writer.trash([run_id, other]) == [run_id, other]
        assert writer.restore([run_id, other]) == [run_id, other]
    said = Reader(location).remarks([other])[other]
    assert (said.note, said.tags, said.trashed) == ("one\ntwo\ntwo", ("b",), None)
    assert [len(Reader(location).owners(run)) for run in (run_id, other)] == [1, 2]
    assert Reader(location).run(other).error == "no\\x00way"
    found = all_rows(location)
    assert {name: rows for name, rows in found.items() if name != "runs"} == {
        name: rows
        for name, rows in undisturbed.items()
        if name != "runs"  # type: ignore[attr-defined]
    }
    assert len(Reader(location).reproductions()) == 1
    assert {p.what for p in check(location).problems} == {"the file is missing; it belongs to run " + run_id}


def test_a_run_whose_server_stays_away_is_interrupted_and_resumes(
    location: StoreLocation, postgres: PostgresServer, undisturbed: object, caplog: pytest.LogCaptureFixture
) -> None:
    impatient = replace(location, asked_patience=0.5)
    runs = []

    def end_while_away() -> None:
        with Writer(impatient) as writer:
            runs.append(writer.start_run(new_run()))
            write_everything(writer, runs[0], {5: postgres.stop})

    with pytest.raises(StoreError) as caught:
        end_while_away()
    (run_id,) = runs
    assert "does not answer" in caught.value.what
    assert f"run {run_id} is interrupted" in caught.value.what
    assert f"qtlplat resume {run_id[:8]} --store" in caught.value.fix
    assert "s3cret" not in "\n".join(caught.value.lines()) + caplog.text
    postgres.start()
    assert Reader(location).run(run_id).status == "interrupted"
    with Writer(location) as writer:
        writer.resume_run(run_id)
        again = [epoch(0, 1, test_loss=float("nan")), epoch(1, 1, other=float("inf")), epoch(0, 2), epoch(1, 2)]
        assert writer.add_epochs(run_id, again) == []  # which are there already
        writer.add_predictions(run_id, [prediction(0, "s1"), prediction(0, "s2", (float("nan"), 0.1))])
        writer.finish_cell(run_id, 0, {"f1": 0.1, "loss": float("-inf")}, 0.5)
        writer.add_predictions(run_id, [prediction(1, "s1")])
        writer.finish_cell(run_id, 1, {"f1": 1 / 3}, 0.25)
        writer.finish_run(run_id, "finished", {"total": 0.1})
    assert all_rows(location) == undisturbed
    assert not lock_path(location, run_id).exists()


def test_writes_after_patience_has_ended_are_refused_and_memory_is_bounded(
    location: StoreLocation, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtlplat.store.write.transport.MOST_WAITING", 3)
    writer = Writer(replace(location, asked_patience=0.6))
    run_id = writer.start_run(new_run())
    writer.add_cells(run_id, new_cells(1))
    postgres.stop()
    started = time.monotonic()
    for number in range(3):
        writer.add_epochs(run_id, [epoch(0, number)])
    assert time.monotonic() - started < 0.5
    with pytest.raises(StoreError, match="is interrupted"):
        writer.add_epochs(run_id, [epoch(0, 3)])
    assert time.monotonic() - started >= 0.5
    writer.close()


@pytest.fixture
def url(location: StoreLocation, postgres: PostgresServer) -> str:
    assert isinstance(location.backend, PostgresBackend)
    return postgres.url("lab", more=f"?schema={location.backend.server.schema}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.sampled(3)
def test_whatever_is_killed_and_whenever_nothing_that_was_acknowledged_is_lost(
    location: StoreLocation, postgres: PostgresServer, url: str, seed: int
) -> None:
    """The server crashes again and again, and the process is killed at some moment of it."""
    random = np.random.default_rng(seed)
    script = Path(__file__).with_name("sample_runs.py")
    process = subprocess.Popen(
        [sys.executable, str(script), url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    run_id = process.stdout.readline().strip()
    for _ in range(int(random.integers(1, 4))):
        time.sleep(float(random.uniform(0, 0.5)))
        postgres.stop()
        time.sleep(float(random.uniform(0, 1.5)))
        if random.random() < 0.8:
            postgres.start()
            time.sleep(float(random.uniform(0, 2.5)))
        else:
            break
    process.kill()
    acknowledged = [int(line) for line in process.stdout.read().splitlines()]
    process.stdout.close()
    process.wait(30)
    if not postgres.is_running():
        postgres.start()
    stored = [row.epoch for row in Reader(location).epochs(run_id)]
    assert stored == list(range(len(stored)))
    assert acknowledged
    assert max(acknowledged) < len(stored)
    assert check(location).problems == ()


@pytest.mark.slow
def test_an_owner_who_was_overtaken_while_away_is_told_when_the_server_is_back(
    location: StoreLocation, postgres: PostgresServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "SHORTEST_PAUSE", 1.5)  # time enough for the other one
    writer = Writer(location)
    run_id = writer.start_run(new_run())
    writer.add_cells(run_id, new_cells(1))
    postgres.stop()
    writer.add_epochs(run_id, [epoch(0, 1)])
    postgres.start()
    monkeypatch.setenv("QTLPLAT_FILES", str(tmp_path / "another machine"))
    with Writer(find_store(url)) as other:
        other.resume_run(run_id, take_over=True)

    def go_on() -> None:
        for _ in range(100):
            writer.add_epochs(run_id, [epoch(0, 2)])
            time.sleep(0.1)

    with pytest.raises(BusyError, match="is owned by process"):
        go_on()
    with pytest.raises(BusyError, match="is owned by process"):
        writer.__exit__(None, None, None)


@pytest.mark.slow
def test_a_server_that_is_away_is_waited_for_by_readers_and_starts(
    location: StoreLocation, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    with Writer(location) as writer:
        whole_run(writer, location)
        for work in (lambda: Reader(location).runs(), lambda: writer.start_run(new_run())):
            postgres.stop()
            later = threading.Timer(0.5, postgres.start)
            later.start()
            assert work()
            later.join()
    assert caplog.text.count("retrying for 60 seconds") >= 2


def test_waiting_ends_when_somebody_wants_it_to(location: StoreLocation, postgres: PostgresServer) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    postgres.stop()
    with pytest.raises(KeyboardInterrupt):
        Reader(location, interrupt).runs()
    with pytest.raises(KeyboardInterrupt):
        Writer(location, interrupt)


def test_who_stops_is_not_kept_waiting(location: StoreLocation, postgres: PostgresServer) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    writer = Writer(location, interrupt)
    run_id = writer.start_run(new_run())
    postgres.stop()
    writer.hurry()
    started = time.monotonic()
    with pytest.raises(StoreError, match="is interrupted"):
        writer.finish_run(run_id, "interrupted", {})
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert time.monotonic() - started < 3
