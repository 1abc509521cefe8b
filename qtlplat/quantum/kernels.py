"""The few operations that circuits spend their time in, each with its own backward pass.

Torch's automatic derivatives of tensor products multiply and sum over arrays as large as the product; these use that
gates are unitary, or sum over contiguous rows. States are (*, D, B), samples last: an amplitude of all samples is one
contiguous row. Every kernel takes any number of leading axes *, the cells of a stack among them: under
``torch.func.vmap`` the new axis is simply put in front, forward and backward. Gradients of complex tensors follow
torch's convention, dL/dRe + i dL/dIm. There are no second derivatives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd import Function

MOST_TURNS = 3  # turns multiplied at once: their matrix is linear in 2^3 cosines and sines


def _stacked(info: Any, in_dims: Sequence[int | None], args: Sequence[Any], batched: int) -> list[Any]:
    """Arguments with the axis of a ``vmap`` in front of the first `batched` ones; the others are shared tables."""
    front = list(args)
    for position, (dim, arg) in enumerate(zip(in_dims[:batched], args[:batched], strict=True)):
        front[position] = arg.expand(info.batch_size, *arg.shape) if dim is None else arg.movedim(dim, 0)
    return front


class _Derivative(Function):
    """A backward pass as a function of its own, so that ``vmap`` stacks it as it stacks the forward pass."""

    @staticmethod
    def forward(derive: Callable[..., tuple[Tensor, ...]], _batched: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return derive(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG004 -- torch names them so
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], derive: Any, batched: int, *tensors: Tensor) -> tuple[Any, Any]:
        front = _stacked(info, in_dims[2:], tensors, batched)
        result = _Derivative.apply(derive, batched, *front)  # type: ignore[no-untyped-call]
        return result, (0,) * len(result)


class _Kernel(Function):
    """A function of `batched` tensors and further tables, returning its result first.

    Subclasses have `forward`, `kept` (inputs and outputs -> what the backward pass needs, the batched ones first, and
    how many these are) and `derive` (the gradient, then what was kept -> a gradient for each batched tensor).
    """

    batched = 1

    @staticmethod
    def kept(inputs: Any, output: Any, /) -> tuple[list[Tensor], int]:
        raise NotImplementedError

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError

    @classmethod
    def run(cls, *args: Any) -> Any:
        """`apply`, which torch leaves untyped."""
        return cls.apply(*args)  # type: ignore[no-untyped-call]

    @classmethod
    def setup_context(cls, ctx: Any, inputs: Any, output: Any) -> None:
        tensors, ctx.kept_batched = cls.kept(inputs, output)
        ctx.tables = len(inputs) - cls.batched
        if isinstance(output, tuple):
            ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*tensors)

    @classmethod
    def backward(cls, ctx: Any, gradient: Tensor, *_others: Tensor) -> Any:
        arguments = (gradient, *ctx.saved_tensors)
        result = _Derivative.apply(cls.derive, 1 + ctx.kept_batched, *arguments)  # type: ignore[no-untyped-call]
        return *result, *(None for _ in range(ctx.tables))

    @classmethod
    def vmap(cls, info: Any, in_dims: Sequence[int | None], *args: Any) -> tuple[Any, Any]:
        result = cls.run(*_stacked(info, in_dims, args, cls.batched))
        return result, (0,) * len(result) if isinstance(result, tuple) else 0


class _TurnMatrices(_Kernel):
    """features (*, F), map (F, N V P), offset (N V P), table (N, P, E), back (N R, F) -> matrices, derivatives.

    N products of R turns each, at V = R + 1 sets of angles: as they are, and with one of them a quarter turn further,
    which is the derivative by it. Entries are linear in P = 2^R sines. matrices (*, N, E) and derivatives (*, N, R, E),
    E real numbers each.
    """

    @staticmethod
    def forward(features: Tensor, table_map: Tensor, offset: Tensor, table: Tensor, _back: Tensor) -> Any:
        n, products, entries = table.shape
        lead = features.shape[:-1]
        # Sums of several angles need more digits than their sines.
        angles = torch.addmm(offset, features.reshape(-1, features.shape[-1]).to(offset.dtype), table_map)
        sines = torch.sin(angles).to(table.dtype).view(-1, n, angles.shape[-1] // (n * products), products)
        result = torch.bmm(sines.transpose(0, 1).reshape(n, -1, products), table)
        result = result.view(n, -1, sines.shape[2], entries).transpose(0, 1)
        matrices = result[:, :, 0].reshape(*lead, n, entries)
        return matrices, result[:, :, 1:].reshape(*lead, n, sines.shape[2] - 1, entries)

    @staticmethod
    def kept(inputs: Any, output: Any, /) -> tuple[list[Tensor], int]:
        return [output[1], inputs[4]], 1

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        gradient, derivatives, back = tensors
        by_angle = (derivatives * gradient.unsqueeze(-2)).sum(-1)
        return (_rows_times(by_angle.flatten(-2), back),)


def turn_matrices(features: Tensor, tables: Sequence[Tensor], real: bool) -> Tensor:
    """Matrices (*, N, 2, 2) of N products of turns whose angles are linear in features (*, F); see `turn_tables`."""
    entries: Tensor = _TurnMatrices.run(features, *tables)[0]
    shaped: Tensor = entries.unflatten(-1, (2, 2) if real else (2, 2, 2))
    return shaped if real else torch.view_as_complex(shaped)


def turn_tables(
    even: npt.NDArray[np.complex128],
    odd: npt.NDArray[np.complex128],
    angles: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
    real: bool,
) -> list[npt.NDArray[np.float64]]:
    """Tables for `turn_matrices`: products over r of ``cos(a_r) even_r + sin(a_r) odd_r``, r = 0 acting first.

    even, odd: (N, R, 2, 2); a = features @ angles + offset with angles (F, N, R), offset (N, R). With exponentials
    instead of sines the product is a sum over signs, of ``exp(i (+-a_0 +- ... +- a_R-1))`` times fixed matrices; signs
    and opposite signs together are a cosine and a sine. The first two tables are to be kept in double precision.
    """
    n, turns = offset.shape
    signs = np.array([(1, *rest) for rest in itertools.product((1, -1), repeat=turns - 1)]).T  # (R, P / 2)
    both = [(even - 1j * odd) / 2, (even + 1j * odd) / 2]  # factors of exp(i a) and exp(-i a)

    def product(column: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
        result = both[0 if column[0] > 0 else 1][:, 0]
        for turn in range(1, turns):
            result = both[0 if column[turn] > 0 else 1][:, turn] @ result
        return np.asarray(result)

    table = []
    for column in signs.T:
        one, other = product(column), product(-column)
        table += [one + other, 1j * (one - other)]
    stacked = np.stack(table, axis=1)  # cosine, sine, cosine, ...
    parts = stacked.real if real else np.stack([stacked.real, stacked.imag], axis=-1)
    quarter = math.pi / 2
    shift = np.concatenate([np.zeros((1, turns)), quarter * np.eye(turns)])  # (V, R)
    sums = np.repeat((offset[:, None] + shift) @ signs, 2, axis=-1)  # (N, V, P)
    sums[..., 0::2] += quarter  # a cosine is a sine a quarter turn on
    table_map = np.broadcast_to(
        np.repeat(angles @ signs, 2, axis=-1)[:, :, None], (len(angles), n, turns + 1, 2**turns)
    )
    return [
        table_map.reshape(len(angles), -1),
        sums.reshape(-1),
        parts.reshape(n, 2**turns, -1),
        angles.reshape(len(angles), -1).T,
    ]


class _KronMatrices(_Kernel):
    """Unitary matrices (*, k, 2, 2) and the table of partial traces (4^k, 4 k) -> their product (*, 2^k, 2^k)."""

    @staticmethod
    def forward(matrices: Tensor, _traces: Tensor) -> Tensor:
        return fold_matrices(matrices)

    @staticmethod
    def kept(inputs: Any, output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[0], output, inputs[1]], 2

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        # The gradient of one factor M, times M^H, is the partial trace of G K^H over all other factors.
        gradient, matrices, product, traces = tensors
        size = product.shape[-1]
        whole = torch.bmm(gradient.reshape(-1, size, size), product.reshape(-1, size, size).mH).flatten(1)
        if whole.is_complex():
            partial = torch.mm(torch.view_as_real(whole).mT.reshape(-1, size * size), traces)
            partial = torch.view_as_complex(partial.view(len(whole), 2, -1).mT.contiguous())
        else:
            partial = torch.mm(whole, traces)
        return (torch.bmm(partial.view(-1, 2, 2), matrices.reshape(-1, 2, 2)).view(matrices.shape),)


def kron_matrices(matrices: Tensor, traces: Tensor) -> Tensor:
    """Tensor products (*, 2^k, 2^k) of k unitary matrices (*, k, 2, 2); the first is the most significant."""
    if matrices.shape[-3] == 1:
        return matrices.squeeze(-3)
    result: Tensor = _KronMatrices.run(matrices, traces)
    return result


def trace_table(qubits: int) -> npt.NDArray[np.float64]:
    """(4^k, 4 k): a flat matrix (2^k, 2^k) times this is, for each qubit, its partial trace over the others, flat."""
    size = 2**qubits
    table = np.zeros((size, size, qubits, 2, 2))
    rows = np.arange(size)
    for qubit in range(qubits):
        place = qubits - 1 - qubit
        bit = (rows >> place) & 1
        for other in (0, 1):
            columns = (rows & ~(1 << place)) | (other << place)
            table[rows, columns, qubit, bit, other] = 1
    return table.reshape(size * size, -1)


def fold_matrices(matrices: Tensor) -> Tensor:
    """Tensor product (*, d^k, d^k) of (*, k, d, d), neighbours first: log2(k) rounds."""
    odd: Tensor | None = None
    while (count := matrices.shape[-3]) > 1:
        if count % 2:
            last = matrices[..., -1:, :, :]
            odd = last if odd is None else _times(last, odd)
            matrices = matrices[..., :-1, :, :]
        matrices = _times(matrices[..., 0::2, :, :], matrices[..., 1::2, :, :])
    return (matrices if odd is None else _times(matrices, odd)).squeeze(-3)


def _times(left: Tensor, right: Tensor) -> Tensor:
    product = left[..., :, None, :, None] * right[..., None, :, None, :]
    return product.flatten(-4, -3).flatten(-2)


class _ProductState(_Kernel):
    """angles (*, B, Q), columns (*, Q, 2, 2) -> states (*, 2^Q, B), cosines and sines, and every partial product."""

    batched = 2

    @staticmethod
    def forward(angles: Tensor, columns: Tensor) -> Any:
        lead, (samples, qubits) = angles.shape[:-2], angles.shape[-2:]
        across = angles.mT.unsqueeze(-2)
        waves = torch.cat([torch.cos(across), torch.sin(across)], dim=-2)
        vectors = torch.bmm(columns.reshape(-1, 2, 2), waves.reshape(-1, 2, samples).to(columns.dtype))
        vectors = vectors.view(*lead, qubits, 2, samples)
        made = {(q, q + 1): vectors[..., q, :, :] for q in range(qubits)}
        for first, middle, last in _halving(0, qubits):
            left, right = made[first, middle], made[middle, last]
            made[first, last] = (left.unsqueeze(-2) * right.unsqueeze(-3)).flatten(-3, -2)
        *partial, states = made.values()
        return states, waves, *partial

    @staticmethod
    def kept(inputs: Any, output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[1], *output[1:]], len(output)

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        gradient, columns, waves, *partial = tensors
        qubits, samples = columns.shape[-3], gradient.shape[-1]
        splits = _halving(0, qubits)
        keys = [(q, q + 1) for q in range(qubits)] + [(first, last) for first, _, last in splits]
        made = dict(zip(keys, partial, strict=False))
        # Conjugate gradients from here on: one conjugation instead of one for every factor.
        gradients = {(0, qubits): gradient.conj().resolve_conj()}
        for first, middle, last in reversed(splits):
            left, right = made[first, middle], made[middle, last]
            both = gradients.pop((first, last)).unflatten(-2, (left.shape[-2], right.shape[-2]))
            gradients[first, middle] = (both * right.unsqueeze(-3)).sum(-2)
            gradients[middle, last] = (both * left.unsqueeze(-2)).sum(-3)
        by_vector = torch.stack([gradients[q, q + 1] for q in range(qubits)], dim=-3).view(-1, 2, samples)
        by_wave = torch.bmm(columns.reshape(-1, 2, 2).mT, by_vector).real.view(waves.shape)
        by_angle = by_wave[..., 1, :] * waves[..., 0, :] - by_wave[..., 0, :] * waves[..., 1, :]
        flat_waves = waves.reshape(-1, 2, samples).mT.to(columns.dtype)
        by_columns = torch.bmm(by_vector, flat_waves).conj().resolve_conj()
        return by_angle.mT, by_columns.view(columns.shape)


def product_state(angles: Tensor, columns: Tensor) -> Tensor:
    """States (*, 2^Q, B): the tensor product over qubits of ``columns[q] @ (cos a, sin a)``, qubit 0 leading.

    angles (*, B, Q), radians; columns (*, Q, 2, 2).
    """
    states: Tensor = _ProductState.run(angles, columns)[0]
    return states


def _halving(first: int, last: int) -> list[tuple[int, int, int]]:
    """(first, middle, last) of the products that build first..last from its halves, in the order to make them."""
    if last - first == 1:
        return []
    middle = (first + last) // 2
    return [*_halving(first, middle), *_halving(middle, last), (first, middle, last)]


def fold_vectors(vectors: Tensor) -> Tensor:
    """Tensor product (*, 2^Q) of (*, Q, 2), qubit 0 leading."""
    made = {(q, q + 1): vectors[..., q, :] for q in range(vectors.shape[-2])}
    for first, middle, last in _halving(0, vectors.shape[-2]):
        made[first, last] = (made[first, middle].unsqueeze(-1) * made[middle, last].unsqueeze(-2)).flatten(-2)
    return made[0, vectors.shape[-2]]


class _Apply(_Kernel):
    """matrix (*, d, d) on part of the states (*, A d R, B): the qubits between the first log A and the last log R."""

    batched = 2

    @staticmethod
    def forward(matrix: Tensor, states: Tensor, after: int) -> Tensor:
        blocks, before = _blocks(states, matrix, after)
        return torch.bmm(_each(matrix, before), blocks).view(states.shape)

    @staticmethod
    def kept(inputs: Any, _output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[0], inputs[1]], 2

    @classmethod
    def setup_context(cls, ctx: Any, inputs: Any, output: Any) -> None:
        super().setup_context(ctx, inputs, output)
        ctx.after = inputs[2]

    @classmethod
    def backward(cls, ctx: Any, gradient: Tensor, *_others: Tensor) -> Any:
        after = ctx.after

        def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
            gradient, matrix, states = tensors
            blocks, before = _blocks(states, matrix, after)
            by_block, _ = _blocks(gradient, matrix, after)
            by_states = torch.bmm(_each(matrix.mH, before), by_block).view(states.shape)
            by_matrix = torch.bmm(by_block, blocks.mH)
            if before > 1:
                by_matrix = by_matrix.view(-1, before, *matrix.shape[-2:]).sum(1)
            return by_matrix.view(matrix.shape), by_states

        result = _Derivative.apply(derive, 3, gradient, *ctx.saved_tensors)  # type: ignore[no-untyped-call]
        return *result, None


def _blocks(states: Tensor, matrix: Tensor, after: int) -> tuple[Tensor, int]:
    """States (* A, d, R B), and A; R = after."""
    size, samples = states.shape[-2:]
    d = matrix.shape[-1]
    return states.reshape(-1, d, after * samples), size // (d * after)


def _each(matrix: Tensor, times: int) -> Tensor:
    """Matrices (*, d, d) as (* A, d, d), each A times."""
    flat = matrix.reshape(-1, *matrix.shape[-2:])
    return flat if times == 1 else flat.repeat_interleave(times, dim=0)


def apply(matrix: Tensor, states: Tensor, after: int = 1) -> Tensor:
    """A matrix (*, d, d) on the states (*, D, B) of a register.

    after: number of basis states of the qubits behind those that the matrix acts on, which are neighbours.
    """
    result: Tensor = _Apply.run(matrix, states, after)
    return result


class _Permute(_Kernel):
    """``new[..., i, :] = old[..., source[i], :]``; its derivative is a permutation as well, no scatter."""

    @staticmethod
    def forward(states: Tensor, source: Tensor, _inverse: Tensor) -> Tensor:
        return states.index_select(-2, source)

    @staticmethod
    def kept(inputs: Any, _output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[2]], 0

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        gradient, inverse = tensors
        return (gradient.index_select(-2, inverse),)


def permute(states: Tensor, source: Tensor, inverse: Tensor) -> Tensor:
    """``new[..., i, :] = old[..., source[i], :]``; inverse: the permutation that undoes it."""
    result: Tensor = _Permute.run(states, source, inverse)
    return result


class _Squares(_Kernel):
    """states (*, D, B), table (n, D), twice its transpose -> ``sum_i table[:, i] |psi_i|^2`` (*, n, B)."""

    @staticmethod
    def forward(states: Tensor, table: Tensor, _double: Tensor) -> Tensor:
        lead, (size, samples) = states.shape[:-2], states.shape[-2:]
        parts = _parts(states)
        result = torch.bmm(_shared(table, lead), (parts * parts).view(-1, size, parts.shape[-1]))
        if states.is_complex():
            result = result.unflatten(-1, (samples, 2)).sum(-1)
        return result.view(*lead, len(table), samples)

    @staticmethod
    def kept(inputs: Any, _output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[0], inputs[2]], 1

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        gradient, states, double = tensors
        factors = torch.bmm(_shared(double, states.shape[:-2]), gradient.reshape(-1, *gradient.shape[-2:]))
        factors = factors.view(states.shape)
        if not states.is_complex():
            return (states * factors,)
        return (torch.view_as_complex(torch.view_as_real(states.contiguous()) * factors.unsqueeze(-1)),)


def _parts(states: Tensor) -> Tensor:
    """Real numbers (*, D, B), or (*, D, 2 B) of complex ones."""
    states = states.contiguous()
    return torch.view_as_real(states).flatten(-2) if states.is_complex() else states


def _shared(table: Tensor, lead: Sequence[int]) -> Tensor:
    """The same table for every entry of the leading axes."""
    return table.expand(math.prod(lead), *table.shape)


def squares(states: Tensor, table: Tensor, double: Tensor) -> Tensor:
    """``sum_i table[:, i] |psi_i|^2`` (*, n, B) of states (*, D, B); table (n, D); double: its transpose times 2."""
    result: Tensor = _Squares.run(states, table, double)
    return result


class _Linear(_Kernel):
    """features (*, B, F), table (F, n), its transpose -> (*, B, n)."""

    @staticmethod
    def forward(features: Tensor, table: Tensor, _back: Tensor) -> Tensor:
        return _rows_times(features, table)

    @staticmethod
    def kept(inputs: Any, _output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[2]], 0

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        gradient, back = tensors
        return (_rows_times(gradient, back),)


def _rows_times(rows: Tensor, table: Tensor) -> Tensor:
    return torch.mm(rows.reshape(-1, rows.shape[-1]), table).view(*rows.shape[:-1], -1)


def linear(features: Tensor, table: Tensor, back: Tensor) -> Tensor:
    """``features @ table`` for a fixed table that every cell shares; back: its transpose, contiguous."""
    result: Tensor = _Linear.run(features, table, back)
    return result
