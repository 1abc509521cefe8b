"""Select the stored runs that can be resumed, without importing torch."""

from __future__ import annotations

from qtlplat.errors import UsageError
from qtlplat.runs.stored_weights import checked_weights, pretraining_of
from qtlplat.store.core.records import RunRecord
from qtlplat.store.read.queries import Reader

RESUMABLE = ("interrupted", "failed")


def refuse_replay(record: RunRecord, reader: Reader, *, heads_only: bool) -> None:
    """Refuse a replay of a run that has not finished, or of heads whose backbones are not stored.

    Raises:
        UsageError: The run has not finished, or has no heads.
        StoreError, UntrustedError: As `checked_weights`.
    """
    if record.status != "finished":
        fix = f"resume it: qtlplat resume {record.id[:8]}" if record.status != "running" else "wait for it"
        raise UsageError(f"run {record.id} is {record.status}: it has no results to compare with", fix=fix)
    if record.kind == "pretraining" and heads_only:
        raise UsageError("a pretraining has no heads", where="--heads-only", fix="leave it out, or name a run")
    if heads_only:
        fix = f"train the backbones, too: qtlplat replay {record.id[:8]}"
        for source in dict.fromkeys(pretraining_of(record, cell) for cell in reader.cells(record.id)):
            checked_weights(reader, source, fix)


def what_to_resume(reader: Reader, run_id: str) -> RunRecord:
    """The run to resume if this one is requested: itself, or the run that a pretraining was made for.

    Raises UsageError if it has finished, or is in the trash.
    """
    record = reader.run(run_id)
    _refuse_trash(record)
    if record.status == "finished":
        raise UsageError(f"run {run_id} is finished", fix=f"show it: qtlplat show {run_id[:8]}")
    owner = None if record.made_for is None else _known(reader, record.made_for)
    if owner is None:
        return record
    _refuse_trash(owner)
    if owner.status not in (*RESUMABLE, "running"):
        raise UsageError(
            f"pretraining {run_id} was made for run {owner.id}, which is {owner.status}: nothing needs it any more",
            fix=f"show that run: qtlplat show {owner.id[:8]}",
        )
    return owner


def _refuse_trash(record: RunRecord) -> None:
    if record.trashed:
        fix = f"restore it first: qtlplat rm --restore {record.id[:8]}"
        raise UsageError(f"run {record.id} is in the trash since {record.trashed}", fix=fix)


def _known(reader: Reader, run_id: str) -> RunRecord | None:
    """A run, or None if it has been deleted."""
    try:
        return reader.run(run_id)
    except UsageError:
        return None


def all_interrupted(reader: Reader) -> list[RunRecord]:
    """All interrupted runs, oldest first.

    Pretrainings that were made for a run are left out: that run resumes them, or they are not needed any more.
    """
    return [record for record in reader.interrupted() if record.made_for is None][::-1]
