"""How a circuit encodes its inputs: the states after the gates that come before the first trained one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pennylane as qml
import torch
from pennylane.operation import Operator, StatePrepBase
from pennylane.tape import QuantumScript
from torch import Tensor

from qtlplat.contracts import Circuit
from qtlplat.control_specs import Embedding
from qtlplat.errors import ConfigError
from qtlplat.quantum.circuits.samples import SampleFunction, trial_numbers

FIX = "use a head whose circuit encodes its inputs first"
SAME = 1e-9  # of the squared overlap of two states


def embedding_of(circuit: Circuit) -> Embedding:
    """The embedding of a circuit, computed by default.qubit.

    Gates count as trained if they differ between two draws of the weights; what re-uploads inputs later is left out.

    Raises:
        ConfigError: No gate that depends on the inputs comes before the first trained one, or the gates are no pure
            ones (measurements, noise).
    """
    function = SampleFunction(circuit)
    weights = [_detached(trial_numbers(circuit, 1, seed)[1]) for seed in (1, 2)]

    def states(inputs: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
        samples = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float64))
        tapes = [QuantumScript(_encoding(function, sample, weights), [qml.state()]) for sample in samples]
        # with a seed it takes none from numpy's global generator
        device = qml.device("default.qubit", wires=circuit.qubits, seed=0)
        return np.array([np.asarray(state) for state in qml.execute(tapes, device, diff_method=None)], np.complex128)

    one, other = states(trial_numbers(circuit, 2)[0].detach().numpy())
    if abs(np.vdot(one, other)) ** 2 > 1 - SAME:
        raise ConfigError("no gate that depends on its inputs comes before the circuit's first trained gate", fix=FIX)
    return Embedding(n_inputs=circuit.n_inputs, states=states)


def _encoding(function: SampleFunction, sample: Tensor, weights: Sequence[Mapping[str, Tensor]]) -> list[Operator]:
    """The gates for one sample that come before the first trained one."""
    found = []
    for first, second in zip(*(_gates(function.tape(sample, drawn)) for drawn in weights), strict=False):
        if not qml.equal(first, second):
            break
        if not isinstance(first, Operator) or isinstance(first, qml.operation.Channel):
            raise ConfigError("the circuit measures, or has noise, before its first trained gate", fix=FIX)
        found.append(first)
    return found


def _gates(tape: QuantumScript) -> list[Operator]:
    """Its operations, templates taken apart."""
    (whole,), _ = qml.devices.preprocess.decompose(
        QuantumScript(tape.operations, []),
        stopping_condition=_is_gate,
        skip_initial_state_prep=True,
        name="an embedding",
    )
    return list(whole.operations)


def _is_gate(op: Operator) -> bool:
    return isinstance(op, StatePrepBase) or op.has_matrix or not op.has_decomposition


def _detached(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in weights.items()}
