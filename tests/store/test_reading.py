import math
import sqlite3

import pytest
from by_hand import sql
from sample_runs import finished_run, new_cells, new_run
from sqlalchemy import event

from qtlplat.errors import UsageError
from qtlplat.store.core import database, mounts, schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


def rename(location: StoreLocation, run_id: str, new: str) -> None:
    """Give a bare run a chosen id."""
    if location.backend.shared:  # which looks after references
        columns = ", ".join(column.name for column in schema.runs.columns if column.name != "id")
        sql(location, f"INSERT INTO runs (id, {columns}) SELECT ?, {columns} FROM runs WHERE id = ?", new, run_id)
    for table in ("components", "environment"):
        sql(location, f"UPDATE {table} SET run_id = ? WHERE run_id = ?", new, run_id)
    if location.backend.shared:
        sql(location, "DELETE FROM runs WHERE id = ?", run_id)
    else:
        sql(location, "UPDATE runs SET id = ? WHERE id = ?", new, run_id)


def test_a_store_that_does_not_exist_reads_as_empty_and_stays_so(location: StoreLocation) -> None:
    reader = Reader(location)
    assert reader.runs() == []
    assert reader.find_finished("f" * 64, "run") is None
    assert reader.epochs("0" * 16) == []
    with pytest.raises(UsageError, match="no store yet"):
        reader.resolve("abc")
    assert not location.path.exists()
    location.path.touch()  # as another process leaves it in the moment of creation
    assert reader.runs() == []


@pytest.mark.every_store
def test_runs_come_newest_first_by_kind_and_number(location: StoreLocation) -> None:
    with Writer(location) as writer:
        first = finished_run(writer)
        pretraining = finished_run(writer, kind="pretraining")
        last = finished_run(writer)
    reader = Reader(location)
    assert [r.id for r in reader.runs()] == [last, pretraining, first]
    assert [r.id for r in reader.runs(limit=2)] == [last, pretraining]
    assert [r.id for r in reader.runs(kind="run")] == [last, first]
    assert [r.id for r in reader.runs(limit=1, kind="pretraining")] == [pretraining]


