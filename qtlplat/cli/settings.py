"""What every command takes: store, registry, how much to say; accepted before and after the command's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import click

C = TypeVar("C", bound=click.Command)


@dataclass
class Settings:
    """Options common to all commands. store, registry: as typed, or None; verbosity: -1 quiet, 0, 1, ..."""

    store: str | None = None
    registry: str | None = None
    verbosity: int = 0
    debug: bool = False


pass_settings = click.make_pass_decorator(Settings, ensure=True)


def _keep(name: str) -> Any:
    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        if value is not None and value is not False and value != 0:
            setattr(ctx.ensure_object(Settings), name, value)
        return value

    return callback


def _quieter(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Settings).verbosity = -1


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
            help="Use this registry.toml instead of the shipped one and your own.",
        ),
        click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, callback=_quieter, help="No progress."),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_keep("verbosity"),
            help="Say more: the plan with all options.",
        ),
        click.Option(["--debug"], is_flag=True, expose_value=False, callback=_keep("debug"), help="Show tracebacks."),
    ]
    return command
