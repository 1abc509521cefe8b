"""Times commands on a large store as a user meets them: as processes of their own, start-up included."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtlplat.errors import QtlplatError, safe_repr
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.queries import Reader
from qtlplat_bench.bulk_insert import fill
from qtlplat_bench.synthetic_runs import made_up
from qtlplat_bench.synthetic_sweep import NAME, add_sweep

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("runs", "-n", "20"),
    ("runs", "--where", "head = 'dressed5x3' and (f1 > 0.95 or tag = 'paper')", "--sort=-f1", "-n", "20"),
    ("show", "@last"),
    ("best", "--metric", "f1", "--by", "backbone,head"),
    ("sweep", "list"),
    ("sweep", "status", NAME),
    ("sweep", "show", NAME),
    ("sweep", "show", NAME, "--pivot", "qubits,seed"),
    ("compare", *(f"@-{number}" for number in range(1, 11))),
)
_PROGRAM = "from qtlplat.cli.app import main; main()"


@dataclass(frozen=True)
class Made:
    """A synthetic store. seconds: time to create it; runs: including pretrainings."""

    location: StoreLocation
    runs: int
    seconds: float


def make_store(location: StoreLocation, runs: int) -> Made:
    """Fill a new store with `runs` runs, their pretrainings and a sweep. Raises StoreError if it cannot be written."""
    began = time.perf_counter()
    fill(location, made_up(runs))
    add_sweep(location)
    return Made(location, len(Reader(location).table(["run"])), time.perf_counter() - began)


def bench_store(
    location: StoreLocation, known: Collection[str], repeats: int, say: Callable[[str], None] = lambda _text: None
) -> list[dict[str, Any]]:
    """Time the commands on a store made by `make_store`: the median of `repeats` runs of each, in turn.

    known: commands that there are; what needs another one is left out. Returns rows of "command", "seconds" and "rows",
    the lines that it prints below the title of its table.

    Raises:
        QtlplatError: if a command fails.
    """
    runs = len(Reader(location).table(["run"], "run"))
    commands = [_within(command, runs) for command in COMMANDS if command[0] in known]
    seconds: list[list[float]] = [[] for _ in commands]
    rows = [0] * len(commands)
    for number in range(repeats):
        for place, command in enumerate(commands):
            began = time.perf_counter()
            rows[place] = _lines(command, location.path)
            seconds[place].append(time.perf_counter() - began)
            say(f"{number + 1} of {repeats}: {command[0]} {seconds[place][-1]:.2f} s")
    return [
        {"command": _words(command), "seconds": statistics.median(seconds[place]), "rows": rows[place]}
        for place, command in enumerate(commands)
    ]


def _within(command: Sequence[str], runs: int) -> tuple[str, ...]:
    """A command without the runs that a small store has not; the only run of a store is compared with itself."""
    there = [word for word in command if not word.startswith("@-") or int(word[2:]) <= runs]
    return (*there, *("@-1" for _ in range(runs == 1 and command[0] == "compare")))


def _words(command: Sequence[str]) -> str:
    """A command as it is typed."""
    return " ".join(f'"{word}"' if " " in word else word for word in command)


def _lines(command: Sequence[str], store: Path) -> int:
    """Run a command; the lines that it printed, but for the title of a table."""
    surroundings = {**os.environ, "QTLPLAT_STORE": str(store)}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *command], capture_output=True, text=True, check=False, env=surroundings
    )
    if done.returncode:
        what = f"{safe_repr(' '.join(command))} ended with {done.returncode}: {safe_repr(done.stderr, 300)}"
        raise QtlplatError(what, fix="run that command by itself, with --debug")
    return max(0, len(done.stdout.splitlines()) - (command[0] != "show"))
