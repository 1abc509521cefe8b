"""Finds plugins, loads each in its own try, verifies what it offers; the only user of pluggy. No torch here.

Entry points are loaded by our own loop: pluggy's loader has no try per plugin, and one broken wheel would stop
every command.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, distributions
from typing import Any, Literal, TypeGuard

import pluggy

from qtlplat import hookspecs
from qtlplat.catalog import returned
from qtlplat.catalog.contained import contained
from qtlplat.catalog.provider import Component, Provider, canonical_name
from qtlplat.catalog.verify import SPECS, spec_problem
from qtlplat.contracts import API_VERSION, KINDS, Kind
from qtlplat.errors import PluginError, describe_exception, safe_repr
from qtlplat.hookspecs import Spec

DOCTOR = "qtlplat plugins doctor"
_API = ".".join(map(str, API_VERSION))


@dataclass(frozen=True)
class RefusedSpec:
    """A spec that is left out alone. name: '' if it has none; reason: what is wrong with it."""

    kind: Kind
    name: str
    reason: str


@dataclass(frozen=True)
class PluginStatus:
    """The state of a plugin. reason: why not loaded; hook: which hook failed; fix: what to do about it.

    refused: of a plugin that was loaded, the specs that cannot be used; warnings: about its API version, and what its
    import warned about.
    """

    name: str
    provider: Provider
    state: Literal["loaded", "failed", "disabled"]
    reason: str = ""
    hook: str = ""
    fix: str = ""
    refused: tuple[RefusedSpec, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Host:
    """All components of all plugins that could be loaded, and the fate of every plugin."""

    components: tuple[Component[Any], ...]
    plugins: tuple[PluginStatus, ...]

    @property
    def failed(self) -> list[PluginStatus]:
        """The plugins that could not be loaded."""
        return [p for p in self.plugins if p.state == "failed"]

    def warnings(self) -> list[str]:
        """One line for each broken plugin, and for each spec that is left out, for stderr."""
        broken = [
            *((f"plugin {p.name!r}", p, p.reason) for p in self.failed),
            *(
                (f"{one.kind} {safe_repr(one.name)}" if one.name else f"one {one.kind}", p, one.reason)
                for p in self.plugins
                for one in p.refused
            ),
        ]
        return [
            f"warning: {what} of {p.provider.distribution} is left out: {reason} (see: {DOCTOR})"
            for what, p, reason in broken
        ]


def found_plugins() -> list[tuple[EntryPoint, Provider]]:
    """The entry points of all installed plugins, sorted; reads metadata, imports no plugin.

    A distribution whose metadata cannot be read offers nothing: it is no reason to lose the others. Of two with one
    name the first one on the path counts, as for imports.
    """
    found: dict[str, list[tuple[EntryPoint, Provider]]] = {}
    for distribution in distributions():
        try:
            points = distribution.entry_points.select(group=hookspecs.ENTRY_POINT_GROUP)
            if not points:
                continue
            owner, version = distribution.name or "unknown", distribution.version or ""
        except Exception:  # noqa: BLE001 -- any damage to somebody's metadata
            continue
        mine = [(p, Provider(owner, version, p.name, p.value.partition(":")[0].strip())) for p in points]
        found.setdefault(canonical_name(owner), mine)
    plugins = (pair for mine in found.values() for pair in mine)
    return sorted(plugins, key=lambda pair: (pair[1].distribution, pair[1].entry_point))


def is_disabled(provider: Provider, disabled: Collection[str]) -> bool:
    """Whether a registry's list switches a plugin off, by entry-point name or as ``distribution:name``."""
    return bool({provider.entry_point, _plugin_name(provider)} & set(disabled))


def load_plugins(disabled: Collection[str] = ()) -> Host:
    """Load every installed plugin that is not disabled and collect what it offers.

    disabled: names of entry points, or ``distribution:name``; they are not even imported.
    Nothing that a plugin does wrong is raised: it is recorded, and that plugin offers nothing.
    """
    components: list[Component[Any]] = []
    statuses: list[PluginStatus] = []
    for point, provider in found_plugins():
        if is_disabled(provider, disabled):
            statuses.append(PluginStatus(point.name, provider, "disabled", "disabled in the registry"))
            continue
        status, specs = load_plugin(point, provider, components)
        statuses.append(status)
        components += [Component(spec, provider) for spec in specs]
    return Host(tuple(components), tuple(statuses))


