"""Whether strace can be had, with which system calls are made to fail or to be met by a signal."""

from __future__ import annotations

import functools
import shutil
import subprocess


@functools.cache
def why_not() -> str:
    """Why no system call can be injected here, '' where one can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed"
    tried = subprocess.run([strace, "-e", "inject=fsync:error=EIO:when=1", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "strace may not trace here"
