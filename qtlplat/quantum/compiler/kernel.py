"""A torch function with a backward pass of its own, that stacks under ``vmap`` forward and backward.

Every kernel takes any number of leading axes *, the cells of a stack among them: under ``torch.func.vmap`` the new axis
is simply put in front. Gradients of complex tensors follow torch's convention, dL/dRe + i dL/dIm. There are no second
derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def _stacked(info: Any, in_dims: Sequence[int | None], args: Sequence[Any], batched: int) -> list[Any]:
    """Arguments with the axis of a ``vmap`` in front of the first `batched` ones; the others are shared tables."""
    front = list(args)
    for position, (dim, arg) in enumerate(zip(in_dims[:batched], args[:batched], strict=True)):
        front[position] = arg.expand(info.batch_size, *arg.shape) if dim is None else arg.movedim(dim, 0)
    return front


class Derivative(Function):
    """A backward pass as a function of its own, so that ``vmap`` stacks it as it stacks the forward pass."""

    @staticmethod
    def forward(derive: Callable[..., tuple[Tensor, ...]], _batched: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Gradients, without a graph of their own."""
        return derive(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG004 -- torch names them so
        """Nothing is kept."""
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], derive: Any, batched: int, *tensors: Tensor) -> tuple[Any, Any]:
        """Derive once for the whole stack."""
        front = _stacked(info, in_dims[2:], tensors, batched)
        result = Derivative.apply(derive, batched, *front)  # type: ignore[no-untyped-call]
        return result, (0,) * len(result)


class Kernel(Function):
    """A function of `batched` tensors and further tables, returning its result first.

    Subclasses have `forward`, `kept` (inputs and outputs -> the tensors for the backward pass, the batched
    ones first, and their number) and `derive` (the gradient, then what was kept -> a gradient for each
    batched tensor).
    """

    batched = 1
    kept: Callable[[Any, Any], tuple[list[Tensor], int]]
    derive: Callable[..., tuple[Tensor, ...]]

    @classmethod
    def run(cls, *args: Any) -> Any:
        """`apply`, which torch leaves untyped."""
        return cls.apply(*args)  # type: ignore[no-untyped-call]

    @classmethod
    def setup_context(cls, ctx: Any, inputs: Any, output: Any) -> None:
        """Keep what `derive` needs."""
        tensors, ctx.kept_batched = cls.kept(inputs, output)
        ctx.tables = len(inputs) - cls.batched
        if isinstance(output, tuple):
            ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*tensors)

    @classmethod
    def backward(cls, ctx: Any, gradient: Tensor, *_others: Tensor) -> Any:
        """`derive`, stackable; tables have no gradient."""
        arguments = (gradient, *ctx.saved_tensors)
        result = Derivative.apply(cls.derive, 1 + ctx.kept_batched, *arguments)  # type: ignore[no-untyped-call]
        return *result, *(None for _ in range(ctx.tables))

    @classmethod
    def vmap(cls, info: Any, in_dims: Sequence[int | None], *args: Any) -> tuple[Any, Any]:
        """Apply the kernel once to the whole stack."""
        result = cls.run(*_stacked(info, in_dims, args, cls.batched))
        return result, (0,) * len(result) if isinstance(result, tuple) else 0


class _Linear(Kernel):
    """features (*, B, F), table (n, F) -> (*, n, B)."""

    @staticmethod
    def forward(features: Tensor, table: Tensor) -> Tensor:
        return table_times(table, features.mT)

    @staticmethod
    def kept(inputs: Any, _output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[1]], 0

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        gradient, table = tensors
        return (table_times(table.mT, gradient).mT,)


def linear(features: Tensor, table: Tensor) -> Tensor:
    """``table @ features.mT``, samples last: (*, n, B) of features (*, B, F) and a fixed table (n, F) for all cells."""
    result: Tensor = _Linear.run(features, table)
    return result


def table_times(table: Tensor, columns: Tensor) -> Tensor:
    """A table (n, F), the same for all leading axes, times columns (*, F, B), in one multiplication."""
    flat = columns.reshape(-1, *columns.shape[-2:])
    return torch.bmm(table.expand(len(flat), *table.shape), flat).view(*columns.shape[:-2], len(table), -1)
