"""Expectation values and probabilities as a few dense operations on states.

A Pauli word flips some bits (its X and Y) and multiplies by a phase: all words that flip the same bits are one matrix
product. Where every qubit is only ever measured along one axis, the qubits are turned first and nothing is flipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qtlplat.quantum.compiler.gates import AXES, CannotCompileError, Gate, Matrix, bits
from qtlplat.quantum.compiler.states import permute, squares

Word = dict[int, str]  # letter X, Y or Z by wire
MOST_WIRES_DECOMPOSED = 6


class Measurement:
    """What a circuit returns, as a function of states, whose norm is 1 but for rounding.

    measurements: PennyLane's, in the order of the outputs. `rotations` are gates to apply before measuring;
    `n_outputs` the length of the result; `reads_signs_only` says that only probabilities of basis states matter, and
    only through fixed linear combinations, so that permutations and phases at the end can be absorbed.
    """

    def __init__(self, measurements: Sequence[Any], qubits: int) -> None:
        self._qubits = qubits
        self._outputs = [_output(m, qubits) for m in measurements]
        sentences = [o for o in self._outputs if isinstance(o, list)]
        axes = _common_axes(sentences) if len(sentences) == len(self._outputs) else None
        self.rotations: list[Gate] = []
        if axes is not None:
            self.rotations = [Gate((w,), matrix=AXES[a].conj().T) for w, a in axes.items() if a != "Z"]
            self._outputs = [[(c, dict.fromkeys(w, "Z")) for c, w in s] for s in sentences]
        self.reads_signs_only = axes is not None
        self.n_outputs = sum(1 if isinstance(o, list) else 2 ** len(o) for o in self._outputs)
        self._masks: dict[int, Matrix] = {}
        self._marginals: dict[int, tuple[int, ...]] = {}
        column = 0
        for output in self._outputs:
            if isinstance(output, tuple):
                self._marginals[column] = output
                column += 2 ** len(output)
                continue
            for coefficient, word in output:
                mask = sum(1 << (qubits - 1 - w) for w, letter in word.items() if letter != "Z")
                table = self._masks.setdefault(mask, np.zeros((2**qubits, self.n_outputs), dtype=np.complex128))
                table[:, column] += coefficient * _phases(word, qubits)
            column += 1

    def absorb_permutation(self, source: npt.NDArray[np.int64]) -> None:
        """Measure states as they are before ``new[i] = old[source[i]]``."""
        assert self.reads_signs_only
        for table in self._masks.values():
            table[source] = table.copy()

    @property
    def tables(self) -> dict[str, Any]:
        """All that measuring needs, by name."""
        return {name: getattr(self, name) for name in ("_qubits", "n_outputs", "_masks", "_marginals")}

    @classmethod
    def of_tables(cls, tables: Mapping[str, Any]) -> Measurement:
        """The measurement that these are of, see `tables`; its circuit's rotations are part of the program."""
        made = cls.__new__(cls)
        vars(made).update({name: tables[name] for name in ("_qubits", "n_outputs", "_masks", "_marginals")})
        return made

    @property
    def reads_squares_only(self) -> bool:
        """Whether all outputs are sums of squares of amplitudes."""
        return set(self._masks) == {0} and not self._marginals

    def products(self) -> dict[int, Matrix]:
        """All outputs as sums over bit patterns m and basis states i: Re(conj(psi_i) psi_(i^m) table_m[i, output])."""
        tables = {mask: table.copy() for mask, table in self._masks.items()}
        states = np.arange(2**self._qubits)
        for column, wires in self._marginals.items():
            plain = tables.setdefault(0, np.zeros((len(states), self.n_outputs), dtype=np.complex128))
            plain[states, column + bits(wires, self._qubits)] = 1
        return tables

    @property
    def flips(self) -> tuple[int, ...]:
        """The bit patterns that are flipped; each costs one more pass over the states."""
        return tuple(sorted(self._masks))

    def constants(self, real: bool) -> dict[str, npt.NDArray[np.generic]]:
        """Tables that `__call__` needs, by name, as arrays of float64 and int64; real: for real states."""
        tables: dict[str, npt.NDArray[np.generic]] = {}
        states = np.arange(2**self._qubits, dtype=np.int64)
        # Every gate rounds, and most of that is a change of length: what is measured is divided by the squared norm.
        norm = np.ones((1, len(states)))
        signs = self._masks[0].real if 0 in self._masks else np.zeros((len(states), 0))
        tables["squares"], tables["squares.double"] = np.concatenate([signs.T, norm]), 2 * signs
        for mask, table in self._masks.items():
            if mask:
                tables[f"flip{mask}"] = states ^ mask
                # <P> = sum conj(psi_i) phase_i psi_(i^mask); only its real part is kept: Re t Re phase - Im t Im phase.
                both = np.stack([table.real, -table.imag], axis=-1).transpose(1, 0, 2).reshape(self.n_outputs, -1)
                tables[f"table{mask}"] = table.real.T if real else both
        for column, wires in self._marginals.items():
            if len(wires) < self._qubits:
                chosen = np.zeros((2**self._qubits, 2 ** len(wires)))
                chosen[states, bits(wires, self._qubits)] = 1
                tables[f"sum{column}"] = chosen.T
            else:
                order = np.empty_like(states)
                order[bits(wires, self._qubits)] = states
                tables[f"order{column}"] = order
        return tables

    def __call__(self, states: Tensor, tables: dict[str, Tensor]) -> Tensor:
        """(B, n_outputs) of states (2^Q, B), real or complex, or (2 * 2^Q, B): their real parts, then the others."""
        real = not states.is_complex()
        table = "squares" if len(states) == 2**self._qubits else "halves"
        part, norms = squares(states, tables[table], tables[f"{table}.double"])
        result = part if 0 in self._masks else None
        for mask in self._masks:
            if not mask:
                continue
            flipped = permute(states, tables[f"flip{mask}"], tables[f"flip{mask}"])
            products = states.conj() * flipped
            if not real:  # (2^Q, B) -> (2 * 2^Q, B), real and imaginary part of an amplitude side by side
                products = torch.view_as_real(products).mT.flatten(0, 1)
            part = tables[f"table{mask}"] @ products
            result = part if result is None else result + part
        if not self._marginals:
            assert result is not None
            return (result / norms).mT
        probabilities = states.square() if real else torch.view_as_real(states).square().sum(-1)
        rows: list[Tensor] = []
        at = 0
        for row, wires in sorted(self._marginals.items()):
            if row > at:
                assert result is not None
                rows.append(result[at:row])
            if f"sum{row}" in tables:
                rows.append(tables[f"sum{row}"] @ probabilities)
            else:
                rows.append(probabilities.index_select(0, tables[f"order{row}"]))
            at = row + 2 ** len(wires)
        if at < self.n_outputs:
            assert result is not None
            rows.append(result[at:])
        return (torch.cat(rows) / norms).mT


