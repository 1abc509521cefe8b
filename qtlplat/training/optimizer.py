"""The state of Adam as tensors by name, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimizer's state, by ``INDEX.KEY``; none before its first step."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{key}": tensor for index, tensors in state.items() for key, tensor in tensors.items()}


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put an optimizer of the same parameters into the state that `optimizer_tensors` gave, bit for bit.

    Tensors get the memory layout of their parameter: the fused step walks over both in the order of memory, whatever
    their strides say, and a file keeps no strides.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".")
        like = parameters[int(index)]
        own = torch.empty_like(like, dtype=tensor.dtype, requires_grad=False) if tensor.shape == like.shape else None
        state.setdefault(int(index), {})[key] = tensor if own is None else own.copy_(tensor)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
