"""The views: what they say agrees with what the reader says, and every column of them can be read."""

from __future__ import annotations

import math
import sqlite3

import pytest
from sample_runs import finished_run, new_cells, new_run

from qtlplat.store.location import StoreLocation
from qtlplat.store.queries import Reader
from qtlplat.store.views import VIEWS
from qtlplat.store.writer import Writer


def rows(location: StoreLocation, query: str) -> list[dict[str, object]]:
    raw = sqlite3.connect(location.path)
    found = raw.execute(query)
    names = [column[0] for column in found.description]
    result = [dict(zip(names, row, strict=True)) for row in found]
    raw.close()
    return result


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_can_be_read(location: StoreLocation, view: str) -> None:
    with Writer(location) as writer:
        finished_run(writer)
    assert (len(rows(location, f"SELECT * FROM {view}")) > 0) == (view != "v_claims")


def test_the_runs_of_the_view_are_those_of_the_reader(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = finished_run(writer, (0.75, 1.0))
    (found,) = rows(location, "SELECT * FROM v_runs")
    record = Reader(location).run(run)
    assert found["run"] == run
    assert (found["f1"], found["f1_min"], found["f1_max"]) == (0.875, 0.75, 1.0)
    assert found["cells"] == len(record.metrics["f1"])
    assert [found[role] for role in ("dataset", "backbone", "head", "evaluator")] == [
        record.components[role].name for role in ("dataset", "backbone", "head", "evaluator")
    ]
    assert found["trainable"] == 6
    assert found["seconds"] == 3.0
    assert found["tags"] is None


def test_a_mean_of_what_is_not_a_number_is_not_there(location: StoreLocation) -> None:
    with Writer(location) as writer:
        finished_run(writer, (0.5, math.nan))
    (found,) = rows(location, "SELECT f1, f1_min, accuracy FROM v_runs")
    assert found == {"f1": None, "f1_min": None, "accuracy": 0.5}


def test_classes_are_named_in_the_predictions(location: StoreLocation) -> None:
    with Writer(location) as writer:
        finished_run(writer, (0.5,), environment={"classes": '["normal", "anomaly"]'})
    (found,) = rows(location, "SELECT sample, class, predicted_class, correct FROM v_predictions")
    assert found == {"sample": "s1", "class": "anomaly", "predicted_class": "anomaly", "correct": 1}


def test_what_lies_in_the_trash_is_in_no_view(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = finished_run(writer)
        other = writer.start_run(new_run())
        writer.add_cells(other, new_cells(1))
    raw = sqlite3.connect(location.path)
    raw.execute("INSERT INTO trash VALUES (?, '2026')", (run,))
    raw.commit()
    raw.close()
    assert [row["run"] for row in rows(location, "SELECT run FROM v_runs")] == [other]
    for view in ("v_epochs", "v_predictions"):
        assert rows(location, f"SELECT * FROM {view}") == []
