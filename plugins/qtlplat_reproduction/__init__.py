"""Reproduce a publication and check its claims.

The command `qtlplat reproduce`. It is released together with qtlplat and imports modules that are no part of the plugin
API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtlplat import CommandSpec, hookimpl

if TYPE_CHECKING:
    import click

qtlplat_api_version = (1, 0)


def _load() -> click.Command:
    from qtlplat_reproduction.command import reproduce_command

    return reproduce_command


@hookimpl
def qtlplat_commands() -> list[CommandSpec]:
    """The one command."""
    return [CommandSpec(name="reproduce", summary="Reproduce a publication and check its claims.", load=_load)]
