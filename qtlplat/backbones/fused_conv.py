"""The same convolutional features, computed quicker on CPUs: no parameter, name or result changes but by rounding.

A convolution and the max-pooling behind it are computed as one, some samples at a time, so that the large map between
them stays in the cache and is neither kept nor allocated in every step. ReLU comes after pooling, where there are
fewer elements: max(relu(x)) = relu(max(x)). Large kernels go through their spectra. All else is left to torch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import max_pool2d

from qtlplat.backbones import fft_conv

MAP_BYTES = 8 * 2**20  # of a convolution's results at a time; larger blocks are cleared by the system again and again
LEAST_WINDOW = 6  # pixels; a larger window is pooled along one axis, then along the other

Pair = tuple[int, int]
BEHIND = (("pool", "relu"), ("relu", "pool"), ("pool",))  # what is computed together with a convolution


def features_of(features: nn.Module, images: Tensor) -> Tensor:
    """``features(images)``, images float (B, C, H, W): quicker where it is an nn.Sequential of torch's own layers."""
    sequence = type(features) is nn.Sequential and not _hooked(features) and images.device.type == "cpu"
    layers = list(features.children()) if sequence else [features]
    x = images
    kinds = [_kind(layer) if sequence else "" for layer in layers]
    while layers:
        layer, kind = layers.pop(0), kinds.pop(0)
        behind: tuple[str, ...] = next((b for b in BEHIND if tuple(kinds[: len(b)]) == b), ())
        if kind != "convolution" or not (behind or _spectral(layer, x)):
            x = layer(x)
            continue
        pools = _pools(layers[behind.index("pool")]) if behind else ()
        x = _ConvolvePool.apply(x, layer.weight, layer.bias, layer, pools, "relu" in behind)  # type: ignore[no-untyped-call]
        del layers[: len(behind)], kinds[: len(behind)]
    return x


def _kind(layer: nn.Module) -> str:
    """The kind of a layer, if it is exactly torch's and has no hooks."""
    if _hooked(layer):
        return ""
    if type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
        return "convolution"
    if type(layer) is nn.MaxPool2d and _pair(layer.dilation) == (1, 1):
        return "" if layer.return_indices or layer.ceil_mode else "pool"
    return "relu" if type(layer) is nn.ReLU else ""


def _hooked(layer: nn.Module) -> bool:
    watchers = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return any(watchers)


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else tuple(value)


class _Pool(NamedTuple):
    kernel: Pair
    stride: Pair
    padding: Pair


def _pools(layer: nn.Module) -> tuple[_Pool, ...]:
    """Max-pooling in one step, or along each axis in turn; of equal values both take the first."""
    assert isinstance(layer, nn.MaxPool2d)
    kernel, stride, padding = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.padding)
    if min(kernel) < LEAST_WINDOW:
        return (_Pool(kernel, stride, padding),)
    along_rows = _Pool((1, kernel[1]), (1, stride[1]), (0, padding[1]))
    return along_rows, _Pool((kernel[0], 1), (stride[0], 1), (padding[0], 0))


def _spectral(layer: nn.Module, x: Tensor) -> bool:
    assert isinstance(layer, nn.Conv2d)
    simple = _pair(layer.padding) == (0, 0) and _pair(layer.dilation) == (1, 1) and layer.groups == 1
    return simple and x.dim() == 4 and fft_conv.pays(x.shape, layer.weight.shape, _pair(layer.stride))


def _samples(layer: nn.Conv2d, x: Tensor) -> int:
    """How many samples' convolution results fill MAP_BYTES."""
    strides, paddings = _pair(layer.stride), _pair(layer.padding)
    pixels = (x.shape[2] + 2 * paddings[0]) * (x.shape[3] + 2 * paddings[1]) // (strides[0] * strides[1])
    return max(1, MAP_BYTES // (pixels * layer.out_channels * x.element_size()))


class _ConvolvePool(torch.autograd.Function):
    """Convolution, max-pooling and ReLU in parts of the batch; the map between the first two is not kept."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        layer: nn.Conv2d,
        pools: tuple[_Pool, ...],
        activated: bool,
    ) -> Tensor:
        spectral, results = _spectral(layer, x), []
        ctx.layer, ctx.pools, ctx.has_bias, ctx.samples = layer, pools, bias is not None, _samples(layer, x)
        ctx.spectra, ctx.chosen = [], []
        for part in x.split(ctx.samples):
            if spectral:
                y, spectra = fft_conv.convolve(part, weight, _pair(layer.stride))
                y = y if bias is None else y.add_(bias[:, None, None])
            else:
                spectra = None
                y = torch.conv2d(part, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
                y = y.contiguous(memory_format=torch.channels_last)  # pooling is much quicker, but doubles lose it
            chosen = []
            for pool in pools:
                size, strides = y.shape, y.stride()
                y, indices = max_pool2d(y, *pool, return_indices=True)
                chosen.append((size, strides, indices))
            if any(ctx.needs_input_grad):
                ctx.spectra.append(spectra)
                ctx.chosen.append(chosen)
            results.append(y.relu_() if activated else y)
        result = results[0] if len(results) == 1 else torch.cat(results)
        ctx.save_for_backward(x, weight, result if activated else None)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, result = ctx.saved_tensors
        layer, wanted = ctx.layer, ctx.needs_input_grad[:3]
        for_x, for_weight, for_bias = [], [], []
        results = [None] * len(ctx.chosen) if result is None else result.split(ctx.samples)
        parts = zip(x.split(ctx.samples), results, gradient.split(ctx.samples), ctx.spectra, ctx.chosen, strict=True)
        for part, positive, of_result, spectra, chosen in parts:
            g = of_result
            if positive is not None:
                g = torch.ops.aten.threshold_backward(g, positive, 0)
            for pool, (size, strides, indices) in zip(reversed(ctx.pools), reversed(chosen), strict=True):
                like = torch.empty_strided(size, strides, dtype=g.dtype)  # only its shape is looked at
                g = torch.ops.aten.max_pool2d_with_indices_backward(g, like, *pool, (1, 1), False, indices)
            if spectra is None:
                geometry = (layer.stride, layer.padding, layer.dilation, False, (0, 0), layer.groups)
                biases = list(layer.bias.shape) if ctx.has_bias else None
                of_x, of_weight, of_bias = torch.ops.aten.convolution_backward(
                    g, part, weight, biases, *geometry, list(wanted)
                )
            else:
                of_x, of_weight = fft_conv.gradients(g, spectra, part, weight, wanted[:2])
                of_bias = g.sum((0, 2, 3)) if wanted[2] else None
            for_x.append(of_x)
            for_weight.append(of_weight)
            for_bias.append(of_bias)
        return torch.cat(for_x) if wanted[0] else None, _sum(for_weight), _sum(for_bias), None, None, None


def _sum(parts: list[Tensor | None]) -> Tensor | None:
    tensors = [part for part in parts if part is not None]
    return sum(tensors[1:], tensors[0]) if tensors else None
