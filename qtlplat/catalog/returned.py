"""What plugins return, made plain: one conversion for each kind of value, whatever class it is of.

Called inside of `guarded`: the classes of what is converted are a plugin's, and so is the code that they run.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from qtlplat.catalog.plan import canonical_json
from qtlplat.catalog.process_state import RANDOM
from qtlplat.catalog.state import Snapshot, put_back, take_snapshot
from qtlplat.contracts import Circuit
from qtlplat.errors import PluginError, Problem, safe_repr

T = TypeVar("T")
MOST = 100_000  # values that are taken from something that need not end


def text(value: object, what: str) -> str:
    """A plain text; raises PluginError for anything else. what: for the message."""
    if not isinstance(value, str):
        raise PluginError(f"{what} must be text, is {safe_repr(value)}", fix="return a str")
    return str.__str__(value)


def number(value: object, what: str) -> float:
    """A plain float of a real number: Python's, NumPy's, or a tensor without axes; NaN and infinities are numbers.

    Raises PluginError for anything else, and for one that is too large for a float.
    """
    try:
        item = getattr(value, "item", None) if getattr(value, "ndim", None) == 0 else None
        plain = value if item is None else item()
        if isinstance(plain, bool | np.bool_) or not isinstance(plain, numbers.Real | Decimal):
            raise PluginError(f"{what} must be a number, is {safe_repr(value)}", fix="return a float")
        return float(plain)
    except PluginError:
        raise
    except Exception as error:
        fix = "return a finite float, or float('nan')"
        raise PluginError(f"{what} must be a number that fits a float, is {safe_repr(value)}", fix=fix) from error


def series(values: Iterable[T], what: str) -> list[T]:
    """A list of what can be gone through, at most `MOST` of it."""
    found = list(islice(iter(values), MOST + 1))
    if len(found) > MOST:
        raise PluginError(f"{what} must be at most {MOST}, there are more", fix="return fewer, and an end")
    return found


def pairs(mapping: object, what: str) -> list[tuple[Any, Any]]:
    """Names and values of a mapping; raises PluginError for anything else."""
    if not isinstance(mapping, Mapping):
        raise PluginError(f"{what}, returned {safe_repr(mapping)}", fix="return a dict")
    found = series(mapping.items(), "entries of a mapping")
    if any(not isinstance(pair, tuple) or len(pair) != 2 for pair in found):
        raise PluginError(f"{what}, returned {safe_repr(mapping)}", fix="return a dict")
    return found


def texts(mapping: object, what: str) -> dict[str, str]:
    """A plain mapping of texts; raises PluginError for anything else."""
    return {text(name, what): text(value, what) for name, value in pairs(mapping, what)}


def plain(given: object, kind: type[T], what: str) -> T:
    """A plain copy of one of qtlplat's dataclasses, of the very class `kind`; its arrays lie where they lay.

    What cannot be meant is left as it is, to be refused where it is checked.

    Args:
        given: what a plugin returned.
        kind: the class that it must be of.
        what: what returned it, for the message.

    Raises:
        PluginError: if it is of another class.
    """
    if not isinstance(given, kind):
        whole = f"{what} must return qtlplat.{kind.__name__}, not {type(given).__name__}"
        raise PluginError(whole, fix=f"return what the docstring of qtlplat.{kind.__name__} describes")
    own = {field.name: _plain(getattr(given, field.name)) for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    return kind(**own)


def _plain(value: Any) -> Any:
    kinds: tuple[tuple[type, Callable[[Any], Any]], ...] = (
        (str, str.__str__),
        (float, float.__float__),
        (int, int.__int__),
        (np.ndarray, np.asarray),
        (tuple, lambda parts: tuple(map(_plain, tuple.__iter__(parts)))),
        (list, lambda parts: tuple(map(_plain, list.__iter__(parts)))),
        (Mapping, lambda parts: {_plain(k): _plain(v) for k, v in pairs(parts, "a mapping must be a dict")}),
    )
    for kind, convert in kinds:
        if isinstance(value, kind) and not isinstance(value, bool):
            return convert(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        ours = next((base for base in type(value).__mro__ if base.__module__.startswith("qtlplat.")), None)
        return plain(value, ours, "it") if ours else value
    return value


def problem(given: object) -> Problem:
    """A plain copy of a finding; raises PluginError for anything else."""
    made = plain(given, Problem, "the dataset's check")
    if not all(isinstance(part, str) for part in (made.where, made.field, made.what)):
        what = f"where, field and what of a Problem must be text: {safe_repr(made)}"
        raise PluginError(what, fix="return a list of Problem(where, field, what)")
    return dataclasses.replace(made, hostile=bool(made.hostile))


def circuit(given: object) -> Circuit:
    """A plain copy, whose function has random numbers of its own; raises PluginError for anything else."""
    made = plain(given, Circuit, "circuit")
    limits: Any = made.initial_range
    if isinstance(limits, tuple):
        limits = tuple(number(one, "initial_range must be two finite numbers, one") for one in limits)
    function = _secluded(made.function) if callable(made.function) else made.function
    return dataclasses.replace(made, function=function, initial_range=limits)


def _secluded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a circuit; what it does to generators of random numbers is seen by its own next call alone."""
    own: Snapshot = {}

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        before = take_snapshot(RANDOM)
        put_back(own)
        try:
            return function(*arguments, **named)
        finally:
            after = take_snapshot(RANDOM)
            if after != before:
                own.update(after)
                put_back(before)

    return call


def options(model: Any) -> dict[str, Any]:
    """All options as what JSON gives back; raises ValueError or TypeError for what it has no word for."""
    _refuse_iterators(model.model_dump())  # as JSON they would be gone through, to whatever end
    plain: dict[str, Any] = json.loads(canonical_json(model.model_dump(mode="json")))
    return plain


def _refuse_iterators(value: object) -> None:
    if isinstance(value, Iterator):
        raise PluginError(f"options must be values, one is {safe_repr(value)}", fix="return a list from its serializer")
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        for one in series(value, "values of an option"):
            _refuse_iterators(one)
