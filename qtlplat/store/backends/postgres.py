"""Stores behind a PostgreSQL server: connections, transactions, locks, copies.

psycopg is imported when such a store is opened. Its schema is in `postgres_schema`, its errors in `postgres_errors`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import create_engine, event, exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool, QueuePool

from qtlplat.errors import ConfigError, LockedError, StoreError
from qtlplat.store.backends import copies, lock_holders, own_schema, postgres_errors, postgres_schema
from qtlplat.store.backends.address import DRIVER, Server
from qtlplat.store.backends.bootstrap import make_directories, try_writing, upgrade_within
from qtlplat.store.backends.sqlite import in_file
from qtlplat.store.core import database, parts, schema, views
from qtlplat.store.core.hidden import hide
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.retry import retry

T = TypeVar("T")
LOCK_SECONDS = 30
IDLE_SECONDS = 60  # in a transaction of a writer
# a server that is gone without a word is noticed; whoever knows better says so in the URL
_CONNECTING = {
    "connect_timeout": "5",
    "tcp_user_timeout": "15000",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "application_name": "qtlplat",
}
ROWS_AT_ONCE = 2000  # of a copy, in memory


@dataclass(frozen=True)
class PostgresBackend:
    """A schema on a server; files of runs and locks are on this machine."""

    server: Server

    shared = True
    other_place = "QTLPLAT_FILES=DIRECTORY"
    recovery = "restore a backup, or save its rows: qtlplat store backup"

    def name(self, path: Path) -> str:
        """The URL."""
        return self.server.url

    def exists(self, path: Path) -> bool | None:
        """Nothing is known before the server is asked."""
        return None

    def has_begun(self, location: StoreLocation) -> bool:
        """As far as is known."""
        return True

    def is_same(self, location: StoreLocation, other: StoreLocation) -> bool:
        """Whether host, port, database and schema are the same."""
        return isinstance(other.backend, PostgresBackend) and other.backend.server.key == self.server.key

    def connect(
        self,
        location: StoreLocation,
        *,
        write: bool,
        foreign_keys: bool = True,
        keep: bool = False,
        lenient: bool = False,
        past_definitions: bool = False,
        hidden: Collection[Any] = (),
    ) -> Engine:
        """A reader's transactions see one moment; the server checks references, text and definitions itself."""
        return _engine(self.server, write=write, keep=keep, hidden=hidden)

    def reading(self, location: StoreLocation, read: Callable[[], T], on_wait: Callable[[], None]) -> T:
        """The server is waited for."""
        return retry(location, read, on_wait)

    def refuse_strangers(self, connection: Connection, location: StoreLocation) -> None:
        """The schema holds the store's tables, or none."""
        postgres_schema.refuse_strangers(connection, self.server)

    def prepare(self, location: StoreLocation, on_wait: Callable[[], None]) -> Path | None:
        """One process at a time creates or upgrades the tables; the others wait for it."""

        def once() -> Path | None:
            with _engine(self.server, write=True).connect() as connection, connection.begin() as transaction:
                if (old := database.revision(connection, location)) != schema.REVISIONS[-1]:
                    postgres_schema.hold_schema(connection, self.server)
                    old = database.revision(connection, location)  # others may have been first
                if old == schema.REVISIONS[-1]:
                    try_writing(connection)
                    transaction.rollback()
                    return None
                if old is None:
                    postgres_schema.create(connection, self.server)
                    return None
                copy = copies.backup_beside(location, f"before-{schema.REVISIONS[-1]}")
                upgrade_within(connection, location)
            return copy

        make_directories(location)
        with database.translated(location):
            return retry(location, once, on_wait)

    def after_upgrade(self, connection: Connection, location: StoreLocation) -> None:
        """Make the table that only a server has."""
        postgres_schema.complete(connection)

    def damage(self, connection: Connection, *, quick: bool) -> Iterator[str]:
        """The server looks after its pages and references itself."""
        yield from ()

    def schema_differences(self, location: StoreLocation) -> list[str]:
        """Compared with that of a store that is made among temporary tables, and undone."""
        schema_name = f'"{self.server.schema}"'
        with database.translated(location), _engine(self.server, write=True).connect() as connection:
            transaction = connection.begin()
            found = postgres_schema.definitions(connection, schema_name)
            try:
                own = postgres_schema.own_definitions(connection)
            except exc.DBAPIError as error:
                raise own_schema.NotComparedError(postgres_errors.explained(error, self.server).what) from error
            finally:
                transaction.rollback()
        return list(own_schema.compare(found, own))

    def copy(self, location: StoreLocation, target: Path) -> None:
        """Row by row, of one moment, into an SQLite file of the same schema."""
        copy = in_file(target, location.files, "a copy")
        reading, writing = _engine(self.server, write=False), database.engine(copy, write=True, foreign_keys=False)
        with reading.begin() as source, database.translated(copy), writing.begin() as made:
            from qtlplat.store.backends.migrations import upgrade

            found = database.revision(source, location)
            assert found is not None
            upgrade(made, to=found)
            if found == schema.REVISIONS[-1]:
                views.create_views(made)
            made.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            for table in parts.every_table(source):
                query = source.execute(sa.select(table), execution_options={"yield_per": ROWS_AT_ONCE})
                for rows in query.partitions():
                    values = [{c: parts.as_sqlite_holds(v) for c, v in row._mapping.items()} for row in rows]
                    made.execute(sa.insert(table), values)

    def lock(self, location: StoreLocation, name: str, *, alone: bool) -> Callable[[], None] | None:
        """A lock of a transaction on the server, which may stay open for hours."""
        connection = _engine(self.server, write=True).connect()
        try:
            connection.begin()
            if _try_to_claim(connection, self.server, name, alone=alone):
                return lambda: _close(connection)
        except BaseException:
            _close(connection)
            raise
        _close(connection)
        return None

    def hold_runs(self, connection: Connection) -> None:
        """As one writer of a file would."""
        connection.exec_driver_sql("LOCK TABLE runs, lineage, trash IN SHARE ROW EXCLUSIVE MODE")

    def wait_at_most(self, connection: Connection, seconds: float) -> None:
        """In this transaction."""
        connection.exec_driver_sql(f"SET LOCAL lock_timeout TO '{seconds}s'")

    def is_away(self, error: BaseException) -> bool:
        """By the SQLSTATE."""
        return postgres_errors.is_away(error)

    def is_of_the_rows(self, error: BaseException) -> bool:
        """By the SQLSTATE."""
        return postgres_errors.is_of_the_rows(error)

    def explain_error(self, error: BaseException, location: StoreLocation) -> StoreError | ConfigError:
        """By the SQLSTATE; a lock with the sessions that hold it."""
        found = postgres_errors.explained(error, self.server)
        if isinstance(found, LockedError):
            who = lock_holders.of_server(_engine(self.server, write=False), self.server.schema)
            return LockedError(f"{found.what}: {who}", where=found.where, fix=found.fix)
        return found


