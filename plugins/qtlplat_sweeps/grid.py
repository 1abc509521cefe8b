"""From the options of a command to the points of a sweep: every combination, or fewer. Nothing is looked up here."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qtlplat.analysis.sweep_points import full_name
from qtlplat.catalog.references import parse_value
from qtlplat.errors import UsageError, safe_repr
from qtlplat_sweeps.values import split, values

MOST_POINTS = 100_000
REFERENCES = ("dataset", "backbone", "head", "evaluator", "protocol", "device")  # commas separate them
SCALARS = ("replace", "seed", "seeds", "backbones", "epochs", "pretrain_epochs", "n_init", "accelerator")
WHOLE = ("seed", "seeds", "backbones", "epochs", "pretrain_epochs", "n_init")
AS_THEY_ARE = ("controls", "train_sizes", "tune")  # their commas mean something else


@dataclass(frozen=True)
class Choice:
    """One way to fill in an option. text: as it is typed for `qtlplat run`; at: the value of every axis, by name.

    index: which value of the axis that is, by name.
    """

    text: Any
    at: Mapping[str, Any] = field(default_factory=dict)
    index: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """A combination. at: its values of what varies, by name; request: options of `qtlplat run` by field."""

    at: Mapping[str, Any]
    request: Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """All combinations of what was typed. axes: what varies, with all values in order."""

    axes: Mapping[str, Sequence[Any]]
    points: tuple[Point, ...]


def make_grid(options: Mapping[str, Any], zipped: Sequence[str] = ()) -> Grid:
    """The points of a sweep.

    Args:
        options: What was typed, by field of a request; a text each, `sets` a sequence of ``key=values``.
        zipped: Groups of axes, as ``a,b``, that advance together.

    Raises:
        UsageError: if something cannot be read, an axis is given twice, axes to zip differ in length or are none, or
            there are too many points.
    """
    fields: list[tuple[str, list[Choice]]] = []
    for name in REFERENCES:
        if options.get(name) is not None:
            fields.append((name, _references(name, str(options[name]))))
    for name in SCALARS:
        if options.get(name) is not None:
            fields.append((name, _axis(name, values(str(options[name]), _flag(name)), _typed(name))))
    for text in options.get("sets", ()):
        fields.append(("sets", _set(text)))
    axes = _axes(fields)
    _check_size(fields)
    together = [_zipped(group, axes) for group in zipped]
    rest = {name: options[name] for name in AS_THEY_ARE if options.get(name)}
    return Grid(axes, tuple(_points(fields, together, rest)))


def _flag(name: str) -> str:
    return {"seeds": "--n-seeds"}.get(name, f"--{name.replace('_', '-')}")


def _typed(name: str) -> Any:
    def number(text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise UsageError(f"{safe_repr(text)} is not a whole number", where=_flag(name)) from None

    return number if name in WHOLE else str


def _axis(name: str, found: Sequence[str], typed: Any, prefix: str = "") -> list[Choice]:
    """Choices of an option; it is an axis where it has several values."""
    if len(found) == 1:
        return [Choice(typed(prefix + found[0]))]
    return [Choice(typed(prefix + one), {name: parse_value(one)}, {name: i}) for i, one in enumerate(found)]


def _set(text: str) -> list[Choice]:
    key, equals, raw = text.partition("=")
    return _axis(key.strip(), values(raw, f"-S {key.strip()}"), str, f"{key}=") if equals else [Choice(text)]


def _references(role: str, text: str) -> list[Choice]:
    """References between commas, each with all combinations of the values in its brackets."""
    parts = split(text, ",")
    if not all(parts):
        raise UsageError(f"a name is missing in {safe_repr(text)}", where=f"--{role}", fix="write names with commas")
    names = [part.partition("[")[0].strip() for part in parts]
    found = []
    for number, (part, name) in enumerate(zip(parts, names, strict=True)):
        called = name if names.count(name) == 1 else part
        at: dict[str, Any] = {role: called} if len(parts) > 1 else {}
        index = {role: number} if len(parts) > 1 else {}
        for inner in _brackets(role, part, name):
            found.append(Choice(inner.text, {**at, **inner.at}, {**index, **inner.index}))
    return found


def _brackets(role: str, part: str, name: str) -> Iterator[Choice]:
    _, bracket, rest = part.partition("[")
    if not bracket or not rest.rstrip().endswith("]"):
        yield Choice(part)
        return
    options = []
    for one in split(rest.rstrip()[:-1], ","):
        key, equals, raw = one.partition("=")
        place = f"{role}.{key.strip()}"
        options.append(_axis(place, values(raw, place), str, f"{key}=") if equals else [Choice(one)])
    for chosen in itertools.product(*options):
        yield Choice(f"{name}[{','.join(one.text for one in chosen)}]", *_merged(chosen))


def _merged(chosen: Sequence[Choice]) -> tuple[dict[str, Any], dict[str, int]]:
    at: dict[str, Any] = {}
    index: dict[str, int] = {}
    for one in chosen:
        at |= one.at
        index |= one.index
    return at, index


def _axes(fields: Sequence[tuple[str, list[Choice]]]) -> dict[str, list[Any]]:
    """All values of every axis; of an option of several components those of all of them."""
    axes: dict[str, list[Any]] = {}
    for place, (_, choices) in enumerate(fields):
        for axis in dict.fromkeys(name for one in choices for name in one.at):
            others = [one for _, other in fields[:place] for one in other if axis in one.at]
            if others:
                raise UsageError(f"{axis} varies in two places", where="the sweep", fix="name its values once")
            axes[axis] = []
            for one in choices:
                # as JSON, in which true is not 1
                if axis in one.at and json.dumps(one.at[axis]) not in map(json.dumps, axes[axis]):
                    axes[axis].append(one.at[axis])
    return axes


def _check_size(fields: Sequence[tuple[str, list[Choice]]]) -> None:
    number = math.prod(len(choices) for _, choices in fields)
    if number > MOST_POINTS:
        raise UsageError(
            f"these are {number:,} combinations, more than {MOST_POINTS:,}", where="the sweep", fix="name fewer values"
        )


def _zipped(group: str, axes: Mapping[str, Sequence[Any]]) -> list[str]:
    names = [full_name(name, axes, "--zip") for name in split(group, ",") if name]
    if len(names) < 2:
        raise UsageError(f"{safe_repr(group)} are not several axes", where="--zip", fix=f"known: {', '.join(axes)}")
    lengths = {name: len(axes[name]) for name in names}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise UsageError(f"axes that advance together need as many values: {told}", where="--zip")
    return names


def _points(
    fields: Sequence[tuple[str, list[Choice]]], together: Sequence[Sequence[str]], rest: Mapping[str, Any]
) -> Iterator[Point]:
    for chosen in itertools.product(*(choices for _, choices in fields)):
        at, index = _merged(chosen)
        if any(len({index[name] for name in names if name in index}) > 1 for names in together):
            continue
        request: dict[str, Any] = {**rest, "sets": []}
        for (name, _), one in zip(fields, chosen, strict=True):
            if name == "sets":
                request["sets"].append(one.text)
            else:
                request[name] = one.text
        yield Point(at, request)
