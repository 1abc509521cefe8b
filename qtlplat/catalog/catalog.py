"""Finds components by name among what the host has loaded; refuses ambiguous names. No torch, no presets here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qtlplat.catalog.host import DOCTOR, Host, PluginStatus, RefusedSpec, load_plugins
from qtlplat.catalog.provider import Component, canonical_name
from qtlplat.catalog.registry import Registry, load_registry
from qtlplat.contracts import Kind
from qtlplat.errors import PluginError, UsageError, safe_repr, unknown_name


class Catalog:
    """All available components, by kind and name. host: the loaded plugins."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def components(self, kind: Kind | None = None) -> list[Component[Any]]:
        """The components of a kind, or all; sorted by name."""
        mine = [c for c in self.host.components if kind is None or c.spec.kind == kind]
        return sorted(mine, key=lambda c: (c.spec.kind, c.spec.name, c.provider.distribution))

    def matches(self, kind: Kind, ref: str) -> list[Component[Any]]:
        """The components of a kind that ``name`` or ``dist:name`` could mean: none, one, or several."""
        distribution, name = split_reference(ref)
        return [
            c
            for c in self.components(kind)
            if c.spec.name == name and (not distribution or _same(c.provider.distribution, distribution))
        ]

    def component(self, kind: Kind, ref: str, *, also_known: Iterable[str] = ()) -> Component[Any]:
        """The component that ``name`` or ``dist:name`` means.

        also_known: further names (presets) for the message about an unknown one.

        Raises:
            UsageError: there is none of that name.
            PluginError: several distributions offer it, or the plugin that is named failed to load.
        """
        found = self.matches(kind, ref)
        if len(found) == 1:
            return found[0]
        if found:
            owners = [c.provider.distribution for c in found]
            raise PluginError(
                f"{kind} {safe_repr(ref)} is offered by {' and by '.join(owners)}",
                where=f"{kind} {safe_repr(ref)}",
                fix=f"write {' or '.join(f'{owner}:{ref}' for owner in owners)}",
            )
        raise self._missing(kind, ref, also_known)

    def failure(self, ref: str, kind: Kind | None = None) -> PluginError | None:
        """The error for the broken plugin or spec that ``name`` or ``dist:name`` points to, if it points to one.

        kind: of the spec; None for any.
        """
        distribution, name = split_reference(ref)
        for plugin in self.host.plugins:
            mine = not distribution or _same(plugin.provider.distribution, distribution)
            for spec in plugin.refused:
                meant = spec.name == name or (distribution and not spec.name)  # it may be one without a sound name
                if mine and meant and kind in (None, spec.kind):
                    return plugin_failure(plugin, spec)
            if plugin.state == "failed" and mine and (distribution or plugin.name == name):
                return plugin_failure(plugin)
        return None

    def hints(self) -> list[str]:
        """Plugins that are not loaded, or not completely, and might hold a missing component, one line each."""
        return [
            f"plugin {safe_repr(p.name)} of {p.provider.distribution} might hold it, but {_why(p)}"
            for p in self.host.plugins
            if p.state != "loaded" or p.refused
        ]

    def _missing(self, kind: Kind, ref: str, also_known: Iterable[str]) -> PluginError | UsageError:
        broken = self.failure(ref, kind)
        if broken:
            return broken
        names = {c.spec.name for c in self.components(kind)} | set(also_known)
        distribution, name = split_reference(ref)
        if distribution:
            owners = {p.provider.distribution for p in self.host.plugins}
            if not any(_same(distribution, owner) for owner in owners):
                return UsageError(
                    unknown_name("distribution", distribution, owners),
                    where=f"{kind} {safe_repr(ref)}",
                    fix="qtlplat plugins list",
                )
            names = {c.spec.name for c in self.components(kind) if _same(c.provider.distribution, distribution)}
        return UsageError(unknown_name(kind, name, names, notes=self.hints()), fix=f"qtlplat ls {kind}s")


def open_catalog(registry_file: str | None = None, cwd: Path | None = None) -> tuple[Registry, Catalog]:
    """The registry for this place and the components of all plugins that it leaves enabled.

    registry_file: `--registry`, or None; cwd: by default the working directory. Raises ConfigError as `load_registry`;
    what a broken plugin deserves is in `catalog.host.warnings()`.
    """
    registry = load_registry(registry_file, cwd)
    return registry, Catalog(load_plugins(registry.disabled))


def plugin_failure(plugin: PluginStatus, spec: RefusedSpec | None = None) -> PluginError:
    """The error for a broken plugin that was named, or for one spec of it."""
    what = (
        f"{spec.kind} {safe_repr(spec.name)} cannot be used"
        if spec
        else f"plugin {safe_repr(plugin.name)} failed to load"
    )
    return PluginError(
        f"{what}: {spec.reason if spec else plugin.reason}",
        where=f"distribution {plugin.provider.distribution} {plugin.provider.version}, module {plugin.provider.module}",
        fix=plugin.fix or DOCTOR,
    )


def split_reference(ref: str) -> tuple[str, str]:
    """``dist:name`` -> (dist, name); ``name`` -> ('', name)."""
    distribution, colon, name = ref.rpartition(":")
    return (distribution, name) if colon else ("", ref)


def _why(plugin: PluginStatus) -> str:
    if plugin.state == "disabled":
        return "is disabled in the registry"
    return f"failed to load: {plugin.reason}" if plugin.state == "failed" else plugin.refused[0].reason


def _same(one: str, other: str) -> bool:
    return canonical_name(one) == canonical_name(other)
