"""What every command takes: store, registry, how much to say; accepted before and after the command's name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from qtlplat.command_hints import completed
from qtlplat.errors import UsageError

C = TypeVar("C", bound=click.Command)


@dataclass
class Settings:
    """Options common to all commands. store, registry: as named, or None; verbosity: -1 quiet, 0, 1, ...

    store_patience: seconds that a server that is away is retried for, None if not asked for.

    sources: by name of those, what it was named by: the option's own name, or that of the environment variable.
    """

    store: str | None = None
    registry: str | None = None
    verbosity: int = 0
    debug: bool = False
    store_patience: float | None = None
    sources: dict[str, str] = field(default_factory=dict)

    def complete(self, text: str) -> str:
        """The text, in which every command of qtlplat names the store and the registry that options have named.

        What an environment variable named, the command that is typed next finds again.
        """
        if "qtlplat " not in text:
            return text
        from qtlplat.store.backends.address import printable

        typed = {name for name, source in self.sources.items() if source.startswith("-")}
        return completed(
            text,
            store=printable(self.store) if self.store and "store" in typed else "",
            registry=self.registry if self.registry and "registry" in typed else "",
        )


pass_settings = click.make_pass_decorator(Settings, ensure=True)


def suggest(text: str) -> str:
    """The text, in which every command names the store and the registry of the command that is running."""
    ctx = click.get_current_context(silent=True)
    settings = ctx.find_object(Settings) if ctx else None
    return settings.complete(text) if settings else text


def _keep(name: str, value_of: Any = None) -> Any:
    """A callback that keeps an option's value in `Settings`, unless a more explicit source has given one.

    The groups before a command are parsed first, so a later option beats an earlier one. click reads the environment
    variable again for every group and command: it counts only as long as no option was given.
    """

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        settings, source = ctx.ensure_object(Settings), ctx.get_parameter_source(param.name or "")
        typed = settings.sources.get(name, "").startswith("-")
        if source is ParameterSource.COMMANDLINE or (source is ParameterSource.ENVIRONMENT and not typed):
            if value == "":
                what = f"'' names no {name}"
                raise UsageError(what, where=param.opts[0], fix=f"name one, or leave {param.opts[0]} out")
            setattr(settings, name, value_of(value) if value_of else value)
            settings.sources[name] = param.opts[0] if source is ParameterSource.COMMANDLINE else str(param.envvar)
        return value

    return callback


def _keep_patience(ctx: click.Context, _param: click.Parameter, value: float | None) -> None:
    ctx.ensure_object(Settings).store_patience = value


# of commands that train
store_patience = click.option(
    "--store-patience",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    expose_value=False,
    callback=_keep_patience,
    help="How long to retry a PostgreSQL server that is away, while training continues; then the run is interrupted. "
    "Default: QTLPLAT_STORE_PATIENCE, or 600.",
)


def add_common_options(command: C) -> C:
    """Give a command --store, --registry, -q, -v and --debug; they end up in `Settings`."""
    command.params += [
        click.Option(
            ["--store"],
            metavar="PATH|URL",
            envvar="QTLPLAT_STORE",
            expose_value=False,
            callback=_keep("store"),
            help="The experiment store: a file, or postgresql://USER@HOST/DATABASE. Default: QTLPLAT_STORE, a .qtlplat "
            "directory here or above, the user's data directory.",
        ),
        click.Option(
            ["--registry"],
            metavar="FILE",
            envvar="QTLPLAT_REGISTRY",
            expose_value=False,
            callback=_keep("registry"),
            help="Use this registry.toml instead of the shipped one and your own. Default: QTLPLAT_REGISTRY.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_keep("verbosity", lambda _value: -1),
            help="Print no progress.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_keep("verbosity"),
            help="Print more: the plan with all options.",
        ),
        click.Option(["--debug"], is_flag=True, expose_value=False, callback=_keep("debug"), help="Show tracebacks."),
    ]
    return command
