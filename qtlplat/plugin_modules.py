"""Plugins while training: calls into them, and whose an error is."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from qtlplat.catalog import plugin_calls
from qtlplat.catalog.contained import contained
from qtlplat.catalog.host import found_plugins
from qtlplat.catalog.process_state import FIXED, OFTEN
from qtlplat.catalog.state import put_back, take_snapshot
from qtlplat.errors import PluginError, QtlplatError, TrainingError, describe_exception

T = TypeVar("T")
_READ = tuple(state.value for state in OFTEN)
_BUILTINS = builtins.__dict__


def guarded_build(work: Callable[[], T], provider: str, doing: str) -> T:
    """As `qtlplat.catalog.plugin_calls.guarded`, for code that builds or runs a model: it may draw random numbers."""
    return plugin_calls.guarded(work, provider, doing, random=False)


def called(function: Callable[..., T], *arguments: Any) -> T:
    """Call a module in training, and put back what it changed about the process that the next step depends on.

    Costs some microseconds; all the rest is put back after the epoch.
    """
    python, seed = _BUILTINS.copy(), torch.initial_seed()
    before = [get() for get in _READ]
    try:
        result = function(*arguments)
    finally:
        _BUILTINS.update(python)  # first of all: what follows uses them
        if [get() for get in _READ] != before:
            put_back(dict(zip(OFTEN, before, strict=True)))
    if torch.initial_seed() != seed:
        raise PluginError(
            "a module seeds torch's global generator while it runs: what other layers draw would not be random",
            where=_owner(function) if isinstance(function, nn.Module) else "",
            fix="draw from a torch.Generator of your own",
        )
    return result


def logits_of(module: nn.Module, x: Tensor, classes: int | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """What a module makes of samples (B, ...), by `called`; raises PluginError unless that is `dtype` (B, classes)."""
    y: Tensor = called(module, x)
    check_logits(module, y, len(x), classes, dtype)
    return y


def check_logits(
    module: nn.Module, y: object, rows: int, classes: int | None = None, dtype: torch.dtype = torch.float32
) -> None:
    """Raises PluginError unless a module returned `dtype` (rows, classes): it was tried on other samples before.

    classes: any number if None.
    """
    sound = isinstance(y, Tensor) and y.dim() == 2 and y.dtype == dtype and len(y) == rows
    if sound and classes in (None, cast("Tensor", y).shape[1]):
        return
    expected = f"{str(dtype).removeprefix('torch.')} ({rows}, {classes or 'F'})"
    found = f"{str(y.dtype).removeprefix('torch.')} {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
    raise PluginError(
        f"a module returned {found} for {rows} samples, it must be {expected}",
        where=_owner(module),
        fix="return one row for each sample, whatever the samples are",
    )


def _owner(module: nn.Module) -> str:
    """The distribution that a module's class, or that of one of its parts, is from; the class if it is no plugin's."""
    packages = {provider.module.partition(".")[0]: provider.distribution for _, provider in found_plugins()}
    owners = (packages.get(type(part).__module__.partition(".")[0]) for part in module.modules())
    return next((owner for owner in owners if owner), type(module).__name__)


class Surroundings:
    """All that a process has one of, but for random numbers, as it is when an object of this class is made."""

    def __init__(self) -> None:
        self._before = take_snapshot(FIXED)

    def put_back(self) -> None:
        """Restore changed settings; settings that cannot be restored are reported after the training."""
        put_back(self._before)


@contextmanager
def training_errors() -> Iterator[None]:
    """What is raised inside becomes a PluginError if a plugin's code did it, a TrainingError if torch did.

    Memory that runs out is a TrainingError in any case. What a plugin prints goes to stderr.
    """
    with contained(forks=False):
        try:
            yield
        except QtlplatError as error:
            if not error.where and (fault := plugin_calls.blame(error)):
                error.where = fault.where
            raise
        except BaseException as error:
            no_memory = _out_of_memory(error)
            fault = None if no_memory else plugin_calls.blame(error)
            if fault is None and not isinstance(error, RuntimeError | MemoryError) and not _of_torch(error):
                raise
            fix = "free some memory, or train in smaller batches: -S pretraining.batch_size=8 -S training.batch_size=8"
            fix = fix if no_memory else "run again with --debug to see where"
            raise fault or TrainingError(f"training failed: {describe_exception(error)}", fix=fix) from error


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "not enough memory" in str(error)


def _of_torch(error: BaseException) -> bool:
    """Whether the innermost code is torch's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == "torch"
