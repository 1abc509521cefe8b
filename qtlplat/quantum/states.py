"""States (*, D, B) of D amplitudes and B samples, and what acts on them.

Samples come last: an amplitude of all samples is one contiguous row, and sums over amplitudes run along such rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qtlplat.quantum.kernel import Derivative, Kernel


class _ProductState(Kernel):
    """angles (*, Q, B), columns (*, Q, 2, 2) -> states (*, 2^Q, B), cosines and sines, and every partial product."""

    batched = 2

    @staticmethod
    def forward(angles: Tensor, columns: Tensor) -> Any:
        qubits = angles.shape[-2]
        across = angles.unsqueeze(-2)
        waves = torch.cat([torch.cos(across), torch.sin(across)], dim=-2)
        of_cosine, of_sine = columns.unsqueeze(-2).unbind(-1)
        cosine, sine = waves.to(columns.dtype).split(1, dim=-2)
        vectors = of_cosine * cosine + of_sine * sine
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
        return by_angle, by_columns.view(columns.shape)


def product_state(angles: Tensor, columns: Tensor) -> Tensor:
    """States (*, 2^Q, B): the tensor product over qubits of ``columns[q] @ (cos a, sin a)``, qubit 0 leading.

    angles (*, Q, B), radians; columns (*, Q, 2, 2).
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


class _Apply(Kernel):
    """matrix (*, d, d) on part of the states (*, A d R, B): the qubits between the first log A and the last log R."""

    batched = 2
    unitary = False  # the matrix K has G K^H for its gradient instead of G, see `kron_matrices`

    @staticmethod
    def forward(matrix: Tensor, states: Tensor, after: int) -> Tensor:
        blocks, before = _blocks(states, matrix, after)
        return torch.bmm(_each(matrix, before), blocks).view(states.shape)

    @classmethod
    def setup_context(cls, ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the states, before or behind the matrix."""
        ctx.after = inputs[2]
        ctx.save_for_backward(inputs[0], output if cls.unitary else inputs[1])

    @classmethod
    def backward(cls, ctx: Any, gradient: Tensor, *_others: Tensor) -> Any:
        """Gradients of the matrix and of the states."""
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

        result = Derivative.apply(derive, 3, gradient, *ctx.saved_tensors)  # type: ignore[no-untyped-call]
        return *result, None


class _ApplyLayer(_Apply):
    """A matrix of `kron_matrices`: states behind it in place of those before it turn G into G K^H."""

    unitary = True


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


def apply_layer(matrix: Tensor, states: Tensor, after: int = 1) -> Tensor:
    """`apply` for a matrix of `kron_matrices`."""
    result: Tensor = _ApplyLayer.run(matrix, states, after)
    return result


class _LayerMatrix(Kernel):
    """A matrix (*, d, d) of `kron_matrices`, unchanged."""

    @staticmethod
    def forward(matrix: Tensor) -> Tensor:
        return matrix.clone()

    @staticmethod
    def kept(inputs: Any, _output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[0]], 1

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        gradient, matrix = (t.reshape(-1, *t.shape[-2:]) for t in tensors)
        return (torch.bmm(gradient, matrix.mH).view(tensors[0].shape),)


def layer_matrix(matrix: Tensor) -> Tensor:
    """A matrix of `kron_matrices` with its gradient in the usual sense, to be used in any way."""
    result: Tensor = _LayerMatrix.run(matrix)
    return result


class _Permute(Kernel):
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


class _Squares(Kernel):
    """states (*, D, B), table (n + 1, D), twice its first n rows, transposed (D, n) -> `squares`."""

    @staticmethod
    def forward(states: Tensor, table: Tensor, _double: Tensor) -> Any:
        lead, (size, samples) = states.shape[:-2], states.shape[-2:]
        parts = _parts(states)
        result = torch.bmm(_shared(table, lead), (parts * parts).view(-1, size, parts.shape[-1]))
        if states.is_complex():
            result = result[..., 0::2] + result[..., 1::2]
        result = result.view(*lead, len(table), samples)
        return result[..., :-1, :], result[..., -1:, :]

    @staticmethod
    def kept(inputs: Any, _output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[0], inputs[2]], 1

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        gradient, states, double = tensors
        flat = gradient.reshape(-1, *gradient.shape[-2:])
        if states.is_complex():  # the same factor for both parts: so much smaller here than as a factor of the states
            flat = flat.repeat_interleave(2, dim=-1)
        result = _parts(states) * torch.bmm(_shared(double, states.shape[:-2]), flat).view(_parts(states).shape)
        if states.is_complex():
            result = torch.view_as_complex(result.unflatten(-1, (-1, 2)))
        return (result,)


def _parts(states: Tensor) -> Tensor:
    """Real numbers (*, D, B), or (*, D, 2 B) of complex ones."""
    states = states.contiguous()
    return torch.view_as_real(states).flatten(-2) if states.is_complex() else states


def _shared(table: Tensor, lead: Sequence[int]) -> Tensor:
    """The same table for every entry of the leading axes."""
    return table.expand(math.prod(lead), *table.shape)


def squares(states: Tensor, table: Tensor, double: Tensor) -> tuple[Tensor, Tensor]:
    """``sum_i table[:, i] |psi_i|^2`` of states (*, D, B): all but the last row (*, n, B), and the last one (*, 1, B).

    table (n + 1, D); double (D, n): its first n rows transposed, times 2. The last row is a constant for the gradient.
    """
    values, last = _Squares.run(states, table, double)
    return values, last
