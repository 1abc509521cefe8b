"""One piece of a process's state: how it is read, and how it is put back; snapshots of many.

A library's state is looked at only once that library has been imported; nothing is imported for this.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import operator
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
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


Snapshot = dict[State, Any]


def take_snapshot(states: Iterable[State]) -> Snapshot:
    """What these are now, of libraries that are imported."""
    return {state: state.value() for state in states if not state.module or state.module in sys.modules}


def put_back(before: Snapshot) -> list[str]:
    """Put back what has changed; returns the names of what could not be put back."""
    left = []
    for state, value in before.items():
        if value is UNKNOWN or same(value, state.value()):
            continue
        with contextlib.suppress(Exception):  # what counts is what it is now
            state.put(value)
        if not same(value, state.value()):
            left.append(state.name)
    return left


def same(before: Any, now: Any) -> bool:
    """Whether two values that were read are equal; False if they cannot be compared."""
    try:
        return before is now or bool(before == now)
    except Exception:  # noqa: BLE001 -- a stranger's __eq__
        return False


class Watch(importlib.abc.MetaPathFinder):
    """Completes a snapshot by the states of libraries that are imported meanwhile.

    They are read when the library has just been imported: that is what they were before anybody changed them.
    """

    def __init__(self, before: Snapshot, states: Iterable[State]) -> None:
        self.before, self.states = before, [s for s in states if s.module and s.module not in sys.modules]
        self.modules = {state.module for state in self.states}

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """What the other finders find, so that the states are read after it has run."""
        if name not in self.modules:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                self.before |= take_snapshot(state for state in self.states if state.module == name)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _named(path: str) -> Callable[[], Any]:
    """A function that finds what a dotted path means now; its first part is an imported module."""
    top, _, rest = path.partition(".")
    if not rest:
        return lambda: sys.modules[top]
    read = operator.attrgetter(rest)  # every call of a plugin reads a hundred of them
    return lambda: read(sys.modules[top])


def _calling(path: str) -> Callable[..., Any]:
    """A function that calls what a dotted path means then."""
    find = _named(path)

    def call(*arguments: Any) -> Any:
        return find()(*arguments)

    return call


def attribute(path: str) -> State:
    """An attribute of a module or of an object in it, as ``torch.backends.cuda.matmul.allow_tf32``."""
    owner, _, name = path.rpartition(".")
    find = _named(owner)
    return State(path, _named(path), lambda value: setattr(find(), name, value), path.partition(".")[0])


def switch(get: str, put: str = "", *, often: bool = False) -> State:
    """A pair of functions, one that reads and one that sets: by default of the same name with ``set`` for ``get``."""
    return State(get, _calling(get), _calling(put or get.replace("get", "set")), get.partition(".")[0], often)


def on_off(get: str, on: str, off: str) -> State:
    """A switch with a function for each position."""
    enable, disable = _calling(on), _calling(off)
    return State(get, _calling(get), lambda value: enable() if value else disable(), get.partition(".")[0])


def listed(path: str) -> State:
    """A list that is changed in place."""
    find = _named(path)

    def put(value: list[Any]) -> None:
        find()[:] = value

    return State(path, lambda: list(find()), put, path.partition(".")[0])


class _Beginning(list[Any]):
    """Equal to every list that begins with it."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and list(other[: len(self)]) == list(self)

    __hash__ = None


def searched(path: str) -> State:
    """A list of places to search: what was in it comes first again; what was added stays, behind that."""
    find = _named(path)

    def put(before: list[Any]) -> None:
        find()[:] = [*before, *(one for one in find() if one not in list(before))]

    return State(path, lambda: _Beginning(find()), put, path.partition(".")[0])