def load_plugin(
    point: EntryPoint, provider: Provider, others: Sequence[Component[Any]] = ()
) -> tuple[PluginStatus, list[Spec]]:
    """Load one plugin. others: components that were loaded before; a name that its distribution repeats is left out."""
    heard: list[str] = []
    refused: list[RefusedSpec] = []
    taken = {(c.spec.kind, c.spec.name) for c in others if c.provider.distribution == provider.distribution}
    try:
        with _contained():
            module = _import(point, heard)
            specs = _without_repeats(_admit(module, _plugin_name(provider), refused), taken, refused)
            heard += _newer(getattr(module, "qtlplat_api_version", None))
    except _RefusedError as error:
        fix = error.fix or (
            f"upgrade or uninstall {provider.distribution}, or write disabled = [{safe_repr(point.name)}] below "
            "[plugins] in .qtlplat/registry.toml"
        )
        status = PluginStatus(point.name, provider, "failed", error.reason, error.hook, fix, warnings=tuple(heard))
        return status, []
    return PluginStatus(point.name, provider, "loaded", refused=tuple(refused), warnings=tuple(heard)), specs


def offered_specs(plugin: object, name: str) -> list[Spec]:
    """What a plugin object (usually a module) offers, verified as at loading; for conformance suites.

    Raises PluginError saying what is wrong with it, or with one of its specs.
    """
    refused: list[RefusedSpec] = []
    try:
        with _contained():
            specs = _admit(plugin, name, refused)
        if refused:
            raise PluginError(refused[0].reason, where=name, fix="correct the spec")
        return specs
    except _RefusedError as refused:
        where = f"{name}.{refused.hook}" if refused.hook else name
        raise PluginError(refused.reason, where=where, fix=refused.fix) from refused


class _RefusedError(Exception):
    def __init__(self, reason: str, *, hook: str = "", fix: str = "") -> None:
        super().__init__(reason)
        self.reason, self.hook, self.fix = reason, hook, fix


def _plugin_name(provider: Provider) -> str:
    return f"{provider.distribution}:{provider.entry_point}"


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """A plugin's code runs inside; what it changes for good costs the plugin."""
    try:
        with contained():
            yield
    except PluginError as error:
        raise _RefusedError(error.what, fix=error.fix) from error
    except _RefusedError:
        raise
    except Exception as error:  # even handling its errors failed, as with builtins that it replaced
        raise _RefusedError(f"it breaks Python: {describe_exception(error, 80)}") from error


