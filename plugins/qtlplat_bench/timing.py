"""Times steps of several engines in one process, in turn, so that what else the machine does meets all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROUNDS = 5  # every engine has its turn so many times
BUDGET = 3.0  # seconds for each engine, where the number of repeats is not given
FEWEST, MOST = 3, 400  # repeats that fit into the budget, at least and at most
SLOW = 10.0  # a step of so many seconds is measured once


@dataclass(frozen=True)
class Timing:
    """Seconds of one step. median; spread: interquartile range / median; repeats: how many were measured."""

    median: float
    spread: float
    repeats: int


def interleaved(steps: Mapping[str, Callable[[], object]], repeats: int | None = None) -> dict[str, Timing]:
    """Time each step `repeats` times, or as often as a few seconds allow, in rounds; by the names of the steps.

    Each step runs once untimed, to warm up. Within a round an engine repeats its step: as in training, caches are warm.
    """
    counts = {name: _count(step, repeats) for name, step in steps.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(ROUNDS):
        for name, step in steps.items():
            share = counts[name] * (number + 1) // ROUNDS - counts[name] * number // ROUNDS
            for _ in range(share):
                seconds[name].append(_seconds(step))
    return {name: summary(values) for name, values in seconds.items()}


def summary(seconds: Sequence[float]) -> Timing:
    """Median and spread of measured seconds."""
    median = statistics.median(seconds)
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else (median,) * 3
    return Timing(median, (high - low) / median, len(seconds))


def row(
    engine: str,
    timing: Timing,
    *,
    qubits: int | None,
    layers: int | None,
    batch: int,
    cells: int,
    threads: int,
    errors: tuple[float | None, float | None],
) -> dict[str, Any]:
    """A row of the fixed shape. errors: largest difference from the reference in values and in gradients."""
    return {
        "engine": engine,
        "qubits": qubits,
        "layers": layers,
        "batch": batch,
        "cells": cells,
        "threads": threads,
        "ms_per_step": 1e3 * timing.median,
        "ms_per_cell_step": 1e3 * timing.median / cells,
        "spread": timing.spread,
        "max_value_error": errors[0],
        "max_gradient_error": errors[1],
    }


def _count(step: Callable[[], object], repeats: int | None) -> int:
    """How often to measure a step, which has run when this returns."""
    first = _seconds(step)
    if repeats is not None:
        return repeats
    if first > SLOW:
        return 1
    return max(FEWEST, min(MOST, int(BUDGET / _seconds(step))))


def _seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started
