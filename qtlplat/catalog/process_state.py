"""What code can change about the process that it runs in: one list.

What was replaced inside of other libraries (a function, a class) is not noticed.
"""

from __future__ import annotations

import decimal
import faulthandler
import functools
import gc
import importlib
import locale
import os
import random
import resource
import signal
import sys
import warnings
from typing import Any

import numpy as np

from qtlplat.catalog.state import State, attribute, listed, on_off, searched, switch

_SMALLEST = sys.float_info.min  # half of it is 0 if subnormal numbers are flushed
_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
_signals: Any = importlib.import_module("_signal")  # the public functions make an enum of every answer
_NUMBERS = [int(one) for one in signal.valid_signals() if one not in (signal.SIGKILL, signal.SIGSTOP)]
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)

spare: list[int] = []  # copies of stderr, which both streams go to while a plugin's code runs; the last one counts
_entered: list[Any] = []  # guards that put inference mode back; it would return if they went


def _put_limits(before: list[tuple[int, int]]) -> None:
    for which, limits in zip(_LIMITS, before, strict=True):
        if resource.getrlimit(which) != limits:
            resource.setrlimit(which, limits)


def _outputs() -> list[tuple[int, int] | None]:
    """Which files the descriptors 1 and 2 are; None for one that is closed: the next file that is opened gets it."""
    found: list[tuple[int, int] | None] = []
    for number in (1, 2):
        try:
            status = os.fstat(number)
            found.append((status.st_dev, status.st_ino))
        except OSError:
            found.append(None)
    return found


def _put_outputs(_before: object) -> None:
    for number in (1, 2):
        os.dup2(spare[-1], number)


class _Modules:
    """Equal to every table of modules that holds these, and no further name that is barred from being imported."""

    def __init__(self) -> None:
        self.table: dict[str, Any] = sys.modules.copy()  # a plain one: thousands of names are copied and compared

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Modules):
            return False
        before, now = self.table, other.table
        if len(before) == len(now):
            return before == now
        return before.items() <= now.items() and list(now.values()).count(None) == list(before.values()).count(None)

    __hash__ = None  # type: ignore[assignment]


def _put_modules(before: _Modules) -> None:
    """Those that were imported are again the ones; others may have come."""
    sys.modules.update(before.table)
    for name in [name for name in sys.modules if sys.modules[name] is None and name not in before.table]:
        del sys.modules[name]


def _put_filters(before: list[Any]) -> None:
    warnings.resetwarnings()  # so that what is kept about earlier warnings is looked up anew
    warnings.filters[:] = before  # type: ignore[index]


def _put_handlers(before: list[Any]) -> None:
    for one, handler in zip(_NUMBERS, before, strict=True):
        if handler is not None and _signals.getsignal(one) is not handler:
            signal.signal(one, handler)


def _put_timers(before: list[bool]) -> None:
    for which, runs in zip(_TIMERS, before, strict=True):
        if not runs:
            signal.setitimer(which, 0)


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 -- it need not exist any more
    except OSError:
        return ""


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _put_environment(before: dict[bytes, bytes]) -> None:
    """Through the mapping: the C library has a copy."""
    now, then = dict(os.environ), {os.fsdecode(name): os.fsdecode(value) for name, value in before.items()}
    for name in now.keys() - then.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in then.items() if now.get(name) != value})


def _numpy_random() -> tuple[Any, ...]:
    # numpy does not know its submodule yet when the watch asks, while it is being imported
    name, key, *rest = sys.modules["numpy.random"].get_state()
    return name, np.asarray(key).tobytes(), *rest


def _put_numpy_random(before: tuple[Any, ...]) -> None:
    name, key, *rest = before
    np.random.set_state((name, np.frombuffer(key, np.uint32), *rest))


def _torch() -> Any:
    return sys.modules["torch"]


def _put_inference_mode(before: bool) -> None:
    _entered.append(_torch().inference_mode(before))
    _entered[-1].__enter__()


def _autocast() -> tuple[Any, ...]:
    on, dtype = _torch().is_autocast_enabled, _torch().get_autocast_dtype
    kinds = ("cpu", on("cpu"), dtype("cpu")), ("cuda", on("cuda"), dtype("cuda"))
    return _torch().is_autocast_cache_enabled(), *kinds


