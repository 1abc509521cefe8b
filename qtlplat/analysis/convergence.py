"""Whether heads were trained to the end, from the epochs and the candidates that a run has stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import fmean
from typing import Any

from qtlplat.conventions import share_of

SHARE = 5  # the last fifth of the epochs is compared with the fifth before it
AT_THE_END = "the best of the grid is at its end"
FALL = 0.01  # in nats: training whose loss still falls by more has not converged


@dataclass(frozen=True)
class Unconverged:
    """Why the training of a variant counts as not converged.

    Attributes:
        fall: By how much the training loss still fell within the last `epochs` epochs, in nats; None for a tuned
            variant, of which half of the cells or more chose the most epochs that were tried.
        epochs: Within how many, or the most that were tried.
    """

    fall: float | None
    epochs: int

    @property
    def why(self) -> str:
        """In words, without naming the variant."""
        if self.fall is None:
            return f"best after the most epochs that were tried, {self.epochs}"
        return f"training loss fell by {self.fall:.3f} nats in the last {self.epochs} epochs"


def unconverged(run: Mapping[str, Any]) -> dict[str, Unconverged]:
    """The variants of a run that have not converged, by name.

    A variant that was trained by epochs without tuning has not if its training loss still falls by more than `FALL`;
    one that was tuned has not if half of its cells or more chose the most epochs that were tried.

    Args:
        run: As of `convergence_lines`.
    """
    if tuning := run["plan"].get("tuning"):
        most = tuning["epochs"]
        ones = chosen(run).items()
        return {name: Unconverged(None, most) for name, cells in ones if _most(c["epochs"] == most for c in cells)}
    found = falls(run["cells"], run["epochs"]).items()
    return {name: Unconverged(fall, epochs) for name, (fall, epochs) in found if fall > FALL}


def falls(cells: Sequence[Mapping[str, Any]], epochs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, int]]:
    """By how much the training loss still fell, by variant: mean over its finished cells, and over how many epochs.

    The fall is from the mean of the fifth of the epochs before the last one to that of the last one, in nats. Variants
    that were trained for less than ten epochs or on a part of their samples, or have no training loss, are left out.

    Args:
        cells: As `cell_form` gives them.
        epochs: As `epoch_form` gives them.
    """
    losses: dict[int, list[float]] = {}
    for epoch in sorted(epochs, key=lambda one: int(one["epoch"])):
        if "train_loss" in epoch:
            losses.setdefault(epoch["cell"], []).append(epoch["train_loss"])
    found: dict[str, list[tuple[float, int]]] = {}
    for cell in cells:
        curve = losses.get(cell["position"], [])
        n = len(curve) // SHARE
        if cell["status"] == "finished" and n >= 2 and share_of(cell["variant"]) == 1:
            found.setdefault(cell["variant"], []).append((fmean(curve[-2 * n : -n]) - fmean(curve[-n:]), n))
    return {name: (fmean(fall for fall, _ in ones), max(n for _, n in ones)) for name, ones in found.items()}


def convergence_lines(run: Mapping[str, Any]) -> list[str]:
    """What a reader must know of a run's training, in words; nothing if all of it has converged.

    Args:
        run: With "kind", "plan", "cells", "epochs" and "candidates", as `show --json` has them.
    """
    if run["kind"] != "run":
        return []
    if tuning := run["plan"].get("tuning"):
        return _edges(run, tuning)
    still = unconverged(run)
    if not still:
        return []
    n = max(one.epochs for one in still.values())
    by = ", ".join(f"{name} {one.fall:.3f}" for name, one in still.items())
    return [
        f"not converged: the training loss fell by more than {FALL:g} nats within the last {n} epochs ({by}); "
        "train longer with --epochs, or let --tune choose"
    ]


def best_candidates(candidates: Iterable[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """The one with the lowest loss, by cell; of equal ones the first of the grid, as the lowest learning rate.

    Args:
        candidates: With "cell", "number" and "loss", in nats, None if training diverged.
    """
    best: dict[int, Mapping[str, Any]] = {}
    for one in sorted((one for one in candidates if one["loss"] is not None), key=itemgetter("loss", "number")):
        best.setdefault(one["cell"], one)
    return best


def chosen(run: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The candidate that each cell was trained with, by variant; run: as of `convergence_lines`."""
    best = best_candidates(run["candidates"])
    found: dict[str, list[Mapping[str, Any]]] = {}
    for cell in run["cells"]:
        if cell["position"] in best:
            found.setdefault(cell["variant"], []).append(best[cell["position"]])
    return found


def _edges(run: Mapping[str, Any], tuning: Mapping[str, Any]) -> list[str]:
    """Where a better candidate may lie beyond the grid: half of a variant's cells or more chose its end."""
    rates = tuning["learning_rates"]
    ends = {
        f"the lowest learning rate, {rates[0]:g}": lambda one: one["learning_rate"] == rates[0],
        f"the highest learning rate, {rates[-1]:g}": lambda one: one["learning_rate"] == rates[-1],
        f"the most epochs, {tuning['epochs']}": lambda one: one["epochs"] == tuning["epochs"],
    }
    by_variant, tried = chosen(run), grids(run)
    lines = []
    for end, is_there in ends.items():
        if len(rates) == 1 and "rate" in end:
            continue
        who = [name for name, ones in by_variant.items() if _most(map(is_there, ones))]
        if who:
            lines.append(f"{AT_THE_END} for {', '.join(who)}: {end}; a wider grid may be better")
    for variant, options in tried.items():
        for name, values in options.items():
            numbers = [value for value in values if not isinstance(value, str | bool)]
            for end in sorted({min(numbers), max(numbers)}) if len(numbers) > 1 else ():
                if _most(one["options"].get(name) == end for one in by_variant.get(variant, ())):
                    lines.append(f"{AT_THE_END} for {variant}: {name} = {end:g}; a wider grid may be better")
    return lines


def grids(run: Mapping[str, Any]) -> dict[str, dict[str, list[Any]]]:
    """The options that were tried of controls with solvers of their own: values by name, by variant.

    Args:
        run: As of `convergence_lines`.
    """
    of_cell = {cell["position"]: cell["variant"] for cell in run["cells"]}
    found: dict[str, dict[str, list[Any]]] = {}
    for one in sorted(run["candidates"], key=itemgetter("cell", "number")):
        for name, value in one["options"].items():
            values = found.setdefault(of_cell[one["cell"]], {}).setdefault(name, [])
            if value not in values:
                values.append(value)
    return found


def _most(cells: Iterable[bool]) -> bool:
    """Whether something holds for half of the cells or more."""
    known = list(cells)
    return 2 * sum(known) >= len(known)
