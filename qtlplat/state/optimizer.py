"""The state of Adam as tensors by name, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from qtlplat.state.snapshots import require, require_like

MOMENTS = ("exp_avg", "exp_avg_sq")
STEP = torch.tensor(0.0)


def adam(parameters: Iterable[Tensor], learning_rate: float) -> Adam:
    """Adam; all parameters in one pass where torch can, which it cannot for complex ones."""
    own = list(parameters)
    return Adam(own, lr=learning_rate, fused=not any(parameter.is_complex() for parameter in own))


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimizer's state, by ``INDEX.KEY``; none before its first step."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{key}": tensor for index, tensors in state.items() for key, tensor in tensors.items()}


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put an optimizer of the same parameters into the state that `optimizer_tensors` gave, bit for bit.

    Raises UnfitError for the state of another one: a fused step does not look how long it is.
    Tensors get the memory layout of their parameter: the fused step walks over both in the order of memory, whatever
    their strides say, and a file keeps no strides.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        like = parameters[int(index)].detach() if key in MOMENTS else STEP
        require_like({key: tensor}, {key: like} if key in (*MOMENTS, "step") else {}, "the optimizer's tensors")
        own = torch.empty_like(like, requires_grad=False)
        state.setdefault(int(index), {})[key] = own.copy_(tensor)
    require(all(len(found) == len(MOMENTS) + 1 for found in state.values()), "the optimizer's state is not whole")
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
