"""Code of others, run so that the process is afterwards what it was before, and output and signals stay ours."""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

from qtlplat.catalog.process_state import FIXED, STATES, spare
from qtlplat.catalog.state import Watch, put_back, take_snapshot
from qtlplat.errors import PluginError, describe_exception
from qtlplat.streams import set_streams

OUT, ERR = 1, 2  # file descriptors
_BUILTINS = builtins.__dict__


class contained:  # noqa: N801 -- used as a context manager
    """Restore the process state after a plugin's code, send its output to stderr, and detect signals.

    Args:
        random: whether to restore random generators, too; building a model may draw from them.
        forks: whether the code may fork the process. A child lacks the threads of torch and qtlplat, which may hold
            locks, and could wait forever.

    Raises:
        KeyboardInterrupt, Terminated: a signal arrived, even if the plugin caught its exception.
        PluginError: a change cannot be undone.
    """

    def __init__(self, *, random: bool = True, forks: bool = True) -> None:
        self.states = STATES if random else FIXED
        self.fork = os.fork if forks else _no_fork
        self.stop: BaseException | None = None  # what the handler of a signal raised

    def __enter__(self) -> contained:
        self.builtins, self.process, self.leave = _BUILTINS.copy(), os.getpid(), os._exit
        os._exit = self._leaving  # type: ignore[assignment]
        self.fork, os.fork = os.fork, self.fork
        self.streams = _Streams()
        self.before = take_snapshot(self.states)
        self.watch = Watch(self.before, self.states)
        self.register = atexit.register
        atexit.register = _register  # type: ignore[assignment]
        sys.meta_path.insert(0, self.watch)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(handler):
                    signal.signal(number, self._hearing(handler))
        return self

    def _hearing(self, handler: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
        def hear(number: int, frame: Any) -> None:
            try:
                handler(number, frame)
            except BaseException as error:
                self.stop = error
                raise

        return hear

    def _leaving(self, status: int) -> None:
        """Replace `os._exit`: a command exits with a qtlplat exit code and a message; a child process ends."""
        if os.getpid() != self.process:
            self.leave(status)
        raise SystemExit(status)

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        _BUILTINS.update(self.builtins)  # first of all: what follows uses them
        os._exit, os.fork = self.leave, self.fork
        if os.getpid() != self.process:  # a child that was forked inside must not become a second command
            os._exit(0)
        if self.watch in sys.meta_path:
            sys.meta_path.remove(self.watch)
        atexit.register = self.register
        left = put_back(self.before) + self.streams.put_back()
        if self.stop is not None:
            if error is not self.stop:
                raise self.stop
        elif left and error is None:
            raise PluginError(
                f"it changes what cannot be put back: {', '.join(left)}",
                fix="tell its author: what a whole process has one of is not a plugin's to set",
            )


def _no_fork() -> NoReturn:
    raise PluginError(
        "code that builds or runs a model must not fork the process: the child could wait for ever for its threads",
        fix="start a program with subprocess, or processes with multiprocessing.get_context('spawn')",
    )


class _Streams:
    """While it lives, what is written to stdout, on any level, goes to stderr."""

    def __init__(self) -> None:
        self.own = {name: getattr(sys, name) for name in ("stdout", "stderr", "__stdout__", "__stderr__")}
        self._flush()
        self.kept: dict[int, int] = {}
        for number in (OUT, ERR):
            with contextlib.suppress(OSError):  # closed before we began
                self.kept[number] = os.dup(number)
        if len(self.kept) == 2:
            os.dup2(ERR, OUT)
            spare.append(self.kept[ERR])
        set_streams(**dict.fromkeys(self.own, _Open(sys.stderr or io.StringIO())))

    def put_back(self) -> list[str]:
        """Let both be what they were; what is still to be written goes to stderr before.

        Returns the names of what could not be put back: a copy was closed. Output then fails rather than going astray.
        """
        self._flush()
        left = []
        if len(self.kept) == 2:
            spare.pop()
        for number, copy in self.kept.items():
            try:
                os.dup2(copy, number)
                os.close(copy)
            except OSError:
                left.append("files that were open")
                with contextlib.suppress(OSError):
                    os.close(OUT)
        set_streams(**self.own)
        return left[:1]

    def _flush(self) -> None:
        for stream in (getattr(sys, "stdout", None), *self.own.values()):
            with contextlib.suppress(Exception):  # no stream, or closed
                stream.flush()
        with contextlib.suppress(Exception):  # the C library's streams have a buffer of their own
            _C.fflush(None)


class _Open:
    """A stream that other code cannot close."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def close(self) -> None:
        """Nothing."""

    def detach(self) -> None:
        """Nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)


class _AtExit:
    """A plugin's function for the end of the process: whatever it does, the answer and the exit code are ours."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any, **named: Any) -> None:
        try:
            with contained():
                self.function(*arguments, **named)
        except BaseException as error:  # noqa: BLE001
            sys.stderr.write(
                f"warning: a plugin's function for the end of the process failed: {describe_exception(error)}\n"
            )

    def __eq__(self, other: object) -> bool:
        return other is self or bool(other == self.function)  # so that it can be unregistered

    __hash__ = object.__hash__


def _register(function: Callable[..., Any], *arguments: Any, **named: Any) -> Callable[..., Any]:
    _register_atexit(_AtExit(function), *arguments, **named)
    return function


_register_atexit = atexit.register
_C = ctypes.CDLL(None)
