"""Dressed quantum circuits: pre-net, variational circuit, post-net (Mari et al., Quantum 4, 340, 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtlplat import Circuit, QuantumHeadSpec, hookimpl
from qtlplat_dressed.options import DressedOptions

if TYPE_CHECKING:
    from torch import nn

qtlplat_api_version = (1, 0)


def circuit(options: DressedOptions) -> Circuit:
    """Angle embedding, L strongly entangling layers, the expectation value of Z on every qubit."""

    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        import pennylane as qml

        qml.AngleEmbedding(inputs, wires=wires, rotation=options.axis)
        qml.StronglyEntanglingLayers(weights, wires=wires)
        return [qml.expval(qml.PauliZ(wire)) for wire in wires]

    q = options.qubits
    return Circuit(function, qubits=q, weight_shapes={"weights": (options.layers, q, 3)}, n_inputs=q, n_outputs=q)


def build(options: DressedOptions, in_features: int, n_classes: int, circuit: nn.Module) -> nn.Module:
    """The head around the running circuit: (B, in_features) -> logits (B, n_classes)."""
    from qtlplat_dressed.head import DressedHead

    return DressedHead(options, in_features, n_classes, circuit)


@hookimpl
def qtlplat_heads() -> list[QuantumHeadSpec]:
    """The dressed head."""
    return [
        QuantumHeadSpec(
            name="dressed",
            summary="dressed quantum circuit: linear, tanh, strongly entangling circuit, activation, linear",
            build=build,
            options=DressedOptions,
            circuit=circuit,
            self_contained=True,
        )
    ]
