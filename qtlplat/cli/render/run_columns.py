"""How a run is shown in listings: its values by column, and these as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
from datetime import UTC, datetime

from qtlplat.cli.render.terminal import on_terminal
from qtlplat.conventions import LEAKAGES, ROLES, backbones_line, cells_in_words, flat_counts, short


class MeanSd(float):
    """A mean that sorts and exports as a number and knows its standard deviation (None for a single value)."""

    sd: float | None

    def __new__(cls, mean: float, sd: float | None) -> MeanSd:
        """The number and its annotation."""
        number = super().__new__(cls, mean)
        number.sd = sd
        return number


def show_mean_sd(value: MeanSd) -> str:
    """``mean ± sd`` with four digits."""
    return f"{value:.4f}" + ("" if value.sd is None else f" ± {value.sd:.4f}")


def mean_sd(spread: dict[str, Any] | None) -> MeanSd | None:
    """A metric of the short form as one value, or None if there is none."""
    return None if spread is None or spread["mean"] is None else MeanSd(spread["mean"], spread["std"])


def head_cells_in_words(run: Mapping[str, Any]) -> str:
    """How many finished cells the head of a run has, as `qtlplat.conventions.cells_in_words`."""
    return cells_in_words([(cell["backbone_index"], cell["seed"], cell["fold"]) for cell in _finished_of_head(run)])


def reach(run: Mapping[str, Any]) -> str:
    """How far the scores of a run reach, as `qtlplat.conventions.backbones_line`."""
    finished = _finished_of_head(run)
    return backbones_line([(cell["backbone_index"], cell["seed"], cell["pretraining"]) for cell in finished])


def _finished_of_head(run: Mapping[str, Any]) -> list[Any]:
    from qtlplat.store.read.serialize import head_cells

    return [cell for cell in head_cells(run["cells"]) if cell["status"] == "finished"]


def age(created: str, now: datetime | None = None) -> str:
    """How long ago a stored time is, in one unit, as in ``3 h ago``."""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(created)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now" if seconds < 10 else f"{int(seconds)} s ago"


def short_on_terminals(run_id: str) -> str:
    """A run's id for people; in full where a program may read it."""
    return short(run_id) if on_terminal() else run_id


def row(run: dict[str, Any]) -> dict[str, Any]:
    """A run's short form as values by column."""
    f1, accuracy = (mean_sd(run["metrics"].get(name)) for name in ("f1", "accuracy"))
    names: dict[str, Any] = {role: run[role] and run[role]["name"] for role in ROLES}
    return {
        **{key: run[key] for key in ("run", "kind", "status", "created", "seed", "fingerprint", "pretraining")},
        **names,
        **flat_counts(run["parameters"]),
        **{name: run[name] for name in LEAKAGES},
        "f1": f1,
        "accuracy": accuracy,
        "f1_sd": None if f1 is None else f1.sd,
        "accuracy_sd": None if accuracy is None else accuracy.sd,
        "backbones": run["backbones"] if run["kind"] == "run" else None,
        "cells": max((len(spread["values"]) for spread in run["metrics"].values()), default=0),
        "seconds": run["seconds"]["total"],
        "finished": run["finished"],
        "error": run["error"] or None,
        **{key: run[key] or None for key in ("tags", "note", "trashed")},
    }


def progress_words(progress: Mapping[str, Any]) -> str:
    """A progress, in the form of `show --json`, in words: epoch, accuracy, time left."""
    if not progress["epoch"]:
        return "before its first epoch" if progress["planned"] else "waits for its backbone"
    of = f" of {progress['epochs']}" if progress["epochs"] else ""
    parts = [f"epoch {progress['epoch']}{of}"]
    if progress["accuracy"] is not None:
        parts.append(f"accuracy {progress['accuracy']:.3f}")
    if progress["seconds_left"] is not None:
        parts.append(f"{_duration(progress['seconds_left'])} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
