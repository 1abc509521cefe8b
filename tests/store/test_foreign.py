"""Databases of strangers: what qtlplat made is taken for its own, whatever else is refused."""

import sqlite3

import pytest
from damage import fill
from test_database import (
    NEXT,
    next_revision as next_revision,  # noqa: PLC0414 -- a fixture
)

from qtlplat.errors import UntrustedError
from qtlplat.store.backends.bootstrap import prepare
from qtlplat.store.backends.find import find_store
from qtlplat.store.backends.own_schema import OBJECTS, canonical, normal, own_tables
from qtlplat.store.core import schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.queries import Reader
from qtlplat_bundles.extract import extract, with_parents
from qtlplat_bundles.foreign import adopt


def test_tables_of_a_new_store_are_known(location: StoreLocation) -> None:
    prepare(location)
    raw = sqlite3.connect(location.path)
    found = {row for row in raw.execute(OBJECTS).fetchall() if row[0] != "view"}
    raw.close()
    assert normal(found) == own_tables(schema.REVISIONS[-1])


def test_a_store_of_an_older_schema_is_upgraded_once_it_is_known_to_be_ours(
    location: StoreLocation, request: pytest.FixtureRequest
) -> None:
    ids = fill(location, 1)
    request.getfixturevalue("next_revision")
    adopt(location, "a bundle")
    raw = sqlite3.connect(location.path)
    assert raw.execute("SELECT version_num FROM qtlplat_schema").fetchall() == [(NEXT,)]
    raw.close()
    assert {run.id for run in Reader(location).runs()} == set(ids[:2])


def test_a_store_that_was_written_anew_is_ours_and_the_same(location: StoreLocation) -> None:
    ids = fill(location, 2)
    bytes_of = []
    for name in ("one.db", "two.db"):
        new = find_store(str(location.path.with_name(name)))
        extract(location, with_parents(Reader(location), ids[1:2]), new)
        bytes_of.append(new.path.read_bytes())
        adopt(new, "a bundle")
        for run in ids[:2]:
            assert Reader(new).run(run) == Reader(location).run(run)
            assert Reader(new).epochs(run) == Reader(location).epochs(run)
        assert len(Reader(new).runs()) == 2
    assert bytes_of[0] == bytes_of[1]


def test_the_order_of_constraints_does_not_count_and_nothing_else_is_left_out() -> None:
    tables = [sql for kind, _, _, sql in own_tables(schema.REVISIONS[-1]) if kind == "table"]
    one = next(sql for sql in tables if sql.startswith("CREATE TABLE runs"))
    body, *constraints = one.removesuffix(")").split(", CONSTRAINT ")
    other = ", CONSTRAINT ".join([body, *reversed(constraints)]) + ")"
    assert other != one
    assert canonical(other) == canonical(one) == one
    assert canonical(one.replace("'run'", "'ran'")) != one


def test_an_empty_file_is_no_store(location: StoreLocation) -> None:
    location.path.write_bytes(b"")
    with pytest.raises(UntrustedError, match="its database is empty"):
        adopt(location, "a bundle")
