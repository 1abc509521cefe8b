import math
from collections.abc import Iterator

import numpy as np
import pytest
from by_hand import sql
from sample_runs import epoch, finished_run, new_cells, new_run, prediction

from qtlplat.errors import BusyError, StoreError
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import ArtifactRow, EpochRow
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

pytestmark = pytest.mark.every_store


@pytest.fixture
def writer(location: StoreLocation) -> Iterator[Writer]:
    with Writer(location) as opened:
        yield opened


@pytest.fixture
def reader(location: StoreLocation) -> Reader:
    return Reader(location)


def test_a_run_comes_back_as_it_was_written(writer: Writer, reader: Reader) -> None:
    parent = finished_run(writer, (0.7,), kind="pretraining")
    run_id = finished_run(writer, (0.9, 1.0), parent)
    record = reader.run(run_id)
    expected = new_run()
    assert len(run_id) == 16
    assert set(run_id) <= set("0123456789abcdef")
    assert (record.kind, record.status, record.seed, record.error) == ("run", "finished", 7, "")
    assert record.plan == expected.plan
    assert record.components == {c.role: c for c in expected.components}
    assert record.metrics == {"accuracy": (0.5, 0.5), "f1": (0.9, 1.0)}
    assert record.parameters == {"head": {"total": 6}}
    assert record.seconds == {"total": 3.0, "heads": 2.0}
    assert record.pretraining == parent
    assert record.finished is not None
    assert record.created < record.finished
    assert [c.metrics["f1"] for c in reader.cells(run_id)] == [0.9, 1.0]
    assert reader.epochs(run_id) == [epoch(c, e) for c in (0, 1) for e in (0, 1)]
    assert reader.predictions(run_id) == [prediction(0, "s1"), prediction(1, "s1")]
    assert reader.artifacts(run_id) == [
        ArtifactRow("weights", f"{run_id}/w.safetensors", "c" * 64, 12, None, {"cut": 1})
    ]
    assert reader.environment(run_id) == {"python": "3.11"}
    assert reader.children(parent) == [run_id]
    assert reader.children(run_id) == []


@pytest.mark.sampled(2)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, 5e-324, 0.1, 1.7976931348623157e308])
def test_every_float_survives_the_round_trip(writer: Writer, reader: Reader, value: float) -> None:
    run_id = writer.start_run(new_run())
    writer.add_cells(run_id, new_cells(1))
    writer.add_epochs(run_id, [EpochRow(0, 0, value, {"test_loss": value, "a new one": value})])
    writer.add_predictions(run_id, [prediction(0, "s", (value, 1.0))])
    writer.finish_cell(run_id, 0, {"f1": value}, value)
    writer.finish_run(run_id, "finished", {"total": value})
    (stored,) = reader.epochs(run_id)
    assert set(stored.values) == {"test_loss", "a new one"}  # absent values stay absent
    (cell,) = reader.cells(run_id)
    record = reader.run(run_id)
    for found in (
        stored.seconds,
        stored.values["test_loss"],
        stored.values["a new one"],
        reader.predictions(run_id)[0].probabilities[0],
        cell.seconds,
        cell.metrics["f1"],
        record.metrics["f1"][0],
        record.seconds["total"],
    ):
        assert found is not None
        assert np.float64(found).tobytes() == np.float64(value).tobytes()


def test_numpy_numbers_are_stored_as_numbers(writer: Writer, reader: Reader, location: StoreLocation) -> None:
    run_id = writer.start_run(new_run(seed=np.int64(3)))
    writer.add_cells(run_id, new_cells(1))
    writer.add_epochs(run_id, [EpochRow(np.int64(0), np.int64(4), np.float32(0.5), {"test_loss": np.float32(0.25)})])  # type: ignore[arg-type]
    assert reader.epochs(run_id) == [EpochRow(0, 4, 0.5, {"test_loss": 0.25})]
    of, *kinds = (
        ("pg_typeof", "bigint", "double precision") if location.backend.shared else ("typeof", "integer", "real")
    )
    assert sql(location, f"SELECT {of}(epoch), {of}(test_loss) FROM epochs") == [tuple(kinds)]


def test_a_plan_with_nan_is_refused_and_leaves_nothing(writer: Writer, reader: Reader, location: StoreLocation) -> None:
    with pytest.raises(StoreError, match="JSON"):
        writer.start_run(new_run(plan={"rate": math.nan}))
    assert reader.runs() == []
    assert list(location.locks.iterdir()) == []


