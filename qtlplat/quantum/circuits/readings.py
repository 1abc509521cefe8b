"""What a circuit returns, as torch computes it from what a device measures: expectation values and probabilities.

Numbers in observables that come from inputs or weights never reach a device: the terms of the observable are measured,
and torch adds them up. No way of differentiating a circuit then has to know of them. Variances are put together from
probabilities for the ways that know linear measurements alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pennylane as qml
import torch
from pennylane.measurements import ExpectationMP, MeasurementProcess, ProbabilityMP, VarianceMP
from torch import Tensor

MOST_WIRES_OF_A_MATRIX = 3  # of an observable that is taken apart into Pauli words, 4^wires of them
SIGMAS = 6.0  # means of shots are that many standard deviations off once in 10^8 values
LINEAR = (ExpectationMP, ProbabilityMP)
PAULIS = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}

Terms = list[tuple[Any, Tensor]]  # Pauli words (None for the identity), and what each is multiplied with


@dataclass(frozen=True)
class Sum:
    """Sum over k of number[k] times measured[k]; None is the constant 1."""

    measured: tuple[int | None, ...]
    numbers: tuple[int, ...]

    def take(self, results: Sequence[Tensor], numbers: Sequence[Tensor]) -> Tensor:
        """(B, 1) of results (B, ...) and numbers () or (B,)."""
        one = torch.ones_like(results[0][:, :1])
        parts = (
            (one if m is None else results[m]) * numbers[n].reshape(-1, 1)
            for m, n in zip(self.measured, self.numbers, strict=True)
        )
        return sum(parts, torch.zeros_like(one))


@dataclass(frozen=True)
class Same:
    """A measured value or probabilities as they are."""

    measured: int

    def take(self, results: Sequence[Tensor], numbers: Sequence[Tensor]) -> Tensor:
        """(B, k)."""
        return results[self.measured]


@dataclass(frozen=True)
class Spread:
    """Variance of a value that is one of `values`, by their measured probabilities."""

    measured: int
    values: tuple[float, ...]

    def take(self, results: Sequence[Tensor], numbers: Sequence[Tensor]) -> Tensor:
        """(B, 1)."""
        probabilities = results[self.measured]
        values = torch.tensor(self.values, dtype=probabilities.dtype, device=probabilities.device)
        mean = (probabilities * values).sum(1, keepdim=True)
        # Of the deviations, not of squares: nothing cancels.
        return (probabilities * (values - mean) ** 2).sum(1, keepdim=True)


@dataclass(frozen=True)
class Variance:
    """Mean of the squared observable less its mean squared."""

    mean: Sum
    squared: Sum

    def take(self, results: Sequence[Tensor], numbers: Sequence[Tensor]) -> Tensor:
        """(B, 1)."""
        return self.squared.take(results, numbers) - self.mean.take(results, numbers) ** 2


Reading = Same | Sum | Spread | Variance


class Readings:
    """What to measure, and how the circuit's values are read from it.

    measured: with no number of the circuit's in their observables, as far as that goes; readings: one for each value
    that the circuit returns; numbers: that they multiply with, each ().
    """

    def __init__(self, measurements: Sequence[MeasurementProcess], *, linear: bool) -> None:
        self.measured: list[MeasurementProcess] = []
        self.numbers: list[Tensor] = []
        self._words: dict[Any, int] = {}
        self.readings: tuple[Reading, ...] = tuple(self._read(m, linear=linear) for m in measurements)

    def slack(self, shots: int, qubits: int) -> Tensor:
        """How far each value (n_outputs,) may be off with so many shots: further once in 10^8, or any where unknown."""
        errors = [SIGMAS * _largest(m) / math.sqrt(shots) for m in self.measured]
        found: list[float] = []
        for reading in self.readings:
            if isinstance(reading, Same):
                width = math.prod(self.measured[reading.measured].shape(None, qubits))
                found += [errors[reading.measured]] * width
            elif isinstance(reading, Sum):
                terms = zip(reading.measured, reading.numbers, strict=True)
                found.append(sum(abs(float(self.numbers[n].detach())) * errors[m] for m, n in terms if m is not None))
            else:
                found.append(math.inf)
        return torch.tensor(found, dtype=torch.float64)

    def _read(self, measurement: MeasurementProcess, *, linear: bool) -> Reading:
        observable = measurement.obs
        if observable is not None and any(isinstance(datum, Tensor) for datum in observable.data):
            if isinstance(measurement, ExpectationMP) and (terms := _terms(observable)) is not None:
                return self._sum(terms)
            if isinstance(measurement, VarianceMP) and (squared := _squared(observable)) is not None:
                return Variance(*map(self._sum, squared))
        elif linear and isinstance(measurement, VarianceMP):
            return Spread(*self._eigenvalues(measurement))
        return Same(self._measure(measurement))

    def _measure(self, measurement: MeasurementProcess) -> int:
        self.measured.append(measurement)
        return len(self.measured) - 1

    def _sum(self, terms: Terms) -> Sum:
        measured: list[int | None] = []
        for word, number in terms:
            self.numbers.append(number)
            if word is not None and word not in self._words:
                with qml.QueuingManager.stop_recording():
                    self._words[word] = self._measure(qml.expval(word.operation()))
            measured.append(None if word is None else self._words[word])
        return Sum(tuple(measured), tuple(range(len(self.numbers) - len(terms), len(self.numbers))))

    def _eigenvalues(self, measurement: VarianceMP) -> tuple[int, tuple[float, ...]]:
        values = tuple(float(v) for v in np.real(measurement.eigvals()))
        with qml.QueuingManager.stop_recording():
            if measurement.obs is None:  # of measurements within the circuit
                return self._measure(qml.probs(wires=measurement.wires)), values
            return self._measure(qml.probs(op=measurement.obs)), values


def is_linear(measured: Sequence[MeasurementProcess]) -> bool:
    """Whether all of it is linear in the density matrix, so that the rules of gates give derivatives."""
    return all(isinstance(m, LINEAR) for m in measured)


def _largest(measurement: MeasurementProcess) -> float:
    """A bound of the values that a single shot gives, in size."""
    if isinstance(measurement, ProbabilityMP):
        return 0.5  # around its mean
    observable = measurement.obs
    if observable is not None and observable.pauli_rep is not None:
        return float(sum(abs(complex(c)) for c in observable.pauli_rep.values()))
    return float(np.abs(measurement.eigvals()).max())


def _terms(observable: Any) -> Terms | None:
    words = observable.pauli_rep
    if words is None:
        matrix = _matrix(observable)
        return None if matrix is None else _of_matrix(matrix, observable.wires)
    return [(word if len(word) else None, _number(number)) for word, number in words.items()]


def _squared(observable: Any) -> tuple[Terms, Terms] | None:
    matrix = _matrix(observable)
    if matrix is None:
        return None
    return _of_matrix(matrix, observable.wires), _of_matrix(matrix @ matrix, observable.wires)


def _matrix(observable: Any) -> Tensor | None:
    if len(observable.wires) > MOST_WIRES_OF_A_MATRIX:
        return None
    matrix = torch.as_tensor(qml.matrix(observable, wire_order=observable.wires))
    return matrix.reshape(matrix.shape[-2:])


def _of_matrix(matrix: Tensor, wires: Any) -> Terms:
    """The Pauli words of a matrix (2^k, 2^k): number of a word = trace of its product with the matrix, / 2^k."""
    terms: Terms = []
    for letters in itertools.product(PAULIS, repeat=len(wires)):
        word = np.eye(1)
        for letter in letters:
            word = np.kron(word, PAULIS[letter])
        factor = torch.as_tensor(word.T, dtype=torch.complex128, device=matrix.device)
        number = (factor * matrix).sum().real / len(word)
        named = qml.pauli.PauliWord({w: x for w, x in zip(wires, letters, strict=True) if x != "I"})
        terms.append((named if len(named) else None, number))
    return terms


def _number(number: Any) -> Tensor:
    tensor = torch.as_tensor(number)
    return as_real(tensor).reshape(())


def as_real(numbers: Tensor) -> Tensor:
    """The real part of numbers: PennyLane gives the values of some observables as complex numbers."""
    return numbers.real if numbers.is_complex() else numbers


def as_array(parameter: Tensor) -> npt.NDArray[Any]:
    """A tensor for numpy, real numbers in double precision."""
    values: npt.NDArray[Any] = parameter.detach().cpu().resolve_conj().resolve_neg().numpy()
    return values.astype(np.float64) if values.dtype.kind == "f" else values
