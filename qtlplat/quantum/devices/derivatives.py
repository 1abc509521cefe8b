"""Derivatives of circuits where a device has none, or wrong ones: from shifted evaluations, many samples at a time.

No device is run here; how a circuit is evaluated is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pennylane as qml
import torch
from pennylane.exceptions import OperatorPropertyUndefined
from pennylane.operation import StatePrepBase
from torch import Tensor

from qtlplat.quantum.circuits.readings import as_array
from qtlplat.quantum.circuits.samples import ranks
from qtlplat.quantum.circuits.warned import OF_DEVICES, without

Array = npt.NDArray[np.float64]
OF_A_STATE: Array = np.full((1, 3), np.nan)  # stands for the rule of prepared amplitudes
FINE = 1e-9  # values that are rounded by less are those of double precision
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
    return NARROW if precision < FINE else WIDE


class NoShiftRuleError(Exception):
    """A trained gate that has no shift rule and cannot be taken apart into gates that have one."""


def shift_rules(tape: Any) -> list[Array]:
    """For each trainable parameter of a tape the rule of its gate.

    A rule is (terms, 3): f'(x) = sum over terms of c f(a x + s), with rows c, a, s
    (Wierichs et al., Quantum 6, 677, 2022). That of a prepared state is `OF_A_STATE`.
    Raises NoShiftRuleError.
    """
    rules = []
    for index in range(len(tape.trainable_params)):
        operation, _, position = tape.get_operation(index)
        rule = OF_A_STATE if isinstance(operation, StatePrepBase) else _shift_rule(operation, position)
        if rule is None:
            raise NoShiftRuleError(f"{operation.name} has no parameter-shift rule")
        rules.append(rule)
    return rules


def _shift_rule(operation: Any, position: int) -> Array | None:
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
    return np.asarray(recipe, dtype=np.float64)


def in_gates(tape: Any) -> Any:
    """The tape with everything trained taken apart into gates that have a shift rule.

    States prepared on wires that nothing has touched stay as they are; values are quadratic in their amplitudes.
    Raises NoShiftRuleError.
    """
    touched: set[Any] = set()
    prepared = set()
    for op in tape.operations:
        if isinstance(op, StatePrepBase) and touched.isdisjoint(op.wires):
            prepared.add(id(op))
        touched |= set(op.wires)

    def stays(op: Any) -> bool:
        trained = [i for i, datum in enumerate(op.data) if qml.math.requires_grad(datum)]
        return id(op) in prepared or not trained or all(_shift_rule(op, i) is not None for i in trained)

    if not all(map(stays, tape.operations)):
        operations = [gate for op in tape.operations for gate in ([op] if stays(op) else _gates(op, stays))]
        tape = tape.copy(operations=operations)
        tape.trainable_params = qml.math.get_trainable_indices(tape.get_parameters(trainable_only=False))
    return tape


def _gates(op: Any, stays: Callable[[Any], bool]) -> list[Any]:
    """A gate taken apart into gates that may stay; raises NoShiftRuleError."""
    try:
        with without(OF_DEVICES):
            (tape,), _ = qml.devices.preprocess.decompose(
                qml.tape.QuantumScript([op]),
                stopping_condition=stays,
                skip_initial_state_prep=False,
                name="shift rules",
            )
    except Exception as error:
        raise NoShiftRuleError(f"{op.name} takes trained numbers and has no shift rule") from error
    return list(tape.operations)


def ranks_of(tape: Any) -> dict[int, int]:
    """Axes that each parameter of a tape's operations has without a batch, by its position."""
    return dict(enumerate(rank for op in tape.operations for rank in ranks(op)))


class ParameterShift(torch.autograd.Function):
    """Outputs (B, n_outputs), float64, of a tape, from its parameters; derivatives by the rules of its gates.

    Instead of one circuit per sample, parameter and shift, the shifted parameters of many samples are evaluated
    as one batch.

    evaluate: (parameters as arrays, each with one value or with one per row; rows) -> float64 (rows, n_outputs).
    rules: one for each parameter as `shift_rules` gives them, empty for parameters that are not trained.
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
        return torch.from_numpy(evaluate([as_array(p) for p in parameters], batch))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Evaluate it with every parameter shifted, and add up what reaches each of them."""
        values = [as_array(p) for p in ctx.saved_tensors]
        batch, above = ctx.batch, upstream.numpy()
        shapes = [(batch, *_of_one(v, r).shape[1:]) for v, r in zip(values, ctx.rules, strict=True)]
        gradients = [np.zeros(shape, v.dtype) for v, shape in zip(values, shapes, strict=True)]
        variants = [v for k, rule in enumerate(ctx.rules) for v in _variants(k, values[k], rule)]
        together = max(1, ctx.rows // batch)
        for start in range(0, len(variants), together):
            some = variants[start : start + together]
            shifted = [_repeated(v, r, batch, len(some)) for v, r in zip(values, ctx.rules, strict=True)]
            for i, variant in enumerate(some):
                shifted[variant.parameter][i] = variant.value
            flat = [v.reshape(-1, *v.shape[2:]) for v in shifted]
            outputs = ctx.evaluate(flat, len(some) * batch).reshape(len(some), *above.shape)
            for variant, reached in zip(some, (outputs * above).sum(2), strict=True):
                gradients[variant.parameter][variant.slot] += variant.coefficient * reached
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


@dataclass(frozen=True)
class _Variant:
    """One shifted evaluation: a parameter's changed value, and the part of its gradient that the outcome adds to."""

    parameter: int
    value: npt.NDArray[Any]  # (...) for all samples or (B, ...)
    slot: Any
    coefficient: Any  # for all samples, or (B,)


def _variants(parameter: int, values: npt.NDArray[Any], rule: Array) -> Iterator[_Variant]:
    if rule is not OF_A_STATE:
        for coefficient, factor, shift in rule:
            yield _Variant(parameter, factor * values + shift, slice(None), coefficient)
        return
    # With Q(s) = |s|^2 f(s / |s|), quadratic in the amplitudes s: dQ/ds_j = (Q(s + e_j) - Q(s - e_j)) / 2, exactly.
    units = (1.0, 1j) if np.iscomplexobj(values) else (1.0,)
    for unit in units:
        for position in range(values.shape[-1]):
            for sign in (1, -1):
                state = values.copy()
                state[..., position] += sign * unit
                squared = (np.abs(state) ** 2).sum(-1)
                norm = np.sqrt(squared)[..., None]
                state = np.where(norm > 0, state / np.where(norm > 0, norm, 1), values)
                yield _Variant(parameter, state, (slice(None), position), unit * sign * squared / 2)


def _of_one(values: npt.NDArray[Any], rule: Array) -> npt.NDArray[Any]:
    """A parameter with an axis for samples in front, of length 1 where all have the same."""
    rank = 1 if rule is OF_A_STATE else None
    alone = values.ndim == (rank or 0)
    return values[None] if alone else values


def _repeated(values: npt.NDArray[Any], rule: Array, batch: int, times: int) -> npt.NDArray[Any]:
    """A copy for each variant: (times, batch, ...)."""
    one = _of_one(values, rule)
    each = np.broadcast_to(one, (batch, *one.shape[1:]))
    return np.repeat(each[None], times, axis=0)


def _gradient(gradient: npt.NDArray[Any], parameter: Tensor, rule: Array) -> Tensor | None:
    if not len(rule):
        return None
    total = gradient if parameter.dim() == gradient.ndim else gradient.sum(0)
    return torch.as_tensor(total, dtype=parameter.dtype, device=parameter.device)
