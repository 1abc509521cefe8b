"""What a gate is, found out from its matrix alone: no table of gate names.

Almost every parametrised gate of quantum computing is a one-parameter group, ``M(t) = V diag(exp(i l t)) V^H``. Knowing
V and l, the compiler can move V into neighbouring gates and keep only a diagonal, whatever the gate is called.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.complex128]
Reals = npt.NDArray[np.float64]

TOLERANCE = 1e-10
_PROBES = (0.7310585, -1.9183, 3.6180339)  # no rational relation to pi: a coincidence cannot pass
_SMALL = 0.1730508  # eigenphases below pi at this angle: frequencies up to 18 are told apart

IDENTITY = np.eye(2, dtype=np.complex128)
# Columns are the eigenvectors with eigenvalues +1, -1.
AXES = {
    "Z": IDENTITY,
    "X": np.array([[1, 1], [1, -1]], dtype=np.complex128) / np.sqrt(2),
    "Y": np.array([[1, 1], [1j, -1j]], dtype=np.complex128) / np.sqrt(2),
}


class CannotCompileError(Exception):
    """Why a circuit cannot be compiled, in words for a user; a PennyLane device will run it instead."""


@dataclass(frozen=True, eq=False)
class Group:
    """A one-parameter group on k qubits, ``M(t) = V diag(exp(i frequencies t)) V^H``.

    local: V as k unitaries of one qubit each, where it is such a product (Pauli rotations and their controlled forms
    are); basis: V (2^k, 2^k); frequencies: (2^k,), radians per radian.
    """

    local: tuple[Matrix, ...] | None
    basis: Matrix
    frequencies: Reals

    @property
    def is_diagonal(self) -> bool:
        """Whether V is the identity."""
        return bool(np.array_equal(self.basis, np.eye(len(self.basis))))


@dataclass(frozen=True, eq=False)
class Gate:
    """One elementary gate on `wires`, in one of three forms.

    matrix: a fixed gate (2^k, 2^k); group and value: a rotation by the angle of that number among the values;
    value alone: a gate whose whole matrix is that value.
    """

    wires: tuple[int, ...]
    matrix: Matrix | None = None
    group: Group | None = None
    value: int | None = None


def one_parameter_group(matrix: Callable[[float], Matrix]) -> Group | None:
    """The group that `matrix` (angle -> (2^k, 2^k)) is, or None if it is none."""
    size = len(matrix(0.0))
    if not np.allclose(matrix(0.0), np.eye(size), atol=TOLERANCE):
        return None
    probe = matrix(_SMALL)
    for local, basis in _bases(probe):
        rotated = basis.conj().T @ probe @ basis
        if not np.allclose(rotated, np.diag(np.diag(rotated)), atol=TOLERANCE):
            continue
        frequencies = _rounded(np.angle(np.diag(rotated)) / _SMALL)
        group = Group(local, basis, frequencies)
        if all(np.allclose(evaluate(group, t), matrix(t), atol=TOLERANCE) for t in _PROBES):
            return group
        return None
    return None


def evaluate(group: Group, angle: float) -> Matrix:
    """The group's matrix at an angle."""
    result: Matrix = (group.basis * np.exp(1j * group.frequencies * angle)) @ group.basis.conj().T
    return result


def _bases(probe: Matrix) -> itertools.chain[tuple[tuple[Matrix, ...] | None, Matrix]]:
    """Candidates for V: products of Pauli eigenbases first, then whatever diagonalises the probe."""
    qubits = (len(probe) - 1).bit_length()

    def products() -> list[tuple[tuple[Matrix, ...] | None, Matrix]]:
        return [(factors, kron(factors)) for factors in itertools.product(AXES.values(), repeat=qubits)]

    def eigenbasis() -> list[tuple[tuple[Matrix, ...] | None, Matrix]]:
        from scipy.linalg import schur

        # The probe is normal: its Schur form is diagonal, its Schur vectors orthonormal even where eigenvalues meet.
        return [(None, schur(probe, output="complex")[1])]

    lazily = (make() for make in ([products] if qubits <= 4 else []) + [eigenbasis])
    return itertools.chain.from_iterable(lazily)


def _rounded(frequencies: Reals) -> Reals:
    """Frequencies as multiples of 1/4 where they are that but for rounding errors."""
    quarters = np.round(frequencies * 4) / 4
    return np.where(np.abs(frequencies - quarters) < 1e-9, quarters, frequencies)


def kron(factors: tuple[Matrix, ...]) -> Matrix:
    """Tensor product, the first factor being the most significant."""
    result: npt.NDArray[np.complex128] = np.ones((1, 1), dtype=np.complex128)
    for factor in factors:
        result = np.asarray(np.kron(result, factor), dtype=np.complex128)
    return result


def is_diagonal(matrix: Matrix) -> bool:
    """Whether all that is off the diagonal is zero."""
    return bool(np.allclose(matrix, np.diag(np.diag(matrix)), atol=TOLERANCE))


def as_monomial(matrix: Matrix) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.complex128]] | None:
    """(p, f) with ``(M v)[i] = f[i] v[p[i]]``, or None where some row has more than one entry."""
    source = np.abs(matrix).argmax(axis=1).astype(np.int64)
    entries = matrix[np.arange(len(matrix)), source]
    rest = matrix.copy()
    rest[np.arange(len(matrix)), source] = 0
    if len(set(source.tolist())) == len(matrix) and np.allclose(rest, 0, atol=TOLERANCE):
        return source, entries
    return None


def bits(wires: tuple[int, ...], qubits: int) -> npt.NDArray[np.int64]:
    """For every basis state of all qubits (2^Q,): the number that its bits on `wires` form, the first one leading."""
    states = np.arange(2**qubits, dtype=np.int64)
    local = np.zeros_like(states)
    for wire in wires:
        local = 2 * local + ((states >> (qubits - 1 - wire)) & 1)
    return local


def spread(diagonal: npt.NDArray[np.generic], wires: tuple[int, ...], qubits: int) -> npt.NDArray[np.generic]:
    """A diagonal (2^k,) on `wires` as one on all qubits (2^Q,)."""
    return diagonal[bits(wires, qubits)]


def spread_permutation(
    permutation: npt.NDArray[np.int64], wires: tuple[int, ...], qubits: int
) -> npt.NDArray[np.int64]:
    """A permutation of 2^k basis states on `wires` as one of all 2^Q."""
    states = np.arange(2**qubits, dtype=np.int64)
    source = permutation[bits(wires, qubits)]
    for position, wire in enumerate(wires):
        place = qubits - 1 - wire
        bit = (source >> (len(wires) - 1 - position)) & 1
        states = (states & ~(1 << place)) | (bit << place)
    return states


def embed(wires: tuple[int, ...], qubits: int) -> npt.NDArray[np.int64]:
    """Order of the basis states in which the bits of `wires` come last: new[i] = old[order[i]]."""
    rest = tuple(w for w in range(qubits) if w not in wires)
    order = np.empty(2**qubits, dtype=np.int64)
    order[bits((*rest, *wires), qubits)] = np.arange(2**qubits)
    return order
