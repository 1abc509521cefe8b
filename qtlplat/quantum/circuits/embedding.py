"""How a circuit encodes its inputs: the states after the gates that come before the first trained one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pennylane as qml
import torch
from pennylane.operation import Operator, StatePrepBase
from pennylane.ops.qubit.attributes import supports_broadcasting
from pennylane.tape import QuantumScript
from torch import Tensor

from qtlplat.contracts import Circuit
from qtlplat.control_specs import Embedding
from qtlplat.errors import ConfigError
from qtlplat.quantum.circuits.samples import SampleFunction, trial_numbers

FIX = "use a head whose circuit encodes its inputs first"
SAME = 1e-9  # of the squared overlap of two states, and of an amplitude
AT_ONCE = 2**20  # amplitudes

States = npt.NDArray[np.complex128]


def embedding_of(circuit: Circuit) -> Embedding:
    """The embedding of a circuit, computed by default.qubit.

    Gates count as trained if they differ between two draws of the weights; what re-uploads inputs later is left out.

    Raises:
        ConfigError: No gate that depends on the inputs comes before the first trained one, or the gates are no pure
            ones (measurements, noise).
    """
    states = _Encoder(circuit).states
    one, other = states(trial_numbers(circuit, 2)[0].detach().numpy())
    if abs(np.vdot(one, other)) ** 2 > 1 - SAME:
        raise ConfigError("no gate that depends on its inputs comes before the circuit's first trained gate", fix=FIX)
    return Embedding(n_inputs=circuit.n_inputs, states=states)


class _Encoder:
    """Computes the states of samples; those whose gates differ in their angles alone are computed together."""

    def __init__(self, circuit: Circuit) -> None:
        self._function = SampleFunction(circuit)
        self._weights = [_detached(trial_numbers(circuit, 1, seed)[1]) for seed in (1, 2)]
        # with a seed it takes none from numpy's global generator
        self._device = qml.device("default.qubit", wires=circuit.qubits, seed=0)
        self._most = max(1, AT_ONCE // 2**circuit.qubits)
        self._ends: dict[str, tuple[int, int]] = {}

    def states(self, inputs: npt.NDArray[np.float64]) -> States:
        """float64 (n, n_inputs) -> (n, 2**Q)."""
        samples = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float64))
        encodings = [self._encoding(sample) for sample in samples]
        alike: dict[str, list[int]] = defaultdict(list)
        for i, operations in enumerate(encodings):
            alike[_form(operations)].append(i)
        found: dict[int, npt.NDArray[np.complex128]] = {}
        for ones in alike.values():
            for first in range(0, len(ones), self._most):
                some = ones[first : first + self._most]
                found |= zip(some, self._of_one_form([encodings[i] for i in some]), strict=True)
        return np.array([found[i] for i in range(len(samples))], np.complex128)

    def _of_one_form(self, encodings: Sequence[Sequence[Operator]]) -> Sequence[npt.NDArray[np.complex128]]:
        if len(encodings) > 2 and (stacked := _stacked(encodings)) is not None:
            try:
                (found,) = self._run([stacked])
            except Exception:  # noqa: BLE001 -- whatever a gate has against many angles at once: one by one, then
                return self._run(encodings)
            ends = self._run([encodings[0], encodings[-1]])
            if found.shape == (len(encodings), *ends[0].shape) and np.allclose(found[[0, -1]], ends, rtol=0, atol=SAME):
                return list(found)
        return self._run(encodings)

    def _run(self, encodings: Sequence[Sequence[Operator]]) -> list[npt.NDArray[np.complex128]]:
        tapes = [QuantumScript(operations, [qml.state()]) for operations in encodings]
        return [np.asarray(state, np.complex128) for state in qml.execute(tapes, self._device, diff_method=None)]

    def _encoding(self, sample: Tensor) -> list[Operator]:
        """What comes before the first trained gate: operations, and gates of one that is trained in part."""
        operations = self._function.tape(sample, self._weights[0]).operations
        form = _form(operations)
        if form not in self._ends:
            self._ends[form] = _first_trained(operations, self._function.tape(sample, self._weights[1]).operations)
        whole, gates = self._ends[form]
        return [*operations[:whole], *(_gates(operations[whole : whole + 1])[:gates] if gates else ())]


def _form(operations: Sequence[Operator]) -> str:
    """Everything of the operations but the numbers that they take."""
    return "\n".join(str(qml.pytrees.flatten(operation)[1]) for operation in operations)


def _stacked(encodings: Sequence[Sequence[Operator]]) -> list[Operator] | None:
    """The same operations of several samples as one, with a batch axis where numbers differ; None if one has none."""
    found = []
    for operations in zip(*encodings, strict=True):
        leaves, structures = zip(*map(qml.pytrees.flatten, operations), strict=True)
        numbers = [torch.stack([torch.as_tensor(one) for one in of]) for of in zip(*leaves, strict=True)]
        varied = [bool((of != of[0]).any()) for of in numbers]
        if any(varied) and operations[0].name not in supports_broadcasting:
            return None
        values = [of if varies else of[0] for of, varies in zip(numbers, varied, strict=True)]
        found.append(qml.pytrees.unflatten(values, structures[0]) if any(varied) else operations[0])
    return found


def _first_trained(one: Sequence[Operator], other: Sequence[Operator]) -> tuple[int, int]:
    """How many operations are the same with other weights, and how many gates of the next one.

    Raises ConfigError for what is no gate among them.
    """
    for i, (first, second) in enumerate(zip(one, other, strict=False)):
        if qml.equal(first, second):
            _refuse_others(_gates([first]) if isinstance(first, Operator) else [first])
            continue
        gates = 0
        for mine, theirs in zip(_gates([first]), _gates([second]), strict=False):
            if not qml.equal(mine, theirs):
                break
            _refuse_others([mine])
            gates += 1
        return i, gates
    return min(len(one), len(other)), 0


def _refuse_others(operations: Sequence[Any]) -> None:
    if any(not isinstance(one, Operator) or isinstance(one, qml.operation.Channel) for one in operations):
        raise ConfigError("the circuit measures, or has noise, before its first trained gate", fix=FIX)


def _gates(operations: Sequence[Operator]) -> list[Operator]:
    """Templates taken apart."""
    (whole,), _ = qml.devices.preprocess.decompose(
        QuantumScript(operations, []),
        stopping_condition=_is_gate,
        skip_initial_state_prep=True,
        name="an embedding",
    )
    return list(whole.operations)


def _is_gate(op: Operator) -> bool:
    return isinstance(op, StatePrepBase) or op.has_matrix or not op.has_decomposition


def _detached(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in weights.items()}
