"""The address of a store on a PostgreSQL server: parsed from a URL, shown without its password."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from qtlplat.errors import ConfigError

SCHEMES = ("postgresql", "postgresql+psycopg", "postgres")
DRIVER = "postgresql+psycopg"
SCHEMA = "qtlplat"  # of the database, where the URL names no other one
PORT = 5432
_FORM = "postgresql://USER@HOST/DATABASE, the password in PGPASSWORD or ~/.pgpass"


@dataclass(frozen=True)
class Server:
    """The location of a store on a server.

    host, user: '' where libpq chooses them; schema: of the database, it holds nothing but the store's tables; options:
    further ones of libpq, such as sslmode; secrets: those that are never told, as the password.
    """

    host: str
    port: int
    database: str
    schema: str = SCHEMA
    user: str = ""
    options: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)

    @property
    def url(self) -> str:
        """The URL without the password, as messages and commands show it."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        port = f":{self.port}" if self.port != PORT else ""
        pairs = [*self.options, *([("schema", self.schema)] if self.schema != SCHEMA else [])]
        query = "&".join(f"{quote(name, safe='')}={quote(value, safe='/')}" for name, value in pairs)
        return f"postgresql://{user}{host}{port}/{quote(self.database, safe='')}{'?' if query else ''}{query}"

    @property
    def key(self) -> str:
        """A name for a directory that is the same for everybody who reaches this store by this host and port."""
        place = [dict(self.options).get("host", self.host).lower(), str(self.port), self.database, self.schema]
        digest = hashlib.sha256("\0".join(place).encode()).hexdigest()[:12]
        readable = re.sub(r"[^A-Za-z0-9_-]", "_", self.database)[:40]
        return f"{readable}-{digest}"


def parse(text: str, asked: str) -> Server:
    """The address that a URL names. asked: '--store' or 'QTLPLAT_STORE', for messages, which never show the URL.

    Raises ConfigError if it names no database, or cannot be understood.
    """
    scheme = text.partition(":")[0].lower()
    if scheme not in SCHEMES:
        raise ConfigError(
            f"a store by driver {scheme.partition('+')[2]!r} is not supported: psycopg is",
            where=asked,
            fix="postgresql+psycopg://USER@HOST/DATABASE",
        )
    if not text.isprintable() or " " in text:
        raise _wrong("the URL holds a space or a control character (a password's are written as %20 and so on)", asked)
    try:
        parts = urlsplit(text)
        port = parts.port or int(os.environ.get("PGPORT") or PORT)
    except ValueError:  # its text may hold a part of the password
        raise _wrong("the URL cannot be understood", asked) from None
    if not text.partition(":")[2].startswith("//"):
        raise _wrong("the URL lacks the // behind its scheme", asked)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = options.pop("schema", SCHEMA)
    secrets = {name: options.pop(name) for name in list(options) if re.search("password|secret", name)}
    if parts.password is not None:
        secrets.setdefault("password", unquote(parts.password))
    user = options.pop("user", "") or unquote(parts.username or "")
    database = options.pop("dbname", "") or unquote(parts.path[1:])
    if not database or "/" in parts.path[1:] or parts.fragment:
        what = "names no database" if not database else "cannot be understood behind its host"
        raise _wrong(f"the URL {what}", asked)
    if not re.fullmatch(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", schema) or schema == "information_schema":
        raise _wrong("the schema has to be lower-case letters, digits and _, and none of PostgreSQL's own", asked)
    host = unquote(parts.hostname or "") or ("" if "host" in options else os.environ.get("PGHOST", ""))
    return Server(host, port, database, schema, user, tuple(sorted(options.items())), tuple(secrets.items()))


def printable(text: str) -> str:
    """A store as it was asked for, to be printed in a command: a URL of a server without its password."""
    if text.partition(":")[0].lower().partition("+")[0] in ("postgres", "postgresql"):
        try:
            return parse(text, "").url
        except ConfigError:
            return "postgresql://..."
    return text


def _wrong(what: str, asked: str) -> ConfigError:
    return ConfigError(what, where=asked, fix=_FORM)
