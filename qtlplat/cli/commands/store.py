"""`qtlplat store`: locate and maintain the experiment store. No SQL here."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import asked_store, existing_store, name_store, other_store, print_path, tell
from qtlplat.conventions import counted
from qtlplat.errors import LockedError, StoreError

_json = click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")


@click.group("store")
def store_command() -> None:
    """Manage the store: path, check, backup, upgrade, recover, merge, gc."""


@click.command("path")
@_json
@pass_settings
def path_command(settings: Settings, as_json: bool) -> None:
    """Print the store's path, or its URL without the password, and the reason on stderr."""
    location = asked_store(settings)
    if as_json:
        write_json(
            {
                "path": location.name,
                "files": str(location.files),
                "why": location.why,
                "exists": location.backend.exists(location.path),
            }
        )
        return
    print_path(location.name)
    if location.backend.shared:
        note(f"files of runs on this machine: {location.files}")
    note(location.why if location.exists else f"{location.why}; nothing is stored there yet")


@click.command("check")
@_json
@pass_settings
def check_command(settings: Settings, as_json: bool) -> int:
    """List damage; exit with 5 if there is any.

    Checks the database's pages and references, the digests of every run's rows, the files of the runs, and remaining
    locks and incomplete files. Changes nothing. Notes on stderr list files that belong to no run; they are no damage.
    """
    from qtlplat.store.maintenance.check import Health, check
    from qtlplat.store.maintenance.findings import Finding

    location = asked_store(settings)
    try:
        health = check(existing_store(settings, "check"))
    except StoreError as error:  # nothing could be looked at: a script gets the same form as ever
        if not as_json or isinstance(error, LockedError):
            raise
        health = Health((Finding(error.what, error.where, error.fix),), ())
    rows = [{"what": p.what, "where": p.where, "fix": settings.complete(p.fix)} for p in health.problems]
    if as_json:
        write_json({"ok": not rows, "problems": rows})
    else:
        emit(
            rows,
            [Column("what", "what"), Column("where", "where"), Column("fix", "fix")],
            empty=f"{location.name}: no problems found",
        )
    for line in health.notes:
        note(line)
    return StoreError.exit_code if rows else 0


@click.command("backup")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file to write; it must not exist. Default: next to the store, with the time in its name.",
)
@pass_settings
def backup_command(settings: Settings, output: Path | None) -> None:
    """Copy the database, check the copy, and print its path.

    Other processes may write meanwhile. The copy holds every row of every run, but not the files of runs (weights,
    cached features). These never change, so any tool can copy their directory.
    """
    from qtlplat.store.backends.copies import backup

    location = existing_store(settings, "back up")
    print_path(backup(location, output))
    if location.files.is_dir():
        note(f"the files of runs are not in it: {location.files}")


@click.command("upgrade")
@pass_settings
def upgrade_command(settings: Settings) -> None:
    """Upgrade an older store to the schema of this version, after a backup in its directory."""
    from qtlplat.store.backends.bootstrap import prepare

    location = existing_store(settings, "upgrade")
    backup = prepare(location)
    name_store(location)
    note(f"upgraded; the store as it was: {backup}" if backup else "the store is up to date")


@click.command("recover")
@click.option(
    "--to", "new", required=True, metavar="NEW", help="The new store, named as with --store; it must not exist."
)
@_json
@pass_settings
def recover_command(settings: Settings, new: str, as_json: bool) -> None:
    """Copy the readable rows of a damaged store to a new one, and list the losses.

    Broken pages are skipped; contradictory rows are left out. A run with lost rows is stored as failed, with the
    reason. The damaged store does not change.
    """
    from qtlplat.store.maintenance.recover import recover

    location, place = existing_store(settings, "recover"), other_store(new, "--to")
    found = recover(location, place)
    if as_json:
        write_json(
            {
                "store": str(place.path),
                "whole": found.whole,
                "in_part": found.in_part,
                "gone": found.gone,
                "outcomes_lost": found.outcomes_lost,
                "sweeps_lost": found.sweeps_lost,
                "tables_lost": found.tables_lost,
                "rows_refused": dict(found.refused),
                "files_lost": found.files_lost,
            }
        )
        return
    print_path(place.path)
    note(f"complete runs: {len(found.whole)}")
    tell("runs in part", [f"{run} without rows of {', '.join(parts)}" for run, parts in found.in_part.items()])
    tell("runs lost", found.gone)
    tell("outcomes of reproductions lost", found.outcomes_lost)
    tell("sweeps lost", found.sweeps_lost)
    tell("tables lost", found.tables_lost)
    tell("tables with rows that contradict others", [f"{table}: {n}" for table, n in found.refused.items()])
    tell("files lost", [f"{path}: {why}" for path, why in found.files_lost.items()])


