"""Selecting runs: filters agree with plain Python over the same facts, and nothing of them is part of a statement."""

from __future__ import annotations

import math
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from filtered_runs import facts, store_filtered
from hypothesis import given, settings, strategies as st
from plain_filter import ANY_FIELDS, MANY, NUMBER_FIELDS, TEXT_FIELDS, Written, filters, there
from sqlalchemy import event

from qtlplat.errors import UsageError
from qtlplat.store.backends.find import find_store
from qtlplat.store.core import schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.filters.names import FIELD
from qtlplat.store.read.queries import Reader

FIELDS = ["created", *TEXT_FIELDS, *ANY_FIELDS, *NUMBER_FIELDS, *MANY]
# all that a statement may consist of, besides names of tables and columns
WORDS = set(
    """select from where and or not exists in as on join left is null case when then else end order by desc limit
    distinct coalesce count avg min max sum stddev_samp typeof json_type json_extract json_each json_quote
    json_group_array nullif like anon_1 anon_2 anon_3 value type key text integer real true false infinity offset
    group begin total blob running""".split()
)
WORDS |= {name for table in schema.metadata.tables.values() for name in (table.name, *table.columns.keys())}


class Store:
    """A store, its facts, and the statements that were sent to it."""

    def __init__(self, location: StoreLocation) -> None:
        self.reader = Reader(location)
        self.facts = facts(location)
        self.statements: set[str] = set()

        @event.listens_for(self.reader._engine, "before_cursor_execute")
        def keep(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            self.statements.add(statement)

    def found(self, where: str, **options: Any) -> list[str]:
        return [row["run"] for row in self.reader.table(["run"], where=where, **options)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    location = find_store(str(tmp_path_factory.mktemp("filtered") / "s.db"))
    store_filtered(location)
    return Store(location)


def agrees(store: Store, written: Written) -> None:
    store.statements.clear()
    expected = {run for run, known in store.facts.items() if written.holds(known)}
    assert set(store.found(written.text)) == expected
    for statement in store.statements:
        assert_constant(statement)


def assert_constant(statement: str) -> None:
    """Every word of a statement is one of ours, and every number is 0, 1 or infinite."""
    if statement.startswith("SELECT") and schema.VERSION_TABLE not in statement:
        words = {word.lower() for word in re.findall(r"[^\W\d]\w*", statement)}
        assert {
            word for word in words - WORDS if not re.fullmatch(r"c\d+|(anon|avg|count|min|max|sum)_\d+|e999", word)
        } == set()
        assert set(re.findall(r"(?<![\w.])\d[\d.]*", statement)) <= {
            "0",
            "0.0",
            "1",
            "9",
        }  # 0.0: how SQLAlchemy divides


@settings(max_examples=60, derandomize=True)
@given(filters)
def test_generated_filters_agree_with_plain_python(store: Store, written: Written) -> None:
    agrees(store, written)


@pytest.mark.nightly
@settings(max_examples=2000, derandomize=True)
@given(filters)
def test_two_thousand_generated_filters_agree_with_plain_python(store: Store, written: Written) -> None:
    agrees(store, written)


@settings(max_examples=25, derandomize=True)
@given(st.text(max_size=60), st.sampled_from(["'", '"']))
def test_any_text_between_quotes_is_a_value_or_refused(store: Store, text: str, quote: str) -> None:
    store.statements.clear()
    written = (
        f"head = {quote}{text.replace(quote, quote * 2)}{quote} or note like {quote}{text.replace(quote, '')}{quote}"
    )
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        with pytest.raises(UsageError, match="this character is in no text"):
            store.found(written)
        return
    found = store.found(written)
    assert set(found) >= {run for run, known in store.facts.items() if known["head"] == text}
    for statement in store.statements:
        assert_constant(statement)


HOSTILE = (
    "head = '''; drop table runs; --'",
    "head = 'x' or 1=1",
    "head.layers'); drop table runs; --",
    'head."layers = 1',
    'head."layers""; drop table runs; --" = 1',
    "f1); delete from runs; -- > 1",
    "head = 'a' union select 1",
    "tag = '\0'",
    "tag = '\ud800'",
    "' or ''='",
    "head" * 100_000,
    "(" * 5000 + "f1 > 1" + ")" * 5000,
    "not " * 5000 + "f1 > 1",
    " and ".join(["f1 > 1"] * 900),
    "f1 > 1" + " or f1 > 1" * 500,
    "x" * 2000 + " = 1",
    "f1 > " + "9" * 5000,
    "a." * 2000 + "a = 1",
    "\x1b[31m = 1",
    "head = $(rm -rf)",
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_filters_are_refused_or_harmless(store: Store, text: str) -> None:
    store.statements.clear()
    before = len(store.facts)
    try:
        found, lines = store.found(text), []
    except UsageError as error:
        found, lines = [], error.lines()
    assert found == []
    assert len(lines) <= 12
    assert all(line.isprintable() for line in lines)
    for statement in store.statements:
        assert_constant(statement)
    assert len(store.reader.runs()) == before


@pytest.mark.parametrize("field", FIELDS)
def test_the_values_of_a_table_are_those_of_the_records(store: Store, field: str) -> None:
    rows = store.reader.table(["run", field])
    assert {row["run"] for row in rows} == set(store.facts)
    for row in rows:
        expected = store.facts[row["run"]][field]
        if isinstance(expected, float) and math.isnan(expected):
            expected = None
        found = row[field]
        if field in MANY:
            assert sorted(found or []) == sorted(expected)
        elif isinstance(expected, float) and math.isfinite(expected):
            assert found == pytest.approx(expected, rel=1e-12)
        else:
            assert found == expected


@pytest.mark.parametrize("function", ["first", "last", "lowest", "highest"])
@pytest.mark.parametrize("name", ["loss", "accuracy"])
def test_loss_and_accuracy_over_epochs_are_those_of_the_test_part(store: Store, function: str, name: str) -> None:
    short, long = f"{function}({name})", f"{function}(test_{name})"
    rows = store.reader.table([short, long], sort=f"-{short}")
    assert [row[short] for row in rows] == [row[long] for row in rows]
    assert store.found(f"{short} is not null") == store.found(f"{long} is not null")
    assert name == "accuracy" or store.found(f"{short} > 0")  # these runs have no accuracies after epochs


@pytest.mark.parametrize("field", [f for f in FIELDS if f not in ("head.sizes", "controls", *MANY)])
@pytest.mark.parametrize("descending", [False, True])
def test_sorting_is_by_value_and_what_is_missing_comes_last(store: Store, field: str, descending: bool) -> None:
    found = [store.facts[run][field] for run in store.found("", sort=f"{'-' * descending}{field}")]
    present = [value for value in found if there(value)]
    assert found[len(present) :] == [value for value in found if not there(value)] or any(v != v for v in found)
    assert all(there(value) for value in found[: len(present)])
    keys = [(isinstance(value, str), value) for value in present]
    assert keys == sorted(keys, reverse=descending)


def test_equal_runs_stay_newest_first_and_several_fields_sort(store: Store) -> None:
    newest = store.found("")
    created = [store.facts[run]["created"] for run in newest]
    assert created == sorted(created, reverse=True)
    found = store.found("", sort="kind,-seed")
    keys = [(store.facts[run]["kind"], -store.facts[run]["seed"], newest.index(run)) for run in found]
    assert keys == sorted(keys)


def test_of_several_values_the_first_one_sorts(store: Store) -> None:
    tags = [sorted(store.facts[run]["tag"]) for run in store.found("", sort="tag")]
    tagged = [tag[0] for tag in tags if tag]
    assert tagged == sorted(tagged)
    assert [bool(tag) for tag in tags] == sorted((bool(tag) for tag in tags), reverse=True)


def test_a_limit_counts_what_was_selected(store: Store) -> None:
    every = store.found("seed >= 2", sort="-f1")
    assert store.found("seed >= 2", sort="-f1", limit=3) == every[:3]
    assert [run.id for run in store.reader.runs(3, where="seed >= 2", sort="-f1")] == every[:3]
    assert [run.id for run in store.reader.runs(kind="pretraining", where="seed >= 2", sort="-f1")] == [
        run for run in every if store.facts[run]["kind"] == "pretraining"
    ]


def test_a_store_that_does_not_exist_has_no_runs_but_refuses_nonsense(tmp_path: Path) -> None:
    reader = Reader(find_store(str(tmp_path / "none.db")))
    assert reader.runs(where="f1 > 0.5 and whatever = 3", sort="-f1") == []
    with pytest.raises(UsageError):
        reader.runs(where="f1 >")
    with pytest.raises(UsageError):
        reader.table(["f1 >"])


def test_runs_in_the_trash_are_in_no_selection(location: StoreLocation) -> None:
    store_filtered(location, 4)
    reader = Reader(location)
    kept, *_, thrown = (run.id for run in reader.runs())
    raw = sqlite3.connect(location.path)
    since = "2026-01-02T03:04:05.000006+00:00"
    raw.execute("INSERT INTO trash VALUES (?, ?)", (thrown, since))
    raw.commit()
    raw.close()
    assert reader.table(["run", "trashed"], trash=True, where="trashed is not null") == [
        {"run": thrown, "trashed": since}
    ]
    assert [row["trashed"] for row in reader.table(["trashed"], where="trashed is null")] == [None] * 3
    for found in (reader.runs(), reader.runs(where="seed >= 0"), reader.runs(sort="-f1")):
        assert kept in {run.id for run in found}
        assert thrown not in {run.id for run in found}
    assert thrown not in {row["run"] for row in reader.table(["run"])}


def test_words_of_fields_cannot_leave_their_place() -> None:
    assert not [
        word
        for word in ('a"b', "a'b", "a b", "a$", "a[0]", "a*", "é", "", ".", "a.", "@x")
        if re.fullmatch(FIELD, word)
    ]
