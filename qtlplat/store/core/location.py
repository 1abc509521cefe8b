"""Where an experiment store lies and why, and what the database there has to offer; nothing is opened here.

`backends.find` finds a location; `backends.sqlite` and `backends.postgres` implement its `Backend`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from qtlplat.errors import QtlplatError, UsageError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

T = TypeVar("T")

BRIEF_PATIENCE = 30.0  # seconds that a command without training waits for a server
TRAINING_PATIENCE = 600.0


class Backend(Protocol):
    """A database that a store lies in. Methods raise StoreError unless they say otherwise."""

    @property
    def shared(self) -> bool:
        """Whether processes of several machines use the store, so that a machine's name proves nothing."""
        ...

    @property
    def other_place(self) -> str:
        """The fix for files of the store that must be elsewhere."""
        ...

    @property
    def recovery(self) -> str:
        """The fix for a damaged store."""
        ...

    def name(self, path: Path) -> str:
        """What messages and `--store` call the store; without a password."""
        ...

    def exists(self, path: Path) -> bool | None:
        """Whether the database is there now; None if only the server knows."""
        ...

    def has_begun(self, location: StoreLocation) -> bool:
        """Whether a store may have been made there, as far as that is known without opening a connection."""
        ...

    def is_same(self, location: StoreLocation, other: StoreLocation) -> bool:
        """Whether two locations of this kind of database are the same store."""
        ...

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
        """An engine for the store; nothing is opened yet, and a reader's engine never creates anything.

        Args:
            location: The store.
            write: Whether transactions may write; then they wait for other writers.
            foreign_keys: Whether references are enforced; a schema change needs them off.
            keep: Whether a connection is used again; then the engine has to be disposed of.
            lenient: Whether text that is not UTF-8 can be read.
            past_definitions: Whether tables and views with a damaged definition are passed over.
            hidden: Ids of records that queries do not see.
        """
        ...

    def reading(self, location: StoreLocation, read: Callable[[], T], on_wait: Callable[[], None]) -> T:
        """Return what `read` returns as soon as the store can be read. on_wait: called meanwhile, may raise."""
        ...

    def refuse_strangers(self, connection: Connection, location: StoreLocation) -> None:
        """Refuse a database that has foreign tables and no version table of qtlplat."""
        ...

    def prepare(self, location: StoreLocation, on_wait: Callable[[], None]) -> Path | None:
        """Make the store ready to be written: create or upgrade it; returns the path of a backup that was made."""
        ...

    def after_upgrade(self, connection: Connection, location: StoreLocation) -> None:
        """Complete and check what an upgrade has made, in its transaction."""
        ...

    def damage(self, connection: Connection, *, quick: bool) -> Iterator[str]:
        """What is wrong with the database's pages and references, in words; quick: pages only, up to the first."""
        ...

    def schema_differences(self, location: StoreLocation) -> list[str]:
        """How the schema differs from that of a new store, in words."""
        ...

    def copy(self, location: StoreLocation, target: Path) -> None:
        """Write a consistent copy as an SQLite file."""
        ...

    def lock(self, location: StoreLocation, name: str, *, alone: bool) -> Callable[[], None] | None:
        """Claim a name without waiting; returns a function that releases it, None if it is taken. May raise OSError."""
        ...

    def hold_runs(self, connection: Connection) -> None:
        """Block starting, linking, trashing and restoring runs until the transaction ends."""
        ...

    def wait_at_most(self, connection: Connection, seconds: float) -> None:
        """How long a connection waits for other processes' locks from now on."""
        ...

    def is_away(self, error: BaseException) -> bool:
        """Whether an error means that the database cannot be reached now."""
        ...

    def is_of_the_rows(self, error: BaseException) -> bool:
        """Whether the same rows would be refused again: they contradict what is there, or cannot be stored."""
        ...

    def explain_error(self, error: BaseException, location: StoreLocation) -> QtlplatError:
        """An error of SQLAlchemy or the driver as ours, with the store and a fix."""
        ...


@dataclass(frozen=True)
class StoreLocation:
    """The location of a store: an SQLite file, or a schema on a PostgreSQL server.

    path: the SQLite file; for a store on a server it does not exist, but copies are named after it. files: directory of
    weights, caches and locks on this machine; why: the reason for this location; backend: opens it; asked: its source,
    '--store' or 'QTLPLAT_STORE', or '' for the default; asked_patience: in seconds, None for the default.
    """

    path: Path
    files: Path
    why: str
    backend: Backend
    asked: str = ""
    asked_patience: float | None = None

    @property
    def name(self) -> str:
        """What messages and `--store` call it: the file, or the URL without its password."""
        return self.backend.name(self.path)

    @property
    def exists(self) -> bool:
        """Whether the database is there now; of a server that is only known when it is asked, so it is assumed."""
        return self.backend.exists(self.path) is not False

    @property
    def flag(self) -> str:
        """What a command needs to find it again: ' --store PATH' where that was asked for, else ''. No password."""
        return f" --store {shlex.quote(self.name)}" if self.asked not in ("", "QTLPLAT_STORE") else ""

    @property
    def other_place(self) -> str:
        """The fix to keep its files elsewhere."""
        return self.backend.other_place

    @property
    def locks(self) -> Path:
        """Directory of the locks that owners of running runs hold."""
        return self.files / "locks"

    @property
    def patience(self) -> float:
        """For how many seconds a server that is away is retried."""
        return BRIEF_PATIENCE if self.asked_patience is None else self.asked_patience

    def for_training(self) -> StoreLocation:
        """The same place, with the patience of commands that train unless another one was asked for."""
        return self if self.asked_patience is not None else replace(self, asked_patience=TRAINING_PATIENCE)


def no_store(what_for: str, location: StoreLocation) -> UsageError:
    """The error for a command that needs a store, where none is yet. what_for: as in `ask`, `check`."""
    return UsageError(
        f"there is no store to {what_for}",
        where=f"{location.name} ({location.why})",
        fix="name the one that is meant, --store PATH, or make one: qtlplat run",
    )