def _put_autocast(before: tuple[Any, ...]) -> None:
    cache, *kinds = before
    for kind, enabled, dtype in kinds:
        _torch().set_autocast_enabled(kind, enabled)
        _torch().set_autocast_dtype(kind, dtype)
    _torch().set_autocast_cache_enabled(cache)


def _untransformed() -> Any:
    """The state of a generator is a tensor; a circuit's function is called under ``vmap`` and derivatives, too."""
    return importlib.import_module("qtlplat.compile.private_torch").untransformed()


def _torch_random() -> tuple[bytes, ...]:
    torch = _torch()
    there = torch.cuda.is_initialized()
    with _untransformed():
        states = [torch.default_generator.get_state(), *(torch.cuda.get_rng_state_all() if there else ())]
        return tuple(state.numpy().tobytes() for state in states)


def _put_torch_random(before: tuple[bytes, ...]) -> None:
    torch = _torch()
    with _untransformed():
        cpu, *others = (torch.frombuffer(bytearray(one), dtype=torch.uint8) for one in before)
        torch.default_generator.set_state(cpu)
        if others:
            torch.cuda.set_rng_state_all(others)


def _private(name: str, *, often: bool = True) -> State:
    """What torch has no public functions for; `compile.private_torch` has them, which imports torch."""

    @functools.cache
    def function(which: int) -> Any:
        return importlib.import_module("qtlplat.compile.private_torch").PROCESS_STATE[name][which]

    def call(which: int, *value: Any) -> Any:
        return function(which)(*value)

    return State(f"torch's {name}", functools.partial(call, 0), functools.partial(call, 1), "torch", often)


_FIRST = (  # what the others need
    State("limits of resources", lambda: list(map(resource.getrlimit, _LIMITS)), _put_limits, often=True),
    State("files that stdout and stderr go to", _outputs, _put_outputs, often=True),
    State("sys.modules", _Modules, _put_modules),
)

_TORCH = (
    # first those that change what the others see and do
    _private("function modes"),
    _private("dispatch modes"),
    State(
        "torch.inference_mode",
        lambda: _torch().is_inference_mode_enabled(),
        _put_inference_mode,
        "torch",
        often=True,
    ),
    switch("torch.is_grad_enabled", "torch.set_grad_enabled", often=True),
    switch("torch.get_default_dtype", often=True),
    switch("torch.get_num_threads", often=True),
    switch("torch.get_num_interop_threads"),  # which torch takes once for a process
    switch("torch.get_deterministic_debug_mode", often=True),
    switch("torch.is_warn_always_enabled", "torch.set_warn_always"),
    State(
        "torch.autograd.set_detect_anomaly",
        lambda: (_torch().is_anomaly_enabled(), _torch().is_anomaly_check_nan_enabled()),
        lambda value: _torch().autograd.set_detect_anomaly(*value),
        "torch",
        often=True,
    ),
    State("torch.autocast", _autocast, _put_autocast, "torch", often=True),
    _private("saved-tensor hooks"),
    _private("forward-mode levels"),
    _private("global hooks"),
    _private("NNPACK", often=False),
    _private("print options", often=False),
    State("torch's random numbers", _torch_random, _put_torch_random, "torch", random=True),
    *(
        attribute(f"torch.backends.{name}")
        for name in (
            *("fp32_precision", "cudnn.fp32_precision", "mkldnn.fp32_precision"),  # all, and then some operations
            *("cuda.matmul.fp32_precision", "cudnn.conv.fp32_precision", "cudnn.rnn.fp32_precision"),
            *(f"mkldnn.{operation}.fp32_precision" for operation in ("matmul", "conv", "rnn")),
            *("cudnn.enabled", "cudnn.benchmark", "cudnn.deterministic", "mkldnn.enabled", "mkldnn.deterministic"),
            *("quantized.engine", "opt_einsum.enabled", "opt_einsum.strategy"),
            "cuda.matmul.allow_fp16_accumulation",
            "cuda.matmul.allow_fp16_reduced_precision_reduction",
            "cuda.matmul.allow_bf16_reduced_precision_reduction",
        )
    ),
    *(
        switch(f"torch.backends.cuda.{name}_sdp_enabled", f"torch.backends.cuda.enable_{name}_sdp")
        for name in ("flash", "mem_efficient", "math", "cudnn")
    ),
    *(switch(f"torch.backends.cuda.preferred_{name}_library") for name in ("linalg", "blas")),
    attribute("torch.utils.deterministic.fill_uninitialized_memory"),
    on_off(
        *(f"torch.sparse.check_sparse_tensor_invariants.{position}" for position in ("is_enabled", "enable", "disable"))
    ),
    switch("torch.__future__.get_overwrite_module_params_on_conversion"),
    switch("torch.__future__.get_swap_module_params_on_conversion"),
)

