"""Who trains which member, and what is written down of it. What is done follows from the store, never from memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from qtlplat.analysis.sweep_points import point_text
from qtlplat.command_hints import shell_word
from qtlplat.conventions import counted, short
from qtlplat.errors import QtlplatError, Terminated
from qtlplat.progress import Progress, Stage
from qtlplat.sent_errors import error_of
from qtlplat.signals import Stop, orderly_stop
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.sweep_records import FailureRow, MemberRow, MemberState, SweepRecord
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sweeps import MOST_KILLED
from qtlplat.store.write.rows import now
from qtlplat.store.write.writer import Writer
from qtlplat_sweeps.pool import PROGRAM, Ended, Executor, Pool, Surroundings, how_it_ended
from qtlplat_sweeps.protocol import Event, Job

WAIT_SECONDS = 0.2  # between two looks at signals and time limits


@dataclass(frozen=True)
class Pace:
    """How a sweep is carried out. workers: executors; limit: seconds that a member may take, None for any number."""

    workers: int
    limit: float | None = None


@dataclass
class Done:
    """What a call has done. trained: runs that it has finished or found; seconds: how long it took."""

    trained: int = 0
    seconds: float = 0.0
    failures: list[FailureRow] = field(default_factory=list)


class Coordinator:
    """Trains what is missing of a sweep.

    Args:
        sweep: What is asked for, as it is stored.
        location: The store.
        progress: Where it says what happens.
        program: What an executor runs.
    """

    def __init__(
        self, sweep: SweepRecord, location: StoreLocation, progress: Progress, program: Sequence[str] = PROGRAM
    ) -> None:
        self.sweep, self.location, self.progress, self.program = sweep, location, progress, program
        self.reader = Reader(location)
        self._members = {member.position: member for member in sweep.content.members}
        self._left: list[int] = []
        self._begun: set[str] = set()  # pretrainings that an executor of this process has begun
        self._killed: dict[int, int] = {}
        self.done = Done()

    def carry_out(self, states: Sequence[MemberState], pace: Pace, surroundings: Surroundings) -> Done:
        """Train the members that are missing, interrupted, or trained by another process that may fail.

        Raises:
            QtlplatError: the store is broken, or nothing can be trained here; what ends is stored.
            KeyboardInterrupt, Terminated: if a signal asked to stop; executors have stored what they did.
        """
        began = time.monotonic()
        self._left = self._ordered(states)
        self._killed = {one.member.position: len(one.failures) for one in states}
        if not self._left:
            return self.done
        title = f"training {self.sweep.content.name}"
        try:
            with (
                orderly_stop() as stop,
                Writer(self.location, stop.check) as writer,
                self.progress.stage(title, len(self._left)) as stage,
                Pool(surroundings, self.program) as pool,
            ):
                self._work(pool, min(pace.workers, len(self._left)), pace, stage, writer, stop)
        except (KeyboardInterrupt, Terminated):
            name = shell_word(self.sweep.content.name)
            self.progress.note(f"stopped after {counted(self.done.trained, 'member')}; continue: qtlplat sweep {name}")
            raise
        finally:
            self.done.seconds = time.monotonic() - began
        return self.done

    def _ordered(self, states: Sequence[MemberState]) -> list[int]:
        """Members to train, by backbone; those that another process trains come last."""
        first: dict[str, int] = {}
        for one in states:
            first.setdefault(one.member.pretraining, len(first))
        wanted = [one for one in states if one.state in ("missing", "interrupted", "running")]
        wanted.sort(key=lambda one: (one.state == "running", first[one.member.pretraining], one.member.position))
        return [one.member.position for one in wanted]

    def _work(self, pool: Pool, workers: int, pace: Pace, stage: Stage, writer: Writer, stop: Stop) -> None:
        for _ in range(workers):
            pool.start()
        while self._left or any(executor.job for executor in pool.executors):
            stop.check()
            for executor, event in pool.news(WAIT_SECONDS):
                self._hear(pool, executor, event, stage, writer)
            for executor in pool.executors:
                if executor.is_ready and executor.job is None and (position := self._next()) is not None:
                    executor.give(self._job(position))
                elif executor.job and pace.limit is not None and time.monotonic() - executor.since > pace.limit:
                    executor.kill(f"it took longer than {pace.limit:g} s")

    def _next(self) -> int | None:
        """The next member: one whose backbone is not being pretrained here, if there is one."""
        if not self._left:
            return None
        place = next((i for i, one in enumerate(self._left) if self._members[one].pretraining not in self._begun), 0)
        position = self._left.pop(place)
        self._begun.add(self._members[position].pretraining)
        return position

    def _job(self, position: int) -> Job:
        member = self._members[position]
        log = self.location.files / log_path(self.sweep.id, position)
        return Job(position, member.fingerprint, dict(member.request), str(log))

    def _hear(self, pool: Pool, executor: Executor, event: Event | Ended, stage: Stage, writer: Writer) -> None:
        if isinstance(event, Ended):
            self._gone(pool, executor, event, stage, writer)
        elif event.kind == "ready":
            executor.is_ready = True
        elif event.kind == "stage":
            executor.news = event.text
            stage.advance(0, self._news(pool))
        elif event.kind == "broken":
            assert event.error is not None
            executor.job = None
            raise error_of(event.error)
        elif event.kind in ("finished", "failed"):
            executor.job = None
            if event.kind == "finished":
                self.done.trained += 1
                stage.advance(1, f"run {short(event.run)} in {event.seconds:.1f} s")
            else:
                assert event.error is not None
                self._fail(event.position, "failed", error_of(event.error), writer)
                stage.advance(1)

    def _news(self, pool: Pool) -> str:
        busy = [f"{point_text(self._members[one.job.position].point)}: {one.news}" for one in pool.executors if one.job]
        return busy[0] if len(busy) == 1 else f"{len(busy)} at work; {busy[0]}" if busy else ""

    def _gone(self, pool: Pool, executor: Executor, event: Ended, stage: Stage, writer: Writer) -> None:
        """A process ended by itself: its member is tried again after all others, a limited number of times."""
        pool.forget(executor)
        job = executor.job
        if job is None:
            if not executor.is_ready:
                raise error_of(
                    {"kind": "ConfigError", "what": f"an executor cannot start: {how_it_ended(event.code)}",
                     "where": "qtlplat sweep", "fix": "see the messages above"}
                )  # fmt: skip
        else:
            why = executor.killed_for or how_it_ended(event.code)
            self._fail(job.position, "killed", why, writer)
            self._killed[job.position] = self._killed.get(job.position, 0) + 1
            if self._killed[job.position] < MOST_KILLED:
                self._left.append(job.position)
            else:
                stage.advance(1)
        if self._left:
            pool.start()

    def _fail(self, position: int, kind: str, error: QtlplatError | str, writer: Writer) -> None:
        what = error.what if isinstance(error, QtlplatError) else error
        log = log_path(self.sweep.id, position)
        row = FailureRow(position, now(), "failed" if kind == "failed" else "killed", what, log)
        writer.add_failure(self.sweep.id, row)
        self.done.failures.append(row)
        self.progress.note(f"{kind}: {named(self._members[position])}: {what.splitlines()[0]}")
        self.progress.note(f"  log: {self.location.files / log}")


def log_path(sweep_id: str, position: int) -> str:
    """Where the log of a member lies, below the store's directory of files."""
    return f"logs/{sweep_id}/{position:05}.log"


def named(member: MemberRow) -> str:
    """A member for people: its number and its point."""
    return f"member {member.position} ({point_text(member.point)})" if member.point else f"member {member.position}"
