"""Where the results of a traced program lie: memory that is used again, and pieces of tensors that are joined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from qtlplat.compile.passes import PRODUCTS, is_random, is_view
from qtlplat.compile.recorder import TensorLayout

aten = torch.ops.aten
MOST_PIECES = 8  # of a tensor that is joined piece by piece
_JOINTS = frozenset({aten.cat.default, aten.stack.default})


class Memory:
    """Who owns which piece of memory, and until when."""

    def __init__(self, nodes: Sequence[fx.Node]) -> None:
        position = {node: i for i, node in enumerate(nodes)}
        # When each node is used last; grows when another node turns out to lie in the same memory.
        self._last = {node: max((position[user] for user in node.users), default=i) for node, i in position.items()}
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
        """A tensor of the node's layout, in unused or new memory."""
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


def pieces_of(nodes: Sequence[fx.Node]) -> dict[fx.Node, tuple[fx.Node, int]]:
    """Results that can be computed where they are joined with others: into which tensor, and as which part."""
    pieces: dict[fx.Node, tuple[fx.Node, int]] = {}
    for node in nodes:
        if not is_joined_by_hand(node):
            continue
        layout: TensorLayout = node.meta["layout"]
        inner = math.prod(layout.size[: _joint_axis(node)]) > 1  # a piece does not lie in one run
        for number, source in enumerate(joined(node)):
            if source not in pieces and _can_lie_anywhere(source, layout) and not (inner and source.target in PRODUCTS):
                pieces[source] = (node, number)
    return pieces


def is_joined_by_hand(node: fx.Node) -> bool:
    """Whether a tensor is put together from a few pieces: one copy each takes less time than torch's own way."""
    if node.target not in _JOINTS or len(joined(node)) > MOST_PIECES:
        return False
    return len({len(source.meta["layout"].size) for source in joined(node)}) == 1


def _can_lie_anywhere(node: fx.Node, whole: TensorLayout) -> bool:
    """Whether an operation's result may have any strides, for itself and for all who use it."""
    layout: TensorLayout | None = node.meta.get("layout")
    if node.op != "call_function" or layout is None or layout.dtype != whole.dtype or layout.device != whole.device:
        return False
    if is_view(node) or is_random(node) or node.target in _JOINTS:
        return False
    return all(user.op == "call_function" and not is_view(user) for user in node.users)


def joined(node: fx.Node) -> Sequence[fx.Node]:
    """The pieces of a joined tensor, in order."""
    sources: Any = node.args[0]
    return list(sources)


def _joint_axis(node: fx.Node) -> int:
    axis: Any = node.args[1] if len(node.args) > 1 else 0
    return int(axis) % len(node.meta["layout"].size)


def piece_at(whole: Tensor, node: fx.Node, number: int) -> Tensor:
    """Where piece `number` of the joined tensor `node` lies in it."""
    axis = _joint_axis(node)
    if node.target is aten.stack.default:
        return whole.select(axis, number)
    lengths = [source.meta["layout"].size[axis] for source in joined(node)]
    return whole.narrow(axis, sum(lengths[:number]), lengths[number])
