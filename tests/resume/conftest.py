"""A plugin that every test here uses, and the numbers of a run that was never stopped."""

from __future__ import annotations

import multiprocessing
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from quick_runs import RUN, Runs, numbers_of

from qtlplat.cli.app import _run
from qtlplat.signals import Stop
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

Call = Callable[[str], int]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where a test's runs go."""
    return tmp_path / "runs.db"


@pytest.fixture
def qtlplat(plugins: Path, store: Path) -> Call:
    """Run a command line in this process, with the test's store."""
    return lambda line: _run([*shlex.split(line), "--store", str(store)])


@pytest.fixture
def single_threaded() -> Iterator[None]:
    """Forking is safe where torch has started no threads that the child would wait for."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def undisturbed(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """The numbers of a run with these arguments (or this command line) that was never stopped, seconds, steps."""
    known: dict[str, dict[str, Any]] = {}

    def numbers(more: str) -> dict[str, Any]:
        if more not in known:
            line = more if more.startswith("run ") else f"{RUN} {more}"
            store = tmp_path_factory.mktemp("undisturbed") / "runs.db"
            steps: list[int] = []
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Stop, "check", lambda _self: steps.append(1))  # whatever the test does to it
                assert _run([*shlex.split(f"{line} -q"), "--store", str(store)]) == 0
            (run,) = Reader(find_store(str(store))).runs(kind="run")
            known[more] = {"numbers": numbers_of(store), "seconds": run.seconds["total"], "steps": len(steps)}
        return known[more]

    return numbers


@pytest.fixture(scope="session")
def processes() -> Any:
    """Starts processes from the one that has imported what a run takes long to import."""
    return multiprocessing.get_context("forkserver")


@pytest.fixture
def runs(processes: Any, store: Path, plugins: Path) -> Runs:
    return Runs(processes, store, plugins)
