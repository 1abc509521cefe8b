"""Reproductions and their claims: stored whole, stored once, read back as they were."""

from dataclasses import replace

import pytest

from qtlplat.errors import StoreError
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import ClaimRow, NewReproduction
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

MEASURED = ClaimRow(
    "f1",
    "metric",
    "f1",
    "m",
    "Table 1",
    95.0,
    "%",
    1.0,
    95.5,
    94.0,
    97.0,
    "inconclusive",
    "6 cells",
    ("a" * 16, "b" * 16),
)
MISSING = ClaimRow("boost", "comparison", "boost", "m", "Table 1", 2.0, "%", 0.0, None, None, None, "not run", "", ())
OUTCOME = NewReproduction(
    "r2024", "dist", "1.0", "d" * 64, "smoke", "e" * 64, {"epochs": "6 instead of 120"}, (MEASURED, MISSING)
)

pytestmark = pytest.mark.every_store


def test_an_outcome_is_read_back_as_it_was(location: StoreLocation) -> None:
    reader = Reader(location)
    assert reader.reproductions() == []
    with Writer(location) as writer:
        assert writer.add_reproduction(OUTCOME) == OUTCOME.id
    (record,) = reader.reproductions("r2024")
    assert (record.id, record.content) == (OUTCOME.id, OUTCOME)
    assert record.created
    assert reader.reproductions("other") == []


def test_the_same_outcome_is_stored_once_and_another_one_beside_it(location: StoreLocation) -> None:
    other = replace(OUTCOME, claims=(replace(MEASURED, ours=96.0), MISSING))
    with Writer(location) as writer:
        for outcome in (OUTCOME, OUTCOME, other):
            writer.add_reproduction(outcome)
    assert [record.id for record in Reader(location).reproductions()] == [other.id, OUTCOME.id]


def test_an_outcome_that_comes_out_again_is_the_newest(location: StoreLocation) -> None:
    other = replace(OUTCOME, claims=(MEASURED,))
    with Writer(location) as writer:
        for outcome in (OUTCOME, other, OUTCOME):
            writer.add_reproduction(outcome)
    first, second = Reader(location).reproductions()
    assert (first.id, second.id) == (OUTCOME.id, other.id)
    assert first.content == OUTCOME
    assert first.created > second.created


def test_a_verdict_that_does_not_exist_leaves_nothing_behind(location: StoreLocation) -> None:
    wrong = replace(OUTCOME, claims=(MEASURED, replace(MISSING, verdict="maybe")))
    with Writer(location) as writer, pytest.raises(StoreError):
        writer.add_reproduction(wrong)
    assert Reader(location).reproductions() == []
