"""The end of a command's process: with its exit code, whatever other threads and signals make of it."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any, NoReturn

from qtlplat.cli.terminal import Guarded, complain
from qtlplat.errors import Terminated, shown

PATIENCE = 10.0  # seconds, for threads that are still at work


def leave(code: int) -> NoReturn:
    """Leave with an exit code; threads that somebody else left running get some seconds to finish."""
    atexit.register(_nothing_left_to_unwind)
    sys.stdout, sys.stderr = Guarded(sys.stdout, sys.stderr), Guarded(sys.stderr)  # of threads, to the very end
    try:
        left = _waited()
    except (KeyboardInterrupt, Terminated) as stop:
        left, code = threading.enumerate(), 130 if isinstance(stop, KeyboardInterrupt) else 143
    if left:
        complain([f"warning: ended although a thread was still at work: {shown(left[-1].name)}"])
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _waited() -> list[threading.Thread]:
    """The threads that Python would wait for, and that are still running after a while."""
    until = time.monotonic() + PATIENCE
    pools: Any = sys.modules.get("concurrent.futures.thread")
    idle = set(pools._threads_queues) if pools else set()  # these end by themselves when the process does
    others = [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread() and t not in idle]
    for thread in others:
        thread.join(max(0.0, until - time.monotonic()))
    return [thread for thread in others if thread.is_alive()]


def _nothing_left_to_unwind() -> None:
    """From here on a signal ends the process: unloading torch takes seconds, and would answer it with a traceback.

    One that is ignored, as Ctrl-C in the background of a script, stays so.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
