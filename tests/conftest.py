"""One thread per process, samples of many cases, patience with slow machines, fake distributions, a real server.

The tests run side by side, and idle threads that wait for work would slow them all.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="qtlplat-tests-")  # whoever tests may have a store of their own
os.environ.pop("QTLPLAT_STORE", None)
os.environ.setdefault("QTLPLAT_STORE_PATIENCE", "10")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job in a script's background, and then in its children
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from a_server import PostgresServer, running_server
from hypothesis import HealthCheck, settings
from quick_runs import write_plugin

# One process forks all others of a worker: it imports at once what any of them needs, and what takes long.
multiprocessing.set_forkserver_preload(
    [
        "qtlplat.runs.execute",
        "qtlplat.quantum.devices.engines",
        "qtlplat.runs.resume",
        "qtlplat.store.write.writer",
        "qtlplat.store.backends.migrations",
        "psycopg",
    ]
)

# How long a machine takes to draw examples says nothing about what is tested.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", patient, max_examples=25)
settings.register_profile("nightly", patient, max_examples=1000)
settings.load_profile("default")


def pytest_configure() -> None:
    """Keep compiled modules, and put what the tests write into memory where there is plenty."""
    sys.dont_write_bytecode = False  # or every process would compile all modules and tests again
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    memory = Path("/dev/shm")  # stores sync at every step, for which a disk takes longer than all else takes
    usable = memory.is_dir() and os.access(memory, os.W_OK) and not os.statvfs(memory).f_flag & os.ST_NOEXEC
    if usable and shutil.disk_usage(memory).free > 4 * 2**30:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


FOLDERS = {name: i for i, name in enumerate(("resume", "end_to_end", "strangers", "trained", "training", "quantum"))}


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test that is marked `sampled(n)` n cases, and n of its slow ones, stay what they are; others are nightly.

    Files that take long come first: a process that began one last would leave the others waiting.
    """
    groups: dict[tuple[str, bool], list[pytest.Function]] = {}
    for item in items:
        if item.get_closest_marker("sampled") and not item.get_closest_marker("nightly"):
            assert isinstance(item, pytest.Function)
            slow = item.get_closest_marker("slow") is not None
            groups.setdefault((item.nodeid.partition("[")[0], slow), []).append(item)
    for group in groups.values():
        (marker,) = group[0].iter_markers("sampled")
        for item in beyond_a_sample(group, *marker.args):
            item.add_marker(pytest.mark.nightly)
    items.sort(key=lambda item: FOLDERS.get(item.path.parent.name, len(FOLDERS)))


def beyond_a_sample(cases: list[pytest.Function], number: int) -> list[pytest.Function]:
    """The cases but for `number`, drawn by a fixed seed and so that many values of parameters are met."""
    left = random.Random(0).sample(cases, len(cases))
    values = {case: {(name, id(value)) for name, value in case.callspec.params.items()} for case in cases}
    met: set[tuple[str, int]] = set()
    for _ in range(min(number, len(left))):
        best = max(left, key=lambda case: len(values[case] - met))
        met |= values[best]
        left.remove(best)
    return left


def pytest_collection_finish() -> None:
    """Spare the collector of garbage what was imported: a million objects that stay."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for this process; skipped where none is installed."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of the plugin of `quick_runs`, importable in this process too."""
    path = write_plugin(tmp_path_factory.mktemp("site"))
    sys.path.insert(0, str(path))
    yield path
    sys.path.remove(str(path))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a fake distribution: install(distribution, module, source, entry='name')."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    modules: set[str] = set()

    def add(
        distribution: str, module: str, source: str, entry: str = "", version: str = "1.5", commands: Sequence[str] = ()
    ) -> None:
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        points = info / "entry_points.txt"
        text = points.read_text() if points.exists() else "[qtlplat]\n"
        names = "".join(f"{name} = {module}\n" for name in commands)
        points.write_text(f"{text}{entry or module} = {module}\n" + (f"[qtlplat.commands]\n{names}" if names else ""))
        modules.add(module)
        importlib.invalidate_caches()

    yield add
    for module in modules:
        sys.modules.pop(module, None)
