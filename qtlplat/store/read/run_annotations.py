"""What people say of runs, at any time: tags, a note, whether it lies in the trash. Checked, read and written here."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from qtlplat.errors import UsageError, safe_repr
from qtlplat.store.core import rows, schema
from qtlplat.store.core.dialect import among
from qtlplat.store.core.records import Remarks

if TYPE_CHECKING:
    from qtlplat.store.read.queries import Reader

LONGEST_TAG = 60  # characters
MOST_TAGS = 100  # of one run
LONGEST_NOTE = 10_000  # characters
_BESIDE_LETTERS = "_-.:/"

# The condition of every list of runs, and of whatever is found by content: what lies in the trash counts for nothing.
LISTED = ~select(schema.trash.c.run_id).where(schema.trash.c.run_id == schema.runs.c.id).exists()


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
    """A note as it is stored, without blanks at its end. Raises UsageError where it is empty, too long, or no text."""
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
    ids = among(json.dumps(list(run_ids)))
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


def all_tags(reader: Reader) -> list[TagCount]:
    """Every tag of runs outside of the trash, in alphabetical order."""
    tags, runs = schema.tags.c, schema.runs
    query = select(tags.tag, func.count(), func.max(tags.since)).join_from(schema.tags, runs, runs.c.id == tags.run_id)
    query = query.where(LISTED).group_by(tags.tag).order_by(tags.tag)
    return [TagCount(*row) for row in reader.read(lambda connection: connection.execute(query).all()) or ()]


def add_tags(connection: Connection, run: str, tags: Iterable[str]) -> None:
    """Give a run tags that it may have already. Raises UsageError where it would have too many."""
    table = schema.tags
    there = set(connection.execute(select(table.c.tag).where(table.c.run_id == run)).scalars())
    new = [tag for tag in checked_tags(tags) if tag not in there]
    if len(there) + len(new) > MOST_TAGS:
        raise UsageError(f"run {run} would have more than {MOST_TAGS} tags", fix=f"qtlplat tag {run[:8]} --remove TAG")
    rows.insert_all(connection, table, run, [{"tag": tag, "since": rows.now()} for tag in new])


def remove_tags(connection: Connection, run: str, tags: Iterable[str]) -> set[str]:
    """Take tags from a run; returns those that it had."""
    table, had = schema.tags, set()
    for tag in checked_tags(tags):
        if connection.execute(delete(table).where(table.c.run_id == run, table.c.tag == tag)).rowcount:
            had.add(tag)
    return had


def note_of(connection: Connection, run: str) -> str | None:
    """The note on a run."""
    found: str | None = connection.execute(select(schema.notes.c.text).where(schema.notes.c.run_id == run)).scalar()
    return found


def set_note(connection: Connection, run: str, text: str | None, *, append: bool = False) -> str | None:
    """Note something on a run, or take its note away (None); returns the note that it has now.

    append: below the note that it has, if it has one.
    """
    table = schema.notes
    same = table.c.run_id == run
    if text is None:
        connection.execute(delete(table).where(same))
        return None
    before = note_of(connection, run)
    text = checked_note(f"{before}\n{text}" if append and before else text)
    if connection.execute(update(table).where(same).values(text=text, since=rows.now())).rowcount == 0:
        rows.insert_all(connection, table, run, [{"text": text, "since": rows.now()}])
    return text


def take_over(ours: Connection, theirs: Connection, ids: Collection[str]) -> None:
    """Take over tags and notes of another store, of runs that both have; a note that is here stays as it is."""
    here, there = of_runs(ours, ids), of_runs(theirs, ids)
    for run, said in there.items():
        own = here.get(run, Remarks())
        add_tags(ours, run, said.tags)
        if own.note is None and said.note is not None:
            set_note(ours, run, said.note)


def put_away(connection: Connection, run: str) -> bool:
    """Put a run into the trash; returns whether it was not there."""
    table = schema.trash
    if connection.execute(select(table.c.run_id).where(table.c.run_id == run)).first() is not None:
        return False
    connection.execute(insert(table).values(run_id=run, since=rows.now()))
    return True


def take_out(connection: Connection, run: str) -> bool:
    """Take a run out of the trash; returns whether it was there."""
    return bool(connection.execute(delete(schema.trash).where(schema.trash.c.run_id == run)).rowcount)
