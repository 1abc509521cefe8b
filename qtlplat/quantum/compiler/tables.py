"""The constants that a program computes with, by name, as numpy arrays in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from qtlplat.quantum.compiler.angle_expressions import Values
from qtlplat.quantum.compiler.gates import Matrix, embed
from qtlplat.quantum.compiler.layout import Layer, Layout, Turns, fixed_groups, groups
from qtlplat.quantum.compiler.measure import Measurement
from qtlplat.quantum.compiler.product_states import wave_tables
from qtlplat.quantum.compiler.rotations import MOST_TURNS, trace_table, turn_tables
from qtlplat.quantum.compiler.schedule import Dense, Diagonal, Permutation, Step

Arrays = dict[str, npt.NDArray[Any]]


def program_tables(
    values: Values, layout: Layout, start: Matrix | int | None, measurement: Measurement, *, real: bool
) -> Arrays:
    """Arrays by name: float64, complex128 or int64. The arguments are those of `Program`."""
    parts = groups(layout.qubits)
    arrays: Arrays = dict(measurement.constants(real))
    product, turns = layout.product, layout.turns
    if turns is not None:
        arrays |= _of_turns(values, layout, turns, real)
        arrays |= {f"traces{len(part)}": trace_table(len(part)) for part in parts}
    if product is not None:
        if product.columns is None:
            arrays["flips"], arrays["signs"] = wave_tables(layout.qubits)
            arrays["halves"], arrays["halves.double"] = (
                np.concatenate([arrays[name]] * 2, axis) for axis, name in ((1, "squares"), (0, "squares.double"))
            )
        else:
            arrays["columns"] = product.columns
        if product.takes_inputs:
            arrays |= _angles(values, "product", product.value, product.rate)
    elif isinstance(start, np.ndarray):
        arrays["start"] = start[:, None]
    for number, step in enumerate(layout.steps):
        arrays |= {f"{number}.{name}": array for name, array in _of_step(values, layout, step).items()}
    return arrays


def _of_turns(values: Values, layout: Layout, turns: Turns, real: bool) -> Arrays:
    """Tables of the turning layers, at most MOST_TURNS turns of each qubit at once: (chunks L Q) products."""
    longest, _, qubits = turns.value.shape
    width = min(longest, MOST_TURNS)
    missing = -longest % width

    def chunked(array: npt.NDArray[Any], filling: npt.NDArray[Any]) -> npt.NDArray[Any]:
        filled = np.concatenate([array, np.broadcast_to(filling, (missing, *array.shape[1:]))])
        parts = filled.reshape(-1, width, *array.shape[1:])
        return np.moveaxis(parts, 1, 3).reshape(-1, width, *array.shape[3:])

    value, rate = chunked(turns.value, np.array(-1)), chunked(turns.rate, np.array(0.0))
    even, odd = chunked(turns.even, np.eye(2)), chunked(turns.odd, np.zeros((2, 2)))
    if layout.product is not None and layout.product.columns is not None and layout.product_layer >= 0:
        # Layer 0 acts on nothing but the product state: its first turns bring the state's columns along.
        first = slice(0, qubits)
        even[first, 0] = even[first, 0] @ layout.product.columns
        odd[first, 0] = odd[first, 0] @ layout.product.columns
    used = np.where(value >= 0, rate, 0.0)
    angles = np.moveaxis(values.of_weights[value] * used[..., None], -1, 0)
    tables = turn_tables(even, odd, angles, values.offset[value] * used, real)
    return {f"turn{i}": table for i, table in enumerate(tables)}


def _of_step(values: Values, layout: Layout, step: Layer | Step) -> Arrays:
    if isinstance(step, Layer):
        if step.fixed is None:
            return {}
        return {f"group{g}": m for g, m in enumerate(fixed_groups(step.fixed, groups(layout.qubits)))}
    if isinstance(step, Permutation):
        return {"source": step.source, "inverse": np.argsort(step.source)}
    if isinstance(step, Dense):
        source = embed(step.wires, layout.qubits)
        arrays: Arrays = {"source": source, "inverse": np.argsort(source)}
        return arrays | ({"matrix": step.matrix} if step.matrix is not None else {})
    assert isinstance(step, Diagonal)
    phases: Arrays = {} if step.fixed is None else {"fixed": step.fixed[:, None]}
    if step.rates:
        numbers = list(step.rates)
        rates = np.stack([step.rates[number] for number in numbers])
        for name, table in _angles(values, "angle", np.array(numbers), np.ones(len(numbers))).items():
            phases[name] = rates.T @ table
    return phases


def _angles(
    values: Values, name: str, value: npt.NDArray[np.int64], rate: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Angles ``rate * value`` (0 where value is -1) as linear functions of the features: (n, F), and (n, 1)."""
    used = np.where(value >= 0, rate, 0.0)
    maps: dict[str, npt.NDArray[np.float64]] = {}
    for kind, table in (("weights", values.of_weights), ("inputs", values.of_inputs)):
        picked = table[value] * used[:, None]
        if np.any(picked):
            maps[f"{name}.{kind}"] = picked
    offset = values.offset[value] * used
    if np.any(offset):
        maps[f"{name}.offset"] = offset[:, None]
    return maps
