"""Adam, whose state is tensors by name.

The arithmetic is torch's own function. `torch.optim.Adam` around it imports torch's compiler, which takes longer than
many heads take to train.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam as torch_adam

from qtlplat.state.snapshots import require, require_like

MOMENTS = ("exp_avg", "exp_avg_sq")
STEP = torch.tensor(0.0)


def _equal_rates(rates: float | Sequence[float]) -> Iterator[tuple[slice | None, float]]:
    """Neighbours with the same learning rate, but for 0; None for the whole axis."""
    if isinstance(rates, float):
        yield None, rates
        return
    start = 0
    for rate, same in itertools.groupby(rates):
        end = start + len(list(same))
        if rate:
            yield (slice(start, end) if end - start < len(rates) else None), rate
        start = end


def _parts(tensors: list[Tensor], part: slice | None) -> list[Tensor]:
    return tensors if part is None else [tensor[part] for tensor in tensors]


class Adam:
    """Adam with torch's defaults (Kingma & Ba 2015, arXiv:1412.6980), equal to `torch.optim.Adam` bit for bit.

    Args:
        parameters: What is trained; those without a gradient are left alone.
        learning_rate: The step size; one for each index of the parameters' first axis, if they are stacked. Where it is
            0, parameters and moments stay as they are.
        fused: Whether all parameters are updated in one pass, which torch cannot do for complex ones.
    """

    def __init__(
        self, parameters: Iterable[Tensor], learning_rate: float | Sequence[float], *, fused: bool = True
    ) -> None:
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
        parameters = [p for _, p in rows]
        gradients = [p.grad for p in parameters if p.grad is not None]
        averages = [[self.state[index][key] for index, _ in rows] for key in MOMENTS]
        steps = [self.state[index]["step"] for index, _ in rows]
        ranges = list(_equal_rates(self.learning_rate))
        for part, rate in ranges:
            first, second = (_parts(average, part) for average in averages)
            torch_adam(
                _parts(parameters, part),
                [gradient.contiguous() if part else gradient for gradient in _parts(gradients, part)],
                first,
                second,
                [],
                [step.clone() for step in steps] if part else steps,
                fused=self.fused or None,
                has_complex=any(parameter.is_complex() for parameter in parameters),
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=rate,
                weight_decay=0,
                eps=1e-8,
                maximize=False,
            )
        if all(part for part, _ in ranges):
            for step in steps:
                step.add_(1)

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
