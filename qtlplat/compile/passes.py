"""Rewrites a recorded graph of operations so that it does the same in fewer and quicker ones; nothing is run here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import fx

from qtlplat.compile.private_torch import changes_arguments, is_overload
from qtlplat.compile.recorder import TensorLayout, part_of

aten = torch.ops.aten
COPIES = frozenset({aten.clone.default, aten._to_copy.default, aten.lift_fresh_copy.default})
_UNSAFE_VIEWS = frozenset({aten._unsafe_view.default})  # views, though their schema does not say so
_TIMES_ONE = frozenset({aten.mul.Tensor, aten.mul.Scalar})
# Views that fit whatever strides their source has.
_PLIABLE = frozenset(
    {
        aten.transpose.int,
        aten.permute.default,
        aten.unsqueeze.default,
        aten.squeeze.dim,
        aten.squeeze.dims,
        aten.select.int,
        aten.slice.Tensor,
        aten.expand.default,
        aten.detach.default,
        aten.alias.default,
        aten.unbind.int,
        aten.split.Tensor,
        aten.split_with_sizes.default,
        part_of,
    }
)
# Operations along one axis, and which of their arguments says along which; their results keep all axes.
_ALONG = {
    aten._log_softmax.default: 1,
    aten._log_softmax_backward_data.default: 2,
    aten._softmax.default: 1,
    aten._softmax_backward_data.default: 2,
    aten.gather.default: 1,
}
PRODUCTS = frozenset({aten.bmm.default, aten.baddbmm.default})
_TURNED = (0, 2, 1)  # where each of three axes stands when the last two have changed places
NARROW = 4  # times more rows than columns: such matrices are kept transposed
LONG = 256  # numbers that are added up for each entry of a product


def simplify(graph: fx.Graph) -> None:
    """Rewrite a graph whose nodes have their `TensorLayout` in ``meta["layout"]``, as far as it is sure to be right.

    Results may differ by rounding. Graphs that write into tensors keep all but their dead code: there, operations that
    look alike need not have equal results.
    """
    if not any(writes(node) for node in graph.nodes):
        _merge_equal(graph)
        graph.eliminate_dead_code()
        _add_within_products(graph)
        _Narrow(graph).rewrite()
    graph.eliminate_dead_code()


def layout_at(node: fx.Node) -> TensorLayout | None:
    """The layout of a node's tensor, None if it is no tensor."""
    return node.meta.get("layout")


def is_view(node: fx.Node) -> bool:
    """Whether a node is another view of its first argument's memory."""
    if node.target is part_of or node.target in _UNSAFE_VIEWS:
        return True
    if not is_overload(node.target):
        return False
    returns = node.target._schema.returns
    return bool(returns) and returns[0].alias_info is not None and not writes(node)


def writes(node: fx.Node) -> bool:
    """Whether a node changes its argument's numbers; operations like squeeze_ change a view only."""
    target: Any = node.target
    return changes_arguments(target) and torch.Tag.inplace_view not in target.tags


def is_random(node: fx.Node) -> bool:
    """Whether a node draws random numbers."""
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _merge_equal(graph: fx.Graph) -> None:
    """Operations done before, and those that do nothing, give way to what is there already."""
    seen: dict[Any, fx.Node] = {}
    for node in graph.nodes:
        if node.op != "call_function" or is_random(node):
            continue
        if _does_nothing(node):
            node.replace_all_uses_with(node.all_input_nodes[0])
            continue
        first = seen.setdefault((node.target, _hashable((node.args, dict(sorted(node.kwargs.items()))))), node)
        if first is not node:
            node.replace_all_uses_with(first)


def _does_nothing(node: fx.Node) -> bool:
    source = next(iter(node.all_input_nodes), None)
    layout = layout_at(node)
    if source is None or layout is None or not _lies_as(layout, layout_at(source)):
        return False
    if node.target in COPIES:
        return not layout.conjugated
    return is_view(node) or (node.target in _TIMES_ONE and bool(node.args[1] == 1))


