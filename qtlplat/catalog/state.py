"""One piece of a process's state: how it is read, and how it is put back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

UNKNOWN = object()


@dataclass(frozen=True, eq=False)
class State:
    """Something that a process has one of.

    Attributes:
        name: for messages.
        get: reads it; the values can be compared.
        put: puts back what was read.
        module: whose state it is, if that must be imported first.
        often: it is cheap to read, and changes the next step of a training.
        random: a generator of random numbers, which may be used while a model is built or runs.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]
    module: str = ""
    often: bool = False
    random: bool = False

    def value(self) -> Any:
        """What it is now; `UNKNOWN` if that cannot be told: whatever changed it may have broken the question too."""
        try:
            return self.get()
        except Exception:  # noqa: BLE001
            return UNKNOWN


def attribute(name: str, module: str, attr: str, **more: bool) -> State:
    """A plain attribute of a module or of an object in it, as ``cuda.matmul.allow_tf32``."""
    *path, last = attr.split(".")

    def owner() -> Any:
        found: Any = sys.modules[module]
        for part in path:
            found = getattr(found, part)
        return found

    def get() -> Any:
        return getattr(owner() if path else sys.modules[module], last)

    return State(name, get, lambda v: setattr(owner(), last, v), module, **more)


def switch(name: str, module: str, get: str, put: str, **more: bool) -> State:
    """A pair of functions of a module, one that reads and one that sets."""
    read, write = attribute(name, module, get), attribute(name, module, put)

    def get_value() -> Any:
        return read.get()()

    def put_value(value: Any) -> None:
        write.get()(value)

    return State(name, get_value, put_value, module, **more)


def on_off(name: str, module: str, get: str, on: str, off: str) -> State:
    """A switch with a function for each position."""
    read, enable, disable = (attribute(name, module, attr) for attr in (get, on, off))

    def get_value() -> Any:
        return read.get()()

    def put_value(value: Any) -> None:
        (enable if value else disable).get()()

    return State(name, get_value, put_value, module)


def listed(name: str, module: str, attr: str) -> State:
    """A list that is changed in place."""
    found = attribute(name, module, attr).get

    def put(value: list[Any]) -> None:
        found()[:] = value

    return State(name, lambda: list(found()), put, module)


class _Beginning(list[Any]):
    """Equal to every list that begins with it."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and list(other[: len(self)]) == list(self)

    __hash__ = None


def searched(name: str, module: str, attr: str) -> State:
    """A list of places to search: what was in it comes first again; what was added stays, behind that."""
    found = attribute(name, module, attr).get

    def put(before: list[Any]) -> None:
        found()[:] = [*before, *(one for one in found() if one not in list(before))]

    return State(name, lambda: _Beginning(found()), put, module)
