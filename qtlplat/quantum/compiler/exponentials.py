"""Time evolutions of an observable as Pauli rotations, which every device knows."""

from __future__ import annotations

from typing import Any

import autoray  # type: ignore[import-untyped]
import pennylane as qml
import torch
from pennylane.ops.op_math import Exp
from torch import Tensor

IMAGINARY = 1e-12  # parts below are rounding errors


def without_exponentials(tape: Any) -> Any:
    """The tape with products of time evolutions taken apart, and those of one Pauli word turned into rotations.

    Raises what PennyLane raises where that cannot be done.
    """
    if not any(map(_evolves, tape.operations)):
        return tape
    (tape,), _ = qml.devices.preprocess.decompose(
        tape, stopping_condition=lambda op: not _evolves(op), skip_initial_state_prep=False, name="Pauli rotations"
    )
    return tape


def _evolves(op: Any) -> bool:
    return isinstance(op, Exp | qml.TrotterProduct) and op.has_decomposition


def _real_if_close(values: Tensor) -> Tensor:
    if values.is_complex() and not torch.any(values.imag.abs() > IMAGINARY):
        return values.real
    return values


# PennyLane takes time evolutions apart with this function, which torch has not.
autoray.register_function("torch", "real_if_close", _real_if_close)