@contextlib.contextmanager
def _refusing(doing: str, hook: str = "") -> Iterator[None]:
    """Reject a plugin whose code raises, without affecting others; for use inside of `contained`."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, _RefusedError):
            raise
        raise _RefusedError(f"{doing} {describe_exception(error, 80)}", hook=hook) from error


def _import(point: EntryPoint, heard: list[str]) -> object:
    with _refusing(f"{safe_repr(point.value)} cannot be imported:"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # a warning turned into an error must not cost the plugin
        try:
            return point.load()
        finally:
            heard += [f"{w.category.__name__}: {safe_repr(str(w.message))}" for w in caught]


def _admit(plugin: object, name: str, refused: list[RefusedSpec]) -> list[Spec]:
    """Register a plugin, verify its hooks, call each of them, check what came back; bad specs are added to the list."""
    manager = _empty_manager()
    with _refusing("qtlplat_api_version cannot be read:"):
        _check_api_version(getattr(plugin, "qtlplat_api_version", None))
    try:
        with _refusing("cannot be registered:"):
            manager.register(plugin, name)
        with _refusing("its hooks cannot be read:"):
            _check_hooks(manager, plugin)
        return [spec for kind in KINDS for spec in _call(manager, plugin, kind, refused)]
    finally:
        if manager.has_plugin(name):
            manager.unregister(name=name)


@functools.cache
def _empty_manager() -> pluggy.PluginManager:
    """Knows the hooks; holds one plugin at a time, while that is asked."""
    manager = pluggy.PluginManager(hookspecs.ENTRY_POINT_GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _check_api_version(version: object) -> None:
    if version is None:
        raise _RefusedError(
            "does not say which API it was written for", fix=f"write qtlplat_api_version = {API_VERSION} in its module"
        )
    if not _is_version(version):
        raise _RefusedError(
            f"its API version {safe_repr(version)} must be (major, minor)",
            fix=f"write qtlplat_api_version = {API_VERSION}",
        )
    if version[0] != API_VERSION[0]:
        raise _RefusedError(
            f"was written for API version {version[0]}.{version[1]}, this qtlplat has {_API}",
            fix="install a version of the plugin that fits this qtlplat, or the other way round",
        )


def _is_version(version: object) -> TypeGuard[tuple[int, int]]:
    return type(version) is tuple and len(version) == 2 and all(type(part) is int and part >= 0 for part in version)


def _newer(version: object) -> list[str]:
    """A note on a plugin that was written for a later minor version of this API: it is still loaded."""
    if not _is_version(version) or version <= API_VERSION:
        return []
    return [f"it was written for API version {version[0]}.{version[1]}, this qtlplat has {_API}: upgrade qtlplat"]


def _check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    known = sorted(hookspecs.HOOKS.values())
    for caller in manager.get_hookcallers(plugin) or []:
        optional = all(i.optionalhook for i in caller.get_hookimpls() if i.plugin is plugin)
        if not caller.has_spec() and not optional:
            near = get_close_matches(caller.name, known, n=1, cutoff=0.4)
            hint = f"rename it to {near[0]}" if near else f"the hooks are {', '.join(known)}"
            raise _RefusedError(f"there is no hook {safe_repr(caller.name)}", hook=caller.name, fix=hint)
    implemented = {caller.name for caller in manager.get_hookcallers(plugin) or []}
    for hook in known:
        if hook not in implemented and callable(getattr(plugin, hook, None)):
            raise _RefusedError(f"{hook} is not marked as a hook", hook=hook, fix=f"write @hookimpl above {hook}")


def _call(manager: pluggy.PluginManager, plugin: object, kind: Kind, refused: list[RefusedSpec]) -> list[Spec]:
    hook = hookspecs.HOOKS[kind]
    if hook not in {caller.name for caller in manager.get_hookcallers(plugin) or []}:
        return []
    with _refusing(f"{hook} raised", hook):
        answers = getattr(manager.hook, hook)()
        # pluggy drops an answer of None.
        answer = answers[0] if answers else None
        if not isinstance(answer, list | tuple):
            raise _RefusedError(f"{hook} must return a list of specs, returned {safe_repr(answer)}", hook=hook)
        specs = returned.series(answer, "specs")
    plain = []
    for spec in specs:
        one, problem = spec, ""
        try:
            with _refusing(f"a spec that {hook} returned cannot be read:", hook):
                one = next((returned.plain(spec, sort, hook) for sort in SPECS[kind] if isinstance(spec, sort)), spec)
                problem = spec_problem(one, kind)
        except _RefusedError as error:
            problem = error.reason
        if problem:
            name = getattr(one, "name", "") if isinstance(one, SPECS[kind]) else ""
            reason = f"{hook} returned a bad spec: {problem}"
            refused.append(RefusedSpec(kind, name if type(name) is str else "", reason))
        else:
            plain.append(one)
    return plain


def _without_repeats(specs: Sequence[Spec], taken: set[tuple[str, str]], refused: list[RefusedSpec]) -> list[Spec]:
    """The specs but for repeated names: `dist:name` could not tell the specs of one distribution apart."""
    kept = []
    for spec in specs:
        if (spec.kind, spec.name) in taken:
            refused.append(RefusedSpec(spec.kind, spec.name, f"{spec.kind} {spec.name!r} is offered twice: rename one"))
        else:
            kept.append(spec)
        taken.add((spec.kind, spec.name))
    return kept
