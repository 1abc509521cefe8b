"""Where the experiment store lies and why; it opens nothing and creates nothing."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from qtlplat.errors import ConfigError, UsageError, safe_repr
from qtlplat.store.backends.address import Server, parse

FILE_NAME = "store.db"
DIRECTORY_NAME = ".qtlplat"


@dataclass(frozen=True)
class StoreLocation:
    """A place for a store: an SQLite file, or a schema behind a PostgreSQL server.

    path: the SQLite file; of a store behind a server nothing is there, but copies are called after it. files: directory
    of weights, caches and locks beside it, on this machine; why: what led there; server: None for a file; asked: what
    named it, '--store' or 'QTLPLAT_STORE', or '' for the default one.
    """

    path: Path
    files: Path
    why: str
    server: Server | None = None
    asked: str = ""

    @property
    def name(self) -> str:
        """What messages and `--store` call it: the file, or the URL without its password."""
        return self.server.url if self.server else str(self.path)

    @property
    def exists(self) -> bool:
        """Whether the SQLite file is there now; of a server that is only known when it is asked, so it is assumed."""
        if self.server:
            return True
        return os.path.isfile(self.path)  # noqa: PTH113 -- unlike Path's, it takes a forbidden directory for a no

    @property
    def flag(self) -> str:
        """What a command needs to find it again: ' --store PATH' where that was asked for, else ''. No password."""
        return f" --store {shlex.quote(self.name)}" if self.asked not in ("", "QTLPLAT_STORE") else ""

    @property
    def other_place(self) -> str:
        """What to say for its files to lie elsewhere."""
        return "QTLPLAT_FILES=DIRECTORY" if self.server else "--store PATH"

    @property
    def locks(self) -> Path:
        """Directory of the locks that owners of running runs hold."""
        return self.files / "locks"

    @property
    def spool(self) -> Path:
        """Directory of what waits to be sent to a server; of a file's store nothing ever does."""
        return self.path.with_name(f"{self.path.stem}.spool")


def find_store(explicit: str | None, cwd: Path | None = None, asked: str = "--store") -> StoreLocation:
    """Find the store: what was asked for, else a `.qtlplat` directory here or above, else the user's data directory.

    Parameters
    ----------
    explicit: a file, a directory (`store.db` in it), ``sqlite:///PATH`` or ``postgresql://USER@HOST/DATABASE``; None or
        '' where nothing was asked for.
    cwd: where "here" is; the current directory if None.
    asked: what the user named it by, for messages.

    Raises
    ------
    ConfigError: for a URL of another database, or a wrong one. Only its scheme is shown: the rest may hold a password.
    """
    here = (cwd or Path.cwd()).absolute()
    if explicit:
        if re.match(r"(?i)postgres(ql)?(\+\w+)?:", explicit):
            return replace(_behind(parse(explicit, asked), f"named by {asked}"), asked=asked)
        return replace(_at(_explicit_path(explicit, here, asked), f"named by {asked}"), asked=asked)
    for directory in (here, *here.parents):
        if _is_directory(directory / DIRECTORY_NAME):
            return _at(directory / DIRECTORY_NAME / FILE_NAME, f"a {DIRECTORY_NAME} directory in {directory}")
    why = f"the user's data directory: no --store, no QTLPLAT_STORE, no {DIRECTORY_NAME} directory here or above"
    return _at(_data_directory() / FILE_NAME, why)


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
    """What a store behind a server keeps on this machine lies below QTLPLAT_FILES, or the user's data directory."""
    asked = os.environ.get("QTLPLAT_FILES")
    parent = _expanded(asked, "QTLPLAT_FILES").absolute() if asked else _data_directory() / "servers"
    path = parent / server.key / FILE_NAME
    return StoreLocation(path=path, files=path.with_name(f"{path.stem}.files"), why=why, server=server)


def _is_directory(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 -- unlike Path's, it takes a forbidden directory for a no


def _at(path: Path, why: str) -> StoreLocation:
    """Where a link leads, so that weights and locks are the same by whatever name the store is called."""
    if os.path.islink(path):  # noqa: PTH114 -- as above
        path, why = Path(os.path.realpath(path)), f"{why}, by a link at {path}"
    return StoreLocation(path=path, files=path.with_name(f"{path.stem}.files"), why=why)


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


def no_store(what_for: str, location: StoreLocation) -> UsageError:
    """The error for a command that needs a store, where none is yet. what_for: as in `ask`, `check`."""
    return UsageError(
        f"there is no store to {what_for}",
        where=f"{location.name} ({location.why})",
        fix="name the one that is meant, --store PATH, or make one: qtlplat run",
    )
