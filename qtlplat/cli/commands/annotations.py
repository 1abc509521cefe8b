"""`qtlplat tag`, `note` and `rm`: what people say of runs, and putting them into the trash. No SQL here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.run_columns import age, short_on_terminals
from qtlplat.cli.render.terminal import note, say
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import name_store, opened
from qtlplat.conventions import counted, short
from qtlplat.errors import UsageError, safe_repr, unknown_name

if TYPE_CHECKING:
    from qtlplat.store.read.queries import Reader
    from qtlplat.store.write.writer import Writer

_json = click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
_TAGS = (Column("tag", "tag"), Column("runs", "runs", right=True), Column("since", "last given"))


@click.command("tag")
@click.argument("references", metavar="[RUN]...", nargs=-1)
@click.option("--add", "-a", multiple=True, metavar="TAG", help="Add this tag (repeatable).")
@click.option("--remove", "-r", multiple=True, metavar="TAG", help="Remove this tag (repeatable).")
@listing_options
@pass_settings
def tag_command(
    settings: Settings,
    references: tuple[str, ...],
    add: tuple[str, ...],
    remove: tuple[str, ...],
    listing: Listing,
) -> None:
    """Add tags to runs, or remove them; without RUN, list all tags.

    A tag is a word of at most 60 letters, digits and _ - . : /, and begins with a letter or digit. Without --add and
    --remove, the tags of the runs are shown. Runs in the trash are not counted.
    """
    from qtlplat.store.read.run_annotations import all_tags, checked_tags

    reader = opened(settings)
    add, remove = tuple(checked_tags(add)), tuple(checked_tags(remove))
    if not references:
        if add or remove:
            raise UsageError("no run is named", where="qtlplat tag", fix="qtlplat tag @last --add paper")
        rows = [vars(one) for one in all_tags(reader)]
        when = Column("since", "last given", show=age) if sys.stdout.isatty() else _TAGS[2]
        emit(rows, (*_TAGS[:2], when), listing, empty="no run has a tag; give one: qtlplat tag @last --add paper")
        return
    if both := sorted({*add} & {*remove}):
        raise UsageError(f"tag {safe_repr(both[0])} is both added and removed", fix="leave one of them out")
    runs = _resolved(reader, references)
    if add or remove:
        before = reader.remarks(runs)
        there = {tag for said in before.values() for tag in said.tags}
        for unknown in [tag for tag in remove if tag not in there]:
            raise UsageError(unknown_name("tag of these runs", unknown, there), fix=f"qtlplat tag {short(runs[0])}")
        with _writer(reader) as writer:
            writer.tag(runs, add, remove)
    after = reader.remarks(runs)
    emit(
        [{"run": run, "tags": list(after[run].tags)} for run in runs],
        (Column("run", "run", show=short_on_terminals), Column("tags", "tags")),
        listing,
    )


@click.command("note")
@click.argument("reference", metavar="RUN")
@click.argument("text", required=False)
@click.option("--append", is_flag=True, help="Add TEXT below the existing note.")
@click.option("--edit", is_flag=True, help="Write the note in your editor (VISUAL or EDITOR).")
@click.option("--clear", is_flag=True, help="Delete the note.")
@_json
@pass_settings
def note_command(
    settings: Settings, reference: str, text: str | None, append: bool, edit: bool, clear: bool, as_json: bool
) -> None:
    """Write a note on a run, or print it.

    A run has one note of at most 10,000 characters. TEXT replaces it; with --append it is added below.
    """
    reader = opened(settings)
    if edit + clear + (text is not None) > 1:
        raise UsageError("TEXT, --edit and --clear exclude each other", where="qtlplat note", fix="leave one out")
    if append and text is None:
        raise UsageError("--append needs a text", where="qtlplat note", fix="qtlplat note @last 'seen again' --append")
    run = reader.resolve(reference)
    if edit:
        before = reader.remarks([run])[run].note or ""
        edited = _edited(before)
        if edited is None or edited.strip() == before.strip():
            note("the note was not changed")
        else:
            text, clear = edited, not edited.strip()
    if clear or text is not None:
        from qtlplat.store.read.run_annotations import checked_note

        new = None if clear or text is None else checked_note(text)
        with _writer(reader) as writer:
            writer.note(run, new, append=append)
    found = reader.remarks([run])[run].note
    if as_json:
        write_json({"run": run, "note": found})
    elif found is None:
        note(f"no note on run {run}")
    else:
        for line in found.split("\n"):
            say(line)


def _edited(text: str) -> str | None:
    """The text as changed in an editor; None if it was not saved.

    Raises:
        UsageError: If there is no editor, or it fails.
    """
    try:
        return click.edit(text, require_save=True)
    except (click.ClickException, ValueError) as error:  # ValueError: quotes that do not close, bytes that are no text
        named = next((name for name in ("VISUAL", "EDITOR") if os.environ.get(name)), "")
        raise UsageError(
            f"the note could not be edited: {safe_repr(str(error))}",
            where=f"{named}={safe_repr(os.environ[named])}" if named else "VISUAL and EDITOR are not set",
            fix="name an editor, as in EDITOR=nano, or give the text: qtlplat note RUN 'TEXT'",
        ) from error


@click.command("rm")
@click.argument("references", metavar="RUN...", nargs=-1, required=True)
@click.option("--restore", is_flag=True, help="Restore the runs from the trash.")
@_json
@pass_settings
def rm_command(settings: Settings, references: tuple[str, ...], restore: bool, as_json: bool) -> None:
    """Move runs to the trash, or restore them; nothing is deleted.

    Runs in the trash are not listed, not counted by @last, and not reused by `run --reuse`; runs that build on them do
    not change. `qtlplat runs --trash` lists the trash, `qtlplat store gc` empties it. A run whose process is alive is
    refused.
    """
    reader = opened(settings)
    runs = _resolved(reader, references)
    with _writer(reader) as writer:
        changed = writer.restore(runs) if restore else writer.trash(runs)
    said = reader.remarks(runs)
    if as_json:
        write_json([{"run": run, "trashed": said[run].trashed, "changed": run in changed} for run in runs])
        return
    for run in runs:
        where = "is not in the trash" if restore else f"is in the trash since {said[run].trashed}"
        done = "was restored from the trash" if restore else "was moved to the trash"
        note(f"run {run} {done if run in changed else where}")
        if not restore and (children := _listed(reader, reader.children(run))):
            builders = f"{counted(len(children), 'run')} ({', '.join(map(short, children[:3]))})"
            note(f"  built on by {builders}: store gc will keep it")
    if changed and not restore:
        note(f"to restore: qtlplat rm --restore {' '.join(map(short, changed[:6]))}{' ...' if changed[6:] else ''}")


def _listed(reader: Reader, runs: list[str]) -> list[str]:
    said = reader.remarks(runs)
    return [run for run in runs if said[run].trashed is None]


@contextmanager
def _writer(reader: Reader) -> Iterator[Writer]:
    """Who writes to the store that was asked for, which is named when it is written."""
    from qtlplat.store.write.writer import Writer

    with Writer(reader.location) as writer:
        yield writer
    name_store(reader.location)


def _resolved(reader: Reader, references: tuple[str, ...]) -> list[str]:
    """Ids of the runs that are meant, each once."""
    return list(dict.fromkeys(reader.resolve(reference) for reference in references))


_commands: tuple[Any, ...] = (tag_command, note_command, rm_command)
for _command in _commands:
    add_common_options(_command)
