"""Options of the LeNets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qtlplat import Options


class LenetOptions(Options):
    """Which of the paper's networks."""

    architecture: Literal["model-1", "model-2", "model-3"] = Field(
        "model-2", description="row of Table I; model-1 with its third convolution corrected to (64, 128, 2, 1)"
    )
    initialisation: Literal["he", "torch"] = Field(
        "he",
        description="distribution of the initial weights: normal as in He et al. (2015) with biases 0, or PyTorch's "
        "default; the paper says 'random'",
    )
    dropout: float = Field(
        1.0, ge=0, le=1.5, description="factor on the dropout probabilities of Table I; 0 switches dropout off"
    )
