"""A run being written: what every step needs, its row from start to end, its files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from qtlplat.errors import QtlplatError, TrainingError
from qtlplat.store.location import StoreLocation
from qtlplat.store.records import ArtifactRow, NewRun
from qtlplat.store.writer import Writer
from qtlplat.training.checkpoint import save_weights
from qtlplat.training.prepare import Prepared
from qtlplat.training.progress import Progress


@dataclass(frozen=True)
class Job:
    """What every step needs: what to do, where to write, whom to tell."""

    prepared: Prepared
    writer: Writer
    location: StoreLocation
    progress: Progress

    def save_weights(self, run: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> ArtifactRow:
        """Tensors by name as a file of a run."""
        path, digest = save_weights(self.location.files / "weights", tensors, facts)
        return self.add_artifact(run, "weights", path, digest, facts)

    def add_artifact(self, run: str, kind: str, path: Path, sha256: str, meta: Mapping[str, Any]) -> ArtifactRow:
        """A file below the store's, as one of a run."""
        relative = path.relative_to(self.location.files).as_posix()
        row = ArtifactRow(kind, relative, sha256, path.stat().st_size, meta=meta)
        self.writer.add_artifact(run, row)
        return row


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Write down how long a stage took, whatever ended it."""
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = time.perf_counter() - started


@contextmanager
def recorded(job: Job, row: NewRun) -> Iterator[tuple[str, dict[str, float]]]:
    """Start a run's row and end it whatever happens inside: finished, failed (an error), interrupted (a signal).

    Yields the run's id and the seconds by stage, to be filled in.
    """
    run = job.writer.start_run(row)
    stages = ("pretrain", "features", "heads") if row.kind == "run" else ()
    seconds = dict.fromkeys(("total", *stages), 0.0)
    try:
        with timed(seconds, "total"), _torch_errors():
            yield run, seconds
    except Exception as error:
        text = error.what if isinstance(error, QtlplatError) else f"{type(error).__name__}: {error}"
        job.writer.finish_run(run, "failed", seconds, error=text)
        job.progress.note(f"run {run} is stored as failed, with its epochs so far")
        raise
    except BaseException:
        job.writer.finish_run(run, "interrupted", seconds)
        job.progress.note(f"run {run} is stored as interrupted, with its epochs so far")
        raise
    job.writer.finish_run(run, "finished", seconds)


@contextmanager
def _torch_errors() -> Iterator[None]:
    """What torch raises while training (out of memory, overflow) as a TrainingError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = (str(error).strip() or "no message").splitlines()[0]
        raise TrainingError(
            f"training failed: {type(error).__name__}: {text}", fix="run again with --debug to see where"
        ) from error
