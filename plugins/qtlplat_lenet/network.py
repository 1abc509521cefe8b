"""Building the LeNets of Table I in torch."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

from torch import nn

from qtlplat import Backbone, ConfigError
from qtlplat_lenet.options import LenetOptions


class Conv(NamedTuple):
    """A convolution (out channels, kernel, stride) and the max-pooling (kernel, stride) behind it, if any."""

    channels: int
    kernel: int
    stride: int
    pool: tuple[int, int] | None


class Architecture(NamedTuple):
    """convolutions in order; widths of the hidden dense layers; dropout probability after each of them."""

    convolutions: tuple[Conv, ...]
    hidden: tuple[int, ...]
    dropout: tuple[float, ...]


# Bhowmik & Thapliyal, Table I. It prints model-1's third convolution as (64, 128, 16, 2), whose kernel is larger
# than the map it meets; (64, 128, 2, 1) yields the 3,200 features of its first dense layer and Table III's count.
TABLE_I = {
    "model-1": Architecture(
        (Conv(32, 32, 2, (8, 1)), Conv(64, 16, 2, (8, 1)), Conv(128, 2, 1, (8, 1)), Conv(128, 2, 1, (8, 2))),
        (128, 64, 32, 16),
        (0.5, 0.25, 0.12, 0.0),
    ),
    "model-2": Architecture(
        (Conv(32, 4, 2, (4, 2)), Conv(64, 8, 2, (2, 2)), Conv(128, 4, 2, None)), (128, 64, 16), (0.5, 0.25, 0.0)
    ),
    "model-3": Architecture(
        (Conv(32, 8, 2, (4, 2)), Conv(64, 4, 2, (4, 1)), Conv(128, 2, 1, (4, 2))), (128, 64, 16), (0.5, 0.25, 0.0)
    ),
}


def build_lenet(options: LenetOptions, input_shape: tuple[int, int, int], n_classes: int) -> Backbone:
    """Features and dense blocks for images `input_shape` = (C, H, W).

    Raises ConfigError if the images are too small for the convolutions.
    """
    architecture = TABLE_I[options.architecture]
    channels, height, width = input_shape
    layers: list[nn.Module] = []
    for number, conv in enumerate(architecture.convolutions, start=1):
        for kernel, stride in ((conv.kernel, conv.stride), *([conv.pool] if conv.pool else [])):
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            if height < 1 or width < 1:
                raise ConfigError(
                    f"images of {input_shape[1]}x{input_shape[2]} are too small for convolution {number}",
                    where=f"lenet, {options.architecture}",
                    fix="use images of 200x200, as in the paper",
                )
        layers.append(nn.Conv2d(channels, conv.channels, conv.kernel, conv.stride))
        # max(relu(x)) = relu(max(x)): pooling first is the same function on fewer elements.
        layers += [nn.MaxPool2d(*conv.pool), nn.ReLU()] if conv.pool else [nn.ReLU()]
        channels = conv.channels
    widths = (channels * height * width, *architecture.hidden, n_classes)
    dense = [
        _dense(in_features, out_features, options.dropout * p)
        for (in_features, out_features), p in zip(pairwise(widths[:-1]), architecture.dropout, strict=True)
    ]
    last = nn.Linear(widths[-2], n_classes)
    if options.initialisation == "he":
        for module in (*layers, *(m for block in dense for m in block.modules())):
            _initialise(module, "relu")
        _initialise(last, "linear")
    return Backbone(nn.Sequential(*layers, nn.Flatten()), (*dense, last))


def _initialise(module: nn.Module, followed_by: Literal["relu", "linear"]) -> None:
    """Normal weights of variance gain^2 / fan_in (He et al., ICCV 2015, Eq. 10), biases 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity=followed_by)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def _dense(in_features: int, out_features: int, dropout: float) -> nn.Module:
    block: list[nn.Module] = [nn.Linear(in_features, out_features), nn.ReLU()]
    return nn.Sequential(*block, nn.Dropout(min(dropout, 0.95))) if dropout else nn.Sequential(*block)
