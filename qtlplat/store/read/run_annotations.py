"""What people say of runs, at any time: tags, a note, whether it lies in the trash. Checked and read here."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.engine import Connection

from qtlplat.errors import UsageError, safe_repr
from qtlplat.store.core import schema
from qtlplat.store.core.dialect import among
from qtlplat.store.core.records import Remarks
from qtlplat.store.read.access import Access

LONGEST_TAG = 60  # characters
MOST_TAGS = 100  # of one run
LONGEST_NOTE = 10_000  # characters
_BESIDE_LETTERS = "_-.:/"

# The condition of every list of runs, and of whatever is found by content: what lies in the trash counts for nothing.
LISTED: ColumnElement[bool] = schema.runs.c.id.not_in(select(schema.trash.c.run_id))


@dataclass(frozen=True)
class TagCount:
    """A tag, how many runs outside of the trash have it, and since when the newest of them has. since: UTC."""

    tag: str
    runs: int
    since: str


def checked_tags(tags: Iterable[str]) -> list[str]:
    """Tags in the form in which they are stored, each once. Raises UsageError for one that is none."""
    return list(dict.fromkeys(map(_checked_tag, tags)))


def _checked_tag(tag: str) -> str:
    text = unicodedata.normalize("NFC", tag)  # the same word, typed on another keyboard
    sound = all(c.isalnum() or c in _BESIDE_LETTERS for c in text) and text[:1].isalnum()
    if not sound or len(text) > LONGEST_TAG:
        raise UsageError(
            f"{safe_repr(tag)} is no tag",
            fix=f"letters, digits and any of {_BESIDE_LETTERS!r}, a letter or digit first, at most {LONGEST_TAG}",
        )
    return text


def checked_note(text: str) -> str:
    """A note as it is stored, without blanks at its end. Raises UsageError if it is empty, too long, or no text."""
    found = text.rstrip()
    if not found:
        raise UsageError("the note is empty", fix="take a note away with: qtlplat note RUN --clear")
    if len(found) > LONGEST_NOTE:
        raise UsageError(f"the note has {len(found)} characters", fix=f"shorten it to {LONGEST_NOTE}")
    if "\0" in found or any("\ud800" <= c <= "\udfff" for c in found):
        raise UsageError(f"the note holds characters that are no text: {safe_repr(found)}", fix="leave them out")
    return found


def of_runs(connection: Connection, run_ids: Collection[str]) -> dict[str, Remarks]:
    """What is said of runs, by id, of those of which something is."""
    ids = among(run_ids)
    tags, notes, trash = schema.tags.c, schema.notes.c, schema.trash.c
    tagged: dict[str, list[str]] = {}
    for run, tag in connection.execute(_of(tags.run_id, tags.tag, ids).order_by(tags.run_id, tags.tag)):
        tagged.setdefault(run, []).append(tag)
    noted = _pairs(connection, _of(notes.run_id, notes.text, ids))
    trashed = _pairs(connection, _of(trash.run_id, trash.since, ids))
    return {
        run: Remarks(tuple(tagged.get(run, ())), noted.get(run), trashed.get(run))
        for run in {**tagged, **noted, **trashed}
    }


def _of(run_id: Any, value: Any, ids: Select[Any]) -> Select[Any]:
    return select(run_id, value).where(run_id.in_(ids))


def _pairs(connection: Connection, query: Select[Any]) -> dict[str, str]:
    return dict(tuple(row) for row in connection.execute(query))


def all_tags(reader: Access) -> list[TagCount]:
    """Every tag of runs outside of the trash, in alphabetical order."""
    tags, runs = schema.tags.c, schema.runs
    query = select(tags.tag, func.count(), func.max(tags.since)).join_from(schema.tags, runs, runs.c.id == tags.run_id)
    query = query.where(LISTED).group_by(tags.tag).order_by(tags.tag)
    return [TagCount(*row) for row in reader.read(lambda connection: connection.execute(query).all()) or ()]


def note_of(connection: Connection, run: str) -> str | None:
    """The note on a run."""
    found: str | None = connection.execute(select(schema.notes.c.text).where(schema.notes.c.run_id == run)).scalar()
    return found
