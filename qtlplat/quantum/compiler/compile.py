"""From a quantum function to a torch program."""

from __future__ import annotations

import numpy as np

from qtlplat.contracts import Circuit
from qtlplat.quantum.circuits.samples import SampleFunction
from qtlplat.quantum.compiler.angle_expressions import Values
from qtlplat.quantum.compiler.layout import is_real, lay_out
from qtlplat.quantum.compiler.measure import Measurement
from qtlplat.quantum.compiler.program import Program
from qtlplat.quantum.compiler.schedule import Diagonal, Permutation, schedule
from qtlplat.quantum.compiler.tape import compiling, record


def compile_circuit(circuit: Circuit, *, double: bool = False) -> Program:
    """The program that computes what the circuit's function describes.

    double: compute in complex128 instead of complex64. Raises CannotCompileError with the reason where it cannot be
    compiled; what the function itself raises passes through.
    """
    function = SampleFunction(circuit)
    with compiling():
        return _compiled(function, double=double)


def _compiled(function: SampleFunction, *, double: bool) -> Program:
    circuit = function.circuit
    recording = record(function)
    values = Values(recording.values, circuit.n_inputs, circuit.weight_shapes)
    measurement = Measurement(recording.measurements, circuit.qubits)
    steps = schedule([*recording.gates, *measurement.rotations], values, circuit.qubits)
    if measurement.reads_signs_only:
        while steps and isinstance(steps[-1], Diagonal | Permutation):
            last = steps.pop()
            if isinstance(last, Permutation):
                measurement.absorb_permutation(last.source)
    start = recording.start
    from_zero = isinstance(start, np.ndarray) and bool(np.allclose(start, np.eye(1, len(start))[0]))
    layout = lay_out(steps, circuit.qubits, from_zero, measurement.reads_squares_only)
    return Program(values, layout, None if from_zero else start, measurement, double=double, real=is_real(layout))
