"""`qtlplat resume`: resume interrupted runs. No SQL here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qtlplat.cli.renamed import sets_option
from qtlplat.cli.render.columns import write_json
from qtlplat.cli.render.terminal import note, say
from qtlplat.cli.settings import Settings, add_common_options, pass_settings, store_patience, suggest
from qtlplat.cli.stores import asked_store, name_store
from qtlplat.errors import QtlplatError, UsageError

if TYPE_CHECKING:
    from qtlplat.store.core.records import RunRecord
    from qtlplat.store.read.queries import Reader


@click.command("resume")
@click.argument("run", required=False)
@click.option("--all", "everything", is_flag=True, help="Every run that was interrupted, oldest first.")
@click.option(
    "--allow-drift",
    is_flag=True,
    help="Resume although data, code, versions or threads have changed; the changes are stored with the run.",
)
@click.option("--take-over", is_flag=True, help="Take the run from another machine, whose process is gone.")
@sets_option
@store_patience
@click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
@pass_settings
def resume_command(
    settings: Settings,
    /,
    run: str | None,
    everything: bool,
    allow_drift: bool,
    take_over: bool,
    sets: tuple[str, ...],
    as_json: bool,
) -> int:
    """Resume an interrupted run, bit for bit.

    The run continues after its last stored epoch and ends with the same bits as an uninterrupted run. If settings that
    affect the numbers have changed, they are listed and the run is not resumed. Resuming a pretraining resumes the run
    that needs it. Without RUN: the interrupted run, if there is only one.
    """
    from qtlplat.cli.components import open_components
    from qtlplat.cli.render.progress import make_progress
    from qtlplat.runs.cleanup import remove_leftovers
    from qtlplat.runs.resumable import all_interrupted, what_to_resume
    from qtlplat.store.read.queries import Reader

    location = asked_store(settings)
    reader = Reader(location)
    progress = make_progress(settings.verbosity)
    chosen = [] if run is None else [reader.resolve(run)]
    if run is not None and everything:
        raise UsageError("a run and --all are both given", fix="leave one of them out")
    reader.runs(limit=1)  # a store that cannot be used is refused before any work
    records = [what_to_resume(reader, one) for one in chosen] if chosen else all_interrupted(reader)
    if not chosen and not everything:
        records = _the_only(records)
    remove_leftovers(location)
    ended, first = [], None
    if records:
        with progress.stage("loading torch", 1) as stage:
            from qtlplat.runs.resume import Permission, resume

            stage.advance()
        _, catalog = open_components(settings)
        allowed = Permission(allow_drift, take_over, sets)
    for record in records:
        try:
            ended.append(resume(record, catalog, location, progress, allowed))
        except QtlplatError as error:
            if not everything:
                raise
            first = first or error
            for line in (f"run {record.id} was not resumed", *error.lines()):
                note(line)
    if ended:
        name_store(location)
    _print(reader, ended, as_json)
    if not records and not as_json:
        note("no run was interrupted")
    return first.exit_code if first else 0


add_common_options(resume_command)


def _the_only(records: list[RunRecord]) -> list[RunRecord]:
    if len(records) > 1:
        lines = [f"  {record.id}  {record.kind}  {record.created}" for record in records]
        raise UsageError(
            "\n".join([f"{len(records)} runs were interrupted", *lines]), fix="name one of them, or add --all"
        )
    return records


def _print(reader: Reader, runs: list[str], as_json: bool) -> None:
    from qtlplat.cli.commands.show import read_run
    from qtlplat.cli.render.show_tables import cells
    from qtlplat.store.read.serialize import short_form

    if as_json:
        write_json([short_form(reader.run(run)) for run in runs])
        return
    for run in runs:
        found = read_run(reader, run)
        say(f"run {run}  {found['kind']}  {found['status']}")
        cells(found)
        say("next:", suggest(f"  qtlplat show {run[:8]}"))