def _output(measurement: Any, qubits: int) -> list[tuple[float, Word]] | tuple[int, ...]:
    """A sentence of Pauli words, or the wires of a marginal distribution."""
    import pennylane as qml

    if isinstance(measurement, qml.measurements.ProbabilityMP):
        if measurement.obs is not None:
            raise CannotCompileError("it returns probabilities in the eigenbasis of an observable")
        return tuple(int(w) for w in measurement.wires) or tuple(range(qubits))
    if not isinstance(measurement, qml.measurements.ExpectationMP) or measurement.obs is None:
        raise CannotCompileError(f"it returns {type(measurement).__name__}, no expectation value or probabilities")
    observable = measurement.obs
    if any(isinstance(datum, Tensor) for datum in observable.data):
        raise CannotCompileError("an observable takes values that are traced")
    sentence = observable.pauli_rep
    if sentence is None:
        if len(observable.wires) > MOST_WIRES_DECOMPOSED or not observable.has_matrix:
            raise CannotCompileError(f"{observable.name} is no combination of Pauli words")
        matrix = np.asarray(qml.matrix(observable, wire_order=observable.wires))
        sentence = qml.pauli_decompose(matrix, wire_order=observable.wires, pauli=True)
    words = []
    for word, coefficient in sentence.items():
        value = complex(coefficient)
        if abs(value.imag) > 1e-12:
            raise CannotCompileError("an observable is not Hermitian")
        words.append((value.real, {int(w): str(letter) for w, letter in word.items()}))
    return words


def _common_axes(sentences: Sequence[list[tuple[float, Word]]]) -> dict[int, str] | None:
    """The axis along which each qubit is measured, or None if one is measured along two."""
    axes: dict[int, str] = {}
    for sentence in sentences:
        for _, word in sentence:
            for wire, letter in word.items():
                if axes.setdefault(wire, letter) != letter:
                    return None
    return axes


def _phases(word: Word, qubits: int) -> Matrix:
    """Phases f with ``(P psi)[i] = f[i] psi[i ^ mask]``."""
    states = np.arange(2**qubits)
    phases = np.ones(2**qubits, dtype=np.complex128)
    for wire, letter in word.items():
        bit = (states >> (qubits - 1 - wire)) & 1
        if letter == "Z":
            phases *= 1 - 2 * bit
        elif letter == "Y":
            phases *= np.where(bit == 1, 1j, -1j)
    return phases
