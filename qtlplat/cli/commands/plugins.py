"""`qtlplat plugins`: list installed plugins (without importing them), and diagnose them."""

from __future__ import annotations

from typing import Any

import click

from qtlplat.catalog.host import Host, PluginStatus, found_plugins, is_disabled, load_plugins
from qtlplat.catalog.registry import load_registry
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.conventions import counted
from qtlplat.errors import PluginError

_LIST_COLUMNS = (
    Column("name", "plugin"),
    Column("provider", "provider"),
    Column("version", "version"),
    Column("module", "module"),
    Column("state", "state"),
)
_DOCTOR_COLUMNS = (
    Column("name", "plugin"),
    Column("provider", "provider"),
    Column("version", "version"),
    Column("state", "state"),
    Column("components", "components"),
    Column("reason", "reason"),
    Column("fix", "fix"),
)


@click.group("plugins", invoke_without_command=True)
@click.pass_context
def plugins_command(ctx: click.Context) -> None:
    """List plugins, or diagnose them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command)


@plugins_command.command("list")
@listing_options
@pass_settings
def list_command(settings: Settings, listing: Listing) -> None:
    """List the installed plugins; none of them is imported."""
    disabled = load_registry(settings.registry).disabled
    rows = [
        {
            "name": provider.entry_point,
            "provider": provider.distribution,
            "version": provider.version,
            "module": provider.module,
            "state": "disabled" if is_disabled(provider, disabled) else "installed",
        }
        for _, provider in found_plugins()
    ]
    emit(rows, _LIST_COLUMNS, listing, json_rows=rows, empty="no plugins are installed")


@plugins_command.command("doctor")
@listing_options
@pass_settings
def doctor_command(settings: Settings, listing: Listing) -> int:
    """Load every plugin and list its components, or its errors with a fix; exit with 4 if any failed."""
    host = load_plugins(load_registry(settings.registry).disabled)
    rows = [_diagnosis(host, plugin) for plugin in host.plugins]
    emit(rows, _DOCTOR_COLUMNS, listing, json_rows=rows, empty="no plugins are installed")
    for line in sorted({line for row in rows for line in row["clashes"]}):
        note(f"note: {line}")
    broken = [plugin for plugin in host.plugins if plugin.state == "failed" or plugin.refused]
    if broken:
        note(f"{counted(len(broken), 'plugin')} failed to load, or in part")
    return PluginError.exit_code if broken else 0


for command in (plugins_command, list_command, doctor_command):
    add_common_options(command)


def _diagnosis(host: Host, plugin: PluginStatus) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "provider": plugin.provider.distribution,
        "version": plugin.provider.version,
        "module": plugin.provider.module,
        "state": "incomplete" if plugin.refused else {"loaded": "ok"}.get(plugin.state, plugin.state),
        "components": [f"{c.spec.kind} {c.spec.name}" for c in host.components if c.provider == plugin.provider],
        "reason": "; ".join([plugin.reason] if plugin.reason else [spec.reason for spec in plugin.refused]),
        "hook": plugin.hook,
        "fix": plugin.fix,
        "warnings": list(plugin.warnings),
        "clashes": _clashes(host, plugin),
    }


def _clashes(host: Host, plugin: PluginStatus) -> list[str]:
    """Names that other distributions offer, too: no failure, but only `dist:name` finds them."""
    lines = []
    for mine in (c.spec for c in host.components if c.provider == plugin.provider):
        owners = [
            c.provider.distribution for c in host.components if (c.spec.kind, c.spec.name) == (mine.kind, mine.name)
        ]
        if len(owners) > 1:
            ways = " or ".join(f"{owner}:{mine.name}" for owner in owners)
            lines.append(f"{mine.kind} {mine.name!r} is offered by {' and '.join(owners)}: write {ways}")
    return lines