def _lies_as(layout: TensorLayout, other: TensorLayout | None) -> bool:
    """Whether layouts agree; along an axis of one entry, strides do not count."""
    if other is None or layout.size != other.size:
        return False
    stride = tuple(a if n == 1 else b for n, a, b in zip(layout.size, layout.stride, other.stride, strict=True))
    return layout == replace(other, stride=stride)


def _hashable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_hashable(one) for one in value)
    if isinstance(value, dict):
        return tuple((key, _hashable(one)) for key, one in value.items())
    return value if isinstance(value, fx.Node) else (type(value), value)


def _add_within_products(graph: fx.Graph) -> None:
    """``a + b @ c`` as one operation, where nothing else needs the product."""
    for node in graph.nodes:
        if node.target is not aten.add.Tensor or node.kwargs:
            continue
        for product, other in (node.args, node.args[::-1]):
            if not (isinstance(product, fx.Node) and isinstance(other, fx.Node)):
                break
            if _is_product_for(product, node) and _axes(other) == 3 and _layout(other).dtype == _layout(node).dtype:
                node.target, node.args = aten.baddbmm.default, (other, *product.args)
                break


def _is_product_for(node: fx.Node, user: fx.Node) -> bool:
    """Whether a node is a product of matrices that only this user needs, and that lies as the user does."""
    return node.target is aten.bmm.default and list(node.users) == [user] and layout_at(node) == layout_at(user)


class _Narrow:
    """Tall, narrow matrices, like the few numbers that a head has for each sample, are computed transposed.

    Rows are long then, over which processors are several times quicker: in the product from which such a matrix comes,
    and in what is done with it afterwards.
    """

    def __init__(self, graph: fx.Graph) -> None:
        self.graph = graph
        self.transposed: dict[fx.Node, fx.Node] = {}  # by node: what holds its numbers transposed

    def rewrite(self) -> None:
        """From products onwards, as far as their results are used row by row or one by one."""
        for node in list(self.graph.nodes):
            with self.graph.inserting_before(node):
                result = self._rewritten(node)
                if result is None and node.op == "call_function" and not _reads_any_strides(node):
                    for source in set(node.all_input_nodes) & self.transposed.keys():
                        node.replace_input_with(source, self._in_order(source))
            if result is not None:
                node.replace_all_uses_with(result)
                self.graph.erase_node(node)

    def _rewritten(self, node: fx.Node) -> fx.Node | None:
        """What takes the place of a node; None if it stays."""
        pliable = all(map(_takes_any_strides, node.users))
        if _is_narrow_product(node):
            if not pliable and not _is_long_product(node):
                return None
            *added, left, right = _arguments(node)
            back = self._back(node, (*added, right, left))
            return back if pliable else self._in_order(back)
        if _takes_matrices(node) and any(n in self.transposed for n in node.all_input_nodes):
            if node.target is aten.sum.dim_IntList and not node.kwargs:
                return self._sum(node)
            if pliable and _is_pointwise(node):
                return self._back(node, _arguments(node))
            if pliable and node.target in _ALONG and _axes(node) == 3:
                changed = list(_arguments(node))
                changed[_ALONG[node.target]] = _TURNED[changed[_ALONG[node.target]]]
                return self._back(node, changed)
        return None

    def _back(self, node: fx.Node, arguments: Sequence[Any]) -> fx.Node:
        """The same operation on arguments transposed, seen as its result was."""
        layout = _layout(node)
        size = tuple(layout.size[axis] for axis in _TURNED)
        stride = _contiguous(size)
        changed = tuple(self._transpose(argument) for argument in arguments)
        result = self._call(node.target, changed, replace(layout, size=size, stride=stride), node.kwargs)
        seen = replace(layout, stride=tuple(stride[axis] for axis in _TURNED))
        back = self._call(aten.transpose.int, (result, 1, 2), seen)
        self.transposed[back] = result
        return back

    def _sum(self, node: fx.Node) -> fx.Node | None:
        source, axes, *keeps = _arguments(node)
        axes = sorted(axis % 3 for axis in axes)
        if axes[0] == 0:  # what is left would have to be transposed
            return None
        size = tuple(n for axis, n in enumerate(_layout(source).size) if axis not in axes)
        layout = replace(_layout(node), size=size, stride=_contiguous(size))
        result = self._call(node.target, (self._transpose(source), [_TURNED[axis] for axis in axes]), layout)
        for axis in axes if any(keeps) else ():
            result = self._call(aten.unsqueeze.default, (result, axis), _layout(node))
        return result

    def _transpose(self, value: Any) -> Any:
        if not isinstance(value, fx.Node) or _axes(value) != 3:
            return value
        layout = _layout(value)
        if value not in self.transposed:
            if _is_narrow(layout) and _is_pointwise(value) and all(map(_takes_any_strides, value.users)):
                with self.graph.inserting_before(value):
                    back = self._back(value, _arguments(value))
                value.replace_all_uses_with(back)
                self.transposed[value] = self.transposed[back]
            else:
                size, stride = (tuple(of[axis] for axis in _TURNED) for of in (layout.size, layout.stride))
                return self._call(aten.transpose.int, (value, 1, 2), replace(layout, size=size, stride=stride))
        return self.transposed[value]

    def _in_order(self, node: fx.Node) -> fx.Node:
        """A copy that lies as if nothing was transposed."""
        layout = _layout(node)
        return self._call(aten.clone.default, (node,), replace(layout, stride=_contiguous(layout.size), offset=0))

    def _call(
        self, target: Any, args: tuple[Any, ...], layout: TensorLayout, kwargs: Mapping[str, Any] | None = None
    ) -> fx.Node:
        node = self.graph.call_function(target, args, dict(kwargs or {}))
        node.meta["layout"] = layout
        return node


