"""Merging: runs come over whole, the same is skipped, what contradicts is refused by name, the other is only read."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from damage import SWEEP, digests, fill, snapshot
from sample_runs import finished_run, new_run, weights, whole_run
from test_reproductions import OUTCOME

from qtlplat.errors import StoreError, UsageError
from qtlplat.store.backends.find import find_store
from qtlplat.store.backends.sqlite import in_file
from qtlplat.store.core import schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import ArtifactRow
from qtlplat.store.maintenance.check import check
from qtlplat.store.maintenance.merge import merge
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sweeps import sweeps
from qtlplat.store.write.writer import Writer


@pytest.fixture
def other(tmp_path: Path) -> StoreLocation:
    return find_store(str(tmp_path / "elsewhere #1" / "other.db"))


def everything(location: StoreLocation) -> dict[str, tuple[Any, ...]]:
    """All that a store says of its runs, apart from where their files are."""
    reader = Reader(location)
    return {
        run.id: (
            run,
            reader.cells(run.id),
            reader.epochs(run.id),
            reader.predictions(run.id),
            reader.environment(run.id),
            [(a.kind, a.sha256, a.bytes, a.cell, a.meta) for a in reader.artifacts(run.id)],
            reader.children(run.id),
        )
        for run in reader.runs()
    }


def change(location: StoreLocation, sql: str) -> None:
    raw = sqlite3.connect(location.path)
    raw.execute(sql)
    raw.commit()
    raw.close()


def test_runs_come_over_with_all_their_rows_and_files(location: StoreLocation, other: StoreLocation) -> None:
    with Writer(location) as writer:
        own = whole_run(writer, location, b"own")
    ids = fill(other, 3)
    before = snapshot(other)
    done = merge(location, other)
    assert snapshot(other) == before
    assert set(done.runs) == set(ids)
    assert done.outcomes == [OUTCOME.id]
    assert (done.same, done.running, done.left_out) == ([], [], {})
    here = everything(location)
    assert here.pop(own)
    assert here == everything(other)
    assert Reader(location).reproductions() == Reader(other).reproductions()
    assert done.sweeps == [SWEEP.id]
    assert sweeps(Reader(location)) == sweeps(Reader(other))
    assert check(location).problems == ()
    assert {record: digests(location)[record] for record in digests(other)} == digests(other)


def test_merging_again_or_back_changes_nothing(location: StoreLocation, other: StoreLocation) -> None:
    ids = fill(other, 2)
    merge(location, other)
    before = snapshot(location)
    again = merge(location, other)
    assert (again.runs, again.outcomes, again.files) == ([], [], 0)
    assert set(again.same) == {*ids, OUTCOME.id, SWEEP.id}
    assert snapshot(location) == before
    there = snapshot(other)
    assert merge(other, location).runs == []
    assert snapshot(other) == there


@pytest.mark.slow
def test_the_same_run_with_other_rows_is_a_clash_and_both_are_named(
    location: StoreLocation, other: StoreLocation
) -> None:
    _, second, _ = fill(other, 2)
    merge(location, other)
    with Writer(other) as writer:
        new = whole_run(writer, other, b"new")
    change(location, f"UPDATE metrics SET value = 0.25 WHERE run_id = '{second}' AND cell = 0 AND name = 'f1'")
    before, there = snapshot(location), snapshot(other)
    with pytest.raises(StoreError) as caught:
        merge(location, other)
    text = "\n".join(caught.value.lines())
    assert f"{second}: differs in metrics; the one in {location.path} is not as it was stored" in text
    assert caught.value.where == f"{other.path} into {location.path}"
    assert "--partly" in caught.value.fix
    assert (snapshot(location), snapshot(other)) == (before, there)
    done = merge(location, other, partly=True)
    assert done.runs == [new]
    assert list(done.left_out) == [second]
    assert Reader(location).run(second).metrics["f1"][0] == 0.25


def test_damaged_runs_lost_files_and_what_builds_on_them_are_left_out(
    location: StoreLocation, other: StoreLocation
) -> None:
    parent, first, second = fill(other, 2)
    with Writer(other) as writer:
        alone = whole_run(writer, other, b"alone")
        damaged = whole_run(writer, other, b"damaged")
        lost = finished_run(writer)  # its file is nowhere
    change(other, f"DELETE FROM epochs WHERE run_id = '{damaged}' AND epoch = 1")
    change(other, f"UPDATE environment SET value = '3.12' WHERE run_id = '{parent}'")
    with pytest.raises(StoreError, match="5 records cannot be merged, so nothing was"):
        merge(location, other)
    assert Reader(location).runs() == []
    done = merge(location, other, partly=True)
    assert done.runs == [alone]
    assert done.left_out == {
        parent: f"damaged in {other.path}: environment not as stored",
        damaged: f"damaged in {other.path}: epochs not as stored",
        lost: f"the file is missing: {other.files / lost / 'w.safetensors'}",
        first: f"it builds on run {parent}, which is not merged",
        second: f"it builds on run {parent}, which is not merged",
    }
    assert check(location).problems == ()


def test_running_runs_are_not_merged(location: StoreLocation, other: StoreLocation) -> None:
    with Writer(other) as writer:
        running = writer.start_run(new_run())
        done = merge(location, other)
    assert (done.runs, done.running) == ([], [running])
    assert Reader(location).runs() == []


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_runs_that_ended_badly_are(location: StoreLocation, other: StoreLocation, status: str) -> None:
    with Writer(other) as writer:
        run_id = writer.start_run(new_run())
        writer.finish_run(run_id, status, {}, error="no")  # type: ignore[arg-type]
    assert merge(location, other).runs == [run_id]
    assert Reader(location).run(run_id) == Reader(other).run(run_id)


def test_files_of_one_name_and_other_content_do_not_meet(location: StoreLocation, other: StoreLocation) -> None:
    """Cached features are named by what they were made of; another machine may have made other bytes of it."""
    for place, content in ((location, b"one machine"), (other, b"another")):
        with Writer(place) as writer:
            row = weights(place, content)
            (place.files / "features").mkdir()
            (place.files / "features" / "key.npy").write_bytes(content)
            run_id = writer.start_run(new_run())
            for name in ("key.npy", "same.npy"):
                (place.files / "features" / name).write_bytes(content)
                writer.add_artifact(run_id, ArtifactRow("features", f"features/{name}", row.sha256, row.bytes))
            writer.finish_run(run_id, "finished", {})
    merge(location, other)
    assert check(location).problems == ()
    assert (location.files / "features" / "key.npy").read_bytes() == b"one machine"
    merge(location, other)
    merge(other, location)
    assert check(other).problems == ()


def test_what_builds_on_a_run_comes_after_it_whatever_was_created_first(
    location: StoreLocation, other: StoreLocation
) -> None:
    with Writer(other) as writer:
        child = writer.start_run(new_run())
        parent = whole_run(writer, other, kind="pretraining")
        writer.link(child, "pretraining", parent)
        writer.finish_run(child, "finished", {})
    assert merge(location, other).runs == [parent, child]


def test_a_store_is_not_merged_into_itself_nor_from_nowhere(location: StoreLocation, other: StoreLocation) -> None:
    fill(location, 1)
    link = location.path.with_name("link.db")
    link.hardlink_to(location.path)
    for same in (location, in_file(link, location.files, "")):
        with pytest.raises(UsageError, match="into itself"):
            merge(location, same)
    with pytest.raises(UsageError, match="no store to merge"):
        merge(location, other)


def test_an_older_store_is_refused_with_the_command(
    location: StoreLocation, other: StoreLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(other, 1)
    monkeypatch.setattr(schema, "REVISIONS", ("0000", *schema.REVISIONS))
    change(other, "UPDATE qtlplat_schema SET version_num = '0000'")
    before = snapshot(other)
    with pytest.raises(StoreError, match="older schema") as caught:
        merge(location, other)
    assert caught.value.fix == f"qtlplat store upgrade --store '{other.path}' (it makes a backup first)"
    assert snapshot(other) == before
    assert not location.path.exists()


def test_a_dry_run_says_what_a_merge_would_do(
    location: StoreLocation, other: StoreLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(location, 1)
    fill(other, 2)
    before = snapshot(location)
    dry = merge(location, other, dry_run=True)
    assert snapshot(location) == before
    done = merge(location, other)
    assert (dry.runs, dry.outcomes, dry.same, dry.files) == (done.runs, done.outcomes, done.same, 0)
    monkeypatch.setattr(schema, "REVISIONS", ("0000", *schema.REVISIONS))
    change(location, "UPDATE qtlplat_schema SET version_num = '0000'")
    with pytest.raises(StoreError, match="older schema"):
        merge(location, other, dry_run=True)


def test_only_the_named_runs_are_merged(location: StoreLocation, other: StoreLocation) -> None:
    parent, first, _ = fill(other, 2)
    done = merge(location, other, only=[first, parent])
    assert (done.runs, done.outcomes) == ([parent, first], [])
    assert {run.id for run in Reader(location).runs()} == {parent, first}
    with pytest.raises(StoreError, match="it builds on run"):
        merge(find_store(str(other.path.with_name("third.db"))), other, only=[first], name="the bundle")
