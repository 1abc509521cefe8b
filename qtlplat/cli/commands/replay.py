"""`qtlplat replay RUN`: repeat a stored run and check that the results match. No SQL here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qtlplat.cli.renamed import sets_option
from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import clean, note, say
from qtlplat.cli.settings import Settings, add_common_options, pass_settings, store_patience, suggest
from qtlplat.cli.stores import asked_store, name_store
from qtlplat.conventions import short

if TYPE_CHECKING:
    from qtlplat.runs.replay import Outcome
    from qtlplat.store.read.queries import Reader

CONTRADICTED = 9  # the exit code where what is stored does not come out again
SAID = {
    "bitwise": "bitwise the same",
    "tolerance": "the same within the tolerance",
    "not repeatable": "other numbers, as expected: its shots cannot be repeated",
    "different": "different",
}


@click.command("replay")
@click.argument("reference", metavar="RUN")
@click.option("--verify", is_flag=True, help="Compare epochs, metrics, predictions and weights with the stored ones.")
@click.option("--heads-only", is_flag=True, help="Train only the heads, from the stored weights of the backbones.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    metavar="X",
    help="With --verify: the largest accepted difference. Default: 0.01.",
)
@sets_option
@store_patience
@click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
@pass_settings
def replay_command(
    settings: Settings,
    /,
    reference: str,
    verify: bool,
    heads_only: bool,
    tolerance: float | None,
    sets: tuple[str, ...],
    as_json: bool,
) -> int:
    """Repeat a stored run and check that the results match.

    The replay is a new run, linked to the original. Nothing is reused: backbones are pretrained again, features
    computed again. With --verify it exits with 0 if everything is bitwise equal or within the tolerance, else with 9.
    RUN is the beginning of its id, @last, @-2 (the one before the last), @best:f1 or @tag:paper.
    """
    from qtlplat.catalog.reopen import stored_pretraining, stored_run
    from qtlplat.cli.components import open_components
    from qtlplat.cli.render.progress import make_progress
    from qtlplat.runs.resumable import refuse_replay
    from qtlplat.store.read.queries import Reader

    location = asked_store(settings)
    reader = Reader(location)
    record = reader.run(reader.resolve(reference))
    refuse_replay(record, reader, heads_only=heads_only)
    _, catalog = open_components(settings)
    (stored_run if record.kind == "run" else stored_pretraining)(record.plan, catalog, sets)  # refused before any work
    progress = make_progress(settings.verbosity)
    with progress.stage("loading torch", 1) as stage:
        from qtlplat.runs.numeric_agreement import TOLERANCE
        from qtlplat.runs.replay import hold_against, replay

        stage.advance()
    again = replay(record, catalog, location, progress, sets=sets, heads_only=heads_only)
    name_store(location)
    if not verify:
        _print_run(reader, again, as_json)
        return 0
    outcome = hold_against(reader, record.id, again, TOLERANCE if tolerance is None else tolerance)
    if as_json:
        write_json(outcome.form())
    else:
        _print_outcome(outcome)
    return CONTRADICTED if outcome.verdict == "different" else 0


add_common_options(replay_command)


def _print_run(reader: Reader, run: str, as_json: bool) -> None:
    from qtlplat.cli.commands.show import read_run
    from qtlplat.cli.render.show_tables import cells
    from qtlplat.store.read.serialize import short_form

    if as_json:
        write_json(short_form(reader.run(run)))
        return
    found = read_run(reader, run)
    say(f"run {run}  {found['kind']}  {found['status']}")
    cells(found, every=False)
    say("next:", suggest(f"  qtlplat show {short(run)}"))


def _print_outcome(outcome: Outcome) -> None:
    rows = [vars(part) for part in outcome.parts]
    columns = (
        Column("name", "what"),
        Column("compared", "compared", right=True),
        Column("unequal", "unequal", right=True),
        Column("largest", "largest difference", right=True, show=lambda value: f"{value:.3g}"),
        Column("place", "where"),
    )
    emit(rows, columns)
    said = SAID[outcome.verdict]
    if outcome.verdict == "tolerance":
        said += f" of {outcome.tolerance:g}"
    say("", f"replay {outcome.replay} of {outcome.run}: {said}")
    say(f"why: {clean(outcome.why)}")
    note(f"next: qtlplat show {short(outcome.replay)}   qtlplat diff {short(outcome.run)} {short(outcome.replay)}")
