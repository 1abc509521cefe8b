"""Adam, whose state is tensors by name.

The arithmetic is torch's own function. `torch.optim.Adam` around it imports torch's compiler, which takes longer than
many heads take to train.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.optim.adam import adam as torch_adam

from qtlplat.state.snapshots import require, require_like

MOMENTS = ("exp_avg", "exp_avg_sq")
STEP = torch.tensor(0.0)


class Adam:
    """Adam with torch's defaults (Kingma & Ba 2015, arXiv:1412.6980), equal to `torch.optim.Adam` bit for bit.

    Args:
        parameters: What is trained; those without a gradient are left alone.
        learning_rate: The step size.
        fused: Whether all parameters are updated in one pass, which torch cannot do for complex ones.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, *, fused: bool = True) -> None:
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self.fused = fused and not any(parameter.is_complex() for parameter in self.parameters)
        self.state: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        rows = [(index, p) for index, p in enumerate(self.parameters) if p.grad is not None]
        for index, parameter in rows:
            if parameter.grad is not None and parameter.grad.is_sparse:
                raise RuntimeError("Adam takes no sparse gradients: make them dense (sparse=False)")
            if index not in self.state:
                device = parameter.device if self.fused else torch.device("cpu")
                moments = {name: torch.zeros_like(parameter, requires_grad=False) for name in MOMENTS}
                self.state[index] = {"step": torch.zeros_like(STEP, device=device), **moments}
        state = {key: [self.state[index][key] for index, _ in rows] for key in ("step", *MOMENTS)}
        torch_adam(
            [parameter for _, parameter in rows],
            [parameter.grad for _, parameter in rows if parameter.grad is not None],
            state["exp_avg"],
            state["exp_avg_sq"],
            [],
            state["step"],
            fused=self.fused or None,
            has_complex=any(parameter.is_complex() for _, parameter in rows),
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.learning_rate,
            weight_decay=0,
            eps=1e-8,
            maximize=False,
        )

    def tensors(self) -> dict[str, Tensor]:
        """The state, by ``INDEX.KEY``; none before the first step."""
        return {f"{index}.{key}": tensor for index, tensors in self.state.items() for key, tensor in tensors.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the state that `tensors` gave for the same parameters, bit for bit.

        Tensors get the memory layout of their parameter: the fused step walks over both in the order of memory,
        whatever their strides say, and a file keeps no strides.

        Raises:
            UnfitError: The state belongs to other parameters; a fused step does not look how long it is.
        """
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            number, _, key = name.partition(".")
            index = int(number)
            require(0 <= index < len(self.parameters), "the optimizer's state has parameters of its own")
            like = self.parameters[index].detach() if key in MOMENTS else STEP
            require_like({key: tensor}, {key: like} if key in (*MOMENTS, "step") else {}, "the optimizer's tensors")
            own = torch.empty_like(like, requires_grad=False)
            if key == "step" and self.fused:
                own = own.to(self.parameters[index].device)
            state.setdefault(index, {})[key] = own.copy_(tensor)
        require(all(len(found) == len(MOMENTS) + 1 for found in state.values()), "the optimizer's state is not whole")
        self.state = state
