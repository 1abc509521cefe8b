"""Repeat a stored run from its plan, and compare the results with the stored ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from qtlplat.backbones.pretrain import make_split
from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.reopen import stored_pretraining, stored_run
from qtlplat.errors import ConfigError
from qtlplat.progress import Progress
from qtlplat.runs.context import Replay, ResumePoint, replay_in
from qtlplat.runs.drift import Drift, drift, drift_between
from qtlplat.runs.execute import execute, working
from qtlplat.runs.numeric_agreement import Part, Verdict, compare_runs, largest, verdict, why
from qtlplat.runs.prepare import Prepared, prepare, prepare_pretraining
from qtlplat.runs.pretraining import pretrained, pretraining_of
from qtlplat.runs.resumable import refuse_replay
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import RunRecord
from qtlplat.store.read.queries import Reader


@dataclass(frozen=True)
class Outcome:
    """The result of a replay.

    run: the original run; replay: the new one; max_difference: None if nothing could be compared,
    infinite where something is missing or not finite; changes: (before, after) by name.
    """

    run: str
    replay: str
    verdict: Verdict
    max_difference: float | None
    why: str
    tolerance: float
    heads_only: bool
    parts: tuple[Part, ...]
    changes: Drift

    def form(self) -> dict[str, Any]:
        """The fixed shape of `replay --verify --json`."""
        return asdict(self)


def replay(
    record: RunRecord,
    catalog: Catalog,
    location: StoreLocation,
    progress: Progress,
    *,
    sets: Sequence[str] = (),
    heads_only: bool = False,
) -> str:
    """Repeat a finished run from its stored plan, as a new run; returns the id of the new run.

    Nothing is reused: circuits are compiled, backbones pretrained and features computed again. An interrupted replay of
    the run is resumed if nothing has changed. sets: ``dataset.option=value``, for data that was moved; heads_only:
    start from the stored weights of its backbones.

    Raises UsageError if it has not finished or has no heads, StoreError or UntrustedError if those weights are missing
    or damaged, and as `qtlplat.runs.execute.execute`.
    """
    reader = Reader(location)
    refuse_replay(record, reader, heads_only=heads_only)
    if record.kind == "pretraining":
        return _replay_pretraining(record, catalog, location, progress, sets)
    prepared = prepare(stored_run(record.plan, catalog, sets), location.files, compile_anew=True)
    wanted = Replay(record.id, heads_only)
    return execute(prepared, location, progress, _begun(prepared, reader, wanted), replay=wanted)


def _begun(prepared: Prepared, reader: Reader, wanted: Replay) -> ResumePoint | None:
    """The newest interrupted replay of this kind that can be resumed without changes, None if there is none."""
    for record in reader.interrupted(prepared.plan.fingerprint, "run"):
        if replay_in(record) == wanted and not drift(record, prepared.plan, reader):
            return ResumePoint(record.id)
    return None


def _replay_pretraining(
    record: RunRecord, catalog: Catalog, location: StoreLocation, progress: Progress, sets: Sequence[str]
) -> str:
    plan, specs, options = stored_pretraining(record.plan, catalog, sets)
    if plan.samples:
        raise ConfigError(
            f"pretraining {record.id} used only a part of the data, chosen by the run that it was made for",
            where=f"run {record.id[:8]}",
            fix=f"replay a run that builds on it: qtlplat show {record.id[:8]} names them",
        )
    plan, material = prepare_pretraining(plan, specs, options, location.files)
    split = make_split(material.images.labels, material.groups, plan.pretraining, plan.seed)
    with working(location, progress, replay=Replay(record.id)) as job:
        return pretrained(job, plan, material, split, replay_of=record.id).run


def hold_against(reader: Reader, first: str, second: str, tolerance: float) -> Outcome:
    """A run and its replay, number by number, and the backbones that both of them pretrained."""
    pairs = [("", first, second), *_backbones(reader, first, second)]
    parts = [part for of, a, b in pairs for part in compare_runs(reader, a, b, of)]
    changes: Drift = {}
    for of, a, b in pairs:
        changed = drift_between(reader.run(a), reader.run(b), reader)
        changes |= {f"{of}{name}": pair for name, pair in changed.items() if changes.get(name) != pair}
    heads_only = reader.run(first).kind == "run" and len(pairs) == 1
    return Outcome(
        first,
        second,
        verdict(parts, tolerance),
        largest(parts),
        why(parts, changes),
        tolerance,
        heads_only,
        tuple(parts),
        changes,
    )


def _backbones(reader: Reader, first: str, second: str) -> Iterator[tuple[str, str, str]]:
    """Pretrainings of two runs that stand for each other, unless they are the same one; with what is said before."""
    if reader.run(first).kind == "pretraining":
        return
    cells = [cell.position for cell in reader.cells(first)]
    pairs = dict.fromkeys((pretraining_of(reader, first, i), pretraining_of(reader, second, i)) for i in cells)
    for a, b in pairs:
        if a != b:
            yield (f"backbone {a[:8]}: " if len(pairs) > 1 else "backbone: "), a, b
