"""Measurements computed from the density matrix of default.mixed, which torch differentiates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pennylane as qml
import torch
from pennylane.measurements import ExpectationMP, ProbabilityMP


def from_density_matrix(tape: Any) -> tuple[Sequence[Any], Callable[[Any], Any]]:
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
        return [tape], lambda results: results[0]

    def measure(results: Any) -> Any:
        matrix, found = results[0], []
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
        return tuple(found)

    return [tape.copy(measurements=[qml.density_matrix(wires=wires)])], measure
