"""Have a sweep trained and say what came of it. No torch here: executors load it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from qtlplat.analysis.sweep_points import axes_of, counts
from qtlplat.cli.render.columns import write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.progress import make_progress
from qtlplat.cli.render.terminal import note, say
from qtlplat.cli.settings import Settings, suggest
from qtlplat.cli.stores import name_store
from qtlplat.command_hints import shell_word
from qtlplat.conventions import counted
from qtlplat.errors import TrainingError, UsageError
from qtlplat.store.core.sweep_records import MemberState, SweepRecord
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sweeps import member_states, pretrainings_of
from qtlplat_sweeps.coordinator import Coordinator, Done, Pace
from qtlplat_sweeps.pool import Surroundings
from qtlplat_sweeps.tables import columns, flat, stored_rows

LEAST_BYTES = 1e9  # torch and PennyLane take most of it
SHARE = 0.9  # of the machine's memory that all executors together may use
MOST_SHOWN = 40  # rows of the table at the end


@dataclass(frozen=True)
class Limits:
    """How a sweep is carried out. threads: of torch, in each executor; seconds, gigabytes: of a member, None: any."""

    workers: int = 1
    threads: int = 1
    seconds: float | None = None
    gigabytes: float | None = None

    def memory(self, members: int) -> int:
        """Bytes that each executor may use to train so many members.

        Raises UsageError if no executor can start with so little, or a limit is no number.
        """
        for option, value in (("--time-limit", self.seconds), ("--memory-limit", self.gigabytes)):
            if value is not None and not math.isfinite(value):
                raise UsageError(f"{value:g} is no limit", where=option, fix=f"leave {option} out, or name a number")
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        found = SHARE * there / max(1, min(self.workers, members))
        if self.gigabytes is not None:
            found = min(self.gigabytes * 1e9, float(there))
        if found < LEAST_BYTES:
            raise UsageError(
                f"each process may use {found / 1e9:.3g} GB, and needs about {LEAST_BYTES / 1e9:g} to start",
                where="--memory-limit" if self.gigabytes is not None else f"-j {self.workers}",
                fix="raise --memory-limit, or lower -j",
            )
        return int(found)


def train(settings: Settings, sweep: SweepRecord, reader: Reader, limits: Limits, as_json: bool) -> int:
    """Train what is missing of a stored sweep, and print all of it; returns the exit code."""
    name_store(reader.location)
    states = member_states(reader, sweep)
    quiet = settings.verbosity < 0
    if not quiet:
        for line in _announced(reader, sweep, states, limits):
            note(line)
    wanted = sum(one.state in ("missing", "interrupted", "running") for one in states)
    memory = limits.memory(wanted)
    coordinator = Coordinator(sweep, reader.location, make_progress(settings.verbosity))
    surroundings = Surroundings(
        reader.location.name, settings.registry, limits.threads, memory, settings.store_patience
    )
    done = coordinator.carry_out(states, Pace(limits.workers, limits.seconds), surroundings)
    states = member_states(reader, sweep)
    _print(reader, sweep, states, done, as_json)
    failed = counts(states)["failed"]
    if failed:
        fix = suggest(f"qtlplat sweep status {shell_word(sweep.content.name)}")
        note(f"error: {counted(failed, 'member')} could not be trained; look at them: {fix}")
        return TrainingError.exit_code
    return 0


def _announced(reader: Reader, sweep: SweepRecord, states: Sequence[MemberState], limits: Limits) -> list[str]:
    """What is there, what is missing, and how long it may take."""
    known = counts(states)
    lines = [f"sweep {sweep.content.name}: {counted(known['members'], 'member')}, {known['finished']} finished"]
    if known["missing"]:
        missing = [one for one in states if one.state not in ("finished", "failed", "killed")]
        backbones = len({one.member.pretraining for one in missing})
        expected = _expected(reader, states, len(missing), limits.workers)
        lines[0] += f", {known['missing']} missing, which start from {counted(backbones, 'backbone')}{expected}"
    if known["failed"]:
        again = suggest(f"qtlplat sweep retry {shell_word(sweep.content.name)}")
        lines.append(f"{counted(known['failed'], 'member')} failed and will not be tried again without: {again}")
    return lines


def _expected(reader: Reader, states: Sequence[MemberState], missing: int, workers: int) -> str:
    """The time that the missing members take if they are like the finished ones; '' if there are none."""
    finished = [one.run for one in states if one.state == "finished" and one.run is not None]
    took = [run.seconds.get("total", 0.0) for run in reader.several(list(dict.fromkeys(finished))[-50:])]
    if not took:
        return ""
    seconds = sum(took) / len(took) * missing / min(workers, missing)
    return f"; about {seconds:.0f} s" if seconds < 90 else f"; about {seconds / 60:.0f} min"


def _print(reader: Reader, sweep: SweepRecord, states: Sequence[MemberState], done: Done, as_json: bool) -> None:
    runs = [one.run for one in states if one.state == "finished" and one.run is not None]
    name = sweep.content.name
    if as_json:
        pretrained = len(pretrainings_of(reader, runs))
        write_json({"sweep": name, **counts(states), "pretrainings": pretrained, "seconds": done.seconds})
        return
    if len(states) <= MOST_SHOWN:
        rows = stored_rows(reader, states)
        axes = axes_of(sweep.content.definition, rows)
        emit(flat(rows, axes, "f1"), columns(axes, "f1"))
    known = counts(states)
    told = ", ".join(f"{known[state]} {state}" for state in ("finished", "failed", "missing") if known[state])
    say("", f"sweep {name}: {told} of {counted(known['members'], 'member')} in {done.seconds:.1f} s")
    say("next:")
    for words in ("show", "show --sort -f1", "status"):
        verb, _, rest = words.partition(" ")
        say(suggest(f"  qtlplat sweep {verb} {shell_word(name)}{rest and ' ' + rest}"))
