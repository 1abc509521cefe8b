"""Dressed quantum circuits: pre-net, variational circuit, post-net (Mari et al., Quantum 4, 340, 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from qtlplat import Circuit, HeadSpec, Options, hookimpl

if TYPE_CHECKING:
    from torch import nn

qtlplat_api_version = 1


class DressedOptions(Options):
    """The defaults are the head of Bhowmik & Thapliyal (Fig. 2, Table II)."""

    qubits: int = Field(5, ge=1, le=24, description="qubits Q; also the width of the pre-net's output")
    layers: int = Field(3, ge=1, le=100, description="strongly entangling layers L; 3 Q L trainable angles")
    axis: Literal["X", "Y", "Z"] = Field(
        "X", description="axis of the embedding rotations; the paper names none, PennyLane's AngleEmbedding uses X"
    )
    input_scale: Literal[1, "pi/2"] = Field(1, description="what tanh of the pre-net is multiplied by, radians")
    activation: Literal["relu", "tanh", "none"] = Field("relu", description="between circuit and post-net")


def circuit(options: DressedOptions) -> Circuit:
    """Angle embedding, L strongly entangling layers, the expectation value of Z on every qubit."""
    import pennylane as qml

    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        qml.AngleEmbedding(inputs, wires=wires, rotation=options.axis)
        qml.StronglyEntanglingLayers(weights, wires=wires)
        return [qml.expval(qml.PauliZ(wire)) for wire in wires]

    q = options.qubits
    return Circuit(function, qubits=q, weight_shapes={"weights": (options.layers, q, 3)}, n_inputs=q, n_outputs=q)


def build(options: DressedOptions, in_features: int, n_classes: int, circuit: nn.Module | None) -> nn.Module:
    """The head around the running circuit: (B, in_features) -> logits (B, n_classes)."""
    from qtlplat_dressed.head import DressedHead

    assert circuit is not None, "a quantum head is built with its circuit"
    return DressedHead(options, in_features, n_classes, circuit)


@hookimpl
def qtlplat_heads() -> list[HeadSpec]:
    """The dressed head."""
    return [
        HeadSpec(
            name="dressed",
            summary="dressed quantum circuit: linear, tanh, strongly entangling circuit, activation, linear",
            build=build,
            options=DressedOptions,
            circuit=circuit,
        )
    ]
