"""Recorded gates -> few steps on the whole register, of four kinds; gates move past others they commute with.

Single-qubit gates gather in `Local` steps, diagonal ones add up in `Diagonal` steps, gates that only rename basis
states (CNOT, SWAP, Toffoli) compose in `Permutation` steps; what is left is a `Dense` step. A gate that takes an input
is always a `Diagonal` between fixed changes of basis: per sample, nothing but phases is ever multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from qtlplat.quantum.compiler.angle_expressions import Values
from qtlplat.quantum.compiler.gates import (
    IDENTITY,
    TOLERANCE,
    Gate,
    Matrix,
    Reals,
    as_monomial,
    evaluate,
    is_diagonal,
    spread,
    spread_permutation,
)


@dataclass(frozen=True, eq=False)
class Turn:
    """A rotation of one qubit, ``cos(rate t) 1 + i sin(rate t) axis``, by the angle t that value `value` is.

    Its global phase is left out: no measurement sees it. axis: Hermitian (2, 2) with eigenvalues +1 and -1.
    """

    value: int
    rate: float
    axis: Matrix


@dataclass(eq=False)
class Local:
    """Gates of one qubit each: for every wire, fixed matrices (2, 2) and turns by weights, in order."""

    runs: dict[int, list[Matrix | Turn]] = field(default_factory=dict)

    @property
    def is_fixed(self) -> bool:
        """Whether no weight occurs."""
        return not any(isinstance(item, Turn) for run in self.runs.values() for item in run)

    def add(self, wire: int, item: Matrix | Turn) -> None:
        """Apply one more gate; neighbouring fixed ones are multiplied."""
        run = self.runs.setdefault(wire, [])
        if run and not isinstance(item, Turn) and not isinstance(run[-1], Turn):
            run[-1] = item @ run[-1]
        else:
            run.append(item)

    def touches(self, wire: int, diagonal: bool) -> bool:
        """Whether a gate on this wire, itself diagonal or not, does not commute with what is here."""
        run = self.runs.get(wire, [])
        return any(not (diagonal and is_diagonal(i.axis if isinstance(i, Turn) else i)) for i in run)


@dataclass(eq=False)
class Diagonal:
    """Phases of basis states, ``fixed * exp(i sum_v angle_v rates_v)``, of inputs (and weights), or of weights alone.

    rates: by value (2^Q,); fixed: complex (2^Q,); wires: all that are touched; singles: the wire of every value that
    turns a single qubit.
    """

    of_inputs: bool
    qubits: int
    rates: dict[int, Reals] = field(default_factory=dict)
    fixed: Matrix | None = None
    wires: set[int] = field(default_factory=set)
    singles: dict[int, int] = field(default_factory=dict)


@dataclass(eq=False)
class Permutation:
    """Basis states renamed: ``new[i] = old[source[i]]``."""

    source: npt.NDArray[np.int64]
    wires: set[int]


@dataclass(frozen=True, eq=False)
class Dense:
    """A matrix (2^k, 2^k) on k wires: fixed, or value `value`."""

    wires: tuple[int, ...]
    matrix: Matrix | None
    value: int | None = None


Step = Local | Diagonal | Permutation | Dense


def schedule(gates: Sequence[Gate], values: Values, qubits: int) -> list[Step]:
    """The steps that do what the gates do, in order, up to a global phase."""
    steps: list[Step] = []
    for gate in gates:
        for part in _parts(gate, values, qubits):
            _place(part, steps)
    return steps


@dataclass(frozen=True, eq=False)
class _One:
    """A single-qubit gate, to be gathered in a Local."""

    wire: int
    item: Matrix | Turn


_Part = _One | Diagonal | Permutation | Dense


def _parts(gate: Gate, values: Values, qubits: int) -> Iterator[_Part]:
    """A gate in terms of the four kinds."""
    if gate.group is None:
        if gate.value is not None:
            yield Dense(gate.wires, None, gate.value)
        elif gate.matrix is not None:
            yield from _fixed(gate.matrix, gate.wires, qubits)
        return
    assert gate.value is not None
    group, of_inputs = gate.group, values.depends_on_inputs[gate.value]
    if np.ptp(group.frequencies) < TOLERANCE:
        return  # a global phase
    if values.is_constant[gate.value]:
        yield from _fixed(evaluate(group, float(values.offset[gate.value])), gate.wires, qubits)
    elif len(gate.wires) == 1 and not of_inputs:
        rate = float(group.frequencies[0] - group.frequencies[1]) / 2
        yield _One(gate.wires[0], Turn(gate.value, rate, (group.basis * [1, -1]) @ group.basis.conj().T))
    else:
        rates = spread(group.frequencies, gate.wires, qubits).astype(np.float64)
        phases = Diagonal(of_inputs, qubits, {gate.value: rates}, wires=set(gate.wires))
        if len(gate.wires) == 1:
            phases.singles[gate.value] = gate.wires[0]
        if group.local is not None:
            before = [_One(wire, basis.conj().T) for wire, basis in zip(gate.wires, group.local, strict=True)]
            after = [_One(wire, basis) for wire, basis in zip(gate.wires, group.local, strict=True)]
            yield from (one for one in before if not _is_identity(one.item))
            yield phases
            yield from (one for one in after if not _is_identity(one.item))
        else:
            yield Dense(gate.wires, group.basis.conj().T)
            yield phases
            yield Dense(gate.wires, group.basis)


def _fixed(matrix: Matrix, wires: tuple[int, ...], qubits: int) -> Iterator[_Part]:
    if len(wires) == 1:
        yield _One(wires[0], matrix)
        return
    monomial = as_monomial(matrix)
    if monomial is None:
        yield Dense(wires, matrix)
        return
    source, phases = monomial
    if not np.array_equal(source, np.arange(len(source))):
        yield Permutation(spread_permutation(source, wires, qubits), set(wires))
    if not np.allclose(phases, 1, atol=TOLERANCE):
        fixed = spread(phases, wires, qubits).astype(np.complex128)
        yield Diagonal(False, qubits, fixed=fixed, wires=set(wires))


def _is_identity(item: Matrix | Turn) -> bool:
    return not isinstance(item, Turn) and bool(np.allclose(item, IDENTITY, atol=TOLERANCE))


def _place(part: _Part, steps: list[Step]) -> None:
    """Put a part into the earliest step that can take it, or behind all steps."""
    last = next((i for i in reversed(range(len(steps))) if _blocks(steps[i], part)), -1)
    for step in steps[max(last, 0) :]:
        if _absorb(step, part):
            return
    steps.append(Local({part.wire: [part.item]}) if isinstance(part, _One) else part)


def _blocks(step: Step, part: _Part) -> bool:
    """Whether a part may not move in front of a step."""
    if isinstance(part, _One):
        diagonal = is_diagonal(part.item.axis if isinstance(part.item, Turn) else part.item)
        if isinstance(step, Local):
            return step.touches(part.wire, diagonal)
        return part.wire in _wires(step) and not (diagonal and isinstance(step, Diagonal))
    if isinstance(step, Local):
        diagonal = isinstance(part, Diagonal)
        return any(step.touches(wire, diagonal) for wire in _wires(part))
    return bool(_wires(step) & _wires(part)) and not (isinstance(step, Diagonal) and isinstance(part, Diagonal))


def _wires(part: Diagonal | Permutation | Dense) -> set[int]:
    return set(part.wires)


def _absorb(step: Step, part: _Part) -> bool:
    """Let a step take a part that follows it; False if it is of another kind."""
    if isinstance(step, Local) and isinstance(part, _One):
        step.add(part.wire, part.item)
        return True
    if isinstance(step, Diagonal) and isinstance(part, Diagonal) and step.of_inputs == part.of_inputs:
        for value, rates in part.rates.items():
            step.rates[value] = step.rates[value] + rates if value in step.rates else rates
        if part.fixed is not None:
            step.fixed = part.fixed if step.fixed is None else step.fixed * part.fixed
        step.wires |= part.wires
        step.singles |= part.singles
        return True
    if isinstance(step, Permutation) and isinstance(part, Permutation):
        step.source = step.source[part.source]
        step.wires |= part.wires
        return True
    return False
