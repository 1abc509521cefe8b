"""Train a head on a grid of settings, as one stored sweep.

The command `qtlplat sweep`. From the options (`grid`, `values`) follow the members (`definition`); what has become of
them is read from the store; the `coordinator` has what is missing trained by child processes (`pool`, `executor`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtlplat import CommandSpec, hookimpl

if TYPE_CHECKING:
    import click

qtlplat_api_version = (1, 0)

SUMMARY = "Train a head on a grid of settings, as one stored sweep."


def _load() -> click.Command:
    from qtlplat_sweeps.command import sweep_command

    return sweep_command


@hookimpl
def qtlplat_commands() -> list[CommandSpec]:
    """The one command."""
    return [CommandSpec(name="sweep", summary=SUMMARY, load=_load)]
