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

from qtlplat.quantum.operations import TensorLayout, part_of, record_operations

Function = Callable[..., tuple[Tensor, ...]]

aten = torch.ops.aten
# Torch's own Python functions parse their arguments in half the time that the same overload takes.
_QUICK: dict[Any, Callable[..., Any]] = {
    aten.add.Tensor: torch.add,
    aten.addmm.default: torch.addmm,
    aten.bmm.default: torch.bmm,
    aten.cat.default: torch.cat,
    aten.cos.default: torch.cos,
    aten.div.Tensor: torch.div,
    aten.gather.default: torch.gather,
    aten.index_select.default: torch.index_select,
    aten.mm.default: torch.mm,
    aten.mul.Tensor: torch.mul,
    aten.neg.default: torch.neg,
    aten.sin.default: torch.sin,
    aten.stack.default: torch.stack,
    aten.sub.Tensor: torch.sub,
    aten.sum.dim_IntList: torch.sum,
    aten.tanh.default: torch.tanh,
    aten.where.self: torch.where,
}
_COPIES = frozenset({aten.clone.default, aten._to_copy.default, aten.lift_fresh_copy.default})
_VIEWS = frozenset({aten._unsafe_view.default})  # beside those whose schema says that they are views


class CannotTraceError(Exception):
    """Why a function cannot be flattened; it then runs as it is."""


def trace(function: Function, arguments: Sequence[Tensor]) -> Program:
    """`function` applied to these very tensors, to be repeated when their contents have changed.

    Random operations stay random: they are drawn from torch's global generator at every call.
    Raises CannotTraceError where it cannot be traced, or changes tensors that are not its own. What it does in Python
    is done once, now: the caller must see to it that this is right.
    """
    try:
        with torch.no_grad():
            function(*arguments)  # what is made once and kept is made now, not as part of the trace
            graph = record_operations(function, arguments)
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
        self._same = _equal_nodes(nodes)
        self._memory = _Memory(nodes, self._same)
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
        del self._values, self._fixed, self._same, self._memory

    def __call__(self) -> tuple[Tensor, ...]:
        """Repeat the operations."""
        for call in self._calls:
            call()
        return self.results

    def __len__(self) -> int:
        """Number of operations that are repeated."""
        return len(self._calls)

    def _add(self, node: fx.Node) -> None:
        same = self._same.get(node)
        if same is not None:
            self._values[node] = self._values[same]
            self._memory.alias(node, same)
            if same in self._fixed:
                self._fixed.add(node)
            return
        args, kwargs = fx.map_arg((node.args, node.kwargs), self._values.__getitem__)
        operation: Any = node.target
        sources, layout = node.all_input_nodes, node.meta.get("layout")
        if _is_view(node):
            self._values[node] = operation(*args, **kwargs)
            self._memory.alias(node, sources[0])
            if sources[0] in self._fixed:
                self._fixed.add(node)
        elif _writes(node):
            self._refuse_foreign(sources[0])
            self._calls.append(functools.partial(operation, *args, **kwargs))
            self._values[node] = self._values[sources[0]]
            self._memory.alias(node, sources[0])
        elif not _is_random(node) and all(source in self._fixed for source in sources):
            self._values[node] = operation(*args, **kwargs)
            self._fixed.add(node)
        else:
            self._repeat(node, layout, args, kwargs)

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
        place = self._memory.allocate(node)
        self._values[node] = place
        if node.target in _COPIES:
            self._calls.append(functools.partial(place.copy_, args[0]))
            return
        into = _into(node.target)
        if into is None or _is_random(node):
            self._calls.append(lambda: place.copy_(operation(*args, **kwargs)))
        else:
            call, out = into
            self._calls.append(functools.partial(call, *args, **{**kwargs, out: place}))

    def _refuse_foreign(self, node: fx.Node) -> None:
        if self._memory.is_foreign(node):
            raise CannotTraceError("it changes a tensor of its own while it runs")


