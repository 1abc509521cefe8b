"""Warnings of PennyLane and torch about how qtlplat runs a circuit; its author can do nothing about them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

OF_CALLS = (
    # The function is called with one sample of a batch: `x.T` of a vector is the vector.
    "The use of `x.T` on tensors of dimension other than 2",
    # Whose gradients are not those of its values is found out, and reported with the run.
    "Converting a tensor with requires_grad=True to a scalar",
)
OF_DEVICES = (
    # Gates are taken apart for devices that do not know them; gradients are compared before such a device is used.
    "The two-qubit decomposition may not be differentiable",
    # How default.mixed copies the angle of a phase shift.
    "To copy construct from a tensor, it is recommended to use sourceTensor",
)


@contextmanager
def without(beginnings: Sequence[str]) -> Iterator[None]:
    """Inside, warnings whose messages begin so are not shown; all others are."""
    with warnings.catch_warnings():
        for beginning in beginnings:
            warnings.filterwarnings("ignore", re.escape(beginning))
        yield
