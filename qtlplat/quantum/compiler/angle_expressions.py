"""The angles that gates take, as a few dense operations on inputs and weights, whatever Python wrote them with.

A quantum function computes its angles one by one. Where an angle is a polynomial of degree two or less in inputs and
weights (selecting, scaling, adding, multiplying two of them), all such angles together are one matrix product; what is
not is run as it was traced.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx

from qtlplat.quantum.compiler.gates import Reals

# What torch's operations do to the degree of a polynomial; any other operation makes it infinite.
_KEEPS = {
    "select",
    "slice",
    "view",
    "reshape",
    "_unsafe_view",
    "unsqueeze",
    "squeeze",
    "permute",
    "transpose",
    "t",
    "expand",
    "clone",
    "alias",
    "unbind",
    "split",
    "part_of",
    "cat",
    "stack",
    "_to_copy",
    "lift_fresh",
    "flip",
    "roll",
    "index_select",
    "neg",
    "sum",
    "diagonal",
    "repeat",
    "add",
    "sub",
    "rsub",
    "mean",
}
_ADDS = {"mul", "mm", "mv", "dot", "bmm"}


class Values:
    """Everything that gates take from inputs and weights.

    graph: (inputs (n_inputs,), *weights) -> values, float64, as recorded; shapes: of the weights by name, in order.
    depends_on_inputs: by number of the value.
    """

    def __init__(self, graph: fx.GraphModule, n_inputs: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.names, self._shapes = list(shapes), list(shapes.values())
        sizes = [math.prod(shape) for shape in self._shapes]
        self.n_inputs, self.n_weights = n_inputs, sum(sizes)
        (output,) = (node for node in graph.graph.nodes if node.op == "output")
        nodes: tuple[Any, ...] = output.args[0]
        names = [node for node in graph.graph.nodes if node.op == "placeholder"]
        from_inputs = _descendants(graph, names[:1])
        from_weights = _descendants(graph, names[1:])
        degrees = _degrees(graph)
        self.depends_on_inputs = [node in from_inputs for node in nodes]
        self.is_constant = [node not in from_inputs and node not in from_weights for node in nodes]
        polynomial = [degrees[node] <= 2 and not node.meta["layout"].size for node in nodes]

        self._quadratic: npt.NDArray[np.int64] = np.zeros((0, 2), dtype=np.int64)
        count, variables = len(nodes), n_inputs + self.n_weights
        self.offset: Reals = np.zeros(count)
        linear: Reals = np.zeros((count, variables))
        chosen = [k for k in range(count) if polynomial[k]]
        quadratic: Reals = np.zeros((count, 0))
        if chosen:
            evaluate = self._on_points(_restricted(graph, chosen))
            second = [chosen.index(k) for k in chosen if degrees[nodes[k]] == 2]
            self.offset[chosen], linear[chosen], self._quadratic, found = _coefficients(evaluate, variables, second)
            quadratic = np.zeros((count, len(self._quadratic)))
            quadratic[chosen] = found

        rest = [k for k in range(count) if not polynomial[k]]
        self._traced = {
            which: [k for k in rest if self.depends_on_inputs[k] == which and not nodes[k].meta["layout"].size]
            for which in (False, True)
        }
        self.arrays = [k for k in rest if nodes[k].meta["layout"].size]
        self._graphs = {which: _restricted(graph, numbers) for which, numbers in self._traced.items() if numbers}
        self._array_graphs = {k: _restricted(graph, [k]) for k in self.arrays}

        # Features of the weights: weights, products of two, traced values. Of the inputs: the same, and mixed products.
        pairs = self._quadratic
        mixed = (pairs < n_inputs).any(axis=1)
        self._weight_pairs, self._input_pairs = pairs[~mixed] - n_inputs, pairs[mixed]
        self.of_weights: Reals = np.hstack(
            [linear[:, n_inputs:], quadratic[:, ~mixed], _selection(count, self._traced[False])]
        )
        self.of_inputs: Reals = np.hstack(
            [linear[:, :n_inputs], quadratic[:, mixed], _selection(count, self._traced[True])]
        )
        for k in chosen:  # what cancels is no dependence: w * x - w * x
            self.depends_on_inputs[k] = bool(np.any(self.of_inputs[k]))
            self.is_constant[k] = not (self.depends_on_inputs[k] or np.any(self.of_weights[k]))

    @property
    def polynomials(self) -> dict[str, Any] | None:
        """All there is to values that are polynomials, by name; None where one is not, and is run as traced."""
        if self._graphs or self._array_graphs:
            return None
        return {
            name: value for name, value in vars(self).items() if name not in ("_traced", "_graphs", "_array_graphs")
        }

    @classmethod
    def of_polynomials(cls, facts: Mapping[str, Any]) -> Values:
        """The values that these are of, see `polynomials`."""
        made = cls.__new__(cls)
        vars(made).update(facts, _traced={False: [], True: []}, _graphs={}, _array_graphs={})
        return made

    @property
    def are_chosen_only(self) -> bool:
        """Whether every angle is one input or one weight times a factor, so that computing it loses nothing."""
        if self.of_weights.shape[1] + self.of_inputs.shape[1] > self.n_inputs + self.n_weights:
            return False
        terms = np.count_nonzero(self.of_weights, axis=1) + np.count_nonzero(self.of_inputs, axis=1)
        return not np.any(terms > 1)

    def weight_features(self, weights: Tensor, whole: Sequence[Tensor]) -> Tensor:
        """(n,) features of which the weights' part of every angle is a linear combination.

        weights: all weights, flat; whole: the same ones in their shapes, float64 where values are traced.
        """
        parts = [weights]
        if len(self._weight_pairs):
            parts.append(_products(weights, weights, self._weight_pairs))
        if False in self._graphs:
            nothing = torch.zeros(self.n_inputs, dtype=torch.float64, device=weights.device)
            traced = self._graphs[False](nothing, *(w.double() for w in whole))
            parts.append(torch.stack(traced).to(weights.dtype))
        return torch.cat(parts) if len(parts) > 1 else weights

    def input_features(self, inputs: Tensor, weights: Tensor, whole: Sequence[Tensor]) -> Tensor:
        """(B, n) features of inputs (B, n_inputs), of which the rest of every angle is a linear combination."""
        parts = [inputs]
        if len(self._input_pairs):
            both = torch.cat([inputs, weights.expand(len(inputs), -1)], dim=1) if self._mixes else inputs
            parts.append(_products(both, both, self._input_pairs))
        if True in self._graphs:
            per_sample = torch.vmap(lambda x: torch.stack(self._graphs[True](x, *(w.double() for w in whole))))
            parts.append(per_sample(inputs.double()).to(inputs.dtype))
        return torch.cat(parts, dim=1) if len(parts) > 1 else inputs

    @property
    def _mixes(self) -> bool:
        return bool((self._input_pairs >= self.n_inputs).any())

    def array(self, number: int, inputs: Tensor, whole: Sequence[Tensor]) -> Tensor:
        """The array value of this number: for each sample (B, ...) where it depends on inputs, else without B."""
        doubles = [w.double() for w in whole]
        graph = self._array_graphs[number]
        if not self.depends_on_inputs[number]:
            value: Tensor = graph(inputs.new_zeros(self.n_inputs, dtype=torch.float64), *doubles)[0]
            return value
        per_sample = torch.vmap(lambda x: graph(x, *doubles)[0])
        rows: Tensor = per_sample(inputs.double())
        return rows

    def _on_points(self, graph: fx.GraphModule) -> Callable[[Reals], Reals]:
        """Evaluate the values of a graph for many points (n, n_inputs + n_weights) -> (n, values)."""

        def one(point: Tensor) -> Tensor:
            parts = point.split([self.n_inputs, *(math.prod(shape) for shape in self._shapes)])
            shaped = [part.reshape(shape) for part, shape in zip(parts[1:], self._shapes, strict=True)]
            return torch.stack([value.to(torch.float64) for value in graph(parts[0], *shaped)])

        def all_of(points: Reals) -> Reals:
            with torch.no_grad():
                result: Reals = torch.vmap(one)(torch.from_numpy(points)).numpy()
            return result

        return all_of


def _products(left: Tensor, right: Tensor, pairs: npt.NDArray[np.int64]) -> Tensor:
    first, second = (torch.from_numpy(column.copy()).to(left.device) for column in pairs.T)
    return left.index_select(-1, first) * right.index_select(-1, second)


def _selection(count: int, numbers: Sequence[int]) -> Reals:
    chosen: Reals = np.zeros((count, len(numbers)))
    chosen[list(numbers), range(len(numbers))] = 1
    return chosen


def _coefficients(
    evaluate: Callable[[Reals], Reals], variables: int, second: Sequence[int]
) -> tuple[Reals, Reals, npt.NDArray[np.int64], Reals]:
    """Coefficients of polynomials of degree two or less, exact but for rounding.

    evaluate: (n, variables) -> (n, values); second: the values of degree two.
    Returns offsets (values,), linear coefficients (values, variables), the pairs of variables (P, 2) whose products
    occur, and their coefficients (values, P).
    """
    units = np.eye(variables)
    values = evaluate(np.vstack([np.zeros((1, variables)), units]))
    offset, at_units = values[0], values[1:]
    linear = (at_units - offset).T
    pairs: set[tuple[int, int]] = set()
    if second:
        # Which variables a value depends on shows at any generic point; only their products can occur.
        generic = np.random.default_rng(0).uniform(0.5, 1.5, size=(1, variables))
        moved = evaluate(np.vstack([generic, generic + units]))
        depends = np.abs(moved[1:] - moved[0]) > 1e-12
        for value in second:
            pairs |= set(itertools.combinations_with_replacement(np.flatnonzero(depends[:, value]).tolist(), 2))
    listed = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    quadratic: Reals = np.zeros((len(offset), len(listed)))
    if len(listed):
        first, other = listed.T
        at_pairs = evaluate(units[first] + units[other])
        same = first == other  # f(2e) - 2 f(e) + f(0) = 2 q, and the linear part held q as well
        mixed = at_pairs - at_units[first] - at_units[other] + offset
        quadratic = (mixed * np.where(same, 0.5, 1.0)[:, None]).T
        for column, (i, j) in enumerate(listed.tolist()):
            if i == j:
                linear[:, i] -= quadratic[:, column]
        used = np.abs(quadratic).max(axis=0) > 1e-12
        listed, quadratic = listed[used], quadratic[:, used]
    return offset, linear, listed, quadratic


def _restricted(graph: fx.GraphModule, numbers: Sequence[int]) -> fx.GraphModule:
    """The same graph with these of its outputs only."""
    copy = fx.Graph()
    outputs = copy.graph_copy(graph.graph, {})
    assert isinstance(outputs, tuple | list)
    copy.output(tuple(outputs[k] for k in numbers))
    copy.eliminate_dead_code()
    return fx.GraphModule(graph, copy)


def _descendants(graph: fx.GraphModule, roots: Sequence[fx.Node]) -> set[fx.Node]:
    found = set(roots)
    for node in graph.graph.nodes:
        if node.op != "output" and any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def _degrees(graph: fx.GraphModule) -> dict[fx.Node, float]:
    """Degree of every node's value as a polynomial in the placeholders; infinite where it may be none."""
    degrees: dict[fx.Node, float] = {}
    for node in graph.graph.nodes:
        sources = [degrees[source] for source in node.all_input_nodes]
        highest = max(sources, default=0.0)
        if node.op == "placeholder":
            degrees[node] = 1.0
        elif node.op != "call_function" or not highest:
            degrees[node] = highest
        else:
            name = str(getattr(node.target, "__name__", node.target)).split(".")[0]
            if _is_integral(node):
                degrees[node] = math.inf  # it has been rounded
            elif name in _KEEPS:
                degrees[node] = highest
            elif name in _ADDS:
                degrees[node] = sum(degrees[a] if isinstance(a, fx.Node) else 0.0 for a in node.args[:2])
            elif name == "div" and not (isinstance(node.args[1], fx.Node) and degrees[node.args[1]]):
                degrees[node] = highest
            elif name == "pow" and isinstance(node.args[1], int) and node.args[1] >= 0:
                degrees[node] = highest * node.args[1]
            else:
                degrees[node] = math.inf
    return degrees


def _is_integral(node: fx.Node) -> bool:
    layout = node.meta.get("layout")
    return layout is not None and not (layout.dtype.is_floating_point or layout.dtype.is_complex)
