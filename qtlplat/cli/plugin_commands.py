"""Commands that plugins offer: listed by the metadata of their distributions, imported when they are named."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from qtlplat.cli.settings import Settings, add_common_options
from qtlplat.errors import ConfigError, PluginError, UsageError, escape_control, safe_repr

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from qtlplat.catalog.host import PluginStatus

GROUP = "qtlplat.commands"
LONGEST = 110  # characters of a line of help


class PluginCommand(NamedTuple):
    """A command that an entry point names. summary: a line of help."""

    point: EntryPoint
    summary: str


@cache
def plugin_commands() -> dict[str, PluginCommand]:
    """The commands of installed plugins by name, sorted; no plugin is imported.

    The line of help is the first one of the module's docstring, which is read and not executed.
    """
    from importlib.metadata import entry_points

    try:
        points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    except Exception:  # noqa: BLE001 -- damaged metadata of any distribution must not cost the others
        return {}
    return {point.name: PluginCommand(point, _summary(point)) for point in points if point.name.isprintable()}


def _summary(point: EntryPoint) -> str:
    import ast
    from importlib.machinery import PathFinder

    try:
        spec = PathFinder.find_spec(point.module.partition(".")[0])
        with open(str(spec and spec.origin), encoding="utf-8") as file:  # noqa: PTH123 -- pathlib costs start-up time
            text = ast.get_docstring(ast.parse(file.read())) or ""
    except (OSError, ValueError, SyntaxError, RecursionError):
        text = ""
    owner = point.dist.name if point.dist else point.module
    return escape_control(text.partition("\n")[0])[:LONGEST] or f"A command of {owner}."


def load_command(name: str, settings: Settings) -> click.Command:
    """The command of a plugin.

    Raises:
        UsageError: The plugin is disabled in the registry.
        PluginError: The plugin cannot be loaded, offers no such command, or what it offers is no command.
    """
    from qtlplat.catalog.host import found_plugins, is_disabled, load_plugin
    from qtlplat.catalog.plugin_calls import guarded
    from qtlplat.catalog.registry import load_registry

    point = plugin_commands()[name].point
    plugin = next((pair for pair in found_plugins() if pair[0].value == point.value), None)
    if plugin is None:
        fix = "tell its author: name the module in the entry-point group qtlplat as well"
        raise PluginError(
            f"{safe_repr(point.value)} is no plugin, command {name} cannot be loaded", where=GROUP, fix=fix
        )
    provider = plugin[1]
    try:
        disabled = load_registry(settings.registry).disabled
    except ConfigError:  # a command that reads the registry says so
        disabled = ()
    if is_disabled(provider, disabled):
        what = f"command {name} belongs to plugin {safe_repr(provider.entry_point)}, which is disabled in the registry"
        raise UsageError(what, where=provider.distribution, fix="take it off [plugins] disabled in registry.toml")
    status, specs = load_plugin(*plugin)
    spec = next((one for one in specs if one.kind == "command" and one.name == name), None)
    if spec is None:
        raise _not_offered(name, status)
    command: Any = guarded(spec.load, provider.distribution, f"loading command {name}")
    if not isinstance(command, click.Command):
        what = f"command {name} must be a click.Command, is {safe_repr(command)}"
        raise PluginError(what, where=provider.distribution, fix="return a click.Command from load")
    for one in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
        if not any("--store" in param.opts for param in one.params):
            add_common_options(one)
    return command


def _not_offered(name: str, status: PluginStatus) -> PluginError:
    from qtlplat.catalog.catalog import plugin_failure

    refused = next((one for one in status.refused if one.kind == "command"), None)
    if status.state == "failed" or refused:
        return plugin_failure(status, refused)
    what = f"plugin {safe_repr(status.name)} offers no command {name}, though its metadata says so"
    return PluginError(what, where=status.provider.distribution, fix="tell its author")
