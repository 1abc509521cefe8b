"""A circuit with its weights as OpenQASM, which other programs and machines read; read back and checked before use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pennylane as qml
import torch
from pennylane.measurements import ExpectationMP, ProbabilityMP, VarianceMP

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, describe_exception, escape_control
from qtlplat.quantum.circuits.samples import SampleFunction
from qtlplat_model_files.qasm_program import (
    CannotWriteError,
    Measure,
    Program,
    Reset,
    Statement,
    Version,
    lower,
    with_numbers,
    write,
)
from qtlplat_model_files.qasm_reader import Branch, Line, applied, read, run

REFERENCE = "default.qubit"
TOLERANCE = 1e-7  # PennyLane takes matrices apart with an error of about 1e-8
MOST_SIMULATED = 16  # qubits: of more, the statements that are read back are compared, not what they do
MOST_MIXED = 7  # qubits of a mixed state that is compared as a whole
OTHER = {2: 3, 3: 2}


def to_qasm(
    circuit: Circuit,
    weights: Mapping[str, npt.NDArray[np.float64]],
    inputs: npt.NDArray[np.float64],
    comments: Sequence[str] = (),
    version: Version = 2,
) -> str:
    """The circuit's gates for these weights and one sample's inputs (n_inputs,), all numbers bound.

    What the circuit returns stands in comments: only the computational basis can be measured. comments: lines above the
    program. version: of the language. The text is read back and simulated, and compared with `REFERENCE`.

    Raises ConfigError if this version cannot say what the circuit does, or the text does not do it.
    """
    numbers = torch.as_tensor(inputs, dtype=torch.float64)
    bound = {name: torch.as_tensor(weight, dtype=torch.float64) for name, weight in weights.items()}
    try:
        tape = SampleFunction(circuit, counted=False).tape(numbers, bound)
        operations, measurements = [with_numbers(one) for one in tape.operations], tape.measurements
        program = lower(operations, circuit.qubits)
        lines = write(program, version)
    except CannotWriteError as error:
        raise _refusal(str(error), version, other=error.other) from error
    except Exception as error:
        raise _refusal(describe_exception(error), version) from error
    _check(lines, program, operations, measurements, version)
    notes = [*comments, *(f"output {i}: {_in_words(one, program)}" for i, one in enumerate(measurements))]
    return "\n".join([*(f"// {escape_control(note)}" for note in notes), *lines, ""])


def _refusal(why: str, version: Version, *, other: bool = False) -> ConfigError:
    fix = "OpenQASM has gates, measurements in the middle, and gates that depend on these"
    if other:
        fix = f"--to qasm{OTHER[version] if version == 2 else ''}"
    what = f"the circuit cannot be written as OpenQASM {version}.0: {why}"
    return ConfigError(what, where="the circuit's gates", fix=fix)


def _in_words(measurement: Any, program: Program) -> str:
    value = measurement.mv
    if value is None:
        return repr(measurement)
    kind = {ProbabilityMP: "probs", VarianceMP: "var"}.get(type(measurement), "expval")
    parts = value if isinstance(value, list | tuple) else [value]
    bits = [program.bits[one.meas_uid] for part in parts for one in part.measurements]
    return f"{kind} of a value of the measured bits {', '.join(f'm{bit}' for bit in bits)}"


def _check(
    lines: Sequence[str],
    program: Program,
    operations: Sequence[Any],
    measurements: Sequence[Any],
    version: Version,
) -> None:
    """Raises ConfigError if what is read back from the text differs from what PennyLane computes."""
    try:
        qubits, read_back = read(lines)
        if qubits != program.qubits or [_as_read(one) for one in program.statements] != read_back:
            raise ValueError("other statements are read")
        if qubits > MOST_SIMULATED:
            return
        branches = run(qubits, read_back)
    except ValueError as error:
        raise _refusal(f"the text cannot be read back: {error}", version) from error
    measurements = [one for one in measurements if _is_compared(one)]  # the state implies the others
    # Outcomes of measurements are random: a mixed state, or for many qubits what the circuit returns alone.
    mixed, wires = bool(program.bits), range(qubits)
    whole = [] if mixed and qubits > MOST_MIXED else [qml.density_matrix(wires) if mixed else qml.state()]
    if not measurements and not whole:
        return

    def function() -> list[Any]:
        for operation in operations:
            qml.apply(operation)
        return [*map(qml.apply, measurements), *map(qml.apply, whole)]

    try:
        # Measurements in the middle take wires of their own: the device is left to count them.
        device = qml.device(REFERENCE, wires=None if mixed else qubits)
        node = qml.QNode(function, device, diff_method=None, cache=False)
        *expected, state = (np.asarray(result) for result in [*node(), *([] if whole else [None])])
    except Exception as error:
        raise _refusal(f"{REFERENCE} cannot run it: {describe_exception(error)}", version) from error
    found = [_value(measurement, branches, program) for measurement in measurements]
    differences = [float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True)]
    if whole:
        differences.append(_distance(branches, state))
    if not max(differences) <= TOLERANCE:
        raise _refusal(f"read back, it differs from {REFERENCE} by {max(differences):.1e}", version)


def _is_compared(measurement: Any) -> bool:
    """Whether `_value` knows it: an expectation value, or probabilities of the computational basis."""
    if isinstance(measurement, ProbabilityMP):
        return measurement.obs is None
    return isinstance(measurement, ExpectationMP)


def _as_read(statement: Statement) -> Line:
    if isinstance(statement, Measure):
        return Line("measure", (), (statement.wire,), statement.bit)
    if isinstance(statement, Reset):
        return Line("reset", (), (statement.wire,))
    conditions = tuple((bit, int(value)) for bit, value in statement.conditions)
    return Line(statement.name, statement.angles, statement.wires, None, conditions)


def _value(measurement: Any, branches: Sequence[Branch], program: Program) -> npt.NDArray[np.float64]:
    """What a measurement of the circuit yields over all branches: () or (2^k,)."""
    if measurement.mv is not None:
        return _of_bits(measurement, branches, program)
    if isinstance(measurement, ProbabilityMP):
        wires = [int(w) for w in measurement.wires] or list(range(program.qubits))
        rest = [axis for axis in range(program.qubits) if axis not in wires]
        chances = sum(np.abs(branch.state) ** 2 for branch in branches)
        return np.asarray(np.transpose(chances, [*wires, *rest]).reshape(2 ** len(wires), -1).sum(1))
    observable, wires = measurement.obs, [int(w) for w in measurement.obs.wires]
    matrix = np.asarray(qml.matrix(observable, wire_order=observable.wires))
    return np.asarray(sum(np.vdot(b.state, applied(b.state, matrix, wires)).real for b in branches))


def _of_bits(measurement: Any, branches: Sequence[Branch], program: Program) -> npt.NDArray[np.float64]:
    value = measurement.mv
    parts = value if isinstance(value, list | tuple) else [value]
    chances = np.zeros((2,) * len(parts)) if isinstance(measurement, ProbabilityMP) else np.zeros(())
    for branch in branches:
        chance = float(np.vdot(branch.state, branch.state).real)
        results = [
            part.processing_fn(*(branch.bits[program.bits[one.meas_uid]] for one in part.measurements))
            for part in parts
        ]
        if isinstance(measurement, ProbabilityMP):
            chances[tuple(map(int, results))] += chance
        else:
            chances += chance * float(results[0])
    return chances.reshape(-1) if chances.ndim else chances


def _distance(branches: Sequence[Branch], state: npt.NDArray[np.complex128]) -> float:
    """How far the state is from the one that was read back: a vector, but for its phase, or a density matrix."""
    vectors = [branch.state.reshape(-1) for branch in branches]
    if state.ndim == 2:
        return float(np.abs(sum(np.outer(v, v.conj()) for v in vectors) - state).max())
    overlap = complex(np.vdot(vectors[0], state))
    phase = overlap / max(abs(overlap), TOLERANCE)
    return float(np.abs(vectors[0] * phase - state).max())
