"""Scheduled steps -> the arrays that a program runs on: gates of a kind side by side, whatever step they stand in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from qtlplat.quantum.compiler.gates import IDENTITY, TOLERANCE, Matrix, Reals, kron
from qtlplat.quantum.compiler.schedule import Dense, Diagonal, Local, Permutation, Step, Turn

DENSE_QUBITS = 6  # up to here a whole layer of single-qubit gates is one matrix
GROUP_QUBITS = 4  # beyond, one matrix for each group of about so many neighbouring qubits


@dataclass(frozen=True, eq=False)
class Turns:
    """The turning single-qubit gates of all layers: layer l does ``M[R-1] ... M[0]`` on every qubit.

    ``M[r] = cos(a) even + sin(a) odd`` with even, odd (R, L, Q, 2, 2) and angles a (R, L, Q), a being a value times
    `rate`, or 0 where `value` is -1.
    """

    value: npt.NDArray[np.int64]
    rate: Reals
    even: Matrix
    odd: Matrix


@dataclass(frozen=True, eq=False)
class Product:
    """A product state to start from: qubit q is ``columns[q] @ (cos a_q, sin a_q)``, then layer 0 of the turns.

    value (Q,): -1 where a qubit takes no input; rate (Q,); columns (Q, 2, 2), or None if they belong to the first
    layer: qubits are real then, (cos a_q, sin a_q).
    """

    value: npt.NDArray[np.int64]
    rate: Reals
    columns: Matrix | None

    @property
    def takes_inputs(self) -> bool:
        """Whether the states differ between samples."""
        return bool((self.value >= 0).any())


@dataclass(eq=False)
class Layer:
    """A Local step: number of its layer among the turns, or -1 and the fixed matrix of every qubit (Q, 2, 2)."""

    number: int
    fixed: Matrix | None
    active: frozenset[int]


def groups(qubits: int) -> tuple[tuple[int, ...], ...]:
    """Neighbouring qubits that are treated as one, as evenly as possible."""
    if qubits <= DENSE_QUBITS:
        return (tuple(range(qubits)),)
    count = -(-qubits // GROUP_QUBITS)
    return tuple(tuple(int(w) for w in part) for part in np.array_split(np.arange(qubits), count))


@dataclass(eq=False)
class Layout:
    """What a program runs on.

    product: how it starts, or None if it starts from a given state; product_layer: 0 if the first of the turning
    layers belongs to the product, -1 where none does; turns: all turning layers; steps: what follows the product.
    """

    qubits: int
    product: Product | None
    product_layer: int
    turns: Turns | None
    steps: list[Layer | Step] = field(default_factory=list)


def lay_out(steps: Sequence[Step], qubits: int, from_zero: bool, squares_only: bool = False) -> Layout:
    """Arrange scheduled steps.

    from_zero: the circuit starts in |0...0>; squares_only: nothing but the squares of amplitudes is measured.
    """
    rest = list(steps)
    runs: list[list[_Run]] = []
    laid: list[Layer | Step] = []
    product, product_layer = None, -1
    if from_zero:
        product, columns, local = _product(rest, qubits)
        basis = _completed(columns)
        # All that follows is one matrix then; half the arithmetic if what it acts on is real.
        together = qubits <= DENSE_QUBITS and squares_only and not any(map(_takes_values, rest))
        if together and basis is not None and product.takes_inputs:
            first = [_Run(local.runs.get(w, []) if local else [], basis[w]) for w in range(qubits)]
            if any(run.turns for run in first):
                laid.append(Layer(0, None, frozenset(range(qubits))))
                runs.append(first)
            elif not np.allclose(basis, IDENTITY, atol=TOLERANCE):
                laid.append(Layer(-1, basis, frozenset(range(qubits))))
        else:
            product = replace(product, columns=columns)
            if local is not None and not local.is_fixed:
                product_layer = 0
                runs.append([_Run(local.runs.get(w, []), IDENTITY) for w in range(qubits)])
    for step in rest:
        if not isinstance(step, Local):
            laid.append(step)
            continue
        active = frozenset(step.runs)
        if step.is_fixed:
            fixed = np.stack([_Run(step.runs.get(w, [])).first for w in range(qubits)])
            if not np.allclose(fixed, IDENTITY, atol=TOLERANCE):
                laid.append(Layer(-1, fixed, active))
        else:
            laid.append(Layer(len(runs), None, active))
            runs.append([_Run(step.runs.get(w, [])) for w in range(qubits)])
    return Layout(qubits, product, product_layer, _turns(runs, qubits), laid)


class _Run:
    """The gates of one qubit in one step: a fixed matrix, then turns, each with the fixed matrix that follows it.

    first: stands in for the first fixed matrix.
    """

    def __init__(self, items: Sequence[Matrix | Turn], first: Matrix | None = None) -> None:
        self.first: Matrix = IDENTITY
        self.turns: list[tuple[Turn, Matrix]] = []
        for item in items:
            if isinstance(item, Turn):
                self.turns.append((item, IDENTITY))
            elif self.turns:
                turn, after = self.turns[-1]
                self.turns[-1] = (turn, item @ after)
            else:
                self.first = item @ self.first
        if first is not None:
            self.first = first


def _product(rest: list[Step], qubits: int) -> tuple[Product, Matrix, Local | None]:
    """Take from the front of the steps what leaves the register a product state.

    Its columns and the last Local of it come back as well; the first fixed matrices of that one are in the columns.
    """
    zero = np.array([1, 0], dtype=np.complex128)
    vectors = [zero for _ in range(qubits)]
    value = np.full(qubits, -1, dtype=np.int64)
    rate: Reals = np.zeros(qubits)
    columns = np.zeros((qubits, 2, 2), dtype=np.complex128)
    if rest and isinstance(rest[0], Local) and rest[0].is_fixed:
        fixed = rest.pop(0)
        assert isinstance(fixed, Local)
        vectors = [_Run(fixed.runs.get(w, [])).first @ zero for w in range(qubits)]
    for wire, vector in enumerate(vectors):
        columns[wire, :, 0] = vector
    if rest and isinstance(rest[0], Diagonal) and rest[0].of_inputs and _is_product(rest[0]):
        phases = rest.pop(0)
        assert isinstance(phases, Diagonal)
        for number, wire in phases.singles.items():
            up, down = phases.rates[number][0], phases.rates[number][1 << (qubits - 1 - wire)]
            value[wire], rate[wire] = number, (up - down) / 2
            columns[wire, :, 1] = 1j * np.array([1, -1]) * vectors[wire]
    local: Local | None = None
    if rest and isinstance(rest[0], Local):
        first = rest.pop(0)
        assert isinstance(first, Local)
        local = first
        for wire in range(qubits):
            columns[wire] = _Run(local.runs.get(wire, [])).first @ columns[wire]
    return Product(value, rate, None), _real_where_possible(columns), local


def _completed(columns: Matrix) -> Matrix | None:
    """Columns as unitary matrices (Q, 2, 2); None if they are none, because an angle changes a phase or a length.

    A second column of zeros is never used, and may be any.
    """
    unitary = columns.copy()
    for matrix in unitary:
        if np.allclose(matrix[:, 1], 0, atol=TOLERANCE):
            matrix[:, 1] = [-matrix[1, 0].conj(), matrix[0, 0].conj()]
    squared = unitary.conj().swapaxes(1, 2) @ unitary
    return unitary if np.allclose(squared, IDENTITY, atol=TOLERANCE) else None


def _takes_values(step: Step) -> bool:
    """Whether a step has a matrix that is a value, or phases that differ between samples."""
    return step.of_inputs if isinstance(step, Diagonal) else isinstance(step, Dense) and step.value is not None


def _is_product(phases: Diagonal) -> bool:
    wires = list(phases.singles.values())
    return len(phases.rates) == len(wires) == len(set(wires)) and phases.fixed is None


def _real_where_possible(columns: Matrix) -> Matrix:
    """Each qubit's columns times a global phase that makes them real, if there is one."""
    turned = columns.copy()
    for qubit, pair in enumerate(columns):
        largest = pair.reshape(-1)[np.abs(pair).argmax()]
        candidate = pair * (abs(largest) / largest)
        if np.allclose(candidate.imag, 0, atol=TOLERANCE):
            turned[qubit] = candidate
    return turned


