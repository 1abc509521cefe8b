"""Errors in Python as on the command line: where it is and how to mend it stand below what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from qtlplat.errors import QtlplatError

P = ParamSpec("P")
R = TypeVar("R")


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with an error's `where` and `fix` as notes of the exception, which tracebacks print."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except QtlplatError as error:
            known = getattr(error, "__notes__", [])
            for line in error.lines():
                if line.startswith(("  where: ", "  fix: ")) and line not in known:
                    error.add_note(line)
            raise

    return wrapped
