"""What code can change about the process that it runs in: one list, and how its entries are put back.

A library's state is looked at only once that library has been imported; nothing is imported for this. What was
replaced inside of other libraries (a function, a class) is not noticed.
"""

from __future__ import annotations

import contextlib
import decimal
import faulthandler
import gc
import importlib
import importlib.abc
import locale
import os
import random
import resource
import signal
import sys
import warnings
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any

import numpy as np

from qtlplat.catalog.state import UNKNOWN, State, attribute, listed, searched, switch
from qtlplat.catalog.torch_state import PENNYLANE, TORCH

Snapshot = dict[State, Any]

_SMALLEST = sys.float_info.min  # half of it is 0 if subnormal numbers are flushed
_signals: Any = importlib.import_module("_signal")  # the public functions make an enum of every answer
_NUMBERS = [int(one) for one in signal.valid_signals() if one not in (signal.SIGKILL, signal.SIGSTOP)]


def _put_handlers(before: list[Any]) -> None:
    for one, handler in zip(_NUMBERS, before, strict=True):
        if handler is not None and _signals.getsignal(one) is not handler:
            signal.signal(one, handler)


def _timers() -> list[bool]:
    """Whether each timer runs: a plugin's own must not end the command."""
    return [bool(signal.getitimer(which)[0]) for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)]


def _put_timers(before: list[bool]) -> None:
    for which, runs in zip((signal.ITIMER_REAL, signal.ITIMER_VIRTUAL), before, strict=True):
        if not runs:
            signal.setitimer(which, 0)


def _put_filters(before: list[Any]) -> None:
    warnings.resetwarnings()  # so that what is kept about earlier warnings is looked up anew
    warnings.filters[:] = before  # type: ignore[index]


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


def _put_subnormals(before: bool) -> None:
    importlib.import_module("torch").set_flush_denormal(not before)


def _put_decimal_context(before: Any) -> None:
    kind, parts = before
    decimal.setcontext(kind(*parts))


def _numpy_random() -> tuple[Any, ...]:
    # numpy does not know its submodule yet when the watch asks, while it is being imported
    name, key, *rest = sys.modules["numpy.random"].get_state()
    return name, np.asarray(key).tobytes(), *rest


def _put_numpy_random(before: tuple[Any, ...]) -> None:
    name, key, *rest = before
    np.random.set_state((name, np.frombuffer(key, np.uint32), *rest))


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


_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


def _put_limits(before: list[tuple[int, int]]) -> None:
    for which, (soft, hard) in zip(_LIMITS, before, strict=True):
        if resource.getrlimit(which) != (soft, hard):
            resource.setrlimit(which, (soft, hard))


spare: list[int] = []  # copies of stderr, which both streams go to while a plugin's code runs; the last one counts


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


def _start_method() -> str | None:
    method: str | None = sys.modules["multiprocessing"].get_start_method(allow_none=True)
    return method


