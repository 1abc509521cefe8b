"""The state of Adam as tensors by name, and back."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.optim import Optimizer


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimizer's state, by ``INDEX.KEY``; none before its first step."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{key}": tensor for index, tensors in state.items() for key, tensor in tensors.items()}


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put an optimizer of the same parameters into the state that `optimizer_tensors` gave, bit for bit."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
