"""A batch of samples as tapes for a device: a circuit's function is recorded per sample, however many run at once.

Three ways, from the quickest to the one that asks least: recorded once for all samples (``torch.func.vmap``); recorded
sample by sample, tapes that are alike stacked into one; every sample a tape of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pennylane as qml
import torch
from pennylane.ops.qubit.attributes import supports_broadcasting
from pennylane.tape import QuantumScript
from torch import Tensor

from qtlplat.compile.private_torch import is_under_vmap, varies_at, vmap_level
from qtlplat.quantum.circuits.readings import Reading, Readings
from qtlplat.quantum.circuits.samples import SampleFunction

Way = Literal["together", "alike", "singly"]
WAYS: tuple[Way, ...] = ("together", "alike", "singly")


class CannotBroadcastError(Exception):
    """A gate has a value per sample, and can neither take them at once nor be taken apart."""


@dataclass(frozen=True, eq=False)
class Part:
    """Samples of a batch that one tape computes.

    tape: its parameters have a value each, or one per sample along their first axis; batch: how many samples;
    rows: which of the batch, None for all in order; readings: what the circuit returns, from what the tape measures;
    numbers: that they multiply with, each () or (batch,).
    """

    tape: QuantumScript
    batch: int
    rows: tuple[int, ...] | None
    readings: tuple[Reading, ...]
    numbers: tuple[Tensor, ...]

    def read(self, results: Sequence[Tensor]) -> Tensor:
        """Measured values, each (batch, k) -> what the circuit returns (batch, n_outputs)."""
        return torch.cat([reading.take(results, self.numbers) for reading in self.readings], dim=1)


class Recorder:
    """Records a circuit's function: (inputs (B, n_inputs), weights by name) -> parts that make up the batch.

    prepare: what is done to the tape of each sample (noise, deferred measurements); linear: measure only what is
    linear in the state, as far as that goes; shots: of each tape, None for exact values.
    """

    def __init__(
        self,
        function: SampleFunction,
        prepare: Callable[[QuantumScript], QuantumScript],
        way: Way,
        *,
        linear: bool,
        shots: int | None,
    ) -> None:
        self.function, self.prepare, self.way, self.linear, self.shots = function, prepare, way, linear, shots

    def __call__(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> list[Part]:
        """Record it; raises what the function raises, and anything where this way does not suit it."""
        if self.way == "together":
            return [self._together(inputs, weights)]
        rows = [self.one(sample, weights) for sample in inputs]
        if self.way == "singly":
            return [
                Part(_trained(tape), 1, (row,), readings.readings, tuple(readings.numbers))
                for row, (tape, readings) in enumerate(rows)
            ]
        return list(_stacked([(_taken_apart(tape, _traced), readings) for tape, readings in rows]))

    def one(self, sample: Tensor, weights: Mapping[str, Tensor]) -> tuple[QuantumScript, Readings]:
        """The tape for one sample (n_inputs,), and how its values are read."""
        tape = self.prepare(self.function.tape(sample, weights))
        readings = Readings(tape.measurements, linear=self.linear)
        return QuantumScript(tape.operations, readings.measured, shots=self.shots), readings

    def _together(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> Part:
        seen: list[tuple[QuantumScript, Readings, list[int], list[int]]] = []

        def record(sample: Tensor) -> tuple[Tensor, ...]:
            level = vmap_level(sample)

            def varies(datum: Any) -> bool:
                return varies_at(datum, level)

            tape, readings = self.one(sample, weights)
            tape = _taken_apart(tape, varies)
            parameters = tape.get_parameters(trainable_only=False)
            moving = [i for i, p in enumerate(parameters) if varies(p)]
            numbered = [i for i, n in enumerate(readings.numbers) if varies(n)]
            seen.append((tape, readings, moving, numbered))
            return (sample, *(parameters[i] for i in moving), *(readings.numbers[i] for i in numbered))

        with _values_unknown():
            _, *varying = torch.func.vmap(record)(inputs)
        tape, readings, moving, numbered = seen[-1]
        numbers = list(readings.numbers)
        for index, value in zip(numbered, varying[len(moving) :], strict=True):
            numbers[index] = value
        tape = tape.bind_new_parameters(varying[: len(moving)], moving)
        return Part(_trained(tape), len(inputs), None, readings.readings, tuple(numbers))


@contextmanager
def _values_unknown() -> Iterator[None]:
    """Inside, PennyLane knows that the values of samples under ``vmap`` cannot be looked at, and leaves checks out.

    They are made where the whole batch is put into the tape.
    """
    known = qml.math.is_abstract

    def is_abstract(tensor: Any, like: str | None = None) -> bool:
        return is_under_vmap(tensor) or bool(known(tensor, like))

    qml.math.is_abstract = is_abstract
    try:
        yield
    finally:
        qml.math.is_abstract = known


def _trained(tape: QuantumScript) -> QuantumScript:
    """The tape, trainable what torch differentiates."""
    tape.trainable_params = qml.math.get_trainable_indices(tape.get_parameters(trainable_only=False))
    return tape


def _traced(datum: Any) -> bool:
    return isinstance(datum, Tensor)


def _taken_apart(tape: QuantumScript, varies: Callable[[Any], bool]) -> QuantumScript:
    """Gates that have a value per sample taken apart into those that PennyLane runs for many values at once."""

    def stays(op: Any) -> bool:
        return not any(map(varies, op.data)) or _broadcasts(op)

    if all(map(stays, tape.operations)):
        return tape
    (tape,), _ = qml.devices.preprocess.decompose(
        tape,
        stopping_condition=stays,
        skip_initial_state_prep=False,
        error=CannotBroadcastError,
        name="several samples at once",
    )
    return tape


def _broadcasts(op: Any) -> bool:
    while isinstance(op, qml.ops.Adjoint | qml.ops.Controlled) and op.name not in supports_broadcasting:
        op = op.base
    return op.name in supports_broadcasting


def _stacked(rows: Sequence[tuple[QuantumScript, Readings]]) -> Iterator[Part]:
    """Rows whose tapes differ in numbers alone become one part."""
    groups: list[list[int]] = []
    for row, recorded in enumerate(rows):
        for group in groups:
            if _alike(rows[group[0]], recorded):
                group.append(row)
                break
        else:
            groups.append([row])
    for group in groups:
        tape, readings = rows[group[0]]
        if len(group) == 1:
            yield Part(_trained(tape), 1, tuple(group), readings.readings, tuple(readings.numbers))
            continue
        columns = zip(*(rows[row][0].get_parameters(trainable_only=False) for row in group), strict=True)
        stacked = {index: _stack(values) for index, values in enumerate(columns) if not _equal(values)}
        tape = tape.bind_new_parameters(list(stacked.values()), list(stacked))
        numbers = tuple(torch.stack(n) for n in zip(*(rows[row][1].numbers for row in group), strict=True))
        yield Part(_trained(tape), len(group), tuple(group), readings.readings, numbers)


def _alike(one: tuple[QuantumScript, Readings], other: tuple[QuantumScript, Readings]) -> bool:
    """Whether two tapes differ at most in what can be stacked: numbers of gates that take many values at once."""
    a, b = one[0], other[0]
    if len(a.operations) != len(b.operations) or len(a.measurements) != len(b.measurements):
        return False
    if one[1].readings != other[1].readings:
        return False
    try:
        same = map(qml.equal, a.measurements, b.measurements)
        return all(map(_alike_operations, a.operations, b.operations)) and all(same)
    except Exception:  # noqa: BLE001 -- what cannot be compared is not the same
        return False


def _alike_operations(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or one.wires != other.wires or len(one.data) != len(other.data):
        return False
    if not _broadcasts(one):
        return _equal_data(one, other) and bool(qml.pytrees.flatten(one)[1] == qml.pytrees.flatten(other)[1])
    same_shapes = all(map(lambda x, y: qml.math.shape(x) == qml.math.shape(y), one.data, other.data))
    return same_shapes and bool(qml.pytrees.flatten(one)[1] == qml.pytrees.flatten(other)[1])


def _equal_data(one: Any, other: Any) -> bool:
    return all(_equal((x, y)) for x, y in zip(one.data, other.data, strict=True))


def _equal(values: Sequence[Any]) -> bool:
    """Whether values are one constant: a traced number is none, even where it is the same in all samples."""
    first = values[0]
    return all(v is first for v in values) or (
        not any(isinstance(v, Tensor) for v in values) and all(np.array_equal(first, v) for v in values)
    )


def _stack(values: Sequence[Any]) -> Tensor:
    like = next((v for v in values if isinstance(v, Tensor)), torch.zeros((), dtype=torch.float64))
    return torch.stack([torch.as_tensor(v, device=like.device) for v in values])
