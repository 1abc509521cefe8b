"""A torch function as a flat list of operations on tensors of fixed shapes: no modules, no autograd, no vmap.

Heads are so small that what costs time is not arithmetic but the machinery around every operation. Tracing runs that
machinery once. What it leaves behind (a view of a view of a view, a multiplication by one) is then removed: shapes and
strides are known, so a chain of views is one view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from qtlplat.quantum.operations import TensorLayout, record_operations

Function = Callable[..., tuple[Tensor, ...]]

_VIEWS = frozenset(
    "view _unsafe_view expand permute transpose t select slice unsqueeze squeeze squeeze_ unsqueeze_ alias detach "
    "unbind split split_with_sizes _part diagonal".split()
)
# Torch's own Python functions parse their arguments in half the time that the same overload takes.
_QUICK: dict[str, Callable[..., Any]] = {
    "aten::add.Tensor": torch.add,
    "aten::addmm": torch.addmm,
    "aten::bmm": torch.bmm,
    "aten::cat": torch.cat,
    "aten::clone": torch.clone,
    "aten::cos": torch.cos,
    "aten::div.Tensor": torch.div,
    "aten::gather": torch.gather,
    "aten::index_select": torch.index_select,
    "aten::mm": torch.mm,
    "aten::mul.Tensor": torch.mul,
    "aten::neg": torch.neg,
    "aten::relu": torch.relu,
    "aten::sin": torch.sin,
    "aten::stack": torch.stack,
    "aten::sub.Tensor": torch.sub,
    "aten::sum.dim_IntList": torch.sum,
    "aten::tanh": torch.tanh,
    "aten::view_as_complex": torch.view_as_complex,
    "aten::view_as_real": torch.view_as_real,
    "aten::where.self": torch.where,
    "aten::_conj": torch.conj,
}


class CannotTraceError(Exception):
    """Why a function cannot be flattened; it then runs as it is."""


def trace(function: Function, arguments: Sequence[Tensor]) -> Function:
    """`function` as a flat program without autograd, for arguments of exactly these shapes, strides and offsets.

    Random operations stay random: they are drawn from torch's global generator at every call.
    Raises CannotTraceError where it cannot be traced, or changes tensors that are not its own. What it does in Python
    is done once, now: the caller must see to it that this is right.
    """
    try:
        with torch.no_grad():
            function(*arguments)  # what is made once and kept is made now, not as part of the trace
            graph = record_operations(function, arguments)
    except Exception as error:
        text = (str(error).strip() or "no message").splitlines()[0][:160]
        raise CannotTraceError(f"{type(error).__name__}: {text}") from error
    if _changes_arguments(graph.graph):
        raise CannotTraceError("it changes a tensor of its own while it runs")
    optimise(graph)
    program: Function = graph.forward
    return program


def optimise(module: fx.GraphModule) -> None:
    """Remove what a recorded graph does for nothing. Its values stay the same, bit for bit."""
    graph = module.graph
    pure = not any(_mutates(node) for node in graph.nodes)
    _fuse_views(graph)
    if pure:
        _fold_constants(module)
        _drop_identities(graph)
        _fuse_views(graph)
        _merge_equal(graph)
    graph.eliminate_dead_code()
    for node in graph.nodes:
        if node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload):
            node.target = _QUICK.get(_full_name(node), node.target)
        node.meta.clear()
    graph.lint()
    module.recompile()


def _full_name(node: fx.Node) -> str:
    return str(node.target.name()) if isinstance(node.target, torch._ops.OpOverload) else ""


def _name(node: fx.Node) -> str:
    if node.op != "call_function":
        return ""
    return str(getattr(node.target, "__name__", node.target)).split(".")[0]


def _layout(node: fx.Node) -> TensorLayout | None:
    return node.meta.get("layout")


def _mutates(node: fx.Node) -> bool:
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or _name(node) in _VIEWS:
        return False
    return bool(target._schema.is_mutable)


def _changes_arguments(graph: fx.Graph) -> bool:
    def root(node: fx.Node) -> fx.Node:
        while _name(node) in _VIEWS:
            node = node.all_input_nodes[0]
        return node

    return any(
        _mutates(node) and root(node.all_input_nodes[0]).op in ("placeholder", "get_attr") for node in graph.nodes
    )


def _fuse_views(graph: fx.Graph) -> None:
    """Every view of a view as one view of the tensor that was computed."""
    roots: dict[fx.Node, fx.Node] = {}
    for node in list(graph.nodes):
        source = node.all_input_nodes[0] if node.all_input_nodes else None
        if source is None or _name(node) not in (*_VIEWS, "as_strided"):
            continue
        root = roots.get(source, source)
        roots[node] = root
        value, base = _layout(node), _layout(root)
        if value is None or base is None or value.conjugated or base.conjugated:
            if value is not None:
                roots[node] = node  # a new root: what is lazily conjugated is not looked through
            continue
        if value.place == base.place:
            node.replace_all_uses_with(root)
            roots[node] = root
        elif _name(node) != "as_strided" or source is not root:
            with graph.inserting_before(node):
                view = graph.call_function(torch.as_strided, (root, *value.place))
            view.meta = dict(node.meta)
            node.replace_all_uses_with(view)
            roots[view] = root
    graph.eliminate_dead_code()


def _fold_constants(module: fx.GraphModule) -> None:
    """Compute once what depends on constants alone."""
    graph = module.graph
    known: dict[fx.Node, Any] = {}
    for node in list(graph.nodes):
        if node.op == "get_attr":
            known[node] = getattr(module, str(node.target))
        if node.op != "call_function" or _is_random(node) or _layout(node) is None:
            continue
        if all(source in known for source in node.all_input_nodes):
            result = node.target(
                *fx.map_arg(node.args, known.__getitem__), **fx.map_arg(node.kwargs, known.__getitem__)
            )
            name = f"folded_{len(known)}"
            module.register_buffer(name, result)
            with graph.inserting_before(node):
                constant = graph.get_attr(name)
            constant.meta = dict(node.meta)
            node.replace_all_uses_with(constant)
            known[node] = known[constant] = result
    graph.eliminate_dead_code()


def _is_random(node: fx.Node) -> bool:
    tags = getattr(node.target, "tags", ())
    return torch.Tag.nondeterministic_seeded in tags


def _drop_identities(graph: fx.Graph) -> None:
    """Copies that change nothing, and multiplications by one."""
    for node in list(graph.nodes):
        name, value = _name(node), _layout(node)
        before = _layout(node.all_input_nodes[0]) if node.all_input_nodes else None
        if value is None or value != before or value.conjugated:
            continue
        source = node.all_input_nodes[0]
        by_one = name == "mul" and not isinstance(node.args[1], fx.Node) and node.args[1] == 1
        if by_one or name in ("clone", "_to_copy", "lift_fresh_copy"):
            node.replace_all_uses_with(source)
    graph.eliminate_dead_code()


def _merge_equal(graph: fx.Graph) -> None:
    """Compute what is computed twice once."""
    seen: dict[Any, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op not in ("call_function", "get_attr") or _is_random(node):
            continue
        key = (node.op, node.target, _frozen(node.args), _frozen(sorted(node.kwargs.items())))
        if key in seen:
            node.replace_all_uses_with(seen[key])
            graph.erase_node(node)
        else:
            seen[key] = node


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_items(value))
    return value if isinstance(value, fx.Node) else (type(value), value)


def _items(values: Sequence[Any]) -> Iterator[Any]:
    return (_frozen(value) for value in values)
