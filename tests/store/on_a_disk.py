"""What a process of its own does with a store on a disk that will not have it.

It says the ids of runs that are stored, `ok` at the end, or an error's lines, and ends with the error's exit code.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from typing import Any

from sample_runs import whole_run

import qtlplat.store.backends.migrations  # noqa: F401 -- another user may not be able to read our modules later
from qtlplat.errors import QtlplatError
from qtlplat.store.backends.copies import backup
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

Say = Callable[[str], object]


def read(location: StoreLocation, say: Say) -> None:
    for run in Reader(location).runs():
        say(run.id)


def open_writer(location: StoreLocation, say: Say) -> None:
    with Writer(location):
        pass


def fill(location: StoreLocation, say: Say) -> None:
    """Store runs until something fails; an id that is said is that of a run which has been acknowledged."""
    with Writer(location) as writer:
        for number in range(200):
            run = whole_run(writer, location, f"weights {number}".encode() * 100, environment={"long": "x" * 4000})
            say(run)


def look(location: StoreLocation, say: Say) -> None:
    for problem in check(location).problems:
        say(problem.what)


def copy(location: StoreLocation, say: Say) -> None:
    backup(location)


ACTIONS = {action.__name__: action for action in (read, open_writer, fill, look, copy)}


def act(store: str, action: str, user: int, limit: int, say: Say) -> int:
    """user: whom to become, 0 for nobody else; limit: bytes that a file may have, 0 for any number."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if user:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    try:
        ACTIONS[action](find_store(store), say)
    except QtlplatError as error:
        for line in error.lines():
            say(line)
        return error.exit_code
    say("ok")
    return 0


def tell(told: Any, *arguments: Any) -> None:
    """`act`, with what is said put into a queue, and the code, or a bug's name, at the end."""
    try:
        told.put(act(*arguments, told.put))
    except BaseException as error:  # noqa: BLE001 -- whatever it is, the test is to hear of it
        told.put(repr(error))


if __name__ == "__main__":
    sys.exit(act(sys.argv[1], sys.argv[2], 0, 0, lambda line: print(line, flush=True)))  # noqa: T201
