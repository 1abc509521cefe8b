"""How many threads torch pretrains a backbone with.

On a machine that others load, a second thread may make a step many times slower than one thread alone does. The number
of threads also decides in which order numbers are added up, so it changes only where that is worth much, and a number
that was chosen once is used again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch

from qtlplat.backbones.trainer import Network
from qtlplat.quantum.devices.threads import torch_threads
from qtlplat.store.core.ownership import this_host
from qtlplat.store.core.records import RunRecord
from qtlplat.store.read.queries import Reader

SHORT_SECONDS = 5.0  # a pretraining that takes less is not worth measuring
CLEARLY = 2.0  # how many times quicker one thread must be to be chosen
MOST = 1024


def stored_threads(reader: Reader, run: str) -> int | None:
    """The number of threads that a run was computed with; None if the store does not say."""
    text = reader.environment(run).get("threads", "")
    return int(text) if text.isdecimal() and 0 < int(text) <= MOST else None


def earlier_threads(reader: Reader, earlier: list[RunRecord]) -> int | None:
    """The number that the newest of these pretrainings on this machine was computed with; None if there is none."""
    return next((stored_threads(reader, run.id) for run in earlier if run.host == this_host()), None)


def asked_for() -> bool:
    """Whether the user set the number of torch's threads, by --threads or a variable."""
    return any(os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))


def threads_again(reader: Reader, run: str) -> int:
    """The number of threads to resume a run with: its own unless another is asked for or processors are fewer."""
    stored = stored_threads(reader, run)
    if stored is None or asked_for() or stored > (os.cpu_count() or 1):
        return torch.get_num_threads()
    return stored


def measured_threads(make: Callable[[], Network], steps: int, tell: Callable[[str], None]) -> int:
    """The number of threads for a pretraining, from two steps with as many as torch has and two with one.

    The steps are those of copies: nothing of the pretraining changes. Torch's number is kept unless one thread is
    twice as fast.

    Args:
        make: Makes a fresh network in training.
        steps: How many steps the pretraining has, at most.
        tell: Called with one line if another number than torch's is chosen.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return threads
    try:
        with_all = _seconds(make, threads)
        if with_all * steps < SHORT_SECONDS:
            return threads
        alone = _seconds(make, 1)
    except Exception:  # noqa: BLE001 -- whatever is wrong with a step, the pretraining itself says it
        return threads
    if with_all < CLEARLY * alone:
        return threads
    took = f"a step takes {1000 * alone:.0f} ms, with {threads} threads {1000 * with_all:.0f} ms"
    tell(f"pretraining with 1 thread: {took} (--threads {threads} keeps {threads})")
    return 1


def _seconds(make: Callable[[], Network], threads: int) -> float:
    """How long the quicker one of two steps takes; one before them is not counted."""
    with torch_threads(threads):
        network = make()
        network.learner.model.train()
        rows = torch.from_numpy(network.split.train)[: network.batch_size]
        images, labels = network.pixels[rows], network.labels[rows]
        taken = []
        for _ in range(3):
            started = time.perf_counter()
            network.learner.step(images, labels)
            taken.append(time.perf_counter() - started)
    return min(taken[1:])
