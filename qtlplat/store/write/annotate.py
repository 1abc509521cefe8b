"""Tags, notes and the trash of runs: what changes them, in a transaction of the caller."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection

from qtlplat.errors import UsageError
from qtlplat.store.core import schema
from qtlplat.store.core.records import Remarks
from qtlplat.store.read.run_annotations import MOST_TAGS, checked_note, checked_tags, note_of, of_runs
from qtlplat.store.write import rows


def add_tags(connection: Connection, run: str, tags: Iterable[str]) -> None:
    """Give a run tags that it may have already. Raises UsageError if it would have too many."""
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
