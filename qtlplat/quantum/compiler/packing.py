"""A program as bytes and back, as plain data: nothing that could be run is read, and no bit of a number changes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from qtlplat.quantum.compiler.angle_expressions import Values
from qtlplat.quantum.compiler.layout import Layer, Layout, Product, Turns
from qtlplat.quantum.compiler.measure import Measurement
from qtlplat.quantum.compiler.program import Program
from qtlplat.quantum.compiler.schedule import Dense, Diagonal, Permutation

RECORDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Layout, Product, Turns, Layer, Dense, Diagonal, Permutation)
}
DTYPES = ("float64", "complex128", "int64")
SERIES: dict[str, type[Any]] = {kind.__name__: kind for kind in (tuple, set, frozenset)}


def packed(program: Program) -> bytes | None:
    """A program as bytes; None if it runs part of its circuit's function as it was traced."""
    values = program.values.polynomials
    if values is None:
        return None
    facts = {
        "values": values,
        "layout": program.layout,
        "start": program.start,
        "measurement": program.measurement.tables,
        "double": program.dtype == torch.float64,
        "real": program.real,
    }
    try:
        return json.dumps(_plain(facts)).encode()
    except TypeError:  # something that is none of these
        return None


def unpacked(data: bytes) -> Program:
    """The program that was packed; raises ValueError where the data are not those of one."""
    try:
        facts = _made(json.loads(data))
        return Program(
            Values.of_polynomials(facts["values"]),
            facts["layout"],
            facts["start"],
            Measurement.of_tables(facts["measurement"]),
            double=facts["double"],
            real=facts["real"],
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, RecursionError) as error:
        raise ValueError(f"no compiled circuit: {type(error).__name__}: {error}") from error


def _plain(value: Any) -> Any:
    """As JSON. An object's only key says what it is."""
    if value is None or isinstance(value, str | bool | int | float | np.integer):
        return int(value) if isinstance(value, np.integer) else value
    if isinstance(value, np.ndarray) and value.dtype.name in DTYPES:
        return {"array": [value.dtype.name, list(value.shape), base64.b64encode(value.tobytes()).decode()]}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    kind = type(value).__name__
    content: list[Any] | dict[str, Any] | None = None
    if kind in SERIES:
        content = [_plain(one) for one in value]
    elif isinstance(value, Mapping):
        kind, content = "mapping", [[_plain(key), _plain(one)] for key, one in value.items()]
    elif kind in RECORDS:
        content = {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if content is None:
        raise TypeError(kind)
    return {kind: content}


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return [_made(one) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        name, shape, text = content
        if name not in DTYPES:
            raise ValueError(f"an array of {name}")
        return np.frombuffer(base64.b64decode(text, validate=True), np.dtype(name)).reshape(shape).copy()
    if kind in SERIES:
        return SERIES[kind](_made(one) for one in content)
    if kind == "mapping":
        return {_made(key): _made(one) for key, one in content}
    return RECORDS[kind](**{name: _made(one) for name, one in content.items()})
