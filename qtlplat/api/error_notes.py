"""Python errors as on the command line: the location and the fix follow the message."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from qtlplat.command_hints import completed
from qtlplat.errors import QtlplatError
from qtlplat.store.backends.address import printable

P = ParamSpec("P")
R = TypeVar("R")


def _place(args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    """The store that a call is about, as ``--store`` takes it; '' if no place was named."""
    named = kwargs.get("store", args[0] if args else None)
    location = getattr(getattr(named, "_reader", None), "location", None)
    if location is not None:
        return location.name if location.asked == "--store" else ""
    return printable(os.fspath(named)) if isinstance(named, str | os.PathLike) else ""


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with an error's `where` and `fix` as notes of the exception, which tracebacks print."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except QtlplatError as error:
            known = getattr(error, "__notes__", [])
            for line in error.lines(partial(completed, store=_place(args, kwargs))):
                if line.startswith(("  where: ", "  fix: ")) and line not in known:
                    error.add_note(line)
            raise

    return wrapped
