"""A circuit with fixed weights in real arithmetic, for formats that have no complex numbers.

Everything between two gates that take inputs is one matrix on all qubits, made when the form is made. It is meant for
few qubits and for other programs; the compiler's program (`qtlplat.quantum.compiler.program`) is what trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError
from qtlplat.quantum.circuits.samples import SampleFunction
from qtlplat.quantum.compiler.angle_expressions import Values
from qtlplat.quantum.compiler.gates import CannotCompileError, Gate, Group, Matrix, Reals, embed, evaluate, spread
from qtlplat.quantum.compiler.measure import Measurement
from qtlplat.quantum.compiler.tape import compiling, record

MOST_QUBITS = 10  # a matrix has 4^(Q+1) numbers
WHERE = "the real form of a circuit"


@dataclass(eq=False)
class _Turn:
    """Rotations by angles that depend on inputs, on wires of their own.

    ``after diag(exp(i sum_k f_k angle_k)) before``, before and after (2^Q, 2^Q); frequencies: f_k (2^Q,) by the number
    k of the value that is the angle.
    """

    before: Matrix
    after: Matrix
    wires: set[int]
    frequencies: dict[int, Reals] = field(default_factory=dict)


class RealCircuit(nn.Module):
    """A circuit with these weights: inputs (B, n_inputs) -> outputs (B, n_outputs), float32.

    Raises ConfigError if the circuit has too many qubits, cannot be compiled, or takes whole matrices or states from
    its inputs.
    """

    start: Tensor
    last: Tensor

    def __init__(self, circuit: Circuit, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        if circuit.qubits > MOST_QUBITS:
            what = (
                f"the circuit has {circuit.qubits} qubits, its matrices would have 4^{circuit.qubits + 1} numbers each"
            )
            raise ConfigError(what, where=WHERE, fix=f"circuits of at most {MOST_QUBITS} qubits have one")
        function = SampleFunction(circuit)
        try:
            with compiling():
                recording = record(function)
                measurement = Measurement(recording.measurements, circuit.qubits)
        except CannotCompileError as error:
            what = f"the circuit has no form of its own: {error}"
            raise ConfigError(what, where=WHERE, fix="export it as OpenQASM, which needs none: --to qasm") from error
        self._values = Values(recording.values, circuit.n_inputs, circuit.weight_shapes)
        whole = [weights[name].detach().double().cpu() for name in self._values.names]
        self._weights = whole
        self._flat = torch.cat([w.reshape(-1) for w in whole]) if whole else torch.zeros(0, dtype=torch.float64)
        if isinstance(recording.start, int):
            if self._values.depends_on_inputs[recording.start]:
                raise _takes_arrays()
            start = self._array(recording.start)
        else:
            start = recording.start
        turns, last = self._turns([*recording.gates, *measurement.rotations], circuit.qubits)
        self._numbers = [list(turn.frequencies) for turn in turns]
        constants = self._constants()
        for number, turn in enumerate(turns):
            chosen = self._numbers[number]
            if number == 0:
                self._keep("start", _side_by_side(turn.before @ start)[None])
            else:
                self._keep(f"matrix{number}", _real(turn.before @ turns[number - 1].after))
            self._keep(f"rates{number}", np.stack([turn.frequencies[k] for k in chosen]))
            self._keep(f"maps{number}", self._values.of_inputs[chosen].T)
            self._keep(f"offsets{number}", constants[chosen])
        if turns:
            self._keep("last", _real(last @ turns[-1].after))
        else:
            self._keep("start", _side_by_side(last @ start)[None])
        self._flips = []
        for mask, table in measurement.products().items():
            self._flips.append(mask)
            self._keep(f"table{mask}", np.vstack([table.real, -table.imag]))
            states = np.arange(2**circuit.qubits)
            self.register_buffer(f"flip{mask}", torch.from_numpy(states ^ mask))

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (B, n_outputs) for each row of `inputs` (B, n_inputs)."""
        x = inputs.float()
        state = self.start.expand(x.shape[0], -1)  # real parts, then imaginary ones: (B, 2 * 2^Q)
        features = self._values.input_features(x, self._flat.float(), self._weights)
        for number in range(len(self._numbers)):
            if number:
                state = state @ getattr(self, f"matrix{number}")
            angles = features.float() @ getattr(self, f"maps{number}") + getattr(self, f"offsets{number}")
            phases = angles @ getattr(self, f"rates{number}")
            cosines, sines = torch.cos(phases), torch.sin(phases)
            real, imaginary = state.chunk(2, dim=1)
            state = torch.cat([real * cosines - imaginary * sines, real * sines + imaginary * cosines], dim=1)
        if self._numbers:
            state = state @ self.last
        real, imaginary = state.chunk(2, dim=1)
        return self._measured(real, imaginary)

    def _measured(self, real: Tensor, imaginary: Tensor) -> Tensor:
        result: Tensor | None = None
        for mask in self._flips:
            other = getattr(self, f"flip{mask}")
            x, y = ((part.index_select(1, other) if mask else part) for part in (real, imaginary))
            products = torch.cat([real * x + imaginary * y, real * y - imaginary * x], dim=1)
            part = products @ getattr(self, f"table{mask}")
            result = part if result is None else result + part
        assert result is not None
        # Every gate rounds, and most of that is a change of length.
        return result / (real.square() + imaginary.square()).sum(1, keepdim=True)

    def _keep(self, name: str, array: npt.NDArray[np.generic]) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)).float())

    def _constants(self) -> Reals:
        """The part of every angle that does not depend on inputs."""
        features = self._values.weight_features(self._flat, self._weights).numpy()
        result: Reals = self._values.offset + self._values.of_weights @ features
        return result

    def _array(self, number: int) -> Matrix:
        nothing = torch.zeros(1, self._values.n_inputs, dtype=torch.float64)
        value: Matrix = self._values.array(number, nothing, self._weights).numpy().astype(np.complex128)
        return value

    def _turns(self, gates: list[Gate], qubits: int) -> tuple[list[_Turn], Matrix]:
        """The gates as turns, and the matrix behind the last one's `after`."""
        constants = self._constants()
        turns: list[_Turn] = []
        pending = np.eye(2**qubits, dtype=np.complex128)  # what has come since the last turn
        untouched = True
        for gate in gates:
            if gate.group is None or gate.value is None or not self._values.depends_on_inputs[gate.value]:
                pending = _on_all(self._fixed(gate, constants), gate.wires, qubits) @ pending
                untouched = False
                continue
            basis = _on_all(gate.group.basis, gate.wires, qubits)
            rates = _frequencies(gate.group, gate.wires, qubits)
            if not (turns and untouched and turns[-1].wires.isdisjoint(gate.wires)):
                turns.append(_Turn(pending, np.eye(2**qubits, dtype=np.complex128), set()))
                pending, untouched = np.eye(2**qubits, dtype=np.complex128), True
            turn = turns[-1]
            turn.before, turn.after = basis.conj().T @ turn.before, turn.after @ basis
            turn.wires |= set(gate.wires)
            turn.frequencies[gate.value] = turn.frequencies.get(gate.value, 0.0) + rates
        return turns, pending

    def _fixed(self, gate: Gate, constants: Reals) -> Matrix:
        """The matrix of a gate that takes nothing from inputs."""
        if gate.matrix is not None:
            return gate.matrix
        assert gate.value is not None
        if gate.group is not None:
            return evaluate(gate.group, float(constants[gate.value]))
        if self._values.depends_on_inputs[gate.value]:
            raise _takes_arrays()
        return self._array(gate.value)


def _takes_arrays() -> ConfigError:
    what = "the circuit takes a state or a whole matrix from its inputs"
    return ConfigError(what, where=WHERE, fix="embed inputs as angles of gates")


def _on_all(matrix: Matrix, wires: tuple[int, ...], qubits: int) -> Matrix:
    """A matrix on some wires as one on all qubits (2^Q, 2^Q)."""
    order = embed(wires, qubits)
    whole = np.kron(np.eye(2 ** (qubits - len(wires))), matrix)
    result: Matrix = np.empty_like(whole)
    result[np.ix_(order, order)] = whole
    return result


def _frequencies(group: Group, wires: tuple[int, ...], qubits: int) -> Reals:
    return spread(group.frequencies, wires, qubits).astype(np.float64)


def _side_by_side(state: Matrix) -> Reals:
    """Real parts, then imaginary ones."""
    return np.concatenate([state.real, state.imag])


def _real(matrix: Matrix) -> Reals:
    """A matrix on states as one that rows of real and imaginary parts are multiplied by, from the right."""
    turned = matrix.T
    return np.block([[turned.real, turned.imag], [-turned.imag, turned.real]])