def _turns(runs: Sequence[Sequence[_Run]], qubits: int) -> Turns | None:
    if not runs:
        return None
    longest = max(1, *(len(run.turns) for layer in runs for run in layer))
    shape = (longest, len(runs), qubits)
    value = np.full(shape, -1, dtype=np.int64)
    rate: Reals = np.zeros(shape)
    even = np.broadcast_to(IDENTITY, (*shape, 2, 2)).copy()
    odd = np.zeros((*shape, 2, 2), dtype=np.complex128)
    for number, layer in enumerate(runs):
        for wire, run in enumerate(layer):
            if not run.turns:
                even[0, number, wire] = run.first
            for place, (turn, after) in enumerate(run.turns):
                before = run.first if place == 0 else IDENTITY
                value[place, number, wire], rate[place, number, wire] = turn.value, turn.rate
                even[place, number, wire] = after @ before
                odd[place, number, wire] = after @ (1j * turn.axis) @ before
    return Turns(value, rate, even, odd)


def is_real(layout: Layout) -> bool:
    """Whether every amplitude stays real, whatever inputs and weights are."""

    def real(array: npt.NDArray[np.generic] | None) -> bool:
        return array is None or bool(np.allclose(np.imag(array), 0, atol=TOLERANCE))

    for step in layout.steps:
        if isinstance(step, Layer):
            fine = real(step.fixed)
        elif isinstance(step, Diagonal):
            fine = not step.rates and real(step.fixed)
        elif isinstance(step, Permutation | Local):
            fine = True
        else:
            fine = step.matrix is not None and real(step.matrix)
        if not fine:
            return False
    turns_real = layout.turns is None or (real(layout.turns.even) and real(layout.turns.odd))
    return turns_real and layout.product is not None and real(layout.product.columns)


def fixed_groups(fixed: Matrix, parts: Sequence[tuple[int, ...]]) -> list[Matrix]:
    """Matrices of groups of qubits, of the fixed matrix of every qubit (Q, 2, 2)."""
    return [kron(tuple(fixed[w] for w in part)) for part in parts]
