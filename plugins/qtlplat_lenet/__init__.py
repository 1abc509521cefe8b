"""The three LeNets of Bhowmik & Thapliyal, Table I."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qtlplat import Backbone, BackboneSpec, Options, hookimpl

qtlplat_api_version = 1


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


def build(options: LenetOptions, input_shape: tuple[int, int, int], n_classes: int) -> Backbone:
    """The network for images (C, H, W) and K classes; the paper's sizes are (1, 200, 200) and 2."""
    from qtlplat_lenet.network import build_lenet

    return build_lenet(options, input_shape, n_classes)


@hookimpl
def qtlplat_backbones() -> list[BackboneSpec]:
    """One component; the registry names its three architectures lenet1, lenet2 and lenet3."""
    return [BackboneSpec("lenet", "three LeNet-like convolutional networks for 200x200 images", build, LenetOptions)]
