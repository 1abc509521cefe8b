"""Executors as child processes: started, given jobs, listened to, stopped; each has one job at most.

No job waits in an executor, so that one which dies takes no other member with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from qtlplat_sweeps.protocol import Event, Job, read_event

PROGRAM = (sys.executable, "-m", "qtlplat_sweeps.executor")
GRACE_SECONDS = 5.0  # that an executor has to store what it does as interrupted


@dataclass(frozen=True)
class Surroundings:
    """What every executor needs. threads: of torch, in each; memory: bytes of it that each may use, None for all."""

    store: str
    registry: str | None
    threads: int
    memory: int | None
    patience: float | None = None

    def line(self) -> str:
        """As it is sent."""
        facts = {"store": self.store, "registry": self.registry, "memory": self.memory, "patience": self.patience}
        return json.dumps(facts) + "\n"


@dataclass
class Executor:
    """A child process. job: what it trains now; since: when it got that, by the monotonic clock."""

    process: subprocess.Popen[str]
    number: int
    job: Job | None = None
    since: float = 0.0
    is_ready: bool = False
    news: str = ""
    killed_for: str = ""

    def give(self, job: Job) -> None:
        """Have it train a member; one that is gone is found to be so by its end."""
        self.job, self.since, self.news = job, time.monotonic(), ""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(job.line())
            self.process.stdin.flush()

    def kill(self, why: str) -> None:
        """End it at once; why: the reason that its member failed."""
        self.killed_for = why
        with contextlib.suppress(OSError):
            self.process.kill()


@dataclass(frozen=True)
class Ended:
    """That an executor's process is gone. code: as of `subprocess`."""

    code: int


class Pool:
    """A number of executors, as a context manager: none outlives it, and none the process that has it.

    Args:
        surroundings: What every executor needs.
        program: What an executor runs.
    """

    def __init__(self, surroundings: Surroundings, program: Sequence[str] = PROGRAM) -> None:
        self._surroundings, self._program = surroundings, list(program)
        self._news: queue.Queue[tuple[Executor, Event | Ended]] = queue.Queue()
        self._numbers = 0
        self.executors: list[Executor] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Executor:
        """Start one more."""
        threads = str(self._surroundings.threads)
        env = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            self._program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=env,
            start_new_session=True,  # Ctrl-C is for the coordinator, which stops them one by one
        )
        self._numbers += 1
        executor = Executor(process, self._numbers)
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.write(self._surroundings.line())
            process.stdin.flush()
        threading.Thread(target=self._listen, args=(executor,), daemon=True).start()
        self.executors.append(executor)
        return executor

    def _listen(self, executor: Executor) -> None:
        assert executor.process.stdout is not None
        for line in executor.process.stdout:
            if event := read_event(line):
                self._news.put((executor, event))
        self._news.put((executor, Ended(executor.process.wait())))

    def news(self, seconds: float) -> Iterator[tuple[Executor, Event | Ended]]:
        """Events since the last call; waits at most so long for the first one."""
        with contextlib.suppress(queue.Empty):
            yield self._news.get(timeout=seconds)
            while True:
                yield self._news.get_nowait()

    def forget(self, executor: Executor) -> None:
        """Count one no longer that has ended."""
        self.executors.remove(executor)
        for pipe in (executor.process.stdin, executor.process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def stop(self) -> None:
        """End all: idle ones at once, others as soon as they have stored what they do as interrupted."""
        for executor in self.executors:
            with contextlib.suppress(OSError):
                executor.process.send_signal(signal.SIGTERM if executor.job else signal.SIGKILL)
        deadline = time.monotonic() + GRACE_SECONDS
        for executor in list(self.executors):
            try:
                executor.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                executor.kill("")
                executor.process.wait()
            self.forget(executor)


def how_it_ended(code: int) -> str:
    """What the exit status of a process says, in words."""
    if code >= 0:
        return f"its process ended with status {code}"
    with contextlib.suppress(ValueError):
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process was killed by signal {-code}"