_LIBRARIES = (
    on_off(*(f"pennylane.capture.{position}" for position in ("enabled", "enable", "disable"))),
    on_off(*(f"pennylane.decomposition.{position}_graph" for position in ("enabled", "enable", "disable"))),
    listed("pennylane.queuing.QueuingManager._active_contexts"),
    listed("logging.root.handlers"),
    listed("logging.root.filters"),
    *(
        attribute(f"logging.{name}")
        for name in ("root.level", "root.manager.disable", "_loggerClass", "raiseExceptions")
    ),
    attribute("asyncio.events._event_loop_policy"),
    State(
        "multiprocessing.get_start_method",
        lambda: sys.modules["multiprocessing"].get_start_method(allow_none=True),
        lambda value: sys.modules["multiprocessing"].set_start_method(value, force=True),
        "multiprocessing",
    ),
    State("numpy.geterr", np.geterr, lambda value: np.seterr(**value)),
    State("numpy.get_printoptions", np.get_printoptions, lambda value: np.set_printoptions(**value)),
    switch("numpy.geterrcall"),
    switch("numpy.getbufsize"),
    State("numpy's random numbers", _numpy_random, _put_numpy_random, "numpy.random", random=True),
)

_PYTHON = (
    *(attribute(f"sys.{name}") for name in ("stdin", "excepthook", "unraisablehook", "displayhook")),
    *(attribute(f"threading.{name}") for name in ("excepthook", "_trace_hook", "_profile_hook")),
    *(
        switch(f"sys.get{name}")
        for name in ("recursionlimit", "switchinterval", "_int_max_str_digits", "trace", "profile")
    ),
    *(searched(f"sys.{name}") for name in ("path", "meta_path", "path_hooks")),
    State("warnings.filters", lambda: list(warnings.filters), _put_filters),
    attribute("warnings.showwarning"),
    on_off("gc.isenabled", "gc.enable", "gc.disable"),
    State("gc.get_threshold", gc.get_threshold, lambda value: gc.set_threshold(*value)),
    switch("gc.get_debug"),
    listed("gc.callbacks"),
    State("faulthandler", faulthandler.is_enabled, lambda v: faulthandler.enable(2) if v else faulthandler.disable()),
    State("signal handlers", lambda: list(map(_signals.getsignal, _NUMBERS)), _put_handlers),
    State(
        "blocked signals",
        lambda: _signals.pthread_sigmask(signal.SIG_BLOCK, []),
        functools.partial(signal.pthread_sigmask, signal.SIG_SETMASK),
    ),
    # whether each runs: a plugin's own must not end the command
    State("timers", lambda: [bool(signal.getitimer(which)[0]) for which in _TIMERS], _put_timers),
    State("working directory", _directory, lambda value: os.chdir(value) if value else None, often=True),
    State("umask", _umask, os.umask, often=True),
    State("environment variables", os.environ._data.copy, _put_environment),  # type: ignore[attr-defined]
    State("locale", lambda: locale.setlocale(locale.LC_ALL), functools.partial(locale.setlocale, locale.LC_ALL)),
    State(
        "whether subnormal numbers are kept",
        lambda: _SMALLEST / 2 > 0,
        lambda value: importlib.import_module("torch").set_flush_denormal(not value),
        often=True,
    ),
    State(
        "decimal.getcontext",
        lambda: decimal.getcontext().__reduce__(),
        lambda value: decimal.setcontext(value[0](*value[1])),
    ),
    State("random's random numbers", random.getstate, random.setstate, random=True),
)

STATES = (*_FIRST, *_TORCH, *_LIBRARIES, *_PYTHON)
OFTEN = tuple(state for state in STATES if state.often)
FIXED = tuple(state for state in STATES if not state.random)
RANDOM = tuple(state for state in STATES if state.random)
