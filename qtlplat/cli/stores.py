"""Which stores a command is about, and what is said of them."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from qtlplat.cli.render.terminal import clean, note, write
from qtlplat.cli.settings import Settings
from qtlplat.errors import BusyError, QtlplatError, StoreError, UntrustedError, UsageError, describe_exception

if TYPE_CHECKING:
    from qtlplat.store.core.location import StoreLocation
    from qtlplat.store.read.queries import Reader

MOST_NAMED = 20


def asked_store(settings: Settings) -> StoreLocation:
    """The store of this call, which need not be there yet."""
    from qtlplat.store.backends.find import find_store

    asked = settings.sources.get("store", "--store")
    return find_store(settings.store, asked=asked, patience=settings.store_patience)


def opened(settings: Settings) -> Reader:
    """A reader of the store of this call."""
    from qtlplat.store.read.queries import Reader

    return Reader(asked_store(settings))


def name_store(location: StoreLocation) -> None:
    """Say on stderr which store a command writes to, unless it is the default one."""
    if location.asked:
        note(f"store: {location.name} (named by {location.asked})")


def other_store(text: str, asked: str) -> StoreLocation:
    """Another store; nothing (a variable of the shell that is not set) does not stand for the user's own one."""
    from qtlplat.store.backends.find import find_store

    if not text:
        raise UsageError("'' names no store", where=asked, fix="name a file, for example: results.db")
    return find_store(text, asked=asked)


def existing_store(settings: Settings, what_for: str) -> StoreLocation:
    """The store of this call; UsageError if there is none. what_for: as in `check`."""
    from qtlplat.store.core.database import is_there
    from qtlplat.store.core.location import no_store

    location = asked_store(settings)
    if not is_there(location):
        raise no_store(what_for, location)
    return location


def forget_stores() -> None:
    """Leave to `edited_behind` the stores alone that are opened from now on, by this command."""
    if access := sys.modules.get("qtlplat.store.read.access"):
        access.OPENED.clear()


def edited_behind(error: BaseException) -> QtlplatError | None:
    """The damage of a run that a command was given, if its values were edited: what uses them may fail anywhere."""
    access = sys.modules.get("qtlplat.store.read.access")
    if access is None or isinstance(error, BusyError | StoreError | UntrustedError):
        return None
    for opened_store in list(access.OPENED):
        with contextlib.suppress(Exception):  # what cannot be read is no explanation
            found: QtlplatError | None = opened_store.edited()
            if found:
                found.what += f"\n  using it failed: {describe_exception(error, 80)}"
                return found
    return None


def print_path(path: Any) -> None:
    """A path as it is, for scripts; one that is no text, with escapes."""
    text = str(path)
    write(f"{text if text.isprintable() else clean(text)}\n")


def tell(what: str, items: list[str]) -> None:
    """A heading with their number and what it is about, on stderr; nothing where there is nothing."""
    if not items:
        return
    note(f"{what}: {len(items)}")
    for item in items[:MOST_NAMED]:
        note(f"  {item}")
    if len(items) > MOST_NAMED:
        note(f"  and {len(items) - MOST_NAMED} more")
