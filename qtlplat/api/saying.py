"""Saying something of stored runs: tags and notes, whatever their status."""

from __future__ import annotations

from qtlplat.store.location import StoreLocation
from qtlplat.store.records import Remarks, RunRecord
from qtlplat.store.writer import Writer


def say_too(location: StoreLocation, found: RunRecord, remarks: Remarks) -> None:
    """Give a run that was found what was to be said of it; what is noted on it stays above.

    Raises UsageError for what is no tag or note.
    """
    tags = [tag for tag in remarks.tags if tag not in found.tags]
    text = remarks.note if remarks.note and remarks.note not in (found.note or "") else None
    if tags or text:
        with Writer(location) as writer:
            writer.tag([found.id], tags)
            if text:
                writer.note(found.id, text, append=True)
