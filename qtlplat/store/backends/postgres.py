"""All that is different behind a PostgreSQL server: connections, transactions, whose tables they are, what errors mean.

SQL that both databases understand stands elsewhere; psycopg is imported when a store behind a server is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import create_engine, event, exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool, QueuePool

from qtlplat.errors import ConfigError, LockedError, StoreError, safe_repr
from qtlplat.store.backends.address import DRIVER, Server
from qtlplat.store.core import lock_holders, schema, views
from qtlplat.store.core.columns import Text
from qtlplat.store.core.hidden import hide

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

# Which of an owner's writes have arrived: a write that is sent again changes nothing. Only a server needs that.
_apart = sa.MetaData()
received = sa.Table(
    "received",
    _apart,
    sa.Column(
        "record",
        Text,
        sa.ForeignKey(schema.runs.c.id, ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
        primary_key=True,
    ),
    sa.Column("owner", sa.Integer, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

_version = sa.Table(
    schema.VERSION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String(32), nullable=False, primary_key=True)
)


def engine(server: Server, *, write: bool, keep: bool = False, hidden: Collection[Any] = ()) -> Engine:
    """An engine for the store; nothing is connected yet.

    A reader's transactions see one moment and cannot write; a writer's wait for others at the rows that both want.
    keep: whether a connection is used again; then the engine has to be disposed of; hidden: ids of records that queries
    do not see.
    Raises ConfigError where the driver is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            "a store behind PostgreSQL needs psycopg, which is not installed",
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


def refuse_strangers(connection: Connection, server: Server) -> None:
    """Raise StoreError where the schema holds tables, none of them the store's own, or may not be looked into.

    In one statement: another process may make the store's tables at any moment.
    """
    query = (
        "SELECT has_schema_privilege(n.oid, 'USAGE'), (SELECT min(c.relname::text) FROM pg_catalog.pg_class c "
        "WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (SELECT 1 "
        "FROM pg_catalog.pg_class v WHERE v.relnamespace = n.oid AND v.relname = %s)) "
        "FROM pg_catalog.pg_namespace n WHERE n.nspname = %s"
    )
    names = (schema.VERSION_TABLE, server.schema)
    allowed, found = connection.exec_driver_sql(query, names).one_or_none() or (True, None)
    if not allowed:
        raise StoreError(_FORBIDDEN[0], where=server.url, fix=_filled(_FORBIDDEN[1], server))
    if found is not None:
        raise StoreError(
            f"schema {server.schema!r} of the database belongs to something else (table {safe_repr(found)}); "
            "it has not been touched",
            where=server.url,
            fix="name a schema of its own: --store 'postgresql://USER@HOST/DATABASE?schema=qtlplat_runs'",
        )


def hold_schema(connection: Connection, server: Server) -> None:
    """Let one process at a time make or upgrade the tables, until its transaction ends."""
    # the number is that of a lock that only programs know that take it
    query = "SELECT pg_advisory_xact_lock(%s, hashtext(current_database() || '.' || %s))"
    connection.exec_driver_sql(query, (schema.APPLICATION_ID, server.schema))
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout TO 0")  # a backup may take its time


def try_to_claim(connection: Connection, server: Server, digest: str, *, alone: bool) -> bool:
    """Claim work that several runs share, until the transaction ends; returns whether nobody else holds it.

    The transaction may stay open for hours: it sees no snapshot and holds nothing but this lock. A pooler between us
    and the server leaves it one connection. digest: 32 hexadecimal characters; alone: or together with others.
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


def hold_runs(connection: Connection) -> None:
    """Let nobody begin, link, trash or restore a run until the transaction ends, as one writer of a file would."""
    connection.exec_driver_sql("LOCK TABLE runs, lineage, trash IN SHARE ROW EXCLUSIVE MODE")


def create(connection: Connection, server: Server) -> None:
    """Make the schema with the newest tables and views, in a transaction. Raises StoreError for another encoding."""
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise StoreError(
            f"the database has the encoding {encoding}, which cannot hold every text; UTF8 can",
            where=server.url,
            fix=f"createdb --encoding UTF8 --template template0 {server.database}_utf8",
        )
    there = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s"
    if connection.exec_driver_sql(there, (server.schema,)).first() is None:  # may be forbidden where it is there
        connection.exec_driver_sql(f'CREATE SCHEMA "{server.schema}"')
    create_objects(connection)
    connection.execute(_version.insert().values(version_num=schema.REVISIONS[-1]))


def create_objects(connection: Connection) -> None:
    """Make the newest tables and views where names are looked for first."""
    schema.metadata.create_all(connection, checkfirst=False)
    _version.create(connection)
    views.create_views(connection)
    complete(connection)


def complete(connection: Connection) -> None:
    """Make what a server's store has beside the tables of every store."""
    _apart.create_all(connection)