def test_text_that_is_not_unicode_is_an_error_of_the_store(writer: Writer) -> None:
    with pytest.raises(StoreError, match="cannot be stored"):
        writer.start_run(new_run(environment={"argv": "caf\udce9"}))


def test_a_failed_call_stores_nothing_of_it(writer: Writer, reader: Reader) -> None:
    run_id = writer.start_run(new_run())
    writer.add_cells(run_id, new_cells(1))
    writer.add_epochs(run_id, [epoch(0, 0)])
    with pytest.raises(StoreError, match="contradicts"):
        writer.add_epochs(run_id, [epoch(0, 1), epoch(0, 0)])
    with pytest.raises(StoreError, match="contradicts"):  # a cell that there is not
        writer.add_epochs(run_id, [epoch(5, 0)])
    assert [e.epoch for e in reader.epochs(run_id)] == [0]
    writer.add_epochs(run_id, [epoch(0, 1)])


def test_a_finished_run_never_changes(writer: Writer, reader: Reader) -> None:
    run_id = finished_run(writer)
    before = reader.run(run_id)
    for change in (
        lambda: writer.add_cells(run_id, new_cells(3)[2:]),
        lambda: writer.add_epochs(run_id, [epoch(0, 9)]),
        lambda: writer.add_predictions(run_id, [prediction(0, "s9")]),
        lambda: writer.finish_cell(run_id, 0, {}, 1.0),
        lambda: writer.add_artifact(run_id, ArtifactRow("weights", "x", "", 0)),
        lambda: writer.link(run_id, "pretraining", run_id),
        lambda: writer.finish_run(run_id, "failed", {}),
    ):
        with pytest.raises(StoreError, match="does not change any more"):
            change()
    assert reader.run(run_id) == before


def test_a_run_cannot_be_finished_before_its_cells(writer: Writer, reader: Reader) -> None:
    run_id = writer.start_run(new_run())
    writer.add_cells(run_id, new_cells(2))
    writer.finish_cell(run_id, 0, {"f1": 1.0}, 1.0)
    with pytest.raises(StoreError, match="its cells \\[1\\]"):
        writer.finish_run(run_id, "finished", {})
    with pytest.raises(StoreError, match="not a running one"):
        writer.finish_cell(run_id, 0, {"f1": 0.0}, 1.0)
    assert reader.run(run_id).status == "running"


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_unfinished_cells_share_the_fate_of_their_run(writer: Writer, reader: Reader, status: str) -> None:
    run_id = writer.start_run(new_run())
    writer.add_cells(run_id, new_cells(2))
    writer.finish_cell(run_id, 0, {"f1": 1.0}, 1.0)
    writer.finish_run(run_id, status, {"total": 1.0}, error="loss is NaN")  # type: ignore[arg-type]
    assert [cell.status for cell in reader.cells(run_id)] == ["finished", status]
    assert (reader.run(run_id).status, reader.run(run_id).error) == (status, "loss is NaN")
    assert reader.run(run_id).metrics == {"f1": (1.0,)}


def test_a_run_cannot_end_as_running_nor_be_unknown(writer: Writer) -> None:
    run_id = writer.start_run(new_run())
    with pytest.raises(StoreError, match="cannot end"):
        writer.finish_run(run_id, "running", {})
    with pytest.raises(StoreError, match="there is no run"):
        writer.add_cells("0" * 16, [])


def test_only_the_writer_that_started_a_run_may_write_it(writer: Writer, location: StoreLocation) -> None:
    run_id = writer.start_run(new_run())
    with Writer(location) as other, pytest.raises(BusyError):
        other.add_cells(run_id, new_cells(1))


def test_locks_go_when_runs_end(writer: Writer, location: StoreLocation) -> None:
    run_id = writer.start_run(new_run())
    assert [lock.name for lock in location.locks.iterdir()] == [f"{run_id}.lock"]
    writer.finish_run(run_id, "finished", {})
    assert list(location.locks.iterdir()) == []


def test_a_writer_that_leaves_its_run_leaves_it_interrupted(location: StoreLocation, reader: Reader) -> None:
    with Writer(location) as writer:
        run_id = writer.start_run(new_run())
        writer.add_cells(run_id, new_cells(1))
        assert reader.run(run_id).status == "running"
        assert reader.cells(run_id)[0].status == "running"
    assert reader.run(run_id).status == "interrupted"
    assert reader.cells(run_id)[0].status == "interrupted"
