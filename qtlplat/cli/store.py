"""`qtlplat store`: where the experiment store lies, and bringing an older one up to date. No SQL here."""

from __future__ import annotations

import click

from qtlplat.cli.output import note, write_json
from qtlplat.cli.settings import Settings, add_common_options, pass_settings


@click.group("store")
def store_command() -> None:
    """Find the experiment store, or upgrade an older one."""


@click.command("path")
@click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
@pass_settings
def path_command(settings: Settings, as_json: bool) -> None:
    """Print the store's path; why it is that one goes to stderr."""
    from qtlplat.store.location import find_store

    location = find_store(settings.store)
    if as_json:
        write_json(
            {
                "path": str(location.path),
                "files": str(location.files),
                "why": location.why,
                "exists": location.exists,
            }
        )
        return
    click.echo(str(location.path))
    note(location.why if location.exists else f"{location.why}; nothing is stored there yet")


@click.command("upgrade")
@pass_settings
def upgrade_command(settings: Settings) -> None:
    """Bring an older store to the schema of this version, after a backup beside it."""
    from qtlplat.errors import UsageError
    from qtlplat.store.database import prepare
    from qtlplat.store.location import find_store

    location = find_store(settings.store)
    if not location.exists:
        raise UsageError("there is no store to upgrade", where=f"{location.path} ({location.why})")
    backup = prepare(location)
    note(f"upgraded; the store as it was: {backup}" if backup else "the store is up to date")


for command in (path_command, upgrade_command):
    store_command.add_command(add_common_options(command))
add_common_options(store_command)
