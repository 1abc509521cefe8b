"""Compare two stored runs of one plan: bitwise equal, within a tolerance, or different, and where."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from qtlplat.conventions import SHOTS_REPEAT
from qtlplat.metrics import SHIPPED
from qtlplat.store.read.queries import Reader

Verdict = Literal["bitwise", "tolerance", "not repeatable", "different"]
# Losses, scores and probabilities are of the order of 1, where single precision rounds by 6e-8; every step of Adam
# takes that further. Heads trained for 40 epochs with other vector instructions differ by 0.006 (how-to/replay.md).
TOLERANCE = 1e-2

Values = dict[Hashable, Sequence[float]]


@dataclass(frozen=True)
class Part:
    """What two runs stored of one kind: epochs, metrics, predictions or weights.

    compared: numbers (of weights: files) that both have; unequal: those that are not the same bit for bit, or that one
    of them lacks; largest: difference, infinite where one lacks it or is not finite, None where numbers are not
    compared; place: of it, in words, '' where nothing is unequal; chance: whether it follows from shots that cannot be
    repeated.
    """

    name: str
    compared: int
    unequal: int
    largest: float | None
    place: str
    chance: bool = False


def verdict(parts: Sequence[Part], tolerance: float) -> Verdict:
    """What parts come to. Weights count where all is bitwise; what they lead to counts otherwise.

    Numbers that follow from shots that cannot be repeated may be others, but none may be missing or not finite.
    """
    if not any(part.unequal for part in parts):
        return "bitwise"
    beyond = [part for part in parts if (part.largest or 0.0) > tolerance]
    if not beyond:
        return "tolerance"
    return "not repeatable" if all(p.chance and math.isfinite(p.largest or 0.0) for p in beyond) else "different"


def compare_runs(reader: Reader, first: str, second: str, of: str = "") -> list[Part]:
    """Two stored runs, number by number. of: what is said before the names of the parts."""
    chance = any(reader.environment(run).get(SHOTS_REPEAT) == "no" for run in (first, second))
    names = [{name for cell in reader.cells(run) for name in cell.metrics} for run in (first, second)]
    # a run of an older version lacks metrics of every cell, which follow from the predictions
    lacking = (names[0] ^ names[1]) & SHIPPED.keys() if all(names) else set()
    measured = [_numbers(reader, run, lacking) for run in (first, second)]
    parts = [_part(f"{of}{name}", *(numbers[name] for numbers in measured), chance=chance) for name in measured[0]]
    weights = [sorted(a.sha256 for a in reader.artifacts(run) if a.kind == "weights") for run in (first, second)]
    same = weights[0] == weights[1]
    unequal = 0 if same else max(map(len, weights))
    place = "" if same else "sha256 of the files"
    return [*parts, Part(f"{of}weights", min(map(len, weights)), unequal, None, place, chance)]


def _numbers(reader: Reader, run: str, without: Collection[str]) -> dict[str, Values]:
    """All numbers of a run that do not tell the time, by part and place. without: metrics to leave out."""
    epochs: Values = {
        f"{name} of cell {row.cell} after epoch {row.epoch}": [value]
        for row in reader.epochs(run)
        for name, value in row.values.items()
    }
    metrics: Values = {
        f"{name} of cell {cell.position}": [value]
        for cell in reader.cells(run)
        for name, value in cell.metrics.items()
        if name not in without
    }
    predictions: Values = {(row.cell, row.sample_id): row.probabilities for row in reader.predictions(run)}
    return {"epochs": epochs, "metrics": metrics, "predictions": predictions}


def _part(name: str, first: Values, second: Values, *, chance: bool) -> Part:
    compared, unequal, largest, place = 0, 0, 0.0, ""
    for key, differences in _differences(first, second):
        compared += key in first and key in second and len(differences)
        unequal += sum(difference is not None for difference in differences)
        worst = max((d for d in differences if d is not None), default=None)
        if worst is not None and (not place or worst > largest):
            largest, place = worst, _in_words(key)
    return Part(name, compared, unequal, largest, place, chance)


def _differences(first: Values, second: Values) -> Iterator[tuple[Hashable, list[float | None]]]:
    """By place: the differences of its numbers, None for a number that is the same bit for bit."""
    for key in {**first, **second}:
        ours, theirs = first.get(key, ()), second.get(key, ())
        if len(ours) != len(theirs):
            yield key, [math.inf] * max(len(ours), len(theirs))
        else:
            yield key, [_difference(a, b) for a, b in zip(ours, theirs, strict=True)]


def _difference(a: float, b: float) -> float | None:
    if struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b)):
        return None
    difference = abs(a - b)
    return math.inf if math.isnan(difference) else difference


def _in_words(key: Hashable) -> str:
    return f"sample {key[1]} in cell {key[0]}" if isinstance(key, tuple) else str(key)


def largest(parts: Sequence[Part]) -> float | None:
    """The largest difference of all parts, None if nothing was compared."""
    found = [part.largest for part in parts if part.largest is not None and (part.compared or part.unequal)]
    return max(found, default=None)


def why(parts: Sequence[Part], changes: Mapping[str, Sequence[str]]) -> str:
    """One line: what has changed since, or that nothing that is stored has; and where the difference is largest."""
    told = [f"{name}: {before or 'unknown'} -> {after or 'unknown'}" for name, (before, after) in changes.items()]
    changed = "; ".join(told)
    unequal = [part for part in parts if part.unequal]
    if not unequal:
        return f"despite changed settings: {changed}" if changed else "no stored setting has changed"
    worst = max(unequal, key=lambda part: part.largest or 0.0)
    where = f"largest in {worst.name}: {worst.place}"
    if any(part.chance for part in unequal):
        changed = "; ".join(["new shots of a device that cannot repeat them", *told])
    if changed:
        return f"{changed}; {where}"
    hidden = "no stored setting has changed: a component with other random numbers, or another CPU"
    return f"{hidden}; {where}"
