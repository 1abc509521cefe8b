"""Selecting runs behind a server: the same filters, orders and columns as in a file, and the same answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from a_server import PostgresServer
from filtered_runs import store_filtered
from hypothesis import given, settings
from plain_filter import Written, filters
from test_selected_runs import (
    Store,
    agrees,
    test_a_limit_counts_what_was_selected,  # noqa: F401 -- these are carried out here too, on another store
    test_equal_runs_stay_newest_first_and_several_fields_sort,  # noqa: F401
    test_hostile_filters_are_refused_or_harmless,  # noqa: F401
    test_sorting_is_by_value_and_what_is_missing_comes_last,  # noqa: F401
    test_the_values_of_a_table_are_those_of_the_records,  # noqa: F401
)

from qtlplat.store.backends.find import find_store


class _Unread(set[str]):
    """Statements that nobody looks at: of which words they consist is tested with a file."""

    def add(self, element: str) -> None: ...


@pytest.fixture(scope="module")
def store(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTLPLAT_FILES", str(tmp_path_factory.mktemp("filtered")))
        location = find_store(postgres.store())
        store_filtered(location)
        found = Store(location)
        found.statements = _Unread()
        yield found


@settings(max_examples=40, derandomize=True)
@given(filters)
def test_generated_filters_agree_with_plain_python(store: Store, written: Written) -> None:
    agrees(store, written)


@pytest.mark.nightly
@settings(max_examples=2000, derandomize=True)
@given(filters)
def test_two_thousand_generated_filters_agree_with_plain_python(store: Store, written: Written) -> None:
    agrees(store, written)
