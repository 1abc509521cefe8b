"""Derivatives of circuits where a device has none, or wrong ones: from shifted evaluations, many samples at a time.

No device is run here; how a circuit is evaluated is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pennylane as qml
import torch
from pennylane.exceptions import OperatorPropertyUndefined
from pennylane.measurements import ExpectationMP, ProbabilityMP
from pennylane.operation import StatePrepBase
from torch import Tensor

Array = npt.NDArray[np.float64]
LEAST_PRECISION = 1e-5  # values that are rounded by more are not differentiated by differences


@dataclass(frozen=True)
class Stencil:
    """Central differences: f'(x) = sum over k of c_k (f(x + k h) - f(x - k h)) / h, with c_1, c_2 .. in `factors`."""

    step: float
    factors: tuple[float, ...]


# The error is h^2/6 times the third derivative, and 0.7/h times that of values: 2e-9 for the angle of a rotation.
NARROW = Stencil(1e-4, (1 / 2,))
# h^6/140 times the seventh derivative, and 1.1/h times that of values, which is 2e-6 where they are rounded by 1e-7.
# Both are equal where values oscillate some three times as fast as with the angle of a rotation.
WIDE = Stencil(0.05, (3 / 4, -3 / 20, 1 / 60))


def stencil_for(precision: float) -> Stencil:
    """The differences with about the least error for values that are rounded by `precision`."""
    return NARROW if precision < 1e-9 else WIDE


def shift_rules(tape: Any) -> list[Array] | None:
    """For each trainable parameter of a tape the rule of its gate, None where a gate has no rule.

    A rule is (terms, 3): f'(x) = sum over terms of c f(a x + s), with rows c, a, s
    (Wierichs et al., Quantum 6, 677, 2022).
    """
    rules = []
    for index in range(len(tape.trainable_params)):
        operation, _, position = tape.get_operation(index)
        if not isinstance(operation, qml.operation.Operation) or operation.ndim_params[position] != 0:
            return None
        recipe = operation.grad_recipe[position]
        if recipe is None:
            try:
                frequencies = operation.parameter_frequencies[position]
            except OperatorPropertyUndefined:
                return None
            coefficients, shifts = qml.gradients.generate_shift_rule(frequencies).T
            recipe = np.stack([coefficients, np.ones_like(coefficients), shifts], axis=1)
        rules.append(np.asarray(recipe, dtype=np.float64))
    return rules


def in_gates(tape: Any) -> Any:
    """The tape with everything trainable taken apart into gates that have a shift rule, as far as that goes."""
    (tape,), _ = qml.defer_measurements(tape)
    batch, _ = qml.gradients.param_shift.expand_transform(tape)
    return batch[0] if len(batch) == 1 else tape


def batched_parameters(tape: Any) -> list[int]:
    """Positions of the parameters that have a value per sample."""
    found, position = [], 0
    for operation in tape.operations:
        for parameter, ndim in zip(operation.data, operation.ndim_params, strict=True):
            if qml.math.ndim(parameter) > ndim:
                found.append(position)
            position += 1
    return found


def prepares_a_trained_state(tape: Any) -> bool:
    """Whether a state is prepared from trainable amplitudes, whose gates have angles without derivatives at 0."""
    return any(isinstance(op, StatePrepBase) and any(map(qml.math.requires_grad, op.data)) for op in tape.operations)


def _from_density_matrix(tape: Any) -> tuple[tuple[Any], Callable[[Any], Any]]:
    """Expectation values and probabilities computed from the whole density matrix; other measurements are left alone.

    default.mixed squares the roots of probabilities, and the derivative of a root is not finite where one is 0.
    """
    measurements = tape.measurements
    plain = all(
        (isinstance(m, ExpectationMP) and m.obs is not None) or (isinstance(m, ProbabilityMP) and m.obs is None)
        for m in measurements
    )
    wires = tape.wires
    if tape.shots or not plain or any(m.mv is not None for m in measurements):
        return (tape,), lambda results: results[0]

    def measure(results: Any) -> Any:
        matrix = results[0]
        found = []
        for m in measurements:
            if isinstance(m, ExpectationMP):
                observable = torch.as_tensor(qml.matrix(m.obs, wire_order=wires), dtype=matrix.dtype)
                found.append(torch.einsum("...ij,ji->...", matrix, observable.to(matrix.device)).real)
            else:
                diagonal = matrix.diagonal(dim1=-2, dim2=-1).real
                shape = (*diagonal.shape[:-1], *(2,) * len(wires))
                first = diagonal.dim() - 1
                kept = [first + wires.index(w) for w in m.wires or wires]
                others = [first + i for i in range(len(wires)) if first + i not in kept]
                ordered = diagonal.reshape(shape).permute(*range(first), *kept, *others)
                found.append(ordered.reshape(*diagonal.shape[:-1], 2 ** len(kept), -1).sum(-1))
        return found[0] if len(found) == 1 else tuple(found)

    return (tape.copy(measurements=[qml.density_matrix(wires=wires)]),), measure


from_density_matrix: Any = qml.transform(_from_density_matrix)


