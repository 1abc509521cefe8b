"""The three LeNets of Bhowmik & Thapliyal, Table I."""

from __future__ import annotations

from qtlplat import Backbone, BackboneSpec, hookimpl
from qtlplat_lenet.options import LenetOptions

qtlplat_api_version = (1, 0)


def build(options: LenetOptions, input_shape: tuple[int, int, int], n_classes: int) -> Backbone:
    """The network for images (C, H, W) and K classes; the paper's sizes are (1, 200, 200) and 2."""
    from qtlplat_lenet.network import build_lenet

    return build_lenet(options, input_shape, n_classes)


@hookimpl
def qtlplat_backbones() -> list[BackboneSpec]:
    """One component; the registry names its three architectures lenet1, lenet2 and lenet3."""
    return [
        BackboneSpec(
            name="lenet",
            summary="three LeNet-like convolutional networks for 200x200 images",
            build=build,
            options=LenetOptions,
        )
    ]
