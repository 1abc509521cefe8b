"""A run is taken up again by one process at a time, and who owned it before cannot write any more."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from sample_runs import epoch, finished_run, new_cells, new_run, prediction

from qtlplat.errors import BusyError, StoreError, UsageError
from qtlplat.store.core import ownership
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.ownership import RunLock, lock_path, this_host
from qtlplat.store.core.records import ArtifactRow
from qtlplat.store.read.queries import Reader
from qtlplat.store.write import acquire
from qtlplat.store.write.writer import Writer

pytestmark = pytest.mark.every_store


def interrupted_run(location: StoreLocation) -> str:
    """Two cells: the first one finished, the second one with predictions but not ended."""
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
        writer.add_cells(run_id, new_cells(2))
        writer.add_epochs(run_id, [epoch(0, 1), epoch(1, 1)])
        writer.add_predictions(run_id, [prediction(0, "s1")])
        writer.finish_cell(run_id, 0, {"f1": 0.5}, 1.0)
        writer.add_predictions(run_id, [prediction(1, "s1")])
    assert Reader(location).run(run_id).status == "interrupted"
    return run_id


def test_a_run_is_taken_up_by_a_new_owner_and_can_be_finished(location: StoreLocation) -> None:
    run_id = interrupted_run(location)
    assert [run.id for run in Reader(location).interrupted()] == [run_id]
    with Writer(location) as writer:
        writer.resume_run(run_id, {"torch": ("2.12", "2.13")})
        assert Reader(location).run(run_id).status == "running"
        assert [cell.status for cell in Reader(location).cells(run_id)] == ["finished", "running"]
        assert writer.add_epochs(run_id, [epoch(0, 1), epoch(1, 1), epoch(1, 2)]) == []
        writer.add_predictions(run_id, [prediction(1, "s1", (0.5, 0.5))])
        for _ in range(2):
            writer.add_artifact(run_id, ArtifactRow("weights", "w", "c" * 64, 12))
        writer.finish_cell(run_id, 1, {"f1": 0.75}, 1.0)
        writer.finish_run(run_id, "finished", {})
    reader = Reader(location)
    assert reader.run(run_id).metrics["f1"] == (0.5, 0.75)
    assert [(e.cell, e.epoch) for e in reader.epochs(run_id)] == [(0, 1), (1, 1), (1, 2)]
    assert [p.probabilities for p in reader.predictions(run_id)] == [(0.25, 0.75), (0.5, 0.5)]
    first, second = reader.owners(run_id)
    assert (first.number, second.number, second.pid, second.host) == (1, 2, os.getpid(), this_host())
    assert (dict(first.drift), dict(second.drift)) == ({}, {"torch": ["2.12", "2.13"]})
    assert reader.interrupted() == []


def test_an_epoch_that_comes_out_differently_keeps_what_was_acknowledged_and_is_told(location: StoreLocation) -> None:
    run_id = interrupted_run(location)
    with Writer(location) as writer:
        writer.resume_run(run_id)
        other = epoch(0, 1, train_loss=0.1)
        assert writer.add_epochs(run_id, [other, epoch(1, 1)]) == [other]
    assert Reader(location).epochs(run_id)[0].values["train_loss"] == 1.0


def test_the_loser_is_told_who_owns_the_run(location: StoreLocation) -> None:
    run_id = interrupted_run(location)
    with Writer(location) as winner, Writer(location) as loser:
        winner.resume_run(run_id)
        with pytest.raises(BusyError) as caught:
            loser.resume_run(run_id)
        since = Reader(location).owners(run_id)[-1].since
        assert f"process {os.getpid()} on {this_host()!r} since {since}" in caught.value.what
        assert caught.value.exit_code == 7
        winner.finish_run(run_id, "interrupted", {})
        loser.resume_run(run_id)
    assert len(Reader(location).owners(run_id)) == 3


def test_an_owner_that_was_overtaken_is_fenced_out_of_every_update(location: StoreLocation) -> None:
    """As a process thawed after its lock was lost: on another machine, or with the file removed."""
    run_id = interrupted_run(location)
    with Writer(location) as thawed, Writer(location) as owner:
        thawed.resume_run(run_id)
        lock_path(location, run_id).unlink()
        owner.resume_run(run_id, take_over=True)
        updates = [
            lambda: thawed.add_cells(run_id, new_cells(1)),
            lambda: thawed.add_epochs(run_id, [epoch(1, 5)]),
            lambda: thawed.add_predictions(run_id, [prediction(1, "s9")]),
            lambda: thawed.finish_cell(run_id, 1, {"f1": 0.0}, 1.0),
            lambda: thawed.add_artifact(run_id, ArtifactRow("weights", "w", "c" * 64, 12)),
            lambda: thawed.link(run_id, "pretraining", run_id),
            lambda: thawed.finish_run(run_id, "failed", {}),
        ]
        for update in updates:
            with pytest.raises(BusyError, match="is owned by process"):
                update()
        owner.add_epochs(run_id, [epoch(1, 2)])
        owner.finish_run(run_id, "interrupted", {})
    assert [(e.cell, e.epoch) for e in Reader(location).epochs(run_id)] == [(0, 1), (1, 1), (1, 2)]


def test_only_take_over_takes_a_run_from_another_machine(
    location: StoreLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = interrupted_run(location)
    with Writer(location) as writer:
        writer.resume_run(run_id)
    for module in (ownership, acquire):
        monkeypatch.setattr(module, "this_host", lambda: "elsewhere")
    other_disk = location.path.parent / "elsewhere"
    if location.backend.shared:  # a machine may have any name: it is another one where the lock is not
        location = replace(location, path=other_disk / "store.db", files=other_disk / "store.files")
    with Writer(location) as writer:
        with pytest.raises(BusyError) as caught:
            writer.resume_run(run_id)
        assert "--take-over" in caught.value.fix
        writer.resume_run(run_id, take_over=True)


def test_a_finished_or_unknown_run_is_not_taken_up(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run_id = finished_run(writer)
        with pytest.raises(UsageError, match="is finished"):
            writer.resume_run(run_id)
        with pytest.raises(StoreError, match="there is no run"):
            writer.resume_run("0" * 16)
        assert not lock_path(location, "0" * 16).exists()


def test_a_lock_on_a_file_that_was_just_removed_is_no_lock(
    location: StoreLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner ends, and removes the file, between our opening it and our locking it."""
    location.locks.mkdir(parents=True)
    path = lock_path(location, "a" * 16)
    flock, removed = ownership.fcntl.flock, []

    def remove_first(file: int, how: int) -> None:
        if not removed:
            path.unlink()
            removed.append(path)
        flock(file, how)

    monkeypatch.setattr(ownership.fcntl, "flock", remove_first)
    lock = RunLock(location, "a" * 16)
    assert Path(path).exists()
    with pytest.raises(BusyError):
        RunLock(location, "a" * 16)
    lock.release(remove=True)


def test_only_a_lock_that_nobody_holds_is_removed(location: StoreLocation) -> None:
    location.locks.mkdir(parents=True)
    free, held = lock_path(location, "a" * 16), lock_path(location, "b" * 16)
    free.touch()
    lock = RunLock(location, "b" * 16)
    for path in (free, held):
        ownership.remove_free_lock(location, path.stem)
    assert (free.exists(), held.exists()) == (False, True)
    lock.release(remove=True)
