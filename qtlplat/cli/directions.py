"""`--minimize` and `--maximize`: the direction of a metric, if its evaluator does not declare it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

C = TypeVar("C", bound=Callable[..., Any])


def direction_options(command: C) -> C:
    """Both options of a command, as the argument ``higher_is_better``: True, False, or None if none is given."""
    maximize = click.option("--maximize", "higher_is_better", flag_value=True, type=bool, help="Higher is better.")
    minimize = click.option(
        "--minimize",
        "higher_is_better",
        flag_value=False,
        type=bool,
        default=None,
        help="Lower is better, whatever the evaluator declares.",
    )
    return minimize(maximize(command))
