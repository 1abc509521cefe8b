"""Putting models together: standardization, cutting a backbone, building a head, counting parameters."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from qtlplat.analysis.parameter_counts import parameter_counts
from qtlplat.backbones.fused_conv import features_of
from qtlplat.contracts import Backbone
from qtlplat.errors import ConfigError, UntrustedError, describe_exception
from qtlplat.plugin_modules import guarded_build
from qtlplat.portable_random import PortableRandom
from qtlplat.quantum.devices.engine import Engine
from qtlplat.quantum.devices.layer import CircuitLayer
from qtlplat.specs import AnyHeadSpec, BackboneSpec, build_head


class Standardize(nn.Module):
    """Images uint8 (B, C, H, W) -> floats, minus mean and divided by standard deviation, per channel.

    The statistics are buffers, whose dtype is that of the results. They are saved with the weights that were
    trained on them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))

    def fit(self, images: Tensor) -> None:
        """Take the statistics of `images`, uint8 (n, C, H, W): the training part, never a sample that is tested."""
        pixels = images.transpose(0, 1).flatten(1)
        for channel, values in enumerate(pixels):
            counts = torch.bincount(values.to(torch.int32), minlength=256).cpu().double()
            levels = torch.arange(256, dtype=torch.float64)
            mean = (counts * levels).sum() / counts.sum()
            variance = (counts * (levels - mean) ** 2).sum() / counts.sum()
            self.mean[0, channel] = mean.float()
            self.std[0, channel] = variance.sqrt().clamp_min(1e-6).float()

    def forward(self, images: Tensor) -> Tensor:
        """Standardized images, in channels_last memory: convolutions on CPUs are quicker in it."""
        pixels = images.to(self.mean.dtype, copy=True).sub_(self.mean).div_(self.std)
        return pixels.contiguous(memory_format=torch.channels_last)


class WholeBackbone(nn.Module):
    """Standardization, features and dense blocks: uint8 images (B, C, H, W) -> logits (B, K)."""

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        self.standardize = Standardize(channels)
        self.features = backbone.features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dense = nn.ModuleList(backbone.dense)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of uint8 images (B, C, H, W)."""
        return self.kept(images, 0)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As torch does; raises UntrustedError where names or shapes are those of another network."""
        try:
            return super().load_state_dict(state_dict, strict, assign)
        except RuntimeError as error:
            raise UntrustedError(
                f"weights do not fit the backbone: {describe_exception(error)}",
                where="weights of a pretraining",
                fix="train again, in a store of your own",
            ) from error

    def kept(self, images: Tensor, replaced: int) -> Tensor:
        """What the layers before the last `replaced` dense blocks make of images: (B, F)."""
        x = features_of(self.features, self.standardize(images))
        for block in self.dense[: len(self.dense) - replaced]:
            x = block(x)
        return x


def replaced_layers(replace: int | Literal["all"], dense: int) -> int:
    """How many trailing dense layers go; raises ConfigError where the backbone has fewer."""
    if replace == "all":
        return dense
    if replace > dense:
        raise ConfigError(
            f"cannot replace {replace} dense layers, the backbone has {dense}",
            where="--replace",
            fix=f"choose 1 to {dense}, or all",
        )
    return replace


def kept_width(model: WholeBackbone, replaced: int, shape: tuple[int, int, int]) -> int:
    """F, the length of the vectors that a head receives for images (C, H, W)."""
    model.eval()
    with torch.no_grad():
        return int(model.kept(torch.zeros((1, *shape), dtype=torch.uint8), replaced).shape[1])


@dataclass(frozen=True)
class BackboneFactory:
    """Builds fresh backbones for images `shape` = (C, H, W), initialised from torch's global generator.

    Their initial weights have the same bits on every processor.
    provider: whom errors name.
    """

    spec: BackboneSpec
    options: Any
    shape: tuple[int, int, int]
    n_classes: int
    provider: str

    def __call__(self) -> Backbone:
        """A new backbone; raises PluginError where it cannot be built."""
        work = functools.partial(self.spec.build, self.options, input_shape=self.shape, n_classes=self.n_classes)
        with PortableRandom():
            return guarded_build(work, self.provider, "building the backbone")


@dataclass(frozen=True)
class HeadFactory:
    """Builds fresh heads of one kind: (B, in_features) -> logits (B, n_classes), from torch's global generator.

    Their initial weights have the same bits on every processor.
    engine: what runs a quantum head's circuit, None for a classical head; provider: whom errors name.
    """

    spec: AnyHeadSpec
    options: Any
    in_features: int
    n_classes: int
    engine: Engine | None
    provider: str = ""

    def __call__(self) -> nn.Module:
        """A new head; raises PluginError where it cannot be built."""
        with PortableRandom():
            layer = self.engine.layer() if self.engine else None
            work = functools.partial(build_head, self.spec, self.options, self.in_features, self.n_classes, layer)
            return guarded_build(work, self.provider, "building the head")


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in module.parameters())


def trainable_count(module: nn.Module) -> int:
    """Number of parameters that training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def head_parts(head: nn.Module) -> dict[str, int]:
    """Trainable parameters of a head by part: `pre_net`, circuits (`vqc`), and everything else as `post_net`."""
    trainable = {name: p.numel() for name, p in head.named_parameters() if p.requires_grad}
    pre_net = sum(n for name, n in trainable.items() if name.split(".")[0] == "pre_net")
    vqc = sum(count(m) for m in head.modules() if isinstance(m, CircuitLayer))
    return {"pre_net": pre_net, "vqc": vqc, "post_net": sum(trainable.values()) - pre_net - vqc}


def counts_of_model(model: WholeBackbone, replaced: int, parts: dict[str, int]) -> dict[str, Any]:
    """The parameter counts of a backbone whose last `replaced` dense layers are replaced by a head with these parts."""
    dense: Sequence[int] = [count(block) for block in model.dense]
    return parameter_counts(count(model.features), dense, replaced, parts)
