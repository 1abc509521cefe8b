"""What errors of psycopg and of a PostgreSQL server mean."""

from __future__ import annotations

from sqlalchemy import exc

from qtlplat.errors import ConfigError, LockedError, StoreError, safe_repr
from qtlplat.store.backends.address import Server


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


# what a server says when it lets nobody in -> what is wrong, the fix; there is no SQLSTATE then
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
FORBIDDEN = (
    "the user lacks a permission",
    "its owner types once: CREATE SCHEMA {schema} AUTHORIZATION {user}; or, for a schema that is there: "
    "GRANT USAGE ON SCHEMA {schema} TO {user}; "
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}",
)
_MEANINGS = (
    ("28", "the server refuses user and password", _REFUSALS[0][2]),
    ("3D", "there is no such database", "createdb -h {host} -U {role} {database}"),
    ("42501", *FORBIDDEN),
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
        return LockedError(
            f"the store is locked by another process, and stayed so while it was waited for ({code})",
            where=server.url,
            fix="wait until it has ended, or end it; then try again",
        )
    found = next(((what, fix) for prefix, what, fix in _MEANINGS if code.startswith(prefix)), None) if code else None
    found = found or (None if code else _refusal(error))
    if found is None and is_away(error):
        found = "the server does not answer", "start it, or fix host, port or network; what was stored before is safe"
    if found is None:
        return StoreError(f"the store cannot do that: {type(original).__name__}: {text}", where=server.url)
    what, fix = found
    return StoreError(f"{what} ({f'{code}: ' if code else ''}{text})", where=server.url, fix=filled(fix, server))


def filled(fix: str, server: Server) -> str:
    """A fix with the names of the server in it."""
    user = f'"{server.user}"' if server.user else "USER"
    role, host = server.user or "USER", server.host or "HOST"
    return fix.format(schema=server.schema, user=user, role=role, host=host, database=server.database)
