"""Old names of options and commands: they work for one version, are not listed, and say the new one on stderr."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from qtlplat.cli.render.terminal import note

C = TypeVar("C", bound=Callable[..., Any])
COMMANDS = {"front": "pareto"}


def tell(old: str, new: str) -> None:
    """Say on stderr that something has another name now."""
    note(f"{old} is deprecated and will be removed in the next version: use {new}")


def old_option(old: str, new: str, parameter: str, **attributes: Any) -> Callable[[C], C]:
    """Give a command an option that stands for another one, which wins where both are given.

    Args:
        old: The option's old name.
        new: Its name.
        parameter: The parameter of the command that it sets.
        attributes: Type and kind, as of `click.option`.
    """

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
            tell(old, new)
            ctx.default_map = {**(ctx.default_map or {}), parameter: value}

    name = f"old_{parameter}"
    text = f"Deprecated: use {new}."
    return click.option(old, name, hidden=True, help=text, expose_value=False, callback=callback, **attributes)


def sets_option(command: C) -> C:
    """Give a command ``-S ROLE.OPTION=VALUE``."""
    text = "Set an option of a component or of the plan, e.g. dataset.root=PATH or head.layers=2."
    return click.option("-S", "--set", "sets", multiple=True, metavar="KEY=VALUE", help=text)(command)
