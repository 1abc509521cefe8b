"""Recovering: everything that can be read is saved, nothing passes for whole that is not."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from by_hand import sql
from damage import KINDS, PAGE, SWEEP, _change, _root_page, fill, snapshot
from sample_runs import epoch, new_cells, new_run, prediction
from test_crash import HALF_WRITTEN
from test_database import next_revision as next_revision  # noqa: PLC0414 -- a fixture
from test_merge import everything
from test_reproductions import OUTCOME

from qtlplat.errors import BusyError, StoreError, UsageError
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance.check import check
from qtlplat.store.maintenance.recover import Recovered, recover
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sweeps import sweeps
from qtlplat.store.write.writer import Writer


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], str]:
    """A folder with a store of many pages; the ids of its runs, and of one with many predictions."""
    location = find_store(str(tmp_path_factory.mktemp("written") / "store.db"))
    ids = fill(location, 4)
    with Writer(location) as writer:
        big = writer.start_run(new_run())
        writer.add_cells(big, new_cells(3))
        for cell in range(3):
            writer.add_epochs(big, [epoch(cell, number) for number in range(40)])
            writer.add_predictions(big, [prediction(cell, f"sample-{number:04}") for number in range(300)])
            writer.finish_cell(big, cell, {"f1": 0.5}, 1.0)
        writer.finish_run(big, "finished", {})
    return location.path.parent, ids, big


@pytest.fixture
def damaged(tmp_path: Path, written: tuple[Path, list[str], str]) -> StoreLocation:
    shutil.copytree(written[0], tmp_path / "old")
    return find_store(str(tmp_path / "old" / "store.db"))


@pytest.fixture
def new(tmp_path: Path) -> StoreLocation:
    return find_store(str(tmp_path / "new #1" / "saved.db"))


def recovered(damaged: StoreLocation, new: StoreLocation) -> Recovered:
    """Recover; whatever comes of it, the damaged store is as it was and the new one is sound."""
    before = snapshot(damaged)
    found = recover(damaged, new)
    assert snapshot(damaged) == before
    assert [problem.what for problem in check(new).problems] == []
    assert sorted(path.name for path in new.path.parent.iterdir()) == ["saved.db", "saved.files"]
    assert {run.id for run in Reader(new).runs()} == {*found.whole, *found.in_part}
    for run, parts in found.in_part.items():
        record = Reader(new).run(run)
        assert record.status == "failed"
        assert record.error == f"recovered from a damaged store without all of its rows: {', '.join(parts)}"
    return found


def test_of_a_whole_store_everything_is_saved(
    damaged: StoreLocation, new: StoreLocation, written: tuple[Path, list[str], str]
) -> None:
    found = recovered(damaged, new)
    assert set(found.whole) == {*written[1], written[2]}
    assert everything(new) == everything(damaged)
    assert Reader(new).reproductions() == Reader(damaged).reproductions()
    assert [one.content for one in sweeps(Reader(new))] == [SWEEP]
    assert (found.in_part, found.gone, found.outcomes_lost, found.tables_lost) == ({}, [], [], [])
    assert (found.refused, found.files_lost) == ({}, {})


def leaf_pages(path: Path, table: str) -> list[int]:
    raw = sqlite3.connect(path)
    pages = []
    data = path.read_bytes()
    todo = [_root_page(path, table)]
    while todo:
        page = todo.pop()
        start = (page - 1) * PAGE
        kind = data[start]
        if kind in (10, 13):
            pages.append(page)
            continue
        cells = int.from_bytes(data[start + 3 : start + 5], "big")
        todo.append(int.from_bytes(data[start + 8 : start + 12], "big"))
        for cell in range(cells):
            at = int.from_bytes(data[start + 12 + 2 * cell : start + 14 + 2 * cell], "big")
            todo.append(int.from_bytes(data[start + at : start + at + 4], "big"))
    raw.close()
    return sorted(pages)


@pytest.mark.slow
def test_around_a_broken_page_every_other_row_is_saved(
    damaged: StoreLocation, new: StoreLocation, written: tuple[Path, list[str], str]
) -> None:
    _, ids, big = written
    whole = everything(damaged)
    pages = leaf_pages(damaged.path, "predictions")
    assert len(pages) > 10
    _change(damaged.path, (pages[len(pages) // 2] - 1) * PAGE, b"\xff" * PAGE)
    found = recovered(damaged, new)
    assert found.in_part == {big: ["predictions"]}
    assert set(found.whole) == set(ids)
    assert {run: rows for run, rows in everything(new).items() if run != big} == {run: whole[run] for run in ids}
    saved = Reader(new).predictions(big)
    assert 900 - 90 < len(saved) < 900  # one page holds some 40 rows
    assert set(map(str, saved)) < set(map(str, whole[big][3]))
    assert Reader(new).epochs(big) == whole[big][2]


NAMES = re.compile(rb'CREATE TABLE "?(runs|qtlplat_schema)\b')


@pytest.mark.parametrize(
    ("step", "garbage"),
    [(24, b"\xff"), *(pytest.param(1, one, marks=pytest.mark.slow) for one in (b"\0", b"\x0d", b"a"))],
)
@pytest.mark.slow
@pytest.mark.sampled(2)
def test_every_page_may_break_and_nothing_false_is_saved(
    tmp_path: Path, damaged: StoreLocation, written: tuple[Path, list[str], str], step: int, garbage: bytes
) -> None:
    """One page at a time, a few by default: what is called whole is what was stored, to the last value."""
    whole, intact = everything(damaged), damaged.path.read_bytes()
    outcome, asked = Reader(damaged).reproductions(), sweeps(Reader(damaged))
    pages, refused = len(intact) // PAGE, []
    for page in range(0, pages, step):
        damaged.path.write_bytes(intact)
        _change(damaged.path, page * PAGE + (100 if page == 0 else 0), garbage * (PAGE - 100))
        new = find_store(str(tmp_path / f"new{page}" / "saved.db"))
        try:
            found = recovered(damaged, new)
        except StoreError:
            refused.append(page)
            continue
        there = everything(new)
        assert {run: there[run][:-1] for run in found.whole} == {run: whole[run][:-1] for run in found.whole}
        lost = found.outcomes_lost or "reproductions" in found.tables_lost
        assert Reader(new).reproductions() == ([] if lost else outcome)
        lost = found.sweeps_lost or "sweeps" in found.tables_lost
        assert sweeps(Reader(new)) == ([] if lost else asked)
        assert set(whole) == {*found.whole, *found.in_part, *found.gone}, page
    # without the names of these tables nobody can tell that it is a store
    named = {n for n in range(pages) if NAMES.search(intact[n * PAGE : (n + 1) * PAGE])}
    assert set(refused) <= named
    assert len(named) < 4


@pytest.mark.parametrize("garbage", [b"\xff", b"\0", b"a"])
@pytest.mark.sampled(1)
def test_a_view_that_broke_costs_no_row(damaged: StoreLocation, new: StoreLocation, garbage: bytes) -> None:
    # one that is longer than a page: what follows stands on a page of its own
    sql(damaged, f"CREATE VIEW mine AS SELECT '{'-' * PAGE}' AS filling, 'the end' AS further")
    whole, intact = everything(damaged), damaged.path.read_bytes()
    broken = [n for n in range(len(intact) // PAGE) if b"'the end'" in intact[n * PAGE : (n + 1) * PAGE]]
    assert len(broken) == 1
    for page in broken:
        _change(damaged.path, page * PAGE, garbage * (PAGE - 100))
    assert {run.id for run in Reader(damaged).runs()} == set(whole)
    with pytest.raises(StoreError, match="damaged"):
        Writer(damaged)
    found = recovered(damaged, new)
    assert set(found.whole) == set(whole)
    assert everything(new).keys() == whole.keys()


@pytest.mark.parametrize(
    ("kind", "saved"),
    [
        ("the runs' page overwritten", True),
        ("cut to the half", True),
        ("the last page is gone", True),
        ("all behind the header overwritten", False),
        ("a text file", False),
        ("another application's database", False),
        ("zeros instead of a database", False),
        ("cut within the header", False),
        ("a newer schema", False),
    ],
)
@pytest.mark.sampled(9)
def test_each_kind_of_damage_gives_a_sound_store_or_a_refusal_that_leaves_nothing(
    damaged: StoreLocation, new: StoreLocation, kind: str, saved: bool
) -> None:
    KINDS[kind](damaged.path)
    if saved:
        found = recovered(damaged, new)
        assert found.whole or found.in_part or found.gone
        return
    before = snapshot(damaged)
    with pytest.raises(StoreError) as caught:
        recover(damaged, new)
    assert caught.value.fix
    assert snapshot(damaged) == before
    assert not list(new.path.parent.rglob("*"))


@pytest.mark.slow
def test_a_broken_header_alone_costs_nothing(
    damaged: StoreLocation, new: StoreLocation, written: tuple[Path, list[str], str]
) -> None:
    whole = everything(damaged)
    _change(damaged.path, 0, b"\0" * 100)
    assert set(recovered(damaged, new).whole) == {*written[1], written[2]}
    assert everything(new) == whole


@pytest.mark.slow
def test_a_broken_first_page_costs_nothing(
    damaged: StoreLocation, new: StoreLocation, written: tuple[Path, list[str], str]
) -> None:
    whole = everything(damaged)
    _change(damaged.path, 0, b"\xa5" * PAGE)
    assert set(recovered(damaged, new).whole) == {*written[1], written[2]}
    assert everything(new) == whole


def test_what_contradicts_is_left_out_and_counted(damaged: StoreLocation, new: StoreLocation) -> None:
    raw = sqlite3.connect(damaged.path)
    raw.execute("PRAGMA ignore_check_constraints = ON")
    raw.execute("INSERT INTO environment VALUES ('0123456789abcdef', 'of', 'nobody')")
    (changed,) = raw.execute("SELECT run_id FROM cells LIMIT 1").fetchone()
    raw.execute("UPDATE cells SET status = 'odd' WHERE run_id = ? AND position = 0", (changed,))
    (text,) = raw.execute(
        "SELECT run_id FROM environment WHERE run_id <> ? AND name = 'python' LIMIT 1", (changed,)
    ).fetchone()
    raw.execute("UPDATE environment SET value = CAST(x'ff' AS TEXT) WHERE run_id = ?", (text,))
    raw.execute("UPDATE reproductions SET budget = 'paper'")
    raw.commit()
    raw.close()
    found = recovered(damaged, new)
    assert found.refused["cells"] == 1
    assert found.refused["environment"] == 1
    assert found.in_part[changed][0] == "cells"
    assert found.in_part[text] == ["environment"]
    assert found.outcomes_lost == [OUTCOME.id]
    assert Reader(new).reproductions() == []


def test_files_are_copied_by_content_and_lost_ones_are_named(damaged: StoreLocation, new: StoreLocation) -> None:
    lost, *_ = sorted((damaged.files / "weights").iterdir())
    lost.write_bytes(b"broken")
    found = recover(damaged, new)
    assert list(found.files_lost) == [f"weights/{lost.name}"]
    assert [problem.where for problem in check(new).problems] == [str(new.files / "weights" / lost.name)]


def test_a_run_that_was_going_on_is_interrupted(location: StoreLocation, new: StoreLocation) -> None:
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
        writer.add_cells(run_id, new_cells(1))
        with pytest.raises(BusyError, match=run_id):
            recover(location, new)
    assert not new.path.parent.exists()
    assert recover(location, new).whole == [run_id]
    raw = sqlite3.connect(new.path)
    assert raw.execute("SELECT r.status, c.status FROM runs r, cells c").fetchall() == [("interrupted",) * 2]
    raw.close()


def test_a_write_cut_off_half_way_is_undone_in_the_copy(
    damaged: StoreLocation, new: StoreLocation, written: tuple[Path, list[str], str]
) -> None:
    whole = everything(damaged)
    subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(damaged.path)], check=False)
    assert set(recovered(damaged, new).whole) == {*written[1], written[2]}
    assert everything(new) == whole


def test_an_older_store_is_recovered_into_a_new_one(
    damaged: StoreLocation, new: StoreLocation, written: tuple[Path, list[str], str], request: pytest.FixtureRequest
) -> None:
    before = snapshot(damaged)
    request.getfixturevalue("next_revision")
    assert set(recover(damaged, new).whole) >= {written[2]}
    assert snapshot(damaged) == before
    assert {run.id for run in Reader(new).runs()} == {*written[1], written[2]}


def test_bytes_that_the_disk_cannot_read_cost_only_what_was_there(
    damaged: StoreLocation, new: StoreLocation, written: tuple[Path, list[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = leaf_pages(damaged.path, "predictions")
    bad = (pages[len(pages) // 2] - 1) * PAGE
    read = os.pread

    def failing(file: int, length: int, place: int) -> bytes:
        if place <= bad < place + length:
            raise OSError(5, "Input/output error")
        return read(file, length, place)

    monkeypatch.setattr(os, "pread", failing)
    assert recovered(damaged, new).in_part == {written[2]: ["predictions"]}


def test_nothing_is_overwritten_and_something_must_be_there(damaged: StoreLocation, new: StoreLocation) -> None:
    with pytest.raises(UsageError, match="exists"):
        recover(damaged, damaged)
    with pytest.raises(UsageError, match="no store"):
        recover(new, find_store(str(damaged.path.with_name("third.db"))))
