"""Runs that are done unless they are there: found by the fingerprint of their plan, waited for, or taken over.

To find one needs neither torch nor data; what trains is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtlplat.catalog.plan import RunPlan
from qtlplat.progress import Progress
from qtlplat.runs.reuse_misses import why_not_again
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import Remarks, RunRecord
from qtlplat.store.read.queries import Reader

if TYPE_CHECKING:
    from qtlplat.runs.context import ResumePoint
    from qtlplat.runs.prepare import Prepared
    from qtlplat.store.write.writer import Writer


def found(plan: RunPlan, location: StoreLocation, progress: Progress, remarks: Remarks) -> str | None:
    """The id of the finished run with a plan, which gets the tags and the note; None if there is none."""
    earlier = Reader(location).find_finished(plan.fingerprint, "run")
    if earlier is None:
        return None
    if remarks.tags or remarks.note:
        from qtlplat.store.write.writer import Writer

        with Writer(location) as writer:
            _add(writer, earlier, remarks)
    return _told(progress, earlier)


def found_or_executed(
    prepared: Prepared,
    location: StoreLocation,
    progress: Progress,
    remarks: Remarks | None = None,
    *,
    go_on: bool = False,
) -> str:
    """Return the id of the finished run with a plan, or train and store one.

    If another process is training the same plan, wait for it. If that process ends without a result, its run is
    resumed here, or trained again if it has failed or cannot be resumed without changes.

    Args:
        prepared: What is trained.
        location: The store.
        progress: Reports waiting and reuse.
        remarks: Tags and a note for the run; a run that is found gets them too.
        go_on: Also resume an interrupted run of an earlier process.
    """
    from qtlplat.runs.execute import carried_out, whole_run, working
    from qtlplat.store.write.shared_work import claimed

    remarks = remarks or Remarks()
    plan = prepared.plan
    if run := found(plan, location, progress, remarks):
        return run
    with working(location, progress) as job:

        def doing() -> RunRecord | None:
            running = job.reader.running(plan.fingerprint, "run")
            return next((run for run in running if run.replay_of is None), None)

        with claimed(location, whole_run(plan), doing, progress.note, job.stop.check) as waited:
            if earlier := job.reader.find_finished(plan.fingerprint, "run"):
                _add(job.writer, earlier, remarks)
                return _told(progress, earlier)
            again = begun(prepared, job.reader) if waited or go_on else None
            if again is None and (why := why_not_again(job.reader, plan, "run")):
                progress.note(why)
            if again:
                _add(job.writer, job.reader.run(again.run), remarks)
            return carried_out(job, prepared, again, remarks)


def begun(prepared: Prepared, reader: Reader) -> ResumePoint | None:
    """The newest interrupted run with this plan that can be resumed without changes, None if there is none."""
    from qtlplat.runs.context import ResumePoint
    from qtlplat.runs.drift import drift

    for record in reader.interrupted(prepared.plan.fingerprint, "run"):
        if not drift(record, prepared.plan, reader) and record.replay_of is None:
            return ResumePoint(record.id)
    return None


def _add(writer: Writer, run: RunRecord, remarks: Remarks) -> None:
    """Add missing tags and a note to a stored run, below its existing note."""
    if tags := [tag for tag in remarks.tags if tag not in run.tags]:
        writer.tag([run.id], tags)
    if remarks.note and remarks.note not in (run.note or ""):
        writer.note(run.id, remarks.note, append=True)


def _told(progress: Progress, run: RunRecord) -> str:
    progress.note(f"found: run {run.id} has this fingerprint, nothing was trained")
    return run.id
