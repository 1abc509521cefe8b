"""Tags, notes and the trash: what people say of runs, beside what was measured."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sample_runs import finished_run, new_cells, new_run, whole_run

from qtlplat.errors import BusyError, StoreError, UsageError
from qtlplat.store.backends.copies import backup
from qtlplat.store.backends.find import find_store
from qtlplat.store.core import database, row_digests
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import Remarks
from qtlplat.store.maintenance.check import check
from qtlplat.store.maintenance.merge import merge
from qtlplat.store.maintenance.recover import recover
from qtlplat.store.read import run_annotations
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.serialize import short_form
from qtlplat.store.write.writer import Writer

pytestmark = pytest.mark.every_store(slow=True)

HOSTILE = [
    "",
    " ",
    "-x",
    "@last",
    "a,b",
    "a b",
    "a\x1b[31m",
    "a\nb",
    "x" * 61,
    "'; DROP TABLE runs",
    "[bold]",
    "a\0",
    "\ud800",
    "=1",
]


def test_tags_and_note_are_given_with_the_run_and_read_with_it(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = finished_run(writer, tags=["paper", "b/2", "paper"], note="first try")
    record = Reader(location).run(run)
    assert (record.tags, record.note, record.trashed) == (("b/2", "paper"), "first try", None)
    form = short_form(record)
    assert (form["tags"], form["note"], form["trashed"]) == (["b/2", "paper"], "first try", None)


def test_tags_are_given_and_taken_at_any_time_and_counted(location: StoreLocation) -> None:
    with Writer(location) as writer:
        running, ended = writer.start_run(new_run()), finished_run(writer)
        assert writer.tag([running, ended], ["paper", "Grün"]) == set()
        assert writer.tag([ended], ["new"], ["paper", "never"]) == {"paper"}
    reader = Reader(location)
    assert reader.remarks([running, ended]) == {running: Remarks(("Grün", "paper")), ended: Remarks(("Grün", "new"))}
    assert [(one.tag, one.runs) for one in run_annotations.all_tags(reader)] == [("Grün", 2), ("new", 1), ("paper", 1)]


def test_the_same_word_typed_in_two_ways_is_one_tag(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = finished_run(writer)
        writer.tag([run], ["u\u0308ber"])
        writer.tag([run], ["\u00fcber"])
    assert Reader(location).run(run).tags == ("\u00fcber",)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("tag", HOSTILE)
def test_what_is_no_tag_is_refused_and_nothing_is_stored(location: StoreLocation, tag: str) -> None:
    with Writer(location) as writer:
        run = finished_run(writer)
        with pytest.raises(UsageError, match="is no tag"):
            writer.tag([run], ["good", tag])
        with pytest.raises(UsageError, match="is no tag"):
            writer.start_run(new_run(tags=[tag]))
    assert Reader(location).run(run).tags == ()
    assert len(Reader(location).runs()) == 1
    assert list(location.locks.iterdir()) == []


def test_a_run_has_a_hundred_tags_at_most(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = finished_run(writer)
        writer.tag([run], [f"t{i}" for i in range(100)])
        writer.tag([run], ["t99"])
        with pytest.raises(UsageError, match="more than 100 tags"):
            writer.tag([run], ["one-more"])


@pytest.mark.parametrize("text", ["", " \n", "x" * 10_001, "a\0b", "a\ud800"])
def test_what_is_no_note_is_refused(location: StoreLocation, text: str) -> None:
    with Writer(location) as writer:
        run = finished_run(writer, note="kept")
        with pytest.raises(UsageError, match="note"):
            writer.note(run, text)
    assert Reader(location).run(run).note == "kept"


def test_a_note_is_replaced_appended_to_and_taken_away(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = finished_run(writer)
        writer.note(run, "one\n", append=True)
        writer.note(run, "two", append=True)
        assert Reader(location).run(run).note == "one\ntwo"
        writer.note(run, "three")
        assert Reader(location).run(run).note == "three"
        writer.note(run, None)
        assert Reader(location).run(run).note is None
        with pytest.raises(StoreError, match="there is no run"):
            writer.note("0" * 16, "x")


def test_remarks_are_no_part_of_what_is_sealed(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = whole_run(writer, location)
        writer.tag([run], ["paper"])
        writer.note(run, "x")
        writer.trash([run])
    with database.engine(location, write=False).begin() as connection:
        assert row_digests.all_changed(connection) == {}
    assert check(location).problems == ()


def test_what_lies_in_the_trash_is_neither_listed_nor_found_nor_counted(location: StoreLocation) -> None:
    with Writer(location) as writer:
        old, new = finished_run(writer, fingerprint="a" * 64), finished_run(writer, fingerprint="b" * 64)
        stopped = writer.start_run(new_run(fingerprint="c" * 64))
        writer.finish_run(stopped, "interrupted", {})
        assert writer.trash([new, stopped, new]) == [new, stopped]
        assert writer.trash([new]) == []
    reader = Reader(location)
    assert [run.id for run in reader.runs()] == [run.id for run in reader.runs(limit=1)] == [old]
    assert reader.resolve("@last") == old
    assert reader.find_finished("b" * 64, "run") is None
    assert reader.interrupted() == reader.interrupted("c" * 64) == []
    assert {run.id for run in reader.runs(trash=True)} == {new, stopped}
    assert reader.run(reader.resolve(new[:6])).trashed is not None
    assert run_annotations.all_tags(reader) == []
    with pytest.raises(UsageError, match="newest of 1"):
        reader.resolve("fffffffffffffff")
    with Writer(location) as writer:
        assert writer.restore([new, old]) == [new]
    assert reader.resolve("@last") == new
    assert reader.find_finished("b" * 64, "run") is not None


def test_a_run_whose_owner_lives_is_not_put_away_and_neither_is_anything_beside_it(location: StoreLocation) -> None:
    with Writer(location) as writer, Writer(location) as other:
        ended, running = finished_run(writer), writer.start_run(new_run())
        with pytest.raises(BusyError, match="is owned by process"):
            other.trash([ended, running])
        assert Reader(location).runs(trash=True) == []
    with Writer(location) as writer:  # its owner is gone
        assert writer.trash([running]) == [running]


def test_a_run_in_the_trash_does_not_go_on(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = writer.start_run(new_run())
        writer.add_cells(run, new_cells(1))
        writer.finish_run(run, "interrupted", {})
        writer.trash([run])
        with pytest.raises(UsageError, match="in the trash") as caught:
            writer.resume_run(run)
        assert caught.value.fix.endswith(f"qtlplat rm --restore {run[:8]}")
        writer.restore([run])
        writer.resume_run(run)
    assert list(location.locks.iterdir()) != []


@pytest.mark.in_a_file
def test_remarks_survive_backup_and_recovery(location: StoreLocation, tmp_path: Path) -> None:
    with Writer(location) as writer:
        run, thrown = (whole_run(writer, location, tags=["paper"], note="why") for _ in range(2))
        writer.trash([thrown])
    copy = find_store(str(backup(location, tmp_path / "copy.db")))
    new = find_store(str(tmp_path / "new" / "new.db"))
    recover(location, new)
    for place in (copy, new):
        found = Reader(place).remarks([run, thrown])
        assert found[run] == Remarks(("paper",), "why")
        assert found[thrown].trashed is not None
        assert [one.id for one in Reader(place).runs()] == [run]


@pytest.mark.in_a_file
def test_merging_takes_remarks_over_and_leaves_the_trash(location: StoreLocation, tmp_path: Path) -> None:
    other = find_store(str(tmp_path / "other.db"))
    with Writer(other) as writer:
        parent = whole_run(writer, other, b"p", kind="pretraining")
        child = whole_run(writer, other, b"c", parent=parent, tags=["one"], note="theirs")
        alone = whole_run(writer, other, b"a")
        writer.trash([parent, alone])
    done = merge(location, other)
    assert (done.runs, done.trashed) == ([parent, child], [alone])
    reader = Reader(location)
    assert [run.id for run in reader.runs()] == [child]
    assert [run.id for run in reader.runs(trash=True)] == [parent]  # a run builds on it
    assert reader.remarks([child])[child] == Remarks(("one",), "theirs")
    with Writer(location) as writer:
        writer.tag([child], ["own"])
        writer.note(child, "ours")
    with Writer(other) as writer:
        writer.tag([child], ["two"])
    before = location.path.read_bytes()
    assert merge(location, other).same == [parent, child]
    assert reader.remarks([child])[child] == Remarks(("one", "own", "two"), "ours")
    after = location.path.read_bytes()
    assert merge(location, other).runs == []
    assert (before != after, location.path.read_bytes() == after) == (True, True)


@pytest.mark.in_a_file
def test_a_damaged_tag_makes_no_run_fail(location: StoreLocation, tmp_path: Path) -> None:
    with Writer(location) as writer:
        run = whole_run(writer, location, tags=["paper"])
        stopped = writer.start_run(new_run(tags=["paper"]))
    raw = sqlite3.connect(location.path)
    (root,) = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'tags'").fetchone()
    (size,) = raw.execute("PRAGMA page_size").fetchone()
    raw.close()
    with location.path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    new = find_store(str(tmp_path / "new.db"))
    assert recover(location, new).whole == [run, stopped]
    assert Reader(new).run(run).status == "finished"