@pytest.mark.every_store
def test_the_number_of_queries_does_not_grow_with_the_runs(
    location: StoreLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0
    make_engine = database.engine

    def counting(*args: object, **kwargs: object) -> object:
        made = make_engine(*args, **kwargs)  # type: ignore[arg-type]

        @event.listens_for(made, "before_cursor_execute")
        def tick(*_: object) -> None:
            nonlocal count
            count += 1

        return made

    monkeypatch.setattr(database, "engine", counting)
    seen = []
    for _ in range(2):
        with Writer(location) as writer:
            finished_run(writer)
            writer.start_run(new_run())
        count = 0
        Reader(location).runs()
        seen.append(count)
    assert seen[0] == seen[1]


@pytest.mark.every_store
def test_references_count_runs_but_not_pretrainings(location: StoreLocation) -> None:
    with Writer(location) as writer:
        first, second = finished_run(writer), finished_run(writer)
        finished_run(writer, kind="pretraining")
    reader = Reader(location)
    assert reader.resolve("@last") == reader.resolve("@-1") == second
    assert reader.resolve("@-2") == first
    with pytest.raises(UsageError, match="there is no run '@-3'"):
        reader.resolve("@-3")


def test_the_best_run_and_a_tagged_one_are_found(location: StoreLocation) -> None:
    with Writer(location) as writer:
        low, high = finished_run(writer, (0.5, 0.75)), finished_run(writer, (1.0, 0.9))
        equal = finished_run(writer, (0.9, 1.0))
        finished_run(writer, (1.0, 1.0), kind="pretraining")
        finished_run(writer, (1.0, math.nan))
        failed = writer.start_run(new_run())
        writer.add_cells(failed, new_cells(1))
        writer.finish_cell(failed, 0, {"f1": 1.0}, 1.0)
        writer.finish_run(failed, "failed", {})
    raw = sqlite3.connect(location.path)
    raw.executemany(
        "INSERT INTO tags VALUES (?, ?, '2026')",
        [(high, "it's"), (low, "it's"), (low, "paper"), (high, "gr\u00f6\u00dfe")],
    )
    raw.commit()
    raw.close()
    reader = Reader(location)
    assert reader.resolve("@best:f1") == equal  # the newest of equals
    assert reader.resolve("@best:-f1") == reader.resolve("@best:-min(f1)") == low
    assert reader.resolve("@tag:it's") == high
    assert reader.resolve("@tag:paper") == low
    assert reader.resolve("@tag:gro\u0308\u00dfe") == high  # typed as two characters
    for nothing in ("@tag:pap", "@tag:' or 1=1 --", "@best:head.size@linear"):
        with pytest.raises(UsageError):
            reader.resolve(nothing)
    with pytest.raises(UsageError, match="unknown field 'f11'") as caught:
        reader.resolve("@best:f11")
    assert caught.value.where == "@best:f11"
    with pytest.raises(UsageError, match="names nothing"):
        reader.resolve("@best:")


@pytest.mark.parametrize("reference", ["@", "@best", "@-0", "@-", "@-1x", "@last ", "@-99999999999999999999"])
def test_unknown_references_are_told_the_known_forms(location: StoreLocation, reference: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reader(location).resolve(reference)
    assert "@last" in caught.value.fix


@pytest.mark.every_store
def test_an_id_may_be_cut_to_three_characters(location: StoreLocation) -> None:
    with Writer(location) as writer:
        ids = [writer.start_run(new_run()) for _ in range(3)]
    for old, new in zip(ids, ["abc0000000000000", "abcf000000000000", "fff0000000000000"], strict=True):
        rename(location, old, new)
    reader = Reader(location)
    assert reader.resolve("fff") == reader.resolve("FFF0") == "fff0000000000000"
    assert reader.resolve("abcf") == reader.resolve("abcf000000000000") == "abcf000000000000"
    with pytest.raises(UsageError, match="ambiguous") as caught:
        reader.resolve("abc")
    assert "abc0000000000000" in caught.value.what
    assert "abcf000000000000" in caught.value.what
    with pytest.raises(UsageError, match="'ff' is too short"):
        reader.resolve("ff")
    for unknown in ("", "abd", "abc%", "abc_", "xyz", "abcf0000000000000", "' OR 1=1 --"):
        with pytest.raises(UsageError, match="there is no run"):
            reader.resolve(unknown)
    with pytest.raises(UsageError, match="did you mean: fff00000"):
        reader.resolve("fff00001")


@pytest.mark.every_store
def test_find_finished_takes_the_newest_finished_one_of_the_kind(location: StoreLocation) -> None:
    with Writer(location) as writer:
        finished_run(writer, fingerprint="1" * 64)
        newest = finished_run(writer, fingerprint="1" * 64)
        finished_run(writer, kind="pretraining", fingerprint="1" * 64)
        finished_run(writer, fingerprint="2" * 64)
        failed = writer.start_run(new_run(fingerprint="1" * 64))
        writer.finish_run(failed, "failed", {})
    found = Reader(location).find_finished("1" * 64, "run")
    assert found is not None
    assert found.id == newest
    assert Reader(location).find_finished("3" * 64, "run") is None


NETWORK = "27 1 254:0 / / rw - ext4 /dev/vda rw\n30 27 0:40 / /{} rw - nfs4 server:/home rw\n"


@pytest.mark.parametrize("where", ["tmp", "no/where"])
def test_a_run_of_another_host_is_believed_where_its_locks_may_be_unknown_here(
    location: StoreLocation, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    mounts_file = location.path.with_name("mountinfo")
    above = str(location.path.parent).strip("/") if where == "tmp" else where
    mounts_file.write_text(NETWORK.format(above.replace(" ", "\\040")))
    monkeypatch.setattr(mounts, "MOUNTS", mounts_file)
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
    raw = sqlite3.connect(location.path)
    raw.execute("UPDATE runs SET host = 'elsewhere'")
    raw.commit()
    raw.close()
    # on a disk of this machine alone the name has changed, as a container's does: nobody holds the lock
    assert Reader(location).run(run_id).status == ("running" if where == "tmp" else "interrupted")


@pytest.mark.every_store
def test_an_unknown_id_is_an_error_of_usage(location: StoreLocation) -> None:
    with pytest.raises(UsageError):
        Reader(location).run("0" * 16)
