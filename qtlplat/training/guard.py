"""Plugins while training: calls into them, torch's process-wide switches put back behind them, whose an error is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from qtlplat.catalog import calls
from qtlplat.errors import QtlplatError, TrainingError, told

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


@contextmanager
def training_errors() -> Iterator[None]:
    """What is raised inside becomes a PluginError where a plugin's code did it, a TrainingError where torch did.

    Memory that runs out is a TrainingError wherever it does. What a plugin prints goes to stderr.
    """
    try:
        with calls.contained():
            yield
    except BaseException as error:
        if isinstance(error, QtlplatError) or calls.asks_to_stop(error):
            raise
        no_memory = _out_of_memory(error)
        fault = None if no_memory else calls.blame(error)
        if fault is None and not isinstance(error, RuntimeError | MemoryError) and not _of_torch(error):
            raise
        fix = "free some memory, or train in smaller batches: -S pretraining.batch_size=8 -S training.batch_size=8"
        fix = fix if no_memory else "run again with --debug to see where"
        raise fault or TrainingError(f"training failed: {told(error)}", fix=fix) from error


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "not enough memory" in str(error)


def _of_torch(error: BaseException) -> bool:
    """Whether the innermost code is torch's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == "torch"
