"""Runs pytest again and again, each time in a child that has the libraries already, but nothing of qtlplat.

Reads jobs, one a line, and answers each with its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# none of which has a plugin for pytest: that must come later
LIBRARIES = ("numpy", "pennylane", "pydantic", "pytest", "rich.table", "sqlalchemy", "torch")
SECONDS = 600


def run(job: dict[str, Any]) -> int:
    """In a child: run pytest as in a new process. job: root, arguments, output (a file), environment."""
    import pytest

    file = os.open(job["output"], os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(job["root"])
    os.environ.update(job["environment"])
    sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)
    sys.argv = ["pytest", *job["arguments"]]
    return int(pytest.main(job["arguments"]))


def waited_for(child: int) -> int:
    """The exit code of a child; one that takes too long is killed."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, 9)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Import, then fork for every job."""
    for name in LIBRARIES:
        importlib.import_module(name)
    sys.path.remove(str(Path(__file__).parent))  # the tests of the copy are looked for there
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            sys.exit(run(json.loads(line)))
        sys.stdout.write(f"{waited_for(child)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
