"""A store in other people's programs: datasette, pandas and DuckDB open the file, and its names explain themselves."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from asked_runs import HOSTILE, stored

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.views import LEAKAGES, METRICS, VIEWS
from qtlplat.store.read.queries import Reader


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[StoreLocation, dict[str, str]]:
    location = find_store(str(tmp_path_factory.mktemp("asked") / "store.db"))
    return location, stored(location)


@pytest.fixture
def raw(asked: tuple[StoreLocation, dict[str, str]]) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"{asked[0].path.as_uri()}?mode=ro", uri=True)
    yield connection
    connection.close()


def test_pandas_reads_the_runs_as_the_reader_does(
    asked: tuple[StoreLocation, dict[str, str]], raw: sqlite3.Connection
) -> None:
    pandas = pytest.importorskip("pandas")
    location, ids = asked
    frame = pandas.read_sql_query("SELECT * FROM v_runs", raw, index_col="run")
    records = {record.id: record for record in Reader(location).runs()}
    assert set(frame.index) == set(records)
    numbers = [*METRICS, "f1_variance", *LEAKAGES, "seconds", "trainable", "f1_min", "accuracy_max"]
    assert {str(frame[name].dtype) for name in numbers} == {"float64"}
    assert {str(frame[name].dtype) for name in ("seed", "cells")} == {"int64"}
    assert pandas.api.types.is_string_dtype(frame["head"].dtype)
    for run, record in records.items():
        for name in METRICS:
            values = record.metrics.get(name, ())
            mean = sum(values) / len(values) if values else math.nan
            assert frame.loc[run, name] == pytest.approx(mean, nan_ok=True)
        assert frame.loc[run, "status"] == record.status
    assert frame.loc[ids["hostile"], "head"] == HOSTILE
    created = pandas.to_datetime(frame["created"])
    assert str(created.dt.tz) == "UTC"


def test_pandas_finds_numbers_in_every_column_of_numbers(raw: sqlite3.Connection) -> None:
    pandas = pytest.importorskip("pandas")
    cells = pandas.read_sql_query("SELECT * FROM v_cells", raw)
    epochs = pandas.read_sql_query("SELECT * FROM v_epochs", raw)
    assert {str(cells[name].dtype) for name in (*METRICS, *LEAKAGES, "seconds")} == {"float64"}
    assert {str(epochs[name].dtype) for name in ("train_loss", "test_loss", "seconds")} == {"float64"}
    by_head = cells[(cells.kind == "run") & (cells.variant == "head")].groupby("run").f1.agg(["mean", "std"])
    variance = pandas.read_sql_query(
        "SELECT run, f1, f1_variance FROM v_runs WHERE kind = 'run' AND cells > 1", raw, index_col="run"
    )
    whole = variance.dropna()
    whole = whole[whole.f1.abs() < math.inf]
    assert len(whole) >= 1
    pandas.testing.assert_series_equal(
        by_head.loc[whole.index, "std"] ** 2, whole.f1_variance, check_names=False, rtol=1e-12
    )


def get(location: StoreLocation, path: str) -> Any:
    """What datasette answers, in-process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own libraries, when they are imported
        from datasette.app import Datasette

    async def ask() -> Any:
        server = Datasette(files=[], immutables=[str(location.path)], settings={"num_sql_threads": 1})
        await server.invoke_startup()
        response = await server.client.get(path)
        for database in server.databases.values():
            database.close()
        if server.executor is not None:
            server.executor.shutdown()
        return response

    return asyncio.run(ask())


def test_datasette_shows_every_table_and_view(asked: tuple[StoreLocation, dict[str, str]]) -> None:
    pytest.importorskip("datasette")
    location, ids = asked
    form = get(location, "/store.json").json()
    assert {view["name"] for view in form["views"]} == set(VIEWS)
    tables = {table["name"]: table for table in form["tables"]}
    assert {"runs", "cells", "epochs", "metrics", "predictions", "tags", "notes", "trash"} <= tables.keys()
    assert tables["cells"]["primary_keys"] == ["run_id", "position"]
    assert {key["other_table"] for key in tables["cells"]["foreign_keys"]["outgoing"]} == {"runs"}
    rows = get(location, "/store/v_runs.json?_shape=array").json()
    assert {row["run"] for row in rows} == set(ids.values()) - {ids["thrown away"]}
    assert {row["head"] for row in rows} >= {HOSTILE, "dressed5x3"}
    page = get(location, "/store/v_runs")
    assert page.status_code == 200
    assert "<script>" not in page.text.split("<tbody>")[1].split("</tbody>")[0]
    faceted = get(location, "/store/v_cells.json?_facet=variant&kind=run&_size=0")
    assert faceted.status_code == 200


def test_duckdb_asks_what_pandas_has_read(raw: sqlite3.Connection) -> None:
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    cells = pandas.read_sql_query("SELECT * FROM v_cells WHERE kind = 'run' AND variant = 'head'", raw)
    connection = duckdb.connect()
    connection.register("cells", cells)
    found = dict(connection.sql("SELECT run, avg(accuracy) FROM cells GROUP BY run").fetchall())
    connection.close()
    ours = dict(raw.execute("SELECT run, accuracy FROM v_runs WHERE kind = 'run' AND cells > 0").fetchall())
    assert ours
    for run, accuracy in ours.items():
        assert found[run] == pytest.approx(accuracy, rel=1e-14)