PYTHON = (
    # first what the others need
    State("the limits of resources", lambda: list(map(resource.getrlimit, _LIMITS)), _put_limits, often=True),
    State("the files that stdout and stderr go to", _outputs, _put_outputs, often=True),
    State("sys.modules", _Modules, _put_modules),
    attribute("sys.stdin", "sys", "stdin"),
    attribute("sys.excepthook", "sys", "excepthook"),
    attribute("sys.unraisablehook", "sys", "unraisablehook"),
    attribute("sys.displayhook", "sys", "displayhook"),
    attribute("threading.excepthook", "threading", "excepthook"),
    switch("the recursion limit", "sys", "getrecursionlimit", "setrecursionlimit"),
    switch("the switch interval", "sys", "getswitchinterval", "setswitchinterval"),
    switch("the longest text of an integer", "sys", "get_int_max_str_digits", "set_int_max_str_digits"),
    switch("the trace function", "sys", "gettrace", "settrace"),
    switch("the profile function", "sys", "getprofile", "setprofile"),
    attribute("the trace function of threads", "threading", "_trace_hook"),
    attribute("the profile function of threads", "threading", "_profile_hook"),
    searched("sys.path", "sys", "path"),
    searched("sys.meta_path", "sys", "meta_path"),
    searched("sys.path_hooks", "sys", "path_hooks"),
    State("the filters of warnings", lambda: list(warnings.filters), _put_filters),
    attribute("warnings.showwarning", "warnings", "showwarning"),
    State("garbage collection", gc.isenabled, lambda v: gc.enable() if v else gc.disable()),
    State("the thresholds of garbage collection", gc.get_threshold, lambda v: gc.set_threshold(*v)),
    switch("the debugging of garbage collection", "gc", "get_debug", "set_debug"),
    listed("the callbacks of garbage collection", "gc", "callbacks"),
    State("faulthandler", faulthandler.is_enabled, lambda v: faulthandler.enable(2) if v else faulthandler.disable()),
    State("signal handlers", lambda: [_signals.getsignal(one) for one in _NUMBERS], _put_handlers),
    State(
        "blocked signals",
        lambda: _signals.pthread_sigmask(signal.SIG_BLOCK, []),
        lambda v: signal.pthread_sigmask(signal.SIG_SETMASK, v),
    ),
    State("timers", _timers, _put_timers),
    State("the working directory", _directory, lambda v: os.chdir(v) if v else None, often=True),
    State("the umask", _umask, os.umask, often=True),
    State("environment variables", os.environ._data.copy, _put_environment),  # type: ignore[attr-defined]
    State("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda v: locale.setlocale(locale.LC_ALL, v)),
    State("whether subnormal numbers are kept", lambda: _SMALLEST / 2 > 0, _put_subnormals, often=True),
    State("the decimal context", lambda: decimal.getcontext().__reduce__(), _put_decimal_context),
    State("the random numbers of random", random.getstate, random.setstate, random=True),
)

LIBRARIES = (
    attribute("the level of logging", "logging", "root.level"),
    listed("the handlers of logging", "logging", "root.handlers"),
    listed("the filters of logging", "logging", "root.filters"),
    attribute("what logging leaves out", "logging", "root.manager.disable"),
    attribute("the class of loggers", "logging", "_loggerClass"),
    attribute("the errors of logging", "logging", "raiseExceptions"),
    attribute("asyncio's policy", "asyncio.events", "_event_loop_policy"),
    State(
        "how processes are started",
        _start_method,
        lambda v: sys.modules["multiprocessing"].set_start_method(v, force=True),
        "multiprocessing",
    ),
    State("numpy's handling of errors", np.geterr, lambda v: np.seterr(**v)),
    State("numpy's error function", np.geterrcall, np.seterrcall),
    State("numpy's buffer size", np.getbufsize, np.setbufsize),
    State("numpy's print options", np.get_printoptions, lambda v: np.set_printoptions(**v)),
    State("the random numbers of numpy", _numpy_random, _put_numpy_random, "numpy.random", random=True),
)

STATES = (*PYTHON[:3], *TORCH, *PENNYLANE, *LIBRARIES, *PYTHON[3:])
OFTEN = tuple(state for state in STATES if state.often)
FIXED = tuple(state for state in STATES if not state.random)
RANDOM = tuple(state for state in STATES if state.random)


def take_snapshot(states: Iterable[State] = STATES) -> Snapshot:
    """What these are now, of libraries that are imported."""
    return {state: state.value() for state in states if not state.module or state.module in sys.modules}


def put_back(before: Snapshot) -> list[str]:
    """Put back what has changed; returns the names of what could not be put back."""
    left = []
    for state, value in before.items():
        if value is UNKNOWN or _same(value, state.value()):
            continue
        with contextlib.suppress(Exception):  # what counts is what it is now
            state.put(value)
        if not _same(value, state.value()):
            left.append(state.name)
    return left


def _same(before: Any, now: Any) -> bool:
    try:
        return before is now or bool(before == now)
    except Exception:  # noqa: BLE001 -- a stranger's __eq__
        return False


class Watch(importlib.abc.MetaPathFinder):
    """Completes a snapshot by the states of libraries that are imported meanwhile.

    They are read when the library has just been imported: that is what they were before anybody changed them.
    """

    def __init__(self, before: Snapshot, states: Iterable[State]) -> None:
        self.before, self.states = before, [s for s in states if s.module and s.module not in sys.modules]
        self.modules = {name for state in self.states for name in (state.module, state.module.partition(".")[0])}

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """What the other finders find, so that the states are read after it has run."""
        if name not in self.modules:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                self.before |= take_snapshot(s for s in self.states if f"{s.module}.".startswith(f"{name}."))

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
