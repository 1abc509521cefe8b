"""A torch function as a fixed list of calls on fixed tensors: no modules, autograd, vmap, views or allocations.

Heads are so small that what costs time is not arithmetic but the machinery around every operation. Tracing runs that
machinery once. Shapes never change, so every intermediate result gets its place in memory once, every view of it is
made once, and what depends on constants alone is computed once; what is left to repeat are the operations themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from qtlplat.compile.buffer_plan import Memory, is_joined_by_hand, joined, piece_at, pieces_of
from qtlplat.compile.passes import COPIES, is_random, is_view, simplify, writes
from qtlplat.compile.private_torch import untried
from qtlplat.compile.recorder import TensorLayout, part_of, record_operations

Function = Callable[..., tuple[Tensor, ...]]

aten = torch.ops.aten
# Torch's own Python functions parse their arguments in half the time that the same overload takes.
_QUICK: dict[Any, Callable[..., Any]] = {
    aten.add.Tensor: torch.add,
    aten.addmm.default: torch.addmm,
    aten.baddbmm.default: torch.baddbmm,
    aten.bmm.default: torch.bmm,
    aten.cat.default: torch.cat,
    aten.cos.default: torch.cos,
    aten.div.Tensor: torch.div,
    aten.gather.default: torch.gather,
    aten.index_select.default: torch.index_select,
    aten.mm.default: torch.mm,
    aten.mul.Tensor: torch.mul,
    aten.neg.default: torch.neg,
    aten.relu.default: functools.partial(torch.clamp_min, min=0),
    aten.sin.default: torch.sin,
    aten.stack.default: torch.stack,
    aten.sub.Tensor: torch.sub,
    aten.sum.dim_IntList: torch.sum,
    aten.tanh.default: torch.tanh,
    aten.where.self: torch.where,
}
# What depends on the shape of its argument alone.
_OF_SHAPES = frozenset(
    {
        aten.ones_like.default,
        aten.zeros_like.default,
        aten.full_like.default,
        aten.new_ones.default,
        aten.new_zeros.default,
        aten.new_full.default,
    }
)


class CannotTraceError(Exception):
    """Why a function cannot be flattened; it then runs as it is."""


def trace(function: Function, arguments: Sequence[Tensor]) -> Program:
    """`function` applied to these very tensors, to be repeated when their contents have changed.

    Random operations stay random: they are drawn from torch's global generator at every call.
    Raises CannotTraceError if it cannot be traced, or changes tensors that are not its own. What it does in Python
    is done once, now: the caller must see to it that this is right.
    """
    if reason := untried():
        raise CannotTraceError(reason)
    try:
        with torch.no_grad():
            function(*arguments)  # what is made once and kept is made now, not as part of the trace
            graph = record_operations(function, arguments)
            simplify(graph.graph)
            return Program(graph, arguments)
    except CannotTraceError:
        raise
    except Exception as error:
        text = (str(error).strip() or "no message").splitlines()[0][:160]
        raise CannotTraceError(f"{type(error).__name__}: {text}") from error


class Program:
    """A recorded graph bound to memory. Called without arguments, it returns its results, always the same tensors.

    Results are overwritten by the next call; what was an argument of the trace is read where it lies.
    """

    def __init__(self, graph: fx.GraphModule, arguments: Sequence[Tensor]) -> None:
        self._calls: list[Callable[[], Any]] = []
        self._values: dict[fx.Node, Any] = {}
        self._fixed: set[fx.Node] = set()  # what depends on constants alone
        nodes = list(graph.graph.nodes)
        self._writes = any(map(writes, nodes))
        self._memory = Memory(nodes)
        self._pieces = {} if self._writes else pieces_of(nodes)
        given = iter(arguments)
        for position, node in enumerate(nodes):
            if node.op == "placeholder":
                self._values[node] = next(given)
            elif node.op == "get_attr":
                self._values[node] = getattr(graph, str(node.target))
                self._fixed.add(node)
            elif node.op == "call_function":
                self._add(node)
            else:
                self.results: tuple[Tensor, ...] = tuple(fx.map_arg(node.args[0], self._values.__getitem__))
            self._memory.release(position)
        del self._values, self._fixed, self._memory, self._pieces

    def __call__(self) -> tuple[Tensor, ...]:
        """Repeat the operations."""
        with torch.inference_mode():  # torch does not look for gradients then, which takes a tenth of a small operation
            for call in self._calls:
                call()
        return self.results

    def __len__(self) -> int:
        """Number of operations that are repeated."""
        return len(self._calls)

    def _add(self, node: fx.Node) -> None:
        args, kwargs = fx.map_arg((node.args, node.kwargs), self._values.__getitem__)
        operation: Any = node.target
        sources, layout = node.all_input_nodes, node.meta.get("layout")
        if is_view(node):
            self._values[node] = operation(*args, **kwargs)
            if sources:  # else it is a view of a plain number
                self._memory.alias(node, sources[0])
            if not sources or sources[0] in self._fixed:
                self._fixed.add(node)
        elif writes(node):
            self._refuse_foreign(sources[0])
            self._calls.append(functools.partial(operation, *args, **kwargs))
            self._values[node] = self._values[sources[0]]
            self._memory.alias(node, sources[0])
        elif self._is_fixed(node):
            self._values[node] = operation(*args, **kwargs)
            self._fixed.add(node)
        elif is_joined_by_hand(node):
            self._join(node)
        else:
            self._repeat(node, layout, args, kwargs)

    def _is_fixed(self, node: fx.Node) -> bool:
        """Whether a node's value is the same at every call."""
        if is_random(node):
            return False
        if node.target in _OF_SHAPES and not self._writes:  # what is written into has to be made anew
            return True
        return all(source in self._fixed for source in node.all_input_nodes)

    def _repeat(
        self, node: fx.Node, layout: TensorLayout | None, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """An operation that is done at every call, into memory of its own."""
        operation: Any = node.target
        if layout is None:  # several results
            parts = [user for user in node.users if user.target is part_of]
            places = [(user.args[1], self._memory.allocate(user)) for user in parts]

            def several() -> None:
                results = operation(*args, **kwargs)
                for number, place in places:
                    place.copy_(results[number])

            self._calls.append(several)
            self._values[node] = dict(places)
            return
        place = self._place(node)
        self._values[node] = place
        if node.target in COPIES:
            self._calls.append(functools.partial(place.copy_, args[0]))
            return
        into = _into(node.target)
        if into is None or is_random(node):
            self._calls.append(lambda: place.copy_(operation(*args, **kwargs)))
        else:
            call, out = into
            self._calls.append(functools.partial(call, *args, **{**kwargs, out: place}))

    def _place(self, node: fx.Node) -> Tensor:
        """Memory for an operation's result: its own, or the piece of a joined tensor that it becomes."""
        if node not in self._pieces:
            return self._memory.allocate(node)
        whole, number = self._pieces[node]
        place = piece_at(self._whole(whole), whole, number)
        self._memory.alias(node, whole)
        return place

    def _whole(self, node: fx.Node) -> Tensor:
        """Memory for a joined tensor, from its first piece on."""
        if node not in self._values:
            self._values[node] = self._memory.allocate(node)
        whole: Tensor = self._values[node]
        return whole

    def _join(self, node: fx.Node) -> None:
        """A joined tensor; pieces that do not lie where they belong are copied."""
        whole = self._whole(node)
        for number, source in enumerate(joined(node)):
            if self._pieces.get(source) != (node, number) or source in self._fixed:
                place = piece_at(whole, node, number)
                self._calls.append(functools.partial(place.copy_, self._values[source]))

    def _refuse_foreign(self, node: fx.Node) -> None:
        if self._memory.is_foreign(node):
            raise CannotTraceError("it changes a tensor of its own while it runs")


@functools.cache
def _into(target: Any) -> tuple[Callable[..., Any], str] | None:
    """The variant of an operation that writes into a tensor, and the name of that argument; None if there is none."""
    if target in _QUICK:
        return _QUICK[target], "out"

    def signature(overload: Any, out: bool) -> list[tuple[str, str]]:
        return [(a.name, str(a.type)) for a in overload._schema.arguments if a.is_out == out]

    packet = target.overloadpacket
    for name in packet.overloads():
        overload = getattr(packet, name)
        outs = signature(overload, True)
        if len(outs) == 1 and signature(overload, False) == signature(target, False):
            return overload, outs[0][0]
    return None