@click.command("merge")
@click.argument("other")
@click.option("--partly", is_flag=True, help="Leave out conflicting, damaged and incomplete runs, and merge the rest.")
@_json
@pass_settings
def merge_command(settings: Settings, other: str, partly: bool, as_json: bool) -> None:
    """Merge all runs that have ended, with their files, from another store.

    OTHER is named as with --store, and only read. Runs are compared by content: identical runs are skipped, except for
    missing tags and notes. If a run has other content in the two stores, nothing is merged. Runs in the trash of OTHER
    are not merged.
    """
    from qtlplat.store.maintenance.merge import merge

    location, source = asked_store(settings), other_store(other, "OTHER")
    done = merge(location, source, partly=partly)
    name_store(location)
    if as_json:
        write_json(
            {
                "store": location.name,
                "runs": done.runs,
                "outcomes": done.outcomes,
                "sweeps": done.sweeps,
                "same": done.same,
                "running": done.running,
                "trashed": done.trashed,
                "left_out": done.left_out,
                "files": done.files,
            }
        )
        return
    print_path(location.name)
    note(f"merged: {counted(len(done.runs), 'run')} with {counted(done.files, 'file')}")
    note(f"merged outcomes of reproductions: {len(done.outcomes)}, sweeps: {len(done.sweeps)}")
    if done.same:
        note(f"here already, with the same content: {len(done.same)}")
    tell("runs not merged, which have not ended", done.running)
    tell("runs not merged, because they are in the other store's trash", done.trashed)
    tell("left out", [f"{record}: {why}" for record, why in done.left_out.items()])


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="List what would be deleted.")
@click.option("--older-than", type=click.FloatRange(0, 36500), metavar="DAYS", help="Only runs trashed that long ago.")
@_json
@pass_settings
def gc_command(settings: Settings, dry_run: bool, older_than: float | None, as_json: bool) -> None:
    """Empty the trash: delete its runs permanently, and files that no run needs.

    The only command that deletes. A run that others build on stays, and so does one that was trashed while another run
    was in progress, until that run has ended. Files are weights, cached features, checkpoints and locks of deleted
    runs, and incomplete files. After an interruption, a second call deletes the rest.
    """
    from qtlplat.store.maintenance.trash import empty

    location = existing_store(settings, "empty the trash of")
    done = empty(location, older_than=timedelta(days=older_than or 0), dry_run=dry_run)
    if not dry_run:
        name_store(location)
    if as_json:
        write_json(
            {
                "store": location.name,
                "dry_run": dry_run,
                "runs": done.runs,
                "kept": done.kept,
                "files": {kind: {"number": n, "bytes": size} for kind, (n, size) in done.files.items()},
                "bytes": done.bytes,
                "outcomes": done.outcomes,
            }
        )
        return
    was = "would be deleted" if dry_run else "deleted"
    emit(
        [{"what": "runs", "number": len(done.runs), "bytes": None}]
        + [{"what": kind, "number": n, "bytes": size} for kind, (n, size) in done.files.items()],
        [Column("what", was), Column("number", "number", right=True), Column("bytes", "bytes", right=True)],
    )
    tell("runs that would be deleted" if dry_run else "runs deleted", done.runs)
    tell("runs that stay in the trash", [f"{run}: {why}" for run, why in done.kept.items()])
    if done.outcomes:
        note(f"{done.outcomes} stored outcomes of reproductions name runs that are gone; their numbers stay")


_LOOKING = (path_command, check_command, backup_command)
_CHANGING = (upgrade_command, recover_command, merge_command, gc_command)
for command in (*_LOOKING, *_CHANGING):
    store_command.add_command(add_common_options(command))
add_common_options(store_command)
