"""The tables, views and indices that a store of ours has, and in what a store's own differ from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.errors import safe_repr
from qtlplat.store.core import views
from qtlplat.store.core.location import StoreLocation

OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
Definitions = dict[tuple[str, str], str]  # text by kind and name


def canonical(sql: str) -> str:
    """A table's definition on one line, its constraints in order; upgrading leaves them in one that chance made."""
    line = " ".join(sql.split())
    whole = re.fullmatch(r"(CREATE TABLE .*)(\)(?: WITHOUT ROWID)?)", line)
    if whole is None:
        return line
    first, *constraints = (part.strip() for part in re.split(r", (?=CONSTRAINT )", whole[1]))
    return ", ".join([first, *sorted(constraints)]) + whole[2]


def normal(rows: set[tuple[Any, ...]]) -> set[tuple[str, ...]]:
    """Rows of OBJECTS, however their text is laid out."""
    return {(kind, name, table, canonical(str(sql))) for kind, name, table, sql in rows}


@cache
def own_tables(revision: str | None) -> set[tuple[str, ...]]:
    """Tables and indices as this version makes them for a revision, in an SQLite file."""
    from qtlplat.store.backends.migrations import upgrade

    with sa.create_engine("sqlite://").begin() as connection:
        upgrade(connection, to=revision or "base")
        return normal({tuple(row) for row in connection.exec_driver_sql(OBJECTS).all()})


def differences(connection: Connection, location: StoreLocation) -> Iterator[str]:
    """What is missing, changed or not ours in a store of the newest schema, in words. Leaves nothing behind."""
    if location.server:
        found, own = _of_server(connection, f'"{location.server.schema}"'), _own_of_server(connection)
    else:
        found, own = _of_file(connection), _own_of_file()
        yield from _settings(connection)
    for kind, name in sorted(own.keys() | found.keys()):
        if (kind, name) not in found:
            yield f"the {kind} {safe_repr(name)} is missing"
        elif (kind, name) not in own:
            yield f"the {kind} {safe_repr(name)} is not one of a store"
        elif found[kind, name] != own[kind, name]:
            yield f"the {kind} {safe_repr(name)} is not defined as qtlplat defines it"


def _of_file(connection: Connection) -> Definitions:
    rows = {tuple(row) for row in connection.exec_driver_sql(OBJECTS).all()}
    statistics = re.compile(r"sqlite_stat\d")  # of ANALYZE
    return {
        (str(kind), str(name)): f"{table} {sql}"
        for kind, name, table, sql in normal(rows)
        if not statistics.fullmatch(str(name))
    }


@cache
def _own_of_file() -> Definitions:
    from qtlplat.store.backends.migrations import upgrade

    with sa.create_engine("sqlite://").begin() as connection:
        upgrade(connection)
        views.create_views(connection)
        return _of_file(connection)


def _settings(connection: Connection) -> Iterator[str]:
    for name, own in (("user_version", 0), ("encoding", "UTF-8")):
        if (found := connection.exec_driver_sql(f"PRAGMA {name}").scalar()) != own:
            yield f"the setting {name} is {safe_repr(found)}, not {own!r}"


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


def _of_server(connection: Connection, name: str) -> Definitions:
    """Everything in a schema, which has to be the first one in which names are looked for."""
    (number,) = connection.exec_driver_sql("SELECT %s::regnamespace::oid", (name,)).one()
    rows = connection.exec_driver_sql(_IN_CATALOG, {"n": number}).all()
    # an index is told with the schema of its table
    return {
        (kind, relation): re.sub(r'\bON (ONLY )?("[^"]+"|\w+)\.', "ON ", text or "") for kind, relation, text in rows
    }


def _own_of_server(connection: Connection) -> Definitions:
    """The same of a store that is made among the temporary tables and undone."""
    from qtlplat.store.backends import postgres

    with connection.begin_nested() as undone:
        connection.exec_driver_sql("SET LOCAL search_path TO pg_temp")
        postgres.create_objects(connection)
        (number,) = connection.exec_driver_sql("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()").one()
        found = _of_server(connection, number)
        undone.rollback()
    return found
