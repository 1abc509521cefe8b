"""Which batches a training has, and how small the smallest one may be.

A last batch of a single sample joins the one before it if the model cannot be trained on a single sample, as batch
normalisation cannot: every sample is still seen once in an epoch. For all other models nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from qtlplat.errors import describe_exception
from qtlplat.plugin_modules import called
from qtlplat.seeding import isolated_rng


def split_order(order: Tensor, size: int, smallest: int = 1, dim: int = 0) -> list[Tensor]:
    """Batches of `size` along an axis; a last one below `smallest` joins the one before it."""
    n = order.shape[dim]
    if n > size and 0 < n % size < smallest:
        ends = [size] * (n // size - 1) + [size + n % size]
        return list(order.split(ends, dim))
    return list(order.split(size, dim))


@dataclass(frozen=True)
class Batches:
    """Batches of trainings on so many samples each. option: what says their size."""

    lengths: tuple[int, ...]
    size: int
    option: str

    def sizes(self, smallest: int = 1) -> set[int]:
        """How many samples they have."""
        ones = (split_order(torch.empty(n), self.size, smallest) for n in set(self.lengths))
        return {len(batch) for batches in ones for batch in batches}


def why_not_trainable(module: nn.Module, samples: Tensor) -> str:
    """Why a fresh model cannot be trained on these samples, '' if it runs with finite logits and gradients."""
    module.train()
    try:
        with isolated_rng(), torch.enable_grad():
            logits = called(module, samples)
            called(logits.sum().backward)
    except Exception as error:  # noqa: BLE001 -- whatever a stranger's module raises on a batch that it cannot take
        return describe_exception(error)
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    finite = all(bool(torch.isfinite(tensor).all()) for tensor in (logits, *gradients))
    return "" if finite else "its logits or gradients are not finite"


def keeps_statistics(module: nn.Module) -> list[_NormBase]:
    """The layers that keep running statistics of what they are trained on."""
    return [m for m in module.modules() if isinstance(m, _NormBase) and m.running_mean is not None]


def recompute_statistics(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace running statistics by those of these batches, weighted by their samples; everything else evaluates.

    Averaged weights need it: the statistics that training kept are those of other weights. As
    `torch.optim.swa_utils.update_bn`, but for dropout, which is off as in evaluation, and for the weighting.
    """
    layers = keeps_statistics(module)
    if not layers:
        return
    module.eval()
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
    seen = 0
    with torch.no_grad():
        for batch in batches:
            seen += len(batch)
            for layer in layers:
                layer.momentum = len(batch) / seen
            called(module, batch)
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum
    module.eval()
