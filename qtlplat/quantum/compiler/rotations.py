"""Matrices of single-qubit rotations, and their tensor products, for all layers and qubits at once.

The forward pass gives the derivatives of rotations: a rotation's derivative is the same rotation a quarter turn
further. Tensor products differentiate through partial traces, because their factors are unitary.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qtlplat.quantum.compiler.kernel import Kernel

MOST_TURNS = 3  # turns multiplied at once: their matrix is linear in 2^3 cosines and sines


class _TurnMatrices(Kernel):
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
        flat = by_angle.to(back.dtype).reshape(-1, len(back))
        return (torch.mm(flat, back).view(*gradient.shape[:-2], -1),)


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


class _KronMatrices(Kernel):
    """Unitary matrices (*, k, 2, 2) and `trace_table` -> their product (*, 2^k, 2^k)."""

    @staticmethod
    def forward(matrices: Tensor, _traces: Tensor) -> Tensor:
        return fold_matrices(matrices)

    @staticmethod
    def kept(inputs: Any, _output: Any, /) -> tuple[list[Tensor], int]:
        return [inputs[0], inputs[1]], 1

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        # The gradient of one factor M, times M^H, is the partial trace over all other factors.
        gradient, matrices, traces = tensors
        entries = gradient.reshape(-1, gradient.shape[-1] ** 2).index_select(1, traces.reshape(-1))
        partial = entries.view(-1, *traces.shape).sum(1)
        return (torch.bmm(partial.view(-1, 2, 2), matrices.reshape(-1, 2, 2)).view(matrices.shape),)


def kron_matrices(matrices: Tensor, traces: Tensor) -> Tensor:
    """Tensor products K (*, 2^k, 2^k) of k unitary matrices (*, k, 2, 2); the first is the most significant.

    As gradient it takes G K^H instead of the gradient G by K, from `apply_layer` and `layer_matrix`: these have it in
    one multiplication as they have G.
    """
    result: Tensor = _KronMatrices.run(matrices, traces)
    return result


def trace_table(qubits: int) -> npt.NDArray[np.int64]:
    """(2^(k - 1), 4 k): where in a flat matrix (2^k, 2^k) the summands of its partial traces stand.

    Column 4 q + 2 i + j holds those of entry (i, j) of the trace over all qubits but q.
    """
    size = 2**qubits
    states = np.arange(size)
    table = np.empty((size // 2, qubits, 2, 2), dtype=np.int64)
    for qubit in range(qubits):
        bit = 1 << (qubits - 1 - qubit)
        others = states[states & bit == 0]
        for i, j in itertools.product((0, 1), repeat=2):
            table[:, qubit, i, j] = (others | i * bit) * size + (others | j * bit)
    return table.reshape(size // 2, -1)


def fold_matrices(matrices: Tensor) -> Tensor:
    """Tensor product (*, d^k, d^k) of (*, k, d, d), neighbours first: log2(k) rounds."""
    odd: Tensor | None = None
    while (count := matrices.shape[-3]) > 1:
        if count % 2:  # the small factor in front: rows of the product stay long
            first = matrices[..., :1, :, :]
            odd = first if odd is None else _times(odd, first)
            matrices = matrices[..., 1:, :, :]
        matrices = _times(matrices[..., 0::2, :, :], matrices[..., 1::2, :, :])
    return (matrices if odd is None else _times(odd, matrices)).squeeze(-3)


def _times(left: Tensor, right: Tensor) -> Tensor:
    product = left[..., :, None, :, None] * right[..., None, :, None, :]
    return product.flatten(-4, -3).flatten(-2)
