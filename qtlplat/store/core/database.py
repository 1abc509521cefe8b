"""Opening a store, whatever database it lies in: engines, the schema's revision, errors as ours."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, exc
from sqlalchemy.engine import Connection, Engine

from qtlplat.errors import StoreError, Terminated, safe_repr
from qtlplat.store.core import schema
from qtlplat.store.core.columns import ForeignValueError, read_column
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.retry import nobody_waits

T = TypeVar("T")


class NoRevisionError(StoreError):
    """A store's tables without what says of which schema they are."""


def engine(location: StoreLocation, *, write: bool, **options: Any) -> Engine:
    """An engine for the store, as `Backend.connect`; options: of that."""
    return location.backend.connect(location, write=write, **options)


def has_begun(location: StoreLocation) -> bool:
    """Whether a store may have been made there. Raises StoreError if what lies there is not ours, or unreadable."""
    return location.backend.has_begun(location)


def is_there(location: StoreLocation) -> bool:
    """Whether there is a store, of whatever schema. Raises StoreError if that is refused, or cannot be known."""

    def look() -> bool:
        with engine(location, write=False).begin() as connection:
            return revision(connection, location) is not None

    known = location.backend.exists(location.path)
    if known is not None:
        return known or has_begun(location)
    with translated(location):
        return reading(location, look)


def revision(connection: Connection, location: StoreLocation) -> str | None:
    """The schema's revision in the database, or None for one without tables.

    Raises:
        StoreError: for a revision that is unknown to this version of qtlplat, and for a foreign schema.
    """
    if not connection.dialect.has_table(connection, schema.VERSION_TABLE):
        location.backend.refuse_strangers(connection, location)
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {schema.VERSION_TABLE}").scalars().all()  # noqa: S608
    if len(found) != 1:
        raise no_revision(f"the table {schema.VERSION_TABLE} has {len(found)} rows instead of one", location)
    if not re.fullmatch(r"\d{4}", str(found[0])):
        raise no_revision(f"the table {schema.VERSION_TABLE} says {safe_repr(found[0])}", location)
    if found[0] not in schema.REVISIONS:
        raise StoreError(
            f"the store has schema {safe_repr(found[0])}, which this version of qtlplat does not know "
            f"(it knows up to {schema.REVISIONS[-1]!r}); it has not been touched",
            where=location.name,
            fix="pip install --upgrade qtlplat",
        )
    return str(found[0])


def no_revision(what: str, location: StoreLocation) -> NoRevisionError:
    """The error for tables of an unknown schema."""
    what = f"the store is damaged: {what}, so its schema is not known"
    return NoRevisionError(what, where=location.name, fix=location.backend.recovery)


def check_pages(location: StoreLocation) -> None:
    """Look at every page before writing: SQLite would write into a damaged file. About 2 ms per MB.

    Raises StoreError if a page is damaged, or if what lies there is refused anyway.
    """

    def first_damage() -> str:
        with engine(location, write=False).begin() as connection:
            revision(connection, location)
            return next(location.backend.damage(connection, quick=True), "")

    if not has_begun(location):
        return
    with translated(location):
        found = reading(location, first_damage)
    if found:
        raise StoreError(f"the store is damaged: {found}", where=location.name, fix=location.backend.recovery)


def reading(location: StoreLocation, read: Callable[[], T], on_wait: Callable[[], None] = nobody_waits) -> T:
    """What `read` returns, as soon as the store can be read. on_wait: called while a server is waited for."""
    return location.backend.reading(location, read, on_wait)


def columns_of_rows(connection: Connection, columns: Sequence[ColumnElement[Any]], query: Select[Any]) -> list[Any]:
    """What a SELECT of these columns finds, a sequence for each of them; [] without rows.

    For very many rows: those of the driver are taken as they are, and values converted column by column, which takes
    half as long. Raises as `Connection.execute`, and ForeignValueError.
    """
    dialect, result = connection.dialect, connection.execute(query)
    assert result.cursor is not None
    assert dialect.dbapi is not None
    try:
        rows = result.cursor.fetchall()
    except dialect.dbapi.Error as error:
        raise exc.DBAPIError.instance(str(query), None, error, dialect.dbapi.Error, dialect=dialect) from error
    finally:
        result.close()
    if not rows:
        return []
    stored = (tuple(map(itemgetter(place), rows)) for place in range(len(columns)))  # zip(*rows) takes thrice as long
    return [read_column(column.type, values, dialect) for column, values in zip(columns, stored, strict=True)]


@contextmanager
def translated(location: StoreLocation) -> Iterator[None]:
    """Raise the errors of SQLAlchemy and of the database as StoreError, with the store and a fix."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        if stopped := _what_stopped(error):
            raise stopped from None
        raise location.backend.explain_error(error, location) from error
    except ForeignValueError as error:
        what = f"the store contains a value that qtlplat did not write (corrupt or edited): {error}"
        fix = f"list such values: qtlplat store check{location.flag}"
        raise StoreError(what, where=location.name, fix=fix) from error
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot read
        what = "the store is damaged: its names are not text"
        raise StoreError(what, where=location.name, fix=location.backend.recovery) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise StoreError(f"a value cannot be stored: {safe_repr(str(error), 200)}", where=location.name) from error


def _what_stopped(error: BaseException) -> BaseException | None:
    """The Ctrl-C or SIGTERM that led to an error, if any: it met SQLAlchemy half way through something."""
    context = error.__context__
    while context is not None and not isinstance(context, KeyboardInterrupt | Terminated):
        context = context.__context__
    return context
