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
from qtlplat.contracts import Cell, Circuit, ImageSet
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


def array(value: Any) -> Any:
    """A plain array of an array, the same memory; anything else as it is, to be refused where it is checked."""
    return np.asarray(value) if isinstance(value, np.ndarray) else value


def images(given: ImageSet) -> ImageSet:
    """A plain copy, whose arrays lie where they lay; raises DataError as `ImageSet`."""
    names = {field: tuple(text(one, field) for one in getattr(given, field)) for field in _NAMES}
    return ImageSet(
        array(given.images),
        array(given.labels),
        **names,
        notes=texts(given.notes, "notes of an ImageSet must be text by name"),
        facts={text(name, "a fact's name"): array(v) for name, v in pairs(given.facts, "facts must be arrays by name")},
    )


_NAMES = ("sample_ids", "groups", "class_names")


def problem(given: object) -> Problem:
    """A plain copy of a finding; raises PluginError for anything else."""
    if not isinstance(given, Problem):
        what = f"the dataset's check must return qtlplat.Problem, not {type(given).__name__}"
        raise PluginError(what, fix="return a list of Problem(where, field, what)")
    parts = [getattr(given, field) for field in ("where", "field", "what")]
    if not all(isinstance(part, str) for part in parts):
        what = f"where, field and what of a Problem must be text: {safe_repr(given)}"
        raise PluginError(what, fix="return a list of Problem(where, field, what)")
    where, field, what = map(str.__str__, parts)
    return Problem(where, field, what, bool(given.hostile))


def circuit(given: Circuit) -> Circuit:
    """A plain copy; what cannot be meant is left as it is, to be refused by `check_circuit`."""
    shapes: Any = given.weight_shapes
    if isinstance(shapes, Mapping):
        what = "weight_shapes must be shapes by name"
        shapes = {text(k, what): tuple(v) if isinstance(v, list | tuple) else v for k, v in pairs(shapes, what)}
    limits: Any = given.initial_range
    if isinstance(limits, list | tuple):
        limits = tuple(number(one, "initial_range must be two finite numbers, one") for one in series(limits, "limits"))
    function = _secluded(given.function) if callable(given.function) else given.function
    return Circuit(function, given.qubits, shapes, given.n_inputs, given.n_outputs, limits)


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


def cell(given: object) -> Cell:
    """A plain copy; raises PluginError for anything that is none."""
    if not isinstance(given, Cell):
        raise PluginError(f"evaluator returned a bad cell: {safe_repr(given)}", fix="return a list of qtlplat.Cell")
    return Cell(given.fold, given.seed, array(given.train), array(given.test), array(given.backbone))


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


def spec(given: T, kind: type[T]) -> T:
    """A plain copy of a spec, or of what it is made of, of the very class `kind`."""
    own = {field.name: _plain(getattr(given, field.name)) for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    return kind(**own)


def _plain(value: Any) -> Any:
    kinds: tuple[tuple[type, Callable[[Any], Any]], ...] = (
        (str, str.__str__),
        (float, float.__float__),
        (int, int.__int__),
    )
    for kind, convert in kinds:
        if isinstance(value, kind) and not isinstance(value, bool):
            return convert(value)
    if isinstance(value, tuple | list):
        return tuple(_plain(one) for one in series(value, "parts of a spec"))
    if isinstance(value, Mapping):
        return {_plain(name): _plain(one) for name, one in pairs(value, "a spec's mapping must be a dict")}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        ours = next((base for base in type(value).__mro__ if base.__module__.startswith("qtlplat.")), None)
        return spec(value, ours) if ours else value
    return value
