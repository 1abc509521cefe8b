"""Every random number in a run follows from its seed and from what it is for, never from what ran before."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from a purpose and numbers; different parts give independent seeds."""
    text = "\0".join(f"{type(p).__name__}:{p}" for p in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded by `derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(*parts))


def seed_torch(seed: int) -> None:
    """Seed torch's global generators, as ``torch.manual_seed`` does.

    Without an accelerator only the CPU's is seeded: torch would note a stack trace for each kind of accelerator, for
    the day it is used, which takes longer than many training steps.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@contextmanager
def isolated_rng() -> Iterator[None]:
    """Inside, torch's global generator may be seeded at will (modules draw from it); outside, it is untouched."""
    with torch.random.fork_rng(devices=[]):
        yield


@contextmanager
def isolated_generators() -> Iterator[None]:
    """As `isolated_rng`, for the global generators of numpy and Python as well.

    For what makes devices or calls a circuit's function once. What is called again and again, such as a step of a
    training, would draw the same numbers of numpy each time.
    """
    states = np.random.get_state(), random.getstate()
    try:
        with isolated_rng():
            yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])
