"""Commands that plugins offer: listed by the metadata of their distributions, imported when they are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.settings import Settings, add_common_options
from qtlplat.errors import ConfigError, PluginError, UsageError, escape_control, safe_repr

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from qtlplat.catalog.host import PluginStatus
    from qtlplat.catalog.provider import Provider

GROUP = "qtlplat.commands"
OWN = "qtlplat"  # the distribution whose commands win
LONGEST = 110  # characters of a line of help


@dataclass(frozen=True)
class PluginCommand:
    """A command. points: the entry points that name it, those of qtlplat first."""

    points: tuple[EntryPoint, ...]

    @property
    def distribution(self) -> str:
        """The first distribution that offers it; '' if that is unknown."""
        return _distribution(self.points[0])

    @cached_property
    def summary(self) -> str:
        """A line of help: the first one of the module's docstring, which is read and not executed."""
        return _summary(self.points[0])


@cache
def plugin_commands() -> dict[str, PluginCommand]:
    """The commands of installed plugins by name, sorted; no plugin is imported."""
    from importlib.metadata import entry_points

    try:
        points = sorted(entry_points(group=GROUP), key=lambda p: (p.name, _distribution(p) != OWN, _distribution(p)))
    except Exception:  # noqa: BLE001 -- damaged metadata of any distribution must not cost the others
        return {}
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in points:
        if point.name.isprintable():
            found[point.name] = (*found.get(point.name, ()), point)
    return {name: PluginCommand(mine) for name, mine in found.items()}


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else ""


def _summary(point: EntryPoint) -> str:
    import ast
    from importlib.machinery import PathFinder

    try:
        spec, path = None, None
        for name in point.module.split("."):
            spec = PathFinder.find_spec(name, path)
            path = spec.submodule_search_locations if spec else []
        with open(str(spec and spec.origin), encoding="utf-8") as file:  # noqa: PTH123 -- pathlib costs start-up time
            text = ast.get_docstring(ast.parse(file.read())) or ""
    except (OSError, ValueError, SyntaxError, RecursionError):
        text = ""
    return escape_control(text.partition("\n")[0])[:LONGEST] or f"A command of {_distribution(point) or point.module}."


def load_command(name: str, settings: Settings) -> click.Command:
    """The command of a plugin.

    Raises:
        UsageError: The plugin is disabled in the registry.
        PluginError: The plugin cannot be loaded, offers no such command, or what it offers is no command; or several
            distributions offer it, none of them qtlplat.
    """
    from qtlplat.catalog.host import is_disabled, load_plugin
    from qtlplat.catalog.plugin_calls import guarded
    from qtlplat.catalog.registry import load_registry

    plugins = [_plugin(point) for point in plugin_commands()[name].points]
    try:
        disabled = load_registry(settings.registry).disabled
    except ConfigError:  # a command that reads the registry says so
        disabled = ()
    enabled = [plugin for plugin in plugins if not is_disabled(plugin[1], disabled)]
    plugin = (enabled or plugins)[0]
    provider = plugin[1]
    if not enabled:
        what = f"command {name} belongs to plugin {safe_repr(provider.entry_point)}, which is disabled in the registry"
        raise UsageError(what, where=provider.distribution, fix="take it off [plugins] disabled in registry.toml")
    if len(enabled) > 1 and provider.distribution != OWN:
        raise _ambiguous(name, [one for _, one in enabled])
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


def _plugin(point: EntryPoint) -> tuple[EntryPoint, Provider]:
    """The plugin of a command: its own module, or the package that the command's module is in."""
    from qtlplat.catalog.host import found_plugins

    for plugin in found_plugins():
        mine = plugin[1].distribution == _distribution(point)
        if mine and f"{point.module}.".startswith(f"{plugin[1].module}."):
            return plugin
    what = f"{safe_repr(point.value)} is no plugin, command {point.name} cannot be loaded"
    fix = "tell its author: name the module in the entry-point group qtlplat as well"
    raise PluginError(what, where=GROUP, fix=fix)


def _ambiguous(name: str, providers: Sequence[Provider]) -> PluginError:
    owners = [one.distribution for one in providers]
    others = [f"{one.distribution}:{one.entry_point}" for one in providers[1:]]
    what = f"command {name} is offered by {' and by '.join(owners)}"
    fix = f"uninstall one, or write disabled = {others} below [plugins] in .qtlplat/registry.toml"
    return PluginError(what, where=GROUP, fix=fix)


def _not_offered(name: str, status: PluginStatus) -> PluginError:
    from qtlplat.catalog.catalog import plugin_failure

    refused = next((one for one in status.refused if one.kind == "command"), None)
    if status.state == "failed" or refused:
        return plugin_failure(status, refused)
    what = f"plugin {safe_repr(status.name)} offers no command {name}, though its metadata says so"
    return PluginError(what, where=status.provider.distribution, fix="tell its author")
