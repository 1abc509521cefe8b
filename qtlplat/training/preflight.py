"""Checks on one tiny batch before any work: what plugins returned must have the right shape, dtype and gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from qtlplat.catalog.calls import guarded
from qtlplat.contracts import Backbone
from qtlplat.errors import PluginError
from qtlplat.training.seeding import isolated_rng


def try_backbone(build: Callable[[], Backbone], shape: tuple[int, int, int], n_classes: int, provider: str) -> Backbone:
    """Build a backbone and send two images through it; raises PluginError naming `provider`."""
    with isolated_rng():
        torch.manual_seed(0)
        backbone = guarded(build, provider, "building the backbone")
        if not isinstance(backbone, Backbone) or not backbone.dense:
            raise PluginError(
                "the backbone's build must return qtlplat.Backbone with at least one dense block", where=provider
            )
        x = guarded(lambda: backbone.features(torch.rand(2, *shape)), provider, "running the features")
        _check(x, None, "features", provider)
        for number, block in enumerate(backbone.dense, start=1):
            x = guarded(lambda block=block, x=x: block(x), provider, f"running dense block {number}")  # type: ignore[misc]
            _check(x, n_classes if number == len(backbone.dense) else None, f"dense block {number}", provider)
    return backbone


def try_head(make: Callable[[], nn.Module], n_in: int, n_classes: int, provider: str) -> nn.Module:
    """Build a head, send two vectors through it and back; raises PluginError naming `provider`."""
    with isolated_rng():
        torch.manual_seed(0)
        head = guarded(make, provider, "building the head")
        if not isinstance(head, nn.Module):
            raise PluginError(
                f"the head's build must return a torch module, it returned {type(head).__name__}", where=provider
            )
        head.train()
        logits = guarded(lambda: head(torch.rand(2, n_in)), provider, "running the head")
        _check(logits, n_classes, "logits", provider)
        trainable = [p for p in head.parameters() if p.requires_grad]
        if not trainable or not logits.requires_grad:
            raise PluginError("the head has nothing to train: no gradient reaches its parameters", where=provider)
        guarded(lambda: logits.sum().backward(), provider, "differentiating the head")
        for name, parameter in head.named_parameters():
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
                raise PluginError(f"the gradient of {name} is not finite", where=provider)
        head.zero_grad(set_to_none=True)
    return head


def _check(x: Tensor, width: int | None, what: str, provider: str) -> None:
    if not isinstance(x, Tensor):
        raise PluginError(f"{what} must be a tensor, is {type(x).__name__}", where=provider)
    expected = f"(2, {width if width is not None else 'F'})"
    if x.dim() != 2 or x.shape[0] != 2 or (width is not None and x.shape[1] != width):
        raise PluginError(f"{what} of two samples must have shape {expected}, has {tuple(x.shape)}", where=provider)
    if x.dtype != torch.float32:
        raise PluginError(f"{what} must be float32, is {str(x.dtype).removeprefix('torch.')}", where=provider)
    if not torch.isfinite(x).all():
        raise PluginError(f"{what} of two samples are not finite", where=provider)
