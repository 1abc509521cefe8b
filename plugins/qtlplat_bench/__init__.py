"""Measure speed and the errors of comparisons and audits, and test devices.

The command `qtlplat bench`. It measures qtlplat itself, so it is released together with it and imports modules that are
no part of the plugin API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtlplat import CommandSpec, hookimpl

if TYPE_CHECKING:
    import click

qtlplat_api_version = (1, 0)

SUMMARY = "Measure speed and the errors of comparisons and audits, and test devices."


def _load() -> click.Command:
    from qtlplat_bench.commands import bench_command

    return bench_command


@hookimpl
def qtlplat_commands() -> list[CommandSpec]:
    """The one command."""
    return [CommandSpec(name="bench", summary=SUMMARY, load=_load)]