def _is_narrow(layout: TensorLayout) -> bool:
    _, rows, columns = layout.size
    return not layout.dtype.is_complex and rows >= NARROW * columns


def _is_narrow_product(node: fx.Node) -> bool:
    return node.target in PRODUCTS and _is_narrow(_layout(node))


def _is_long_product(node: fx.Node) -> bool:
    """Whether so much is added up that one more copy of the result does not count."""
    return _layout(node.args[-1]).size[1] >= LONG


def _takes_matrices(node: fx.Node) -> bool:
    """Whether a node computes one tensor, always the same, from tensors of three axes (and single numbers)."""
    if not is_overload(node.target) or is_view(node) or is_random(node):
        return False
    return layout_at(node) is not None and all(_axes(n) in (0, 3) for n in node.all_input_nodes)


def _is_pointwise(node: fx.Node) -> bool:
    return _takes_matrices(node) and _axes(node) == 3 and torch.Tag.pointwise in getattr(node.target, "tags", ())


def _reads_any_strides(node: fx.Node) -> bool:
    """Whether an operation is as quick on transposed matrices; what looks for the largest of a row is not."""
    known = node.target in PRODUCTS or node.target in COPIES or node.target is aten.sum.dim_IntList
    return known or is_view(node) or _is_pointwise(node)


def _takes_any_strides(user: fx.Node) -> bool:
    """Whether a user of a tensor works whatever its strides are; results keep theirs."""
    if user.op == "output":
        return False
    return not is_view(user) or (user.target in _PLIABLE and all(map(_takes_any_strides, user.users)))


def _arguments(node: fx.Node) -> tuple[Any, ...]:
    return node.args


def _layout(node: Any) -> TensorLayout:
    layout: TensorLayout = node.meta["layout"]
    return layout


def _axes(node: fx.Node) -> int:
    """Number of axes; -1 where a node is no tensor."""
    layout = layout_at(node)
    return -1 if layout is None else len(layout.size)


def _contiguous(size: Sequence[int]) -> tuple[int, ...]:
    """Strides of a tensor of this size that has its numbers in order."""
    return tuple(math.prod(size[axis + 1 :]) for axis in range(len(size)))
