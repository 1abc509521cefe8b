"""States (*, D, B) of D amplitudes and B samples, and what acts on them.

Samples come last: an amplitude of all samples is one contiguous row, and sums over amplitudes run along such rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qtlplat.quantum.compiler.kernel import Derivative, Kernel


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


class _ApplyToReal(Kernel):
    """Complex matrix (*, D, D), real states (*, D, B) -> (*, 2 D, B), and the matrix in the same form (*, 2 D, D)."""

    batched = 2

    @staticmethod
    def forward(matrix: Tensor, states: Tensor) -> Any:
        parts = torch.view_as_real(matrix).movedim(-1, -3).flatten(-3, -2)
        result = torch.bmm(parts.reshape(-1, *parts.shape[-2:]), states.reshape(-1, *states.shape[-2:]))
        return result.view(*states.shape[:-2], -1, states.shape[-1]), parts

    @staticmethod
    def kept(inputs: Any, output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[1], output[1]], 2

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        lead, size = tensors[1].shape[:-2], tensors[1].shape[-2]
        gradient, states, parts = (t.reshape(-1, *t.shape[-2:]) for t in tensors)
        by_states = torch.bmm(parts.mT, gradient).view(tensors[1].shape)
        by_parts = torch.bmm(gradient, states.mT).view(*lead, 2, size, size)
        return torch.view_as_complex(by_parts.movedim(-3, -1).contiguous()), by_states


def apply_to_real(matrix: Tensor, states: Tensor) -> Tensor:
    """A complex matrix (*, D, D) on real states (*, D, B): (*, 2 D, B), all real parts, then all imaginary ones."""
    result: Tensor = _ApplyToReal.run(matrix, states)[0]
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
