"""Writes down the tensor operations that a function really performs, as a torch.fx graph.

Every operation is seen below autograd and ``vmap``: what they expand to is recorded, they themselves are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from qtlplat.compile.private_torch import DispatchMode


class DependsOnValuesError(Exception):
    """The function looked at the value of a tensor: for other values it may do something else."""


@dataclass(frozen=True)
class TensorLayout:
    """How a tensor lies in memory; conjugated: lazily, the numbers in memory are not the tensor's."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype
    device: torch.device
    conjugated: bool

    @property
    def place(self) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        """Size, stride and storage offset."""
        return self.size, self.stride, self.offset


def layout_of(tensor: Tensor) -> TensorLayout:
    """The layout of a tensor."""
    return TensorLayout(
        tuple(tensor.size()),
        tuple(tensor.stride()),
        int(tensor.storage_offset()),
        tensor.dtype,
        tensor.device,
        tensor.is_conj(),
    )


def record_operations(function: Callable[..., Sequence[Tensor]], arguments: Sequence[Tensor]) -> fx.GraphModule:
    """The operations of ``function(*arguments)``, a function of tensors that returns tensors.

    Every node of one tensor has its `TensorLayout` in ``meta["layout"]``. Tensors that are neither arguments nor
    computed from them are constants of the graph. Raises DependsOnValuesError if a value is looked at; what the
    function raises passes through.
    """
    recorder = _Recorder(arguments)
    with recorder:
        results = function(*arguments)
    recorder.graph.output(tuple(recorder.node(result) for result in results))
    return fx.GraphModule(recorder.constants, recorder.graph)


class _Recorder(DispatchMode):
    def __init__(self, arguments: Sequence[Tensor]) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.constants = torch.nn.Module()
        # Weak: what the function has done with is freed while it runs, as it would be without us.
        self._nodes = WeakTensorKeyDictionary()
        for number, argument in enumerate(arguments):
            self._note(self.graph.placeholder(f"argument_{number}"), argument)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise DependsOnValuesError("it looks at the value of a tensor")
        node = self.graph.call_function(func, tree_map(self._argument, tuple(args)), tree_map(self._argument, kwargs))
        result = func(*args, **kwargs)
        if isinstance(result, Tensor):
            self._note(node, result)
        elif isinstance(result, list | tuple):
            for number, part in enumerate(result):
                if isinstance(part, Tensor):
                    self._note(self.graph.call_function(part_of, (node, number)), part)
        return result

    def _note(self, node: fx.Node, tensor: Tensor) -> None:
        node.meta["layout"] = layout_of(tensor)
        self._nodes[tensor] = node

    def _argument(self, value: Any) -> Any:
        return self.node(value) if isinstance(value, Tensor) else value

    def node(self, tensor: Tensor) -> fx.Node:
        """The node that a tensor comes from; a tensor from elsewhere is a constant."""
        known = self._nodes.get(tensor)
        if known is None:
            name = f"constant_{len(list(self.constants.buffers()))}"
            self.constants.register_buffer(name, tensor.detach())
            known = self.graph.get_attr(name)
            self._note(known, tensor)
        result: fx.Node = known
        return result


def part_of(values: Sequence[Any], number: int) -> Any:
    """One of several results of an operation."""
    return values[number]
