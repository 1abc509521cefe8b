"""Calling into a plugin while training, as the catalog does; torch's process-wide switches are put back behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from qtlplat.catalog import calls

T = TypeVar("T")


def guarded(work: Callable[[], T], provider: str, doing: str) -> T:
    """Run a plugin's code; an exception that is not one of ours becomes a PluginError naming `provider`."""
    with switches_kept():
        return calls.guarded(work, provider, doing)


@contextmanager
def switches_kept() -> Iterator[None]:
    """Torch's process-wide switches (default dtype and device, threads, gradients) end as they began."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
        if torch.get_default_device() != device:
            torch.set_default_device(device if device.type != "cpu" else None)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