class ParameterShift(torch.autograd.Function):
    """Outputs (B, n_outputs), float64, of a tape, from its parameters; derivatives by the rules of its gates.

    Instead of one circuit per sample, parameter and shift, the shifted parameters of many samples are evaluated
    as one batch.

    evaluate: (parameters as arrays, each with one value or with one per row; rows) -> float64 (rows, n_outputs).
    rules: one for each parameter, empty for what is not trained.
    batch: B; rows: how many rows to evaluate at once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        evaluate: Callable[[Sequence[npt.NDArray[Any]], int], Array],
        rules: Sequence[Array],
        batch: int,
        rows: int,
        *parameters: Tensor,
    ) -> Tensor:
        """Evaluate the circuit as it is."""
        ctx.evaluate, ctx.rules, ctx.batch, ctx.rows = evaluate, rules, batch, rows
        ctx.save_for_backward(*parameters)
        return torch.from_numpy(evaluate([_array(p) for p in parameters], batch))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Evaluate it with every parameter shifted, and add up what reaches each of them."""
        values = [_array(p) for p in ctx.saved_tensors]
        batch, above = ctx.batch, upstream.numpy()
        gradients = [np.zeros(batch) for _ in values]
        variants = [(k, *term) for k, rule in enumerate(ctx.rules) for term in rule]
        together = max(1, ctx.rows // batch)
        for start in range(0, len(variants), together):
            some = variants[start : start + together]
            shifted = [_repeated(v, batch, len(some)) for v in values]
            for i, (k, _, factor, shift) in enumerate(some):
                shifted[k][i] = factor * values[k] + shift
            flat = [v.reshape(-1, *v.shape[2:]) for v in shifted]
            outputs = ctx.evaluate(flat, len(some) * batch).reshape(len(some), *above.shape)
            for (k, coefficient, *_), reached in zip(some, (outputs * above).sum(2), strict=True):
                gradients[k] += coefficient * reached
        return (None, None, None, None, *map(_gradient, gradients, ctx.saved_tensors, ctx.rules))


class FiniteDifferences(torch.autograd.Function):
    """Outputs (B, n_outputs), float64, of a circuit, from its arguments; derivatives by central differences.

    evaluate: (inputs (rows, n_inputs), weights by name), all float64 and detached -> (rows, n_outputs) float64.
    stencil: which differences; names: of the weights, in the order in which they follow the inputs (B, n_inputs).
    """

    @staticmethod
    def forward(
        ctx: Any,
        evaluate: Callable[[Tensor, Mapping[str, Tensor]], Tensor],
        stencil: Stencil,
        names: Sequence[str],
        inputs: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        """Evaluate the circuit as it is."""
        ctx.evaluate, ctx.stencil, ctx.names = evaluate, stencil, names
        ctx.save_for_backward(inputs, *weights)
        return evaluate(inputs.detach().double(), dict(zip(names, (w.detach().double() for w in weights), strict=True)))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Evaluate it some steps above and below in each column of the inputs and in each weight."""
        inputs, *weights = (t.detach().double() for t in ctx.saved_tensors)
        named = dict(zip(ctx.names, weights, strict=True))
        step, batch = ctx.stencil.step, len(inputs)
        factors = [(sign * k, sign * c / step) for k, c in enumerate(ctx.stencil.factors, 1) for sign in (1, -1)]
        for_inputs = torch.zeros_like(inputs) if ctx.needs_input_grad[3] else None
        if for_inputs is not None:
            for column in range(inputs.shape[1]):
                moved = inputs.repeat(len(factors), 1, 1)
                for rows, (k, _) in zip(moved, factors, strict=True):
                    rows[:, column] += k * step
                for values, (_, factor) in zip(
                    ctx.evaluate(moved.flatten(0, 1), named).split(batch), factors, strict=True
                ):
                    for_inputs[:, column] += factor * (values * upstream).sum(1)
        for_weights = []
        for name, weight in named.items():
            slopes = torch.zeros(weight.numel(), dtype=torch.float64)
            for position in range(weight.numel()):
                direction = torch.zeros_like(slopes)
                direction[position] = step
                for k, factor in factors:
                    moved_weights = {**named, name: weight + k * direction.view_as(weight)}
                    slopes[position] += factor * (ctx.evaluate(inputs, moved_weights) * upstream).sum()
            for_weights.append(slopes.view_as(weight))
        found = [
            None if f is None else f.to(t) for f, t in zip([for_inputs, *for_weights], ctx.saved_tensors, strict=True)
        ]
        return (None, None, None, *found)


def _array(parameter: Tensor) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = parameter.detach().cpu().numpy()
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _repeated(values: npt.NDArray[Any], batch: int, times: int) -> npt.NDArray[Any]:
    """A copy for each variant: (times, batch, ...)."""
    each = values if values.ndim else np.broadcast_to(values, batch)
    return np.repeat(each[None], times, axis=0)


def _gradient(gradient: Array, parameter: Tensor, rule: Array) -> Tensor | None:
    if not len(rule):
        return None
    total = gradient if parameter.dim() else gradient.sum()
    return torch.as_tensor(total, dtype=parameter.dtype, device=parameter.device)
