"""Stopping in good order: the first Ctrl-C or SIGTERM is obeyed after the step in training, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qtlplat.errors import Terminated

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a signal asked the process to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self) -> None:
        """To be called where stopping does no harm: raises KeyboardInterrupt or Terminated if it was asked for."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise Terminated


@contextmanager
def orderly_stop() -> Iterator[Stop]:
    """Inside, a first signal is kept for `Stop.check`; a second one does what it did before.

    One that came after the last check is obeyed at the end: what was begun has ended, and nothing else begins.
    Signals that are ignored stay so, and outside of the main thread nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {one: signal.getsignal(one) for one in SIGNALS}

    def ask(signum: int, frame: Any) -> None:
        if stop.signal is None:
            stop.signal = signum
            return
        handler = before[signal.Signals(signum)]
        if callable(handler):
            handler(signum, frame)
        else:
            signal.signal(signum, handler)
            os.kill(os.getpid(), signum)

    for one, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(one, ask)
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    stop.check()
