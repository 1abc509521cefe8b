"""Coordinator and executors killed at any moment: the same command ends with the numbers of an undisturbed sweep."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from quick_runs import RUN

from qtlplat.store.backends.find import find_store
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sweeps import member_states, named_sweep

PLAN = RUN.removeprefix("run ").replace("--epochs 12", "--epochs 30").replace("--n-init 2", "--n-init 1")
SWEEP = f"sweep all {PLAN} --head 'dressed[qubits=2..3,layers=1],linear' -S training.learning_rate=1e-3|1e-2 -q"
Numbers = dict[str, Any]


def start(plugins: Path, store: Path, workers: int) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))
    line = [sys.executable, "-m", "qtlplat", *shlex.split(SWEEP), "-j", str(workers), "--store", str(store)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(line, env={**os.environ, "PYTHONPATH": paths}, stdout=quiet, stderr=quiet)


def numbers(store: Path) -> Numbers:
    """Epochs, predictions and metrics of every finished run of heads, bit for bit, by fingerprint."""
    reader, found = Reader(find_store(str(store))), {}
    for run in reader.runs(kind="run", where="status = 'finished'"):
        epochs = [(e.cell, e.epoch, {k: v.hex() for k, v in sorted(e.values.items())}) for e in reader.epochs(run.id)]
        rows = [(p.cell, p.sample_id, [x.hex() for x in p.probabilities]) for p in reader.predictions(run.id)]
        found[run.fingerprint] = (epochs, rows, {k: [v.hex() for v in vs] for k, vs in run.metrics.items()})
    return found


@pytest.fixture(scope="session")
def undisturbed(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Numbers:
    """Of the same sweep in one process."""
    store = tmp_path_factory.mktemp("undisturbed") / "runs.db"
    assert start(plugins, store, 1).wait(300) == 0
    return numbers(store)


def children(pid: int) -> list[int]:
    """Processes that this one has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.sampled(4)
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_moment(seed: int, plugins: Path, tmp_path: Path, undisturbed: Numbers) -> None:
    draw, store = random.Random(seed), tmp_path / "runs.db"
    for _ in range(2):
        process = start(plugins, store, 2)
        workers: list[int] = []
        deadline = time.monotonic() + 30
        while len(workers) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
            workers = children(process.pid)
        time.sleep(draw.uniform(0, 12))
        if draw.random() < 0.5:
            kill(process.pid)
        else:
            kill(draw.choice(workers or [process.pid]))
        process.wait(300)
        deadline = time.monotonic() + 15
        while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)  # no executor outlives its coordinator
    assert start(plugins, store, 2).wait(300) == 0
    reader = Reader(find_store(str(store)))
    states = member_states(reader, named_sweep(reader, "all"))
    assert [one.state for one in states] == ["finished"] * 6
    assert numbers(store) == undisturbed
    finished = Counter(run.fingerprint for run in reader.runs(where="status = 'finished'"))
    assert set(finished.values()) == {1}  # every member once, and one pretraining
    assert len(reader.runs(kind="pretraining", where="status = 'finished'")) == 1
    assert check(reader.location).problems == ()
