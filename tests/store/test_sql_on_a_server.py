"""Questions in SQL to a server: they are answered, read only, one at a time, and stop in time."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from by_hand import sql
from sample_runs import finished_run, new_run

from qtlplat.errors import UsageError
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sql.sqlite import ask
from qtlplat.store.write.writer import Writer


@pytest.fixture
def location(behind_a_server: StoreLocation) -> StoreLocation:
    return behind_a_server


@pytest.fixture
def stored(location: StoreLocation) -> str:
    with Writer(location) as writer:
        return finished_run(writer, (0.75, math.nan), tags=("mine",))


def asked(location: StoreLocation, query: str, seconds: float = 60.0) -> list[dict[str, Any]]:
    return ask(
        Reader(location), query, lambda names, rows: [dict(zip(names, row, strict=True)) for row in rows], seconds
    )


def test_a_question_is_answered_in_numbers_and_texts(location: StoreLocation, stored: str) -> None:
    assert asked(location, "select run, head, f1, f1_max, tags from v_runs") == [
        {"run": stored, "head": "my-head", "f1": None, "f1_max": None, "tags": "mine"}
    ]
    (row,) = asked(
        location,
        "select 1.5::numeric n, now()::date d, '{\"a\": [1]}'::jsonb j, true t, null nothing, 'a%b' p, array[1,2] a",
    )
    assert row["n"] == 1.5
    assert len(row["d"]) == 10
    assert (row["j"], row["t"], row["nothing"], row["p"], row["a"]) == ('{"a": [1]}', True, None, "a%b", "[1, 2]")
    assert asked(location, "select 1 x where false") == []
    assert len(asked(location, "select * from generate_series(1, 20000)")) == 20000


@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("delete from runs", "has no columns"),
        ("delete from runs returning id", "can only read"),
        ("with gone as (delete from runs returning id) select * from gone", "can only read"),
        ("create table mine (a int)", "has no columns"),
        ("drop view v_runs", "has no columns"),
        ("select 1; delete from runs", "more than one statement"),
        ("select 1; commit; delete from runs", "more than one statement"),
        ("commit; delete from runs", "more than one statement"),
        ("commit", "has no columns"),
        ("rollback", "has no columns"),
        ("set transaction read write", "has no columns"),
        ("select set_config('transaction_read_only', 'off', true)", "cannot be understood"),
        ("copy runs to stdout", "has no columns"),
        ("do $$ begin delete from runs; end $$", "has no columns"),
        ("select nothing_of_that_name from runs", "cannot be understood"),
        ("selec 1", "cannot be understood"),
        ("select 1/0", "cannot be understood"),
        ("", "is empty"),
        ("-- nothing", "has no columns"),
    ],
)
def test_what_does_not_only_read_is_refused_and_changes_nothing(
    location: StoreLocation, stored: str, query: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        asked(location, query)
    assert len(caught.value.lines()) <= 12
    assert [run.id for run in Reader(location).runs()] == [stored]
    assert sql(location, "SELECT count(*) FROM v_runs") == [(1,)]


def test_names_like_an_unknown_one_are_told(location: StoreLocation, stored: str) -> None:
    for query, near in (("select * from v_run", "v_runs"), ("select heed from v_runs", "head")):
        with pytest.raises(UsageError) as caught:
            asked(location, query)
        assert near in "\n".join(caught.value.lines())
        assert "qtlplat sql --schema" in caught.value.what


def test_a_query_stops_in_time(location: StoreLocation, stored: str) -> None:
    started = time.monotonic()
    with pytest.raises(UsageError, match=r"stopped after 0\.2 seconds"):
        asked(location, "select count(*) from generate_series(1, 1e10::bigint)", 0.2)
    assert time.monotonic() - started < 5
    assert len(asked(location, "select 1 from v_runs")) == 1


def test_where_there_is_no_store_nothing_is_asked(location: StoreLocation) -> None:
    with pytest.raises(UsageError, match="no store to ask"):
        asked(location, "select 1")


def test_what_happens_meanwhile_is_not_seen(location: StoreLocation, stored: str) -> None:
    def count_twice(_names: object, rows: Any) -> int:
        first = next(rows)
        with Writer(location) as writer:
            writer.start_run(new_run())
        return len([first, *rows])

    query = "select r.id from runs r, generate_series(1, 3000)"
    assert ask(Reader(location), query, count_twice) == 3000
