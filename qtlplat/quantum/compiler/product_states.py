"""Product states (*, 2^Q, B): tensor products of single qubits, built from angles; nothing is simulated for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qtlplat.quantum.compiler.kernel import Kernel, table_times


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
            made[first, last] = _outer(left, right)
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


class _WaveState(Kernel):
    """angles (*, Q, B) and `wave_tables` -> real states (*, 2^Q, B)."""

    @staticmethod
    def forward(angles: Tensor, _flips: Tensor, signs: Tensor) -> Tensor:
        across = angles.unsqueeze(-2)
        states = torch.cat([torch.cos(across), torch.sin(across)], dim=-2).to(signs.dtype)
        odd: Tensor | None = None
        while (count := states.shape[-3]) > 1:  # neighbours first
            if count % 2:
                odd = states[..., :1, :, :] if odd is None else _outer(odd, states[..., :1, :, :])
                states = states[..., 1:, :, :]
            states = _outer(states[..., 0::2, :, :], states[..., 1::2, :, :])
        return (states if odd is None else _outer(odd, states)).squeeze(-3)

    @staticmethod
    def kept(inputs: Any, output: Any, /) -> tuple[list[Tensor], int]:
        return [output, *inputs[1:]], 1

    @staticmethod
    def derive(*tensors: Tensor) -> tuple[Tensor, ...]:
        # The derivative by one qubit's angle is the state with the two amplitudes of that qubit interchanged.
        gradient, states, flips, signs = tensors
        moved = states.index_select(-2, flips).unflatten(-2, (-1, states.shape[-2]))
        return (table_times(signs, (moved * gradient.unsqueeze(-3)).flatten(-3, -2)),)


def wave_state(angles: Tensor, flips: Tensor, signs: Tensor) -> Tensor:
    """Real states (*, 2^Q, B): the tensor product over qubits of (cos a, sin a), qubit 0 leading.

    angles (*, Q, B), radians; flips and signs: `wave_tables`; the states have the dtype of the latter.
    """
    states: Tensor = _WaveState.run(angles, flips, signs)
    return states


def wave_tables(qubits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For each qubit the states with its bit flipped (Q 2^Q,), and (Q, Q 2^Q): -1 where that bit is 0, otherwise 1."""
    states = np.arange(2**qubits, dtype=np.int64)
    masks = 1 << np.arange(qubits)[::-1, None]
    signs = np.where(states & masks, 1.0, -1.0)
    return (states ^ masks).reshape(-1), (np.eye(qubits)[:, :, None] * signs).reshape(qubits, -1)


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """Tensor products (*, c d, B) of (*, c, B) and (*, d, B)."""
    return (left.unsqueeze(-2) * right.unsqueeze(-3)).flatten(-3, -2)


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
