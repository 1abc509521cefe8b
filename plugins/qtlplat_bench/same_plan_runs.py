"""Runs of one plan that differ by chance alone: by their seeds, and by how their processes round.

How a process rounds is decided by environment variables, which libraries read when they are loaded. So runs are trained
in processes of their own, one for each way of rounding. Such a process is this module: it reads an `Order` from
standard input, and prints a line of JSON for every run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from tempfile import TemporaryFile
from typing import Any

from qtlplat.cli.render.terminal import say
from qtlplat.conventions import VARIABLE
from qtlplat.errors import QtlplatError, safe_repr
from qtlplat.sent_errors import error_facts, error_of

# the processor's best instructions; no vector instructions of torch; older ones for convolutions; for matrix products
ROUNDINGS: tuple[Mapping[str, str], ...] = (
    {},
    {"ATEN_CPU_CAPABILITY": "default"},
    {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    {"MKL_CBWR": "COMPATIBLE"},
)


@dataclass(frozen=True)
class Order:
    """What a process trains.

    store, registry: as of `qtlplat.run`; plan: further arguments of it; designs: still further ones, by the name of
    what they are for; seeds: one run for each, in every design; replays: ids of runs to repeat.
    """

    store: str | None
    registry: str | None
    plan: Mapping[str, Any]
    designs: Mapping[str, Mapping[str, Any]]
    seeds: Sequence[int] = ()
    replays: Sequence[str] = ()


@dataclass(frozen=True)
class Trained:
    """A run of an order. of: its design, or the run that it repeats; seed: None for a repetition."""

    run: str
    of: str
    seed: int | None = None


def rounding_of(seed: int) -> int:
    """Which of the ways of rounding the run with a seed has; they take turns."""
    return seed % len(ROUNDINGS)


def spelled(rounding: Mapping[str, str]) -> str:
    """As in a shell."""
    return " ".join(f"{name}={value}" for name, value in rounding.items()) or "default rounding"


def train(order: Order, rounding: Mapping[str, str], each: Callable[[Trained], None]) -> None:
    """Train the runs of an order in a process that rounds so; what the store has already is not trained again.

    each: called with every run as soon as it has finished. Raises QtlplatError if the process fails.
    """
    with TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "qtlplat_bench.same_plan_runs"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8",
            env={**os.environ, **rounding},
        )  # fmt: skip
        assert process.stdin
        assert process.stdout
        try:
            with process.stdin as asked:
                asked.write(json.dumps(asdict(order)))
            for line in process.stdout:
                facts = json.loads(line)
                if "kind" in facts:
                    raise error_of(facts)
                each(Trained(**facts))
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt):  # Ctrl-C has reached the process, too
                process.terminate()
            raise
        finally:
            process.stdout.close()
            process.wait()
        if process.returncode:
            errors.seek(0)
            what = f"training with {spelled(rounding)} ended with {process.returncode}: "
            raise QtlplatError(
                what + safe_repr(errors.read()[-300:].strip(), 300), fix="repeat the command to continue"
            )


def trained_here(order: Order) -> Iterator[Trained]:
    """The runs of an order, trained in this process unless they are stored."""
    from qtlplat.api.run import run
    from qtlplat.api.store import open_store

    store = open_store(order.store)
    for seed in order.seeds:
        for name, design in order.designs.items():
            found = run(
                **order.plan, **design, seed=seed, reuse=True, store=store, registry=order.registry, tags=["bench"]
            )
            yield Trained(found.record.replay_of or found.id, name, seed)
    for original in order.replays:
        yield Trained(_replayed(order, original), original)


def _replayed(order: Order, original: str) -> str:
    """The id of a replay that was rounded as this process rounds."""
    from qtlplat.api.store import open_store
    from qtlplat.catalog.catalog import open_catalog
    from qtlplat.progress import Silent
    from qtlplat.runs.replay import replay
    from qtlplat.store.read.queries import Reader

    location = open_store(order.store).location
    reader = Reader(location)
    record = reader.run(original)
    mine = {VARIABLE + name: os.environ.get(name) for rounding in ROUNDINGS for name in rounding}
    for earlier in reader.finished(record.fingerprint, "run"):
        there = reader.environment(earlier.id)
        if earlier.replay_of == original and all(there.get(name) == value for name, value in mine.items()):
            return earlier.id
    _, catalog = open_catalog(order.registry or os.environ.get("QTLPLAT_REGISTRY"))
    return replay(record, catalog, location, Silent())


def _main() -> int:
    """Train the order on standard input."""
    try:
        for one in trained_here(Order(**json.load(sys.stdin))):
            say(json.dumps(asdict(one)))
    except QtlplatError as error:
        say(json.dumps(error_facts(error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