def _engine(server: Server, *, write: bool, keep: bool = False, hidden: Collection[Any] = ()) -> Engine:
    """An engine for the store; nothing is connected yet.

    A reader's transactions see one moment and cannot write; a writer's wait for others at the rows that both want.
    keep: whether a connection is used again; then the engine has to be disposed of; hidden: ids of records that queries
    do not see.
    Raises ConfigError if the driver is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            "a store on PostgreSQL requires psycopg, which is not installed",
            where=f"{server.url}: {error}",
            fix="pip install 'qtlplat[postgres]'",
        ) from error

    def connect() -> psycopg.Connection[Any]:
        known = {"dbname": server.database, "user": server.user, "host": server.host}
        given = {name: value for name, value in known.items() if value} | dict(server.secrets)
        # no prepared statements: a pooler between us and the server may give every transaction another connection
        asked: dict[str, Any] = {**_CONNECTING, "port": str(server.port), **given, **dict(server.options)}
        connection = psycopg.connect(prepare_threshold=None, **asked)
        if hidden:
            hide(connection.execute, f'"{server.schema}"', hidden)
            connection.commit()
        return connection

    made = create_engine(
        f"{DRIVER}://",
        creator=connect,
        use_native_hstore=False,
        **({"poolclass": QueuePool, "pool_size": 1, "max_overflow": 4} if keep else {"poolclass": NullPool}),
    )
    # one moment for all queries of a reader; floats with all of their digits; no names but those of the store
    begin = "" if write else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; "
    begin += f'SET LOCAL search_path TO "{server.schema}"; SET LOCAL extra_float_digits TO 3; '
    begin += f"SET LOCAL lock_timeout TO '{LOCK_SECONDS}s'"
    if write:  # of a client that is gone without a word, so that it does not keep its locks
        begin += f"; SET LOCAL idle_in_transaction_session_timeout TO '{IDLE_SECONDS}s'"

    @event.listens_for(made, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return made


def _try_to_claim(connection: Connection, server: Server, digest: str, *, alone: bool) -> bool:
    """Claim work that several runs share, until the transaction ends; returns whether the claim succeeded.

    The transaction may stay open for hours: it has no snapshot and only this lock. A connection pooler keeps one
    connection for it. digest: 32 hexadecimal characters; alone: exclusive or shared.
    """
    # the server notices within a minute that a machine is gone, and not after the two hours of most systems
    connection.exec_driver_sql("SET LOCAL tcp_keepalives_idle TO 30; SET LOCAL tcp_keepalives_interval TO 10")
    connection.exec_driver_sql(
        "SET LOCAL tcp_keepalives_count TO 3; SET LOCAL idle_in_transaction_session_timeout TO 0"
    )
    name = hashlib.sha256(f"{server.schema}\0{digest}".encode()).digest()
    number = int.from_bytes(name[:8], "big", signed=True)
    function = "pg_try_advisory_xact_lock" if alone else "pg_try_advisory_xact_lock_shared"
    return bool(connection.exec_driver_sql(f"SELECT {function}(%s)", (number,)).scalar())


def _close(connection: Connection) -> None:
    with suppress(exc.SQLAlchemyError):  # a connection that was lost has freed its claim already
        connection.close()