def _equal_nodes(nodes: Sequence[fx.Node]) -> dict[fx.Node, fx.Node]:
    """For nodes that hold what an earlier one holds, that one: an operation done before, or one that does nothing."""
    if any(_writes(node) for node in nodes):  # then equal operations need not have equal results
        return {}
    same: dict[fx.Node, fx.Node] = {}
    seen: dict[Any, fx.Node] = {}
    for node in nodes:
        if node.op != "call_function" or _is_random(node):
            continue
        layout: TensorLayout | None = node.meta.get("layout")
        if node.target in _COPIES or (node.target is aten.mul.Tensor and node.args[1] == 1):
            source = node.all_input_nodes[0]
            if layout is not None and layout == source.meta.get("layout") and not layout.conjugated:
                same[node] = same.get(source, source)
                continue
        arguments = fx.map_arg((node.args, dict(sorted(node.kwargs.items()))), lambda n: same.get(n, n))
        first = seen.setdefault((node.target, _hashable(arguments)), node)
        if first is not node:
            same[node] = first
    return same


class _Memory:
    """Who owns which piece of memory, and until when."""

    def __init__(self, nodes: Sequence[fx.Node], same: Mapping[fx.Node, fx.Node]) -> None:
        position = {node: i for i, node in enumerate(nodes)}
        # When each node is used last; grows when another node turns out to lie in the same memory.
        self._last = {node: max((position[user] for user in node.users), default=i) for node, i in position.items()}
        for node, first in same.items():
            self._last[first] = max(self._last[first], self._last[node])
        self._owner: dict[fx.Node, fx.Node] = {}
        self._pieces: dict[fx.Node, Tensor] = {}
        self._free: dict[tuple[int, torch.device], list[Tensor]] = {}

    def alias(self, node: fx.Node, source: fx.Node) -> None:
        """A node lies in the memory of another one, which must live as long."""
        if node in self._pieces:  # one of several results, which has its own
            return
        owner = self._owner.get(source, source)
        self._owner[node] = owner
        self._last[owner] = max(self._last[owner], self._last[node])

    def is_foreign(self, node: fx.Node) -> bool:
        """Whether a node lies in memory that was not allocated here."""
        return self._owner.get(node, node) not in self._pieces

    def allocate(self, node: fx.Node) -> Tensor:
        """A tensor of the node's layout, in memory that nobody needs any more, or new memory."""
        layout: TensorLayout = node.meta["layout"]
        extent = 1 + sum((n - 1) * s for n, s in zip(layout.size, layout.stride, strict=True))
        size = extent * layout.dtype.itemsize if all(layout.size) else 0
        free = self._free.setdefault((size, layout.device), [])
        piece = free.pop() if free else torch.empty(size, dtype=torch.uint8, device=layout.device)
        self._pieces[node] = piece
        empty = torch.empty(0, dtype=layout.dtype, device=layout.device)
        return empty.set_(piece.untyped_storage(), 0, layout.size, layout.stride)

    def release(self, position: int) -> None:
        """Take back memory whose last user stands at this position."""
        for node in [n for n in self._pieces if self._last[n] <= position]:
            piece = self._pieces.pop(node)
            self._free[piece.numel(), piece.device].append(piece)


def _is_view(node: fx.Node) -> bool:
    if node.target is part_of or node.target in _VIEWS:
        return True
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    returns = node.target._schema.returns
    return bool(returns) and returns[0].alias_info is not None and not _writes(node)


def _writes(node: fx.Node) -> bool:
    target = node.target
    return isinstance(target, torch._ops.OpOverload) and bool(target._schema.is_mutable) and not _only_reshapes(target)


def _only_reshapes(target: torch._ops.OpOverload) -> bool:
    """Operations like squeeze_ change a view, not the numbers."""
    return torch.Tag.inplace_view in target.tags


def _is_random(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


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


def _hashable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_hashable(one) for one in value)
    if isinstance(value, dict):
        return tuple((key, _hashable(one)) for key, one in value.items())
    return value if isinstance(value, fx.Node) else (type(value), value)
