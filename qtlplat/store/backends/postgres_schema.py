"""The tables of a store on a server: the owner of a schema, its creation, its differences from a new one."""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.errors import StoreError, safe_repr
from qtlplat.store.backends.address import Server
from qtlplat.store.backends.own_schema import Definitions
from qtlplat.store.backends.postgres_errors import FORBIDDEN, filled
from qtlplat.store.core import schema, views
from qtlplat.store.core.columns import Text

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


def refuse_strangers(connection: Connection, server: Server) -> None:
    """Raise StoreError if the schema holds tables, none of them the store's own, or may not be looked into.

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
        raise StoreError(FORBIDDEN[0], where=server.url, fix=filled(FORBIDDEN[1], server))
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
    """Create the objects that only a store on a server has."""
    _apart.create_all(connection)
    connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS ix_runs_running ON runs (id) WHERE {schema.RUNNING}")


# kind, name and text of everything in a schema but sequences and what belongs to types; %s: the schema
_IN_CATALOG = """
SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'i' THEN 'index' ELSE 'relation' END,
    c.relname, CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) WHEN c.relkind = 'i' THEN pg_get_indexdef(c.oid)
    ELSE c.relkind || c.relrowsecurity || (SELECT string_agg(concat_ws(' ', a.attname,
        format_type(a.atttypid, a.atttypmod), a.attnotnull,
        (SELECT collname FROM pg_collation o WHERE o.oid = a.attcollation),
        pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attname) FROM pg_attribute a
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END
    FROM pg_class c WHERE c.relnamespace = %(n)s AND c.relkind IN ('r', 'v', 'i', 'p', 'm', 'f')
UNION ALL SELECT 'constraint', c.relname || '.' || k.conname, pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE c.relnamespace = %(n)s AND k.contype <> 'n'
UNION ALL SELECT 'trigger', c.relname || '.' || t.tgname, pg_get_triggerdef(t.oid)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = %(n)s AND NOT t.tgisinternal
UNION ALL SELECT 'rule', c.relname || '.' || r.rulename, pg_get_ruledef(r.oid)
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE c.relnamespace = %(n)s AND r.rulename <> '_RETURN'
"""


def definitions(connection: Connection, name: str) -> Definitions:
    """Everything in a schema, which has to be the first one in which names are looked for."""
    (number,) = connection.exec_driver_sql("SELECT %s::regnamespace::oid", (name,)).one()
    rows = connection.exec_driver_sql(_IN_CATALOG, {"n": number}).all()
    # an index is told with the schema of its table
    return {
        (kind, relation): re.sub(r'\bON (ONLY )?("[^"]+"|\w+)\.', "ON ", text or "") for kind, relation, text in rows
    }


def own_definitions(connection: Connection) -> Definitions:
    """The same of a store that is made among the temporary tables and undone."""
    with connection.begin_nested() as undone:
        connection.exec_driver_sql("SET LOCAL search_path TO pg_temp")
        create_objects(connection)
        (number,) = connection.exec_driver_sql("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()").one()
        found = definitions(connection, number)
        undone.rollback()
    return found
