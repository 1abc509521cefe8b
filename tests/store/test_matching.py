"""Filters over the rows of a listing: the same language, in plain Python."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from filtered_runs import facts, store_filtered
from hypothesis import assume, given, settings
from plain_filter import Written, filters

from qtlplat.errors import UsageError
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.filters.datetimes import stored
from qtlplat.store.read.filters.matching import matching

ROWS = (
    {"name": "lenet1", "value": 0.5, "ok": True, "tags": ["a", "b"], "note": None},
    {"name": "LeNet2", "value": math.nan, "ok": False, "tags": [], "note": "x"},
    {"name": "mlp", "value": 2, "ok": True, "tags": ["b"], "note": ""},
)


@pytest.mark.parametrize(
    ("where", "places"),
    [
        ("", [0, 1, 2]),
        ("name like 'lenet_'", [0, 1]),
        ("value > 0.4", [0, 2]),
        ("not value > 0.4", [1]),
        ("value != 2", [0]),
        ("value is null or note is null", [0, 1]),
        ("ok = true and tags = 'b'", [0, 2]),
        ("tags != 'a'", [1, 2]),
        ("tags is null", [1]),
        ("name in ('mlp', 'lenet1') and value between 1 and 3", [2]),
        ("name >= 'm'", [2]),
    ],
)
def test_rows_are_chosen_by_their_columns(where: str, places: list[int]) -> None:
    assert matching(ROWS, ROWS[0].keys(), where) == places


def test_times_in_a_column_are_compared_as_times() -> None:
    now = datetime.now(UTC)
    rows = [{"created": stored(now - timedelta(days=days))} for days in (0, 3, 10)]
    assert matching(rows, ["created"], "created > '7 days ago'") == [0, 1]
    assert matching(rows, ["created"], f"created = '{rows[1]['created'][:10]}'") == [1]
    assert matching(rows, ["created"], f"created like '{rows[2]['created'][:10]}%'") == [2]
    with pytest.raises(UsageError, match="'soon' is no time"):
        matching(rows, ["created"], "created < 'soon'")


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("nam = 'x'", "unknown column 'nam'"),
        ("min(value) > 1", "unknown column 'min(value)'"),
        ("value = 'x'", "value is a number, and 'x' is a text"),
        ("value like '%'", "value is a number, and '%' is a text"),
        ("ok < true", "true and false have no order"),
        ("name = 3", "name is a text, and 3 is a number"),
    ],
)
def test_what_cannot_be_compared_is_pointed_at(where: str, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        matching(ROWS, ROWS[0].keys(), where)
    found = caught.value.what.splitlines()
    assert found[0] == f"the filter cannot be used: {line}"
    assert found[1] == f"  {where}"
    assert found[2].strip() == "^"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """The facts of runs as rows of a listing, whose columns are called as the fields are."""
    location = find_store(str(tmp_path_factory.mktemp("rows") / "s.db"))
    store_filtered(location)
    return list(facts(location).values())


@settings(max_examples=60, derandomize=True)
@given(filters)
@pytest.mark.slow
def test_generated_filters_mean_the_same_as_in_the_store(rows: list[dict[str, object]], written: Written) -> None:
    try:
        found = matching(rows, rows[0].keys(), written.text)
    except UsageError as error:  # a column of one sort of values is compared with those only
        assume(" is a" not in error.what)
        raise
    assert found == [place for place, row in enumerate(rows) if written.holds(row)]
