"""Finding the experiment store, and with it the kind of database; nothing is opened or created."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from qtlplat.errors import ConfigError, safe_repr
from qtlplat.store.backends.address import Server, parse
from qtlplat.store.backends.postgres import PostgresBackend
from qtlplat.store.backends.sqlite import in_file
from qtlplat.store.core.location import StoreLocation

FILE_NAME = "store.db"
DIRECTORY_NAME = ".qtlplat"


def find_store(
    explicit: str | None, cwd: Path | None = None, asked: str = "--store", patience: float | None = None
) -> StoreLocation:
    """Find the store: what was asked for, else a `.qtlplat` directory here or above, else the user's data directory.

    Args:
        explicit: a file, a directory (`store.db` in it), ``sqlite:///PATH`` or ``postgresql://USER@HOST/DATABASE``;
            None or '' where nothing was asked for.
        cwd: where "here" is; the current directory if None.
        asked: what the user named it by, for messages.
        patience: for how many seconds a server that is away is retried; QTLPLAT_STORE_PATIENCE if None.

    Raises:
        ConfigError: for a URL of another database, or a wrong one. Only its scheme is shown: the rest may hold a
            password.
    """
    here = (cwd or Path.cwd()).absolute()
    if explicit:
        if re.match(r"(?i)postgres(ql)?(\+\w+)?:", explicit):
            patience = _patience_of_environment() if patience is None else patience
            found = _behind(parse(explicit, asked), f"named by {asked}")
            return replace(found, asked=asked, asked_patience=patience)
        return replace(_at(_explicit_path(explicit, here, asked), f"named by {asked}"), asked=asked)
    for directory in (here, *here.parents):
        if _is_directory(directory / DIRECTORY_NAME):
            return _at(directory / DIRECTORY_NAME / FILE_NAME, f"a {DIRECTORY_NAME} directory in {directory}")
    why = f"the user's data directory: no --store, no QTLPLAT_STORE, no {DIRECTORY_NAME} directory here or above"
    return _at(_data_directory() / FILE_NAME, why)


def _patience_of_environment() -> float | None:
    text = os.environ.get("QTLPLAT_STORE_PATIENCE", "")
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        raise ConfigError(
            f"{safe_repr(text)} is not a number of seconds",
            where="QTLPLAT_STORE_PATIENCE",
            fix="QTLPLAT_STORE_PATIENCE=600",
        ) from None


def _data_directory() -> Path:
    import platformdirs

    try:
        return Path(platformdirs.user_data_dir("qtlplat", appauthor=False))
    except RuntimeError:  # a user without a name, as in a container, and no HOME
        raise ConfigError(
            "there is no home directory to keep the store in",
            where="HOME is not set, and the system knows no user of this number",
            fix="name a file: --store results.db",
        ) from None


def _expanded(text: str, asked: str) -> Path:
    """The path, with `~` and `~NAME` at its beginning replaced by a home directory."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        user = safe_repr(text.partition("/")[0])
        raise ConfigError(
            f"there is no home directory {user}", where=asked, fix=f"write the directory out, or ./{text} for the name"
        ) from None


def _behind(server: Server, why: str) -> StoreLocation:
    """The local files of a store on a server are below QTLPLAT_FILES, or the user's data directory."""
    asked = os.environ.get("QTLPLAT_FILES")
    parent = _expanded(asked, "QTLPLAT_FILES").absolute() if asked else _data_directory() / "servers"
    path = parent / server.key / FILE_NAME
    return StoreLocation(path, path.with_name(f"{path.stem}.files"), why, PostgresBackend(server))


def _is_directory(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 -- unlike Path's, it takes a forbidden directory for a no


def _at(path: Path, why: str) -> StoreLocation:
    """Where a link leads, so that weights and locks are the same by whatever name the store is called."""
    if os.path.islink(path):  # noqa: PTH114 -- as above
        path, why = Path(os.path.realpath(path)), f"{why}, by a link at {path}"
    return in_file(path, path.with_name(f"{path.stem}.files"), why)


def _explicit_path(explicit: str, here: Path, asked: str) -> Path:
    text = explicit
    if url := re.match(r"([A-Za-z][\w+.-]*):/", text):
        scheme = url[1].lower()
        if not re.match(r"sqlite(\+pysqlite)?$", scheme):
            raise ConfigError(
                f"a store behind {safe_repr(scheme)} is not supported: SQLite files and PostgreSQL are",
                where=asked,
                fix="--store results.db, or --store postgresql://USER@HOST/DATABASE",
            )
        text = re.sub(r"^[^:]*:/{0,3}", "", text)
    elif re.match(r"[^/\s]*:[^/\s]*@", text):  # the rest may hold a password
        raise ConfigError(
            "this looks like the address of a server, without its scheme",
            where=asked,
            fix="--store postgresql://USER@HOST/DATABASE, or ./ before the name of a file",
        )
    if not text or "\0" in text or text == ":memory:":
        raise ConfigError(
            f"{safe_repr(explicit)} does not name a file", where=asked, fix="name a file: --store results.db"
        )
    path = here / _expanded(text, asked)
    return path / FILE_NAME if _is_directory(path) or text.endswith(("/", os.sep)) else path
