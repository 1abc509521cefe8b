"""`qtlplat sweep list`, `status`, `show`, `retry` and `rm`: what is stored of sweeps. No SQL here."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click

from qtlplat.cli.components import open_components
from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.progress import make_progress
from qtlplat.cli.render.terminal import clean, note, say
from qtlplat.cli.settings import Settings, pass_settings, store_patience, suggest
from qtlplat.cli.stores import existing_store, opened
from qtlplat.command_hints import shell_word
from qtlplat.conventions import counted
from qtlplat.errors import BusyError, UsageError
from qtlplat_sweeps.pace_options import pace_options

if TYPE_CHECKING:
    from qtlplat.store.core.sweep_records import MemberState, SweepRecord
    from qtlplat.store.read.queries import Reader

MOST_FAILURES = 20
_json = click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")


def _found(reader: Reader, name: str) -> tuple[SweepRecord, list[MemberState]]:
    from qtlplat.store.read.sweeps import member_states, named_sweep

    sweep = named_sweep(reader, name)
    return sweep, member_states(reader, sweep)


@click.command("list")
@listing_options
@pass_settings
def list_command(settings: Settings, /, listing: Listing) -> None:
    """List the stored sweeps, newest first."""
    from qtlplat.analysis.sweep_points import counts
    from qtlplat.store.read.sweeps import member_states, sweeps

    reader = opened(settings)
    rows = [
        {
            "name": sweep.content.name,
            "id": sweep.id,
            "created": sweep.created,
            **counts(member_states(reader, sweep)),
            "varies": ", ".join(sweep.content.definition.get("axes", {})),
        }
        for sweep in sweeps(reader)
    ]
    shown = ("name", "members", "finished", "failed", "missing", "varies", "created")
    numbers = ("members", "finished", "failed", "missing")
    emit(rows, [Column(key, key, right=key in numbers) for key in shown], listing, json_rows=rows, empty="no sweeps")


@click.command("status")
@click.argument("name")
@_json
@pass_settings
def status_command(settings: Settings, /, name: str, as_json: bool) -> None:
    """Show how far a sweep is: what is running, and what has failed why."""
    from qtlplat.analysis.sweep_points import counts
    from qtlplat.store.read.progress import progress

    reader = opened(settings)
    sweep, states = _found(reader, name)
    known = counts(states)
    running = [one for one in states if one.state == "running" and one.run]
    failed = [one for one in states if one.state in ("failed", "killed")]
    at_work = progress(reader, reader.several([one.run for one in running if one.run]))
    if as_json:
        write_json(
            {
                "sweep": sweep.content.name,
                "id": sweep.id,
                "created": sweep.created,
                "definition": sweep.content.definition,
                **known,
                "running": [
                    {"point": one.member.point, "run": one.run, "progress": at_work[one.run].form()}
                    for one in running
                    if one.run in at_work
                ],
                "failures": [
                    {"point": one.member.point, "member": one.member.position, "state": one.state,
                     "tries": len(one.failures), "error": one.failures[-1].error, "log": one.failures[-1].log}
                    for one in failed
                ],
            }
        )  # fmt: skip
        return
    told = ", ".join(f"{number} {state}" for state, number in known.items())
    say(f"sweep {clean(sweep.content.name)}, stored {sweep.created[:16]}: {told}")
    for axis, values in sweep.content.definition.get("axes", {}).items():
        say(f"  {clean(axis)}: {clean(', '.join(map(str, values)))}")
    _tell_running(running)
    _tell_failed(reader, failed)
    word = shell_word(sweep.content.name)
    if known["missing"]:
        say(suggest(f"continue it: qtlplat sweep {word}"))
    if failed:
        say(suggest(f"try the failed ones again: qtlplat sweep retry {word}"))


def _tell_running(running: list[MemberState]) -> None:
    from qtlplat_sweeps.coordinator import named

    for one in running:
        say(clean(f"running: {named(one.member)}, run {one.run}"))


def _tell_failed(reader: Reader, failed: list[MemberState]) -> None:
    from qtlplat_sweeps.coordinator import named

    for one in failed[:MOST_FAILURES]:
        last = one.failures[-1]
        tries = f" {len(one.failures)} times" if len(one.failures) > 1 else ""
        say(clean(f"{one.state}{tries}: {named(one.member)}: {last.error.splitlines()[0] if last.error else ''}"))
        if last.log:
            say(clean(f"  log: {reader.location.files / last.log}"))
    if len(failed) > MOST_FAILURES:
        say(f"and {len(failed) - MOST_FAILURES} more")


@click.command("show")
@click.argument("name")
@click.option("--metric", default="f1", metavar="NAME", show_default=True, help="A metric, mean over cells.")
@click.option("--over", "over", metavar="A,B", help="Average over these, e.g. seed.")
@click.option("--pivot", "pivoted", metavar="A,B", help="A table of these two; averages over everything else.")
@listing_options
@pass_settings
def show_command(
    settings: Settings, /, name: str, metric: str, over: str | None, pivoted: str | None, listing: Listing
) -> None:
    """Show the members of a sweep with their scores, or a table of two axes.

    The score is a mean over the cells of the head, ± their sample standard deviation. With --over it is the mean over
    members, and the deviation is between them. Members that are missing or have failed are rows too.
    """
    from qtlplat.analysis.sweep_points import averaged, axes_of, full_name
    from qtlplat_sweeps import tables

    reader = opened(settings)
    sweep, states = _found(reader, name)
    rows = tables.stored_rows(reader, states, metric)
    axes = axes_of(sweep.content.definition, rows)
    if pivoted:
        both = [full_name(one.strip(), axes, "--pivot") for one in pivoted.split(",")]
        if over:
            raise UsageError("--pivot averages over everything else", where="--over", fix="leave --over out")
        if len(both) != 2 or both[0] == both[1]:
            raise UsageError("a table has two axes", where="--pivot", fix=f"--pivot {','.join(axes[:2]) or 'A,B'}")
        table, columns, told = tables.pivot(rows, both[0], both[1], metric)
        emit(table, columns, listing, json_rows=averaged(rows, [a for a in axes if a not in both], metric))
        if listing.fmt != "json":
            note(told)
        return
    if over is None:
        emit(tables.flat(rows, axes, metric), tables.columns(axes, metric), listing, json_rows=rows)
        return
    dropped = [full_name(one.strip(), axes, "--over") for one in over.split(",") if one.strip()]
    found = averaged(rows, dropped, metric)
    left = [axis for axis in axes if axis not in dropped]
    emit(tables.flat_averages(found, left, metric), tables.average_columns(left, metric), listing, json_rows=found)


@click.command("retry")
@click.argument("name")
@pace_options
@store_patience
@_json
@pass_settings
def retry_command(
    settings: Settings,
    /,
    name: str,
    workers: int,
    threads: int,
    time_limit: float | None,
    memory_limit: float | None,
    as_json: bool,
) -> int:
    """Try the failed members of a sweep again, and train what is missing."""
    from qtlplat.store.read.sweeps import member_states
    from qtlplat.store.write.writer import Writer
    from qtlplat_sweeps.asked import Asked, stored, wanted
    from qtlplat_sweeps.definition import Kitchen
    from qtlplat_sweeps.training import Limits, train

    location = existing_store(settings, "retry")
    reader = opened(settings)
    registry, catalog = open_components(settings)
    kitchen = Kitchen(registry, catalog, location, make_progress(settings.verbosity))
    sweep = stored(reader, wanted(reader, Asked(name, {}), kitchen, None))  # the cause may have been fixed in the code
    failed = [one.member.position for one in member_states(reader, sweep) if one.failures]
    with Writer(reader.location) as writer:
        writer.forget_failures(sweep.id, failed)
    return train(settings, sweep, reader, Limits(workers, threads, time_limit, memory_limit), as_json)


@click.command("rm")
@click.argument("name")
@pass_settings
def rm_command(settings: Settings, /, name: str) -> None:
    """Delete a sweep from the list, with its logs; its runs stay, and are found again by content."""
    from qtlplat.store.read.sweeps import member_states, named_sweep
    from qtlplat.store.write.writer import Writer

    location = existing_store(settings, "change")
    reader = opened(settings)
    sweep = named_sweep(reader, name)
    if running := [one for one in member_states(reader, sweep) if one.state == "running"]:
        raise BusyError(
            f"sweep {sweep.content.name} is being trained: run {running[0].run}",
            where=location.name,
            fix="stop it first, or wait for it",
        )
    with Writer(location) as writer:
        writer.remove_sweep(sweep.id)
    shutil.rmtree(location.files / "logs" / sweep.id, ignore_errors=True)
    runs = counted(len(sweep.content.members), "member")
    note(f"sweep {sweep.content.name} is no longer listed; the runs of its {runs} stay")
