"""Resume interrupted runs with the results of uninterrupted ones, or list the settings that have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtlplat.backbones.pretrain import make_split
from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.reopen import stored_pretraining, stored_run
from qtlplat.errors import ConfigError
from qtlplat.progress import Progress
from qtlplat.quantum.devices.threads import torch_threads
from qtlplat.runs.context import ResumePoint, replay_in
from qtlplat.runs.drift import check_cells_agree, drift, refuse
from qtlplat.runs.execute import execute, planned_rows, working
from qtlplat.runs.prepare import prepare, prepare_pretraining
from qtlplat.runs.pretraining import one_pretraining, pretrained
from qtlplat.runs.thread_count import threads_again
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import RunRecord
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.shared_work import announced


@dataclass(frozen=True)
class Permission:
    """Permissions of the user. drift: resume despite changed settings; take_over: take a run from another machine.

    sets: ``dataset.option=value``, for data that was moved.
    """

    drift: bool = False
    take_over: bool = False
    sets: Sequence[str] = ()


def resume(
    record: RunRecord, catalog: Catalog, location: StoreLocation, progress: Progress, allowed: Permission
) -> str:
    """Resume a run until it has finished; returns its id.

    Raises ConfigError with all changes that may change its numbers, unless they are accepted; BusyError if another
    process owns it; and as `qtlplat.runs.execute.execute`.
    """
    reader = Reader(location)
    if record.kind == "pretraining":
        return _resume_pretraining(record, catalog, reader, progress, allowed)
    with torch_threads(threads_again(reader, record.id)):
        prepared = prepare(stored_run(record.plan, catalog, allowed.sets), location.files)
        changes = drift(record, prepared.plan, reader)
        if not allowed.drift:
            refuse(record, changes)
        check_cells_agree(planned_rows(prepared, ()), record, reader)
        replay = replay_in(record)
        return execute(prepared, location, progress, ResumePoint(record.id, changes, allowed.take_over), replay=replay)


def _resume_pretraining(
    record: RunRecord, catalog: Catalog, reader: Reader, progress: Progress, allowed: Permission
) -> str:
    plan, specs, options = stored_pretraining(record.plan, catalog, allowed.sets)
    if plan.samples:
        raise ConfigError(
            f"pretraining {record.id} used only a part of the data, chosen by a run that has been deleted",
            where=f"run {record.id[:8]}",
            fix="run that again: it pretrains its backbones",
        )
    plan, material = prepare_pretraining(plan, specs, options, reader.location.files)
    changes = drift(record, plan, reader)
    if not allowed.drift:
        refuse(record, changes)
    split = make_split(material.images.labels, material.groups, plan.pretraining, plan.seed)
    again = ResumePoint(record.id, changes, allowed.take_over)
    with (
        working(reader.location, progress) as job,
        announced(reader.location, one_pretraining(plan), job.stop.check),
    ):
        return pretrained(job, plan, material, split, again=again).run