def columns_of(connection: Connection) -> dict[str, list[tuple[str, int]]]:
    """Tables of the store: their columns, in order, each with its place in the primary key, 0 where it is not in it."""
    query = (
        "SELECT c.relname, a.attname, coalesce(array_position(k.conkey, a.attnum), 0) FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p' "
        "WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace ORDER BY c.relname, a.attnum"
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for table, column, place in connection.exec_driver_sql(query):
        found.setdefault(table, []).append((column, place))
    return found


def state(error: BaseException) -> str:
    """The SQLSTATE of an error, '' where it has none, as one of connecting."""
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    return str(getattr(original, "sqlstate", None) or "")


def is_away(error: BaseException) -> bool:
    """Whether it helps to try again later: the server does not answer, starts, stops, or has too many connections."""
    if not isinstance(error, exc.DBAPIError):
        return False
    code = state(error)
    if code:
        return code.startswith("08") or code in ("57P01", "57P02", "57P03", "53300")
    return isinstance(error, exc.OperationalError | exc.InterfaceError) and _refusal(error) is None


def is_of_the_rows(error: BaseException) -> bool:
    """Whether the same rows would be refused again: they contradict what is there, or cannot be stored."""
    if isinstance(error, exc.DBAPIError):
        return state(error)[:2] in ("22", "23") or isinstance(error, exc.DataError)
    return isinstance(error, exc.StatementError)  # a value that did not get as far as the server


# what a server says when it lets nobody in -> what is wrong, how to mend it; there is no SQLSTATE then
_REFUSALS = (
    (
        ("password authentication failed", "no password supplied", "authentication failed", "role "),
        "the server refuses user and password",
        "PGPASSWORD=..., or a line HOST:PORT:DATABASE:USER:PASSWORD in ~/.pgpass, or both in QTLPLAT_STORE",
    ),
    (("pg_hba.conf",), "the server takes no connections from here", "ask who runs it for a line in pg_hba.conf"),
    (
        ("does not support SSL", "certificate", "sslmode"),
        "the connection cannot be made safe",
        "see sslmode and sslrootcert in the URL",
    ),
    (("permission denied for database",), "the user may not connect to the database", "GRANT CONNECT ON DATABASE ..."),
)
_FORBIDDEN = (
    "the user lacks a permission",
    "its owner types once: CREATE SCHEMA {schema} AUTHORIZATION {user}; or, for a schema that is there: "
    "GRANT USAGE ON SCHEMA {schema} TO {user}; "
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}",
)
_MEANINGS = (
    ("28", "the server refuses user and password", _REFUSALS[0][2]),
    ("3D", "there is no such database", "createdb -h {host} -U {role} {database}"),
    ("42501", *_FORBIDDEN),
    ("57014", "the server stopped a statement after its time limit", "ask who runs it for a longer statement_timeout"),
    ("53100", "the server's disk is full", "free some space there; what was stored before is safe"),
    ("53", "the server lacks memory or connections", "try again later"),
    ("25006", "the server only reads: it is a copy of another one", "name the one that it follows"),
    ("58", "the server's disk reported an error", "look into its log"),
    ("XX", "the server's data is damaged", "look into its log; restore a backup: qtlplat store backup, pg_dump"),
    ("23", "the store refused a record that contradicts what it holds", ""),
    ("22", "a value cannot be stored", ""),
)


def _refusal(error: BaseException) -> tuple[str, str] | None:
    text = str(getattr(error, "orig", None) or error)
    if "database" in text and "does not exist" in text and "FATAL" in text:
        return _MEANINGS[1][1:]
    for words, what, fix in _REFUSALS:
        if any(word in text for word in words):
            return what, fix
    return None


def explained(error: BaseException, server: Server) -> StoreError | ConfigError:
    """An error of SQLAlchemy or psycopg as ours, with the store and a way out."""
    original = getattr(error, "orig", None) or error
    text = safe_repr(" ".join(str(original).split()), 200)
    code = state(error)
    if "invalid connection option" in text or "invalid URI" in text:
        what = f"the URL holds an option that libpq does not know: {text}"
        return ConfigError(what, where=server.url, fix="leave it out, or see PostgreSQL's list of connection options")
    if isinstance(original, ValueError | TypeError | UnicodeError) or (isinstance(error, exc.DataError) and not code):
        return StoreError(f"a value cannot be stored: {text}", where=server.url)
    if code == "55P03" or code.startswith("40"):
        who = lock_holders.of_server(engine(server, write=False), server.schema)
        return LockedError(
            f"the store is locked by another process, and stayed so while it was waited for ({code}): {who}",
            where=server.url,
            fix="wait until it has ended, or end it; then try again",
        )
    found = next(((what, fix) for prefix, what, fix in _MEANINGS if code.startswith(prefix)), None) if code else None
    found = found or (None if code else _refusal(error))
    if found is None and is_away(error):
        found = "the server does not answer", "start it, or mend host, port or network; what was stored before is safe"
    if found is None:
        return StoreError(f"the store cannot do that: {type(original).__name__}: {text}", where=server.url)
    what, fix = found
    return StoreError(f"{what} ({f'{code}: ' if code else ''}{text})", where=server.url, fix=_filled(fix, server))


def _filled(fix: str, server: Server) -> str:
    user = f'"{server.user}"' if server.user else "USER"
    role, host = server.user or "USER", server.host or "HOST"
    return fix.format(schema=server.schema, user=user, role=role, host=host, database=server.database)
