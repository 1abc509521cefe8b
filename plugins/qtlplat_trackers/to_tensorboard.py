"""Runs as event files for TensorBoard, written with its own records and messages; no TensorFlow, no torch.

A directory for each run, and one in it for each cell, so that folds lie over each other in one chart. What is written
follows from what is stored: a second export of a run writes the same files again.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.markup import markdown_text
from qtlplat.errors import StoreError, escape_control
from qtlplat.extras import require_packages
from qtlplat.store.core.files import write_atomically
from qtlplat_trackers.payload import CellFacts, RunFacts, Step, facts

if TYPE_CHECKING:
    from qtlplat.store.read.queries import Reader

Event = tuple[float, int, Any]  # seconds since 1970, step, Summary


def require_tensorboard() -> None:
    """Raise ConfigError with the command that installs it where TensorBoard is missing."""
    modules = ("tensorboard.summary.writer.record_writer",)
    require_packages("tensorboard", "exporting to TensorBoard", "qtlplat export --to tensorboard", modules=modules)


def to_tensorboard(reader: Reader, runs: Sequence[str], directory: Path) -> dict[str, Path]:
    """Write runs, by their full ids, below a directory; returns the directory of each.

    Numbers become 32-bit floats, for TensorBoard has no others. Raises StoreError if nothing can be written there.
    """
    written = {}
    for run_id in runs:
        run = facts(reader, run_id)
        place = directory / run_id
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            what = "there is something else in the place of a directory"
            raise StoreError(what, where=str(place), fix="move it away, or name another directory")
        _write(place, run, _events_of_run(run))
        for cell in run.cells:
            _write(place / _folder(cell), run, _events_of_cell(run, cell))
        written[run_id] = place
    return written


def _folder(cell: CellFacts) -> str:
    """A name that sorts as cells do, and leads nowhere whatever its variant is called."""
    variant = re.sub(r"[^A-Za-z0-9_-]+", "-", cell.variant)[:40]
    return f"{cell.position:03d}-{variant}-fold{cell.params['fold']}-seed{cell.params['seed']}"


def _write(place: Path, run: RunFacts, events: Iterable[Event]) -> None:
    from tensorboard.compat.proto.event_pb2 import Event as EventMessage
    from tensorboard.summary.writer.record_writer import RecordWriter

    out = io.BytesIO()
    records = RecordWriter(out)
    records.write(EventMessage(wall_time=run.created, file_version="brain.Event:2").SerializeToString())
    for time, step, summary in events:
        message = EventMessage(wall_time=time, step=step, summary=summary)
        records.write(message.SerializeToString(deterministic=True))
    write_atomically(place / f"events.out.tfevents.{int(run.created):010d}.qtlplat", out.getvalue())


def _events_of_run(run: RunFacts) -> Iterable[Event]:
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    ended = run.created if run.finished is None else run.finished
    hparams = {escape_control(name): _plain(value) for name, value in run.params.items()}
    yield run.created, 0, hparams_pb(hparams, trial_id=run.id, start_time_secs=run.created)
    for tag, text in _texts(run).items():
        yield run.created, 0, _text(tag, text)
    yield from _scalars(run.created, run.steps)
    last = run.steps[-1].epoch if run.steps else 0
    yield from ((ended, last, _scalar(f"final/{name}", value)) for name, value in run.metrics.items())
    yield ended, last, _end(run.status, ended)


def _events_of_cell(run: RunFacts, cell: CellFacts) -> Iterable[Event]:
    yield from _scalars(run.created, cell.steps)
    last = cell.steps[-1] if cell.steps else Step(0, 0.0, {})
    time = run.created + last.seconds
    yield from ((time, last.epoch, _scalar(f"final/{name}", value)) for name, value in cell.metrics.items())


def _scalars(start: float, steps: Iterable[Step]) -> Iterable[Event]:
    for step in steps:
        for name, value in step.values.items():
            yield start + step.seconds, step.epoch, _scalar(name, value)


def _scalar(tag: str, value: float) -> Any:
    import numpy as np
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    with np.errstate(over="ignore"):  # what is larger than a 32-bit float is infinite there
        return scalar_pb(escape_control(tag), np.float32(value))


def _texts(run: RunFacts) -> dict[str, str]:
    """The texts of a run as Markdown, with all values escaped."""
    texts = {
        "run": _listed(run.facts),
        "tags": ", ".join(map(_safe, run.tags)),
        "note": _safe(run.note),
        "parameters": _listed(run.params),
        "environment": _listed(run.environment),
    }
    return {tag: text for tag, text in texts.items() if text}


def _listed(values: Mapping[str, str]) -> str:
    rows = [f"| {_safe(name)} | {_safe(value)} |" for name, value in values.items()]
    return "\n".join(["| name | value |", "| --- | --- |", *rows]) if rows else ""


def _safe(text: str) -> str:
    return markdown_text(escape_control(text))


def _text(tag: str, text: str) -> Any:
    from tensorboard.plugins.text.summary_v2 import text_pb

    return text_pb(tag, text)


def _plain(value: str) -> str | float | bool:
    """A parameter as what it was, so that TensorBoard can sort by numbers."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = value
    if isinstance(found, bool):
        return found
    return float(found) if isinstance(found, int | float) and abs(found) < 2**53 else escape_control(value)


def _end(status: str, ended: float) -> Any:
    """How a session ended; TensorBoard's own function for it would need TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    names = {"finished": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "running": "STATUS_RUNNING"}
    info = SessionEndInfo(status=Status.Value(names.get(status, "STATUS_UNKNOWN")), end_time_secs=ended)
    described = metadata.create_summary_metadata(HParamsPluginData(session_end_info=info))
    summary = Summary()
    summary.value.add(tag=metadata.SESSION_END_INFO_TAG, metadata=described, tensor=metadata.NULL_TENSOR)
    return summary
