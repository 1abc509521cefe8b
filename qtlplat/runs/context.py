"""A run being written: what every step needs, its row from start to end, its files, how long its stages take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from qtlplat.errors import BusyError, QtlplatError, StoreError
from qtlplat.plugin_modules import training_errors
from qtlplat.progress import Progress
from qtlplat.signals import Stop
from qtlplat.state.checkpoints import Checkpoints
from qtlplat.state.epochs import TrainedEpoch
from qtlplat.state.snapshots import TIME, Snapshot, UnfitError, seconds
from qtlplat.state.weights import save_weights
from qtlplat.store.core.files_lock import taking_up
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import (
    REPLAY,
    REPLAY_OF_HEADS,
    ArtifactRow,
    EpochRow,
    NewCell,
    NewRun,
    RunRecord,
    Status,
)
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@dataclass(frozen=True)
class ResumePoint:
    """A stored run to resume. drift: accepted changes since it started, as (before, after) by name.

    take_over: whether to take it from another machine.
    """

    run: str
    drift: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    take_over: bool = False


@dataclass(frozen=True)
class Replay:
    """A run that does another one again, with nothing found by content. of: id of that one.

    heads_only: whether it starts from the weights of that one's backbones, instead of pretraining them again.
    """

    of: str
    heads_only: bool = False

    def parents(self) -> dict[str, str]:
        """As a run's lineage has it: an interrupted replay resumes as one."""
        return {REPLAY_OF_HEADS if self.heads_only else REPLAY: self.of}


def replay_in(record: RunRecord) -> Replay | None:
    """The replay that a run is; None if it is none."""
    return None if record.replay_of is None else Replay(record.replay_of, record.heads_only)


@dataclass(frozen=True)
class RunContext:
    """Shared by all steps of a run: store, checkpoints, progress, signals.

    allow_drift: whether interrupted pretrainings are resumed despite changed settings; replay: the replayed run, if the
    run is a replay.
    """

    writer: Writer
    reader: Reader
    location: StoreLocation
    progress: Progress
    stop: Stop
    allow_drift: bool = False
    replay: Replay | None = None

    def checkpoints(self, run: str) -> Checkpoints:
        """Those of a run that this job owns."""
        return Checkpoints(self.location.files / "checkpoints" / run, self.progress.note)

    def add_cells(self, run: str, rows: Sequence[NewCell], *, resumed: bool) -> set[int]:
        """Store a run's cells, unless they are there; returns the positions of those that have finished."""
        stored = self.reader.cells(run) if resumed else []
        if not stored:
            self.writer.add_cells(run, rows)
        return {cell.position for cell in stored if cell.status == "finished"}

    def keep_epoch(
        self, run: str, epoch: TrainedEpoch, cells: int, checkpoints: Checkpoints, clock: StageTimer
    ) -> None:
        """Store a trained epoch and a checkpoint; report rows that differ from the stored ones.

        cells: how many each variant has.
        """
        rows = [EpochRow(row.key.position(cells), row.epoch, row.seconds, row.values) for row in epoch.rows]
        for row in self.writer.add_epochs(run, rows):
            self.progress.note(
                f"epoch {row.epoch} of cell {row.cell} of run {run} differs from the one stored before the interruption"
            )
        if self.writer.has_arrived(run):  # a run that resumes from it must find all earlier epochs
            checkpoints.save(clock.stamp(epoch.snapshot()))

    def save_weights(self, run: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> ArtifactRow:
        """Tensors by name as a file of a run."""
        with taking_up(self.location):  # the file may be there already, from a run that is being deleted
            path, digest = save_weights(self.location.files / "weights", tensors, facts)
            return self.add_artifact(run, "weights", path, digest, facts)

    def add_artifact(self, run: str, kind: str, path: Path, sha256: str, meta: Mapping[str, Any]) -> ArtifactRow:
        """A file below the store's, as one of a run."""
        relative = path.relative_to(self.location.files).as_posix()
        row = ArtifactRow(kind, relative, sha256, path.stat().st_size, meta=meta)
        self.writer.add_artifact(run, row)
        return row


class StageTimer:
    """Seconds by stage, those before an interruption included as far as they are known."""

    def __init__(self, stages: Sequence[str], before: Mapping[str, float]) -> None:
        self._spent = {stage: before.get(stage, 0.0) for stage in stages}
        self._since: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Write down how long a stage takes, whatever ends it."""
        self._since[name] = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] += time.perf_counter() - self._since.pop(name)

    def seconds(self) -> dict[str, float]:
        """By stage, until now."""
        now = time.perf_counter()
        return {name: spent + (now - self._since.get(name, now)) for name, spent in self._spent.items()}

    def stamp(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot that knows the time."""
        return Snapshot(snapshot.tensors, {**snapshot.facts, TIME: self.seconds()})

    def restore(self, snapshot: Snapshot) -> None:
        """Take over what a snapshot knows of the time before, where the run was killed and could not write it down."""
        # seconds that make no sense are not worth the snapshot
        with contextlib.suppress(UnfitError, KeyError, TypeError, OverflowError):
            known = {stage: seconds(snapshot.facts[TIME][stage]) for stage in self._spent}
            if known["total"] > self._spent["total"]:
                self._spent |= known


@contextmanager
def recorded(
    job: RunContext,
    stages: Sequence[str],
    make_row: Callable[[], NewRun],
    again: ResumePoint | None = None,
    made_for: str = "",
) -> Iterator[tuple[str, StageTimer]]:
    """Start or resume a run's row, and store its final status even after an error.

    It ends finished, failed (training error) or interrupted (a signal, the disk); only then it can be resumed.
    stages: timed stages, in addition to the total; make_row: called for a new run; made_for: id of the run that needs
    this one. Yields the run's id and its clock.
    """
    if again is None:
        run, before = job.writer.start_run(make_row()), dict[str, float]()
    else:
        run, before = again.run, dict(job.reader.run(again.run).seconds)
        job.writer.resume_run(run, again.drift, take_over=again.take_over)
    clock = StageTimer(("total", *stages), before)
    try:
        with clock.stage("total"), training_errors():
            yield run, clock
    except Exception as error:
        if isinstance(error, QtlplatError) and not error.where:
            error.where = f"run {run}"
        text = error.what if isinstance(error, QtlplatError) else f"{type(error).__name__}: {error}"
        outside = isinstance(error, StoreError | BusyError | OSError)
        _end(job, run, "interrupted" if outside else "failed", clock, made_for, text)
        raise
    except BaseException:
        with contextlib.suppress(StoreError):
            job.writer.hurry()
        _end(job, run, "interrupted", clock, made_for)
        raise
    job.writer.finish_run(run, "finished", clock.seconds())
    if job.writer.has_arrived(run):
        job.checkpoints(run).remove()


def _end(job: RunContext, run: str, status: Status, clock: StageTimer, made_for: str, error: str = "") -> None:
    """Say how a run ended, where the store still takes it; otherwise it is found to be interrupted."""
    text = f"run {run} is stored as {status}, with its epochs so far"
    try:
        job.writer.finish_run(run, status, clock.seconds(), error=error)
    except BusyError:
        return
    except StoreError:  # a full disk, a server that is away: nobody holds its lock any more, which says the same
        text, status = f"the end of run {run} could not be stored; it is interrupted", "interrupted"
    if made_for:
        return  # the run that needs it ends as well, and says how to resume
    if status == "interrupted":
        text += f"; resume it with: qtlplat resume {run[:8]}{job.location.flag}"
    job.progress.note(text)
