"""A process that trains members of a sweep, one after the other: torch is loaded and data is read once.

``python -m qtlplat_sweeps.executor`` gets jobs on stdin and tells on stdout; when stdin is closed, because the
coordinator has ended in whatever way, it stops in good order.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from qtlplat.cli.render.terminal import note
from qtlplat.errors import BusyError, QtlplatError, StoreError, Terminated
from qtlplat.progress import Stage
from qtlplat.sent_errors import error_facts
from qtlplat_sweeps.protocol import Event, Job

TELL_SECONDS = 0.5  # between two reports of a stage


def _log(text: str) -> None:
    note(text)
    sys.stderr.flush()


class Told:
    """Reports progress to the coordinator, and writes notes to the log of the member."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self.position = -1

    def note(self, text: str) -> None:
        """One line."""
        _log(text)
        self._send(Event("note", self.position, text))

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Stage]:
        """Report a stage, at most twice a second."""
        send, position = self._send, self.position
        began = time.monotonic()

        class One:
            done, told = 0, 0.0

            def advance(self, steps: int = 1, detail: str = "") -> None:
                self.done += steps
                if (now := time.monotonic()) - self.told > TELL_SECONDS:
                    self.told = now
                    send(Event("stage", position, f"{title} {self.done}/{total}{detail and ', ' + detail}"))

        send(Event("stage", position, title))
        yield One()
        _log(f"{title}: done in {time.monotonic() - began:.1f} s")


class Executor:
    """Trains members. out: where events go; facts: of the sweep, as the coordinator sends them first."""

    def __init__(self, out: TextIO, facts: dict[str, Any]) -> None:
        self._out, self._lock = out, threading.Lock()
        from qtlplat.catalog.catalog import open_catalog
        from qtlplat.store.backends.find import find_store

        self.location = find_store(facts["store"], asked="--store", patience=facts["patience"])
        self.registry, self.catalog = open_catalog(facts["registry"])
        self.progress = Told(self.send)
        self._images: dict[str, Any] = {}
        self._tried: Any = None

    def send(self, event: Event) -> None:
        """Send an event to the coordinator, if it still runs."""
        with self._lock:
            try:
                self._out.write(event.line())
                self._out.flush()
            except OSError:
                pass

    def train(self, job: Job) -> Event:
        """Train a member, or find that its run is there; what happened."""
        self.progress.position, began = job.position, time.monotonic()
        try:
            run = self._trained(job)
        except (KeyboardInterrupt, Terminated):
            return Event("stopped", job.position)
        except (StoreError, BusyError) as error:
            return Event("broken", job.position, error=error_facts(error))
        except Exception as error:  # noqa: BLE001 -- whatever a plugin raises is of this member alone
            lines = error.lines() if isinstance(error, QtlplatError) else traceback.format_exc().splitlines()
            _log("\n".join(lines))
            return Event("failed", job.position, error=error_facts(error))
        return Event("finished", job.position, run=run, seconds=time.monotonic() - began)

    def _trained(self, job: Job) -> str:
        from qtlplat.catalog.resolve import resolve
        from qtlplat.errors import ConfigError
        from qtlplat.runs.prepare import prepare
        from qtlplat.runs.reuse import found_or_executed
        from qtlplat.runs.tried import Tried
        from qtlplat_sweeps.definition import request_of

        self._tried = self._tried or Tried()
        resolved = resolve(request_of(job.request), self.registry, self.catalog)
        prepared = prepare(resolved, self.location.files, self._read(resolved), tried=self._tried)
        if prepared.plan.fingerprint != job.fingerprint:
            raise ConfigError(
                "code or data have changed since the sweep was stored", fix="give the command of the sweep again"
            )
        return found_or_executed(prepared, self.location, self.progress, go_on=True)

    def _read(self, resolved: Any) -> Any:
        """The images of a dataset, which several members have."""
        from qtlplat.runs.prepared_images import Dataset
        from qtlplat_sweeps.definition import data_key

        key = data_key(resolved.plan.dataset)
        if key not in self._images:
            dataset = Dataset(resolved.specs["dataset"], resolved.options["dataset"], self.location.files)
            self._images = {key: dataset.images()}  # one at a time: members are sorted by it
        return self._images[key]


def _jobs(stdin: TextIO, waiting: queue.Queue[Job | None]) -> None:
    """Read jobs until the coordinator ends; then what is being trained is stopped as by a signal."""
    for line in stdin:
        waiting.put(Job(**json.loads(line)))
    waiting.put(None)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Whatever is printed goes to the log of a member: by Python, by libraries, by processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    before = os.dup(2)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(before, 1)
        os.dup2(before, 2)
        os.close(before)


def _limit_memory(limit: int | None) -> None:
    """A member that allocates without end gets an error, before the system kills processes of its choice."""
    if limit is not None:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def main() -> None:
    """Train what stdin asks for until it is closed."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what prints to stdout must not be taken for an event
    jobs = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # and what reads stdin must not take jobs
    # where nothing is trained there is nothing to store
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's
    facts = json.loads(jobs.readline() or "null")
    if facts is None:
        return
    _limit_memory(facts["memory"])
    executor = Executor(out, facts)
    waiting: queue.Queue[Job | None] = queue.Queue()
    threading.Thread(target=_jobs, args=(jobs, waiting), daemon=True).start()
    executor.send(Event("ready"))
    while (job := waiting.get()) is not None:
        with _logged(Path(job.log)):
            ended = executor.train(job)
        executor.send(ended)
        if ended.kind in ("broken", "stopped"):
            break


if __name__ == "__main__":
    main()
