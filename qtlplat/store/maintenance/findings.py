"""A store that is looked at whatever is wrong with it, and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.engine import Connection, Engine

from qtlplat.errors import LockedError, StoreError
from qtlplat.store.core import database, schema
from qtlplat.store.core.location import StoreLocation


@dataclass(frozen=True)
class Finding:
    """Something wrong with a store. where: file, table or run; fix: a command, or what to do."""

    what: str
    where: str
    fix: str


@contextmanager
def noted(problems: list[Finding]) -> Iterator[None]:
    """An error inside is one of the problems."""
    try:
        yield
    except LockedError:  # which says nothing of its health
        raise
    except StoreError as error:
        problems.append(Finding(error.what, error.where, error.fix or error.usual_fix))


@dataclass(frozen=True)
class OpenStore:
    """A store that is being looked at."""

    location: StoreLocation
    engine: Engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One reading transaction."""
        with database.translated(self.location), self.engine.begin() as connection:
            yield connection


def past_bad_definitions(store: OpenStore, problems: list[Finding]) -> OpenStore:
    """The store as it can be looked at where SQLite refuses all of it for one definition, which is a problem then."""
    past = OpenStore(store.location, database.engine(store.location, write=False, lenient=True, past_definitions=True))
    try:
        _first_query(store)
    except LockedError:
        raise
    except StoreError as error:
        _first_query(past)  # raises where it is not for a definition
        problems.append(Finding(error.what, error.where, error.fix))
        return past
    return store


def _first_query(store: OpenStore) -> None:
    with store.read() as connection:
        connection.dialect.has_table(connection, schema.VERSION_TABLE)
