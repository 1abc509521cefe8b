"""Columns that are converted at once are what their values are one by one, and foreign values are refused alike."""

import math
from typing import Any

import pytest
from by_hand import sql
from sample_runs import finished_run
from sqlalchemy.dialects import sqlite

from qtlplat.store.core.columns import Facts, ForeignValueError, Number, Numbers, Text, Time, Whole, read_column
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

DIALECT = sqlite.dialect()
NOW = "2026-01-01T00:00:00.000000+00:00"


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (Text(), ["a", None, ""], ["a", None, ""]),
        (Time(), [NOW, None], [NOW, None]),
        (Whole(), [1, None, -3], [1, None, -3]),
        (Number(), [0.5, "NaN", 1, None], [0.5, math.nan, 1.0, None]),
        (Facts(), ['{"a": 1}', None], [{"a": 1}, None]),
        (Numbers(list), ["[0.25, 0.75]", "[1.0]", "[]"], [[0.25, 0.75], [1.0], []]),
        (Numbers(list), ["[0.25, 0.75]", '["NaN", 1]', None], [[0.25, 0.75], [math.nan, 1.0], None]),
        (Numbers(list), [], []),
    ],
)
def test_a_column_is_what_its_values_are(kind: Any, values: list[Any], expected: list[Any]) -> None:
    assert repr(list(read_column(kind, values, DIALECT))) == repr(expected)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Text(), ["a", 1]),
        (Text(), ["a", b"a"]),
        (Time(), [NOW, "yesterday"]),
        (Whole(), [1, 0.5]),
        (Number(), [0.5, "half"]),
        (Numbers(list), ["[0.5]", "{}"]),
        (Numbers(list), ["[0.5]", "[0.5"]),
        (Numbers(list), ["[0.5]", "[NaN]"]),
        (Numbers(list), ["[0.5]", '["half"]']),
        (Numbers(list), ["[0.5]", "[[0.5]]"]),
        # which only together are three lists of numbers
        (Numbers(list), ["[0.1],[0.2]", "[0.3", "0.4]"]),
        (Numbers(list), ["[0.1", "0.2]"]),
    ],
)
def test_a_column_with_a_foreign_value_is_refused(kind: Any, values: list[Any]) -> None:
    with pytest.raises(ForeignValueError):
        read_column(kind, values, DIALECT)


def test_a_ranking_leaves_a_run_out_of_which_a_name_is_no_text(
    location: StoreLocation, caplog: pytest.LogCaptureFixture
) -> None:
    """What the driver says while rows are fetched is damage like any other."""
    with Writer(location) as writer:
        sound, broken = (finished_run(writer) for _ in range(2))
    reader = Reader(location)
    assert set(reader.finished_runs(["run", "head"], "", "--by").values["run"]) == {sound, broken}
    sql(location, "UPDATE runs SET head = CAST(x'ff' AS TEXT) WHERE id = ?", broken)
    reader = Reader(location)
    assert reader.finished_runs(["run", "head"], "", "--by").values["run"] == (sound,)
    assert f"left out, damaged: {broken}" in caplog.text
