"""The end of a command's process: with its exit code, whatever other threads, processes and signals make of it."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, NoReturn

from qtlplat.cli.render.terminal import Guarded, complain
from qtlplat.errors import safe_repr
from qtlplat.streams import set_streams

PATIENCE = 10.0  # seconds, for what is still at work

_exit = os._exit  # which code of others may replace


def leave(code: int) -> NoReturn:
    """End the process with an exit code; threads of libraries and plugins get some seconds to finish.

    Python waits for threads and calls the registered exit functions. The interpreter is not finalized: that takes torch
    seconds, and crashes running threads. From here on a signal ends the process at once; ignored signals, such as
    Ctrl-C in the background of a script, stay ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    set_streams(stdout=Guarded(sys.stdout, sys.stderr), stderr=Guarded(sys.stderr))  # of threads, to the very end
    timer = threading.Timer(PATIENCE, _give_up, (code,))
    timer.daemon = True
    timer.start()
    atexit.register(_end, code)
    sys.exit(code)


def _end(code: int) -> NoReturn:
    """End the process behind the functions for the end; registered last, this is the first of them to be called."""
    atexit.unregister(_end)
    try:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
    finally:
        _exit(code)


def _give_up(code: int) -> NoReturn:
    """End the process at once, and say what was still at work."""
    processes: Any = sys.modules.get("multiprocessing.process")
    children = list(processes.active_children()) if processes else []
    ours = (threading.main_thread(), threading.current_thread())
    threads = [one for one in threading.enumerate() if one not in ours and not one.daemon]
    what = "a thread" if threads else "a process" if children else "a function for the end of the process"
    name = "".join(f": {safe_repr(one.name)}" for one in [*threads, *children][:1])
    complain([f"warning: ended although {what} was still at work{name}"])
    for child in children:  # its output may be waited for
        child.kill()
    _exit(code)
