"""Options of the dressed head."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qtlplat import Options


class DressedOptions(Options):
    """The defaults are the head of Bhowmik & Thapliyal (Fig. 2, Table II)."""

    qubits: int = Field(5, ge=1, le=24, description="qubits Q; also the width of the pre-net's output")
    layers: int = Field(3, ge=1, le=100, description="strongly entangling layers L; 3 Q L trainable angles")
    axis: Literal["X", "Y", "Z"] = Field(
        "X", description="axis of the embedding rotations; the paper names none, PennyLane's AngleEmbedding uses X"
    )
    input_scale: Literal[1, "pi/2"] = Field(1, description="what tanh of the pre-net is multiplied by, radians")
    activation: Literal["relu", "tanh", "none"] = Field("relu", description="between circuit and post-net")
