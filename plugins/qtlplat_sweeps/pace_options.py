"""The options that say how fast members are trained, for every command that trains them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

C = TypeVar("C", bound=Callable[..., Any])
_OPTIONS = (
    click.option(
        "-j", "--workers", type=click.IntRange(1, 1024), default=1, show_default=True, metavar="N",
        help="Train so many members at a time, each in a process of its own.",
    ),
    click.option(
        "--threads", type=click.IntRange(1, 1024), default=1, show_default=True, metavar="N",
        help="Threads of torch in each process.",
    ),
    click.option(
        "--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
        help="End a member that takes longer. Default: none.",
    ),
    click.option(
        "--memory-limit", type=click.FloatRange(0, min_open=True), metavar="GB",
        help="End a member that needs more. Default: nine tenths of the machine's, divided by -j.",
    ),
)  # fmt: skip


def pace_options(command: C) -> C:
    """Give a command ``-j``, ``--threads``, ``--time-limit`` and ``--memory-limit``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
