"""The views: what they say agrees with what the reader says, and everything about them stands in the meanings."""

from __future__ import annotations

import math

import pytest
from asked_runs import HOSTILE, stored
from by_hand import named as rows
from sample_runs import finished_run, new_cells, new_run

from qtlplat.conventions import LEAKAGES, ROLES, mean_std
from qtlplat.store.backends.find import find_store
from qtlplat.store.core import schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import HEAD
from qtlplat.store.core.views import METRICS, SPREAD, VIEWS
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sql import column_docs
from qtlplat.store.write.writer import Writer

pytestmark = pytest.mark.every_store(slow=True)

Asked = tuple[StoreLocation, dict[str, str]]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    location = find_store(str(tmp_path_factory.mktemp("asked") / "a ü?#%.db"))
    return location, stored(location)


def finite(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_can_be_read_and_keeps_to_its_types(asked: Asked, view: str) -> None:
    found = rows(asked[0], f"SELECT * FROM {view}")
    assert found
    types = {"text": str, "JSON": str, "integer": int, "real": float}
    (meaning,) = [one for one in column_docs.views() if one.name == view]
    for column in meaning.columns:
        assert {type(row[column.name]) for row in found} <= {types[column.type], type(None)}, column.name


def test_every_view_and_column_of_them_has_a_meaning(asked: Asked) -> None:
    for view in column_docs.views():
        names = [row["name"] for row in rows(asked[0], f"SELECT name FROM pragma_table_info('{view.name}')")]
        assert [column.name for column in view.columns] == names
    assert [view.name for view in column_docs.views()] == list(VIEWS)


def test_every_table_and_column_of_them_has_a_meaning() -> None:
    assert {t.name: [c.name for c in t.columns] for t in column_docs.tables()} == {
        table.name: [column.name for column in table.columns] for table in schema.metadata.sorted_tables
    }
    for table in [*column_docs.tables(), *column_docs.views()]:
        for words in (table.meaning, *(column.meaning for column in table.columns)):
            assert words.isprintable()
            assert words.strip()


def test_the_runs_of_the_view_are_those_of_the_reader(asked: Asked) -> None:
    location, ids = asked
    found = {row["run"]: row for row in rows(location, "SELECT * FROM v_runs")}
    records = {record.id: record for record in Reader(location).runs()}
    assert found.keys() == records.keys() == set(ids.values()) - {ids["thrown away"]}
    for run, record in records.items():
        row = found[run]
        for name in ("kind", "status", "created", "finished", "error", "host", "fingerprint", "dataset_digest"):
            assert row[name] == getattr(record, name)
        assert (row["seed"], row["note"], row["pretraining"]) == (record.seed, record.note, record.pretraining)
        assert (row["tags"] or "") == ", ".join(record.tags)
        assert {role: row[role] for role in ROLES if row[role]} == {r: c.name for r, c in record.components.items()}
        for name in METRICS:
            mean, sd = mean_std(record.metrics.get(name, ()))
            assert row[name] == (None if finite(mean) is None else pytest.approx(mean, rel=1e-14))
            if name in SPREAD and row[name] is not None and math.isfinite(row[name]):
                values = record.metrics[name]
                assert (row[f"{name}_min"], row[f"{name}_max"]) == (min(values), max(values))
                assert row[f"{name}_variance"] == (None if sd is None else pytest.approx(sd**2, rel=1e-12))
        for name in LEAKAGES:
            assert row[name] == getattr(record, name)
        assert row["cells"] == len(record.metrics.get("f1", ()))
        assert row["seconds"] == record.seconds.get("total")
        assert row["trainable"] == record.parameters.get("head", {}).get("total")
        assert (row["frozen"], row["parameters"]) == tuple(record.parameters.get(k) for k in ("kept", "model_total"))
    broken = found[ids["nan"]]
    assert (broken["f1"], broken["f1_min"], broken["f1_variance"]) == (None, None, None)
    assert broken["accuracy"] is not None
    assert found[ids["infinity"]]["f1"] == math.inf
    assert found[ids["hostile"]]["head"] == HOSTILE
    assert (found[ids["hostile"]]["cells"], found[ids["hostile"]]["f1_variance"]) == (1, None)


def test_cells_epochs_and_predictions_are_those_of_the_reader(asked: Asked) -> None:
    location, ids = asked
    reader = Reader(location)
    for name, run in ids.items():
        if name == "thrown away":
            continue
        cells = rows(location, f"SELECT * FROM v_cells WHERE run = '{run}' ORDER BY cell")
        expected = reader.cells(run)
        assert [c["cell"] for c in cells] == [c.position for c in expected]
        for row, cell in zip(cells, expected, strict=True):
            for key in (
                "backbone_index",
                "fold",
                "seed",
                "variant",
                "status",
                "n_train",
                "n_test",
                "seconds",
                "pretraining",
                *LEAKAGES,
            ):
                assert row[key] == getattr(cell, key)
            assert {m: row[m] for m in METRICS} == {m: finite(cell.metrics.get(m)) for m in METRICS}
        epochs = rows(location, f"SELECT * FROM v_epochs WHERE run = '{run}' ORDER BY cell, epoch")
        assert [(e["cell"], e["epoch"], e["test_loss"], e["test_accuracy"]) for e in epochs] == [
            (e.cell, e.epoch, finite(e.values["test_loss"]), None) for e in reader.epochs(run)
        ]
        predictions = rows(location, f"SELECT * FROM v_predictions WHERE run = '{run}' ORDER BY cell, sample")
        assert [
            (p["cell"], p["sample"], p["source"], p["label"], p["predicted"], p["correct"], p["confidence"])
            for p in predictions
        ] == [
            (p.cell, p.sample_id, p.group, p.label, p.predicted, p.label == p.predicted, p.probabilities[p.predicted])
            for p in reader.predictions(run)
        ]
        assert {(p["label"], p["class"]) for p in predictions} <= {(0, "normal"), (1, HOSTILE)}
    variants = rows(location, "SELECT DISTINCT variant FROM v_cells WHERE kind = 'run'")
    assert {row["variant"] for row in variants} == {HEAD, "linear", "shuffled"}


def test_claims_are_those_of_the_reader(asked: Asked) -> None:
    location, _ = asked
    (record,) = Reader(location).reproductions()
    found = rows(location, "SELECT * FROM v_claims ORDER BY position")
    assert [(r["outcome"], r["recipe"], r["name"], r["printed"], r["ours"], r["verdict"]) for r in found] == [
        (record.id, HOSTILE, c.name, c.printed, c.ours, c.verdict) for c in record.content.claims
    ]


def test_a_mean_of_what_is_not_a_number_is_not_there(location: StoreLocation) -> None:
    with Writer(location) as writer:
        finished_run(writer, (0.5, math.nan))
    (found,) = rows(location, "SELECT f1, f1_min, accuracy, accuracy_variance FROM v_runs")
    assert found == {"f1": None, "f1_min": None, "accuracy": 0.5, "accuracy_variance": 0.0}


def test_what_lies_in_the_trash_is_in_no_view(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run = finished_run(writer)
        other = writer.start_run(new_run())
        writer.add_cells(other, new_cells(1))
        writer.trash([run])
        assert [row["run"] for row in rows(location, "SELECT run FROM v_runs")] == [other]
        for view in ("v_epochs", "v_predictions"):
            assert rows(location, f"SELECT * FROM {view}") == []
        writer.restore([run])
        assert len(rows(location, "SELECT run FROM v_runs")) == 2
