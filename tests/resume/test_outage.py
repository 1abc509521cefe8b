"""A server that goes away during a real run costs nothing: the same numbers, no row lost, none twice."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from a_server import PostgresServer
from quick_runs import RUN, call, numbers_of

from qtlplat.cli.app import _run
from qtlplat.runs.context import RunContext
from qtlplat.store.backends.find import find_store
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader

HEAD = "--head linear"


@pytest.fixture
def url(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of its own; the server runs when a test begins and when it ends."""
    monkeypatch.setenv("QTLPLAT_FILES", str(tmp_path / "files"))
    monkeypatch.setenv("QTLPLAT_STORE_PATIENCE", "120")  # a busy machine starts a server slowly
    for name in ("SHORTEST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(f"qtlplat.store.core.retry.{name}", 0.2)
    yield postgres.store()
    if not postgres.is_running():
        postgres.start()


@pytest.fixture
def qtlplat(plugins: Path, url: str) -> Callable[[str], int]:
    return lambda line: _run([*shlex.split(line), "--store", url])


@pytest.fixture
def at_epoch(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, Callable[[], object]]], None]:
    """Do something before the n-th time that epochs are stored."""

    store = RunContext.keep_epoch

    def plan(actions: dict[int, Callable[[], object]]) -> None:
        count = iter(range(1, 1000))

        def stored(self: RunContext, *given: Any) -> None:
            if action := actions.get(next(count)):
                action()
            store(self, *given)

        monkeypatch.setattr(RunContext, "keep_epoch", stored)

    return plan


def left(url: str) -> list[str]:
    """Checkpoints and locks that are there, and what a check of the store finds."""
    location = find_store(url)
    files = [path for name in ("checkpoints", "locks") for path in (location.files / name).glob("*")]
    return [*map(str, files), *map(str, check(location).problems)]


@pytest.mark.slow
def test_a_run_behind_a_server_is_the_run_in_a_file(
    url: str, qtlplat: Callable[[str], int], undisturbed: Callable[[str], dict[str, Any]]
) -> None:
    assert qtlplat(f"{RUN} {HEAD} -q") == 0
    assert numbers_of(url) == undisturbed(HEAD)["numbers"]
    assert left(url) == []


@pytest.mark.parametrize(
    ("away", "back"),
    [(3, 15), *(pytest.param(*n, marks=pytest.mark.slow) for n in ((1, 2), (2, 6), (14, 20), (23, 24)))],
)
@pytest.mark.slow
@pytest.mark.sampled(3)
def test_a_server_that_restarts_in_the_middle_of_a_run_costs_nothing(
    away: int,
    back: int,
    postgres: PostgresServer,
    url: str,
    qtlplat: Callable[[str], int],
    at_epoch: Callable[[dict[int, Callable[[], object]]], None],
    undisturbed: Callable[[str], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    at_epoch({away: postgres.stop, back: postgres.start})
    assert qtlplat(f"{RUN} {HEAD} -q") == 0
    assert numbers_of(url) == undisturbed(HEAD)["numbers"]
    assert left(url) == []
    told = capsys.readouterr().err
    assert "the server is back" in told


def test_a_run_whose_server_stays_away_ends_with_5_and_resumes_bit_for_bit(
    postgres: PostgresServer,
    url: str,
    qtlplat: Callable[[str], int],
    at_epoch: Callable[[dict[int, Callable[[], object]]], None],
    undisturbed: Callable[[str], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    at_epoch({15: postgres.stop})
    assert qtlplat(f"{RUN} {HEAD} -q --store-patience 0.5") == 5
    told = capsys.readouterr().err
    named = find_store(url).name
    assert "is interrupted" in told
    assert "fix: when the server is back: qtlplat resume " in told
    assert f"--store '{named}'" in told
    assert "s3cret" not in told
    at_epoch({})
    postgres.start()
    assert qtlplat("resume -q") == 0
    assert numbers_of(url) == undisturbed(HEAD)["numbers"]
    assert left(url) == []


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [4, 13, 20])
def test_a_process_that_is_killed_while_the_server_is_away_loses_nothing(
    epoch: int,
    postgres: PostgresServer,
    url: str,
    qtlplat: Callable[[str], int],
    at_epoch: Callable[[dict[int, Callable[[], object]]], None],
    undisturbed: Callable[[str], dict[str, Any]],
    plugins: Path,
) -> None:
    undisturbed(HEAD)
    at_epoch({epoch: postgres.stop, epoch + 3: lambda: os.kill(os.getpid(), signal.SIGKILL)})
    process = multiprocessing.get_context("fork").Process(target=call, args=(f"{RUN} {HEAD} -q", url, plugins))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    at_epoch({})
    postgres.start()
    assert qtlplat("resume -q") == 0
    assert numbers_of(url) == undisturbed(HEAD)["numbers"]
    assert left(url) == []


@pytest.mark.slow
def test_a_run_that_is_stopped_while_the_server_is_away_goes_on_later(
    postgres: PostgresServer,
    url: str,
    qtlplat: Callable[[str], int],
    at_epoch: Callable[[dict[int, Callable[[], object]]], None],
    undisturbed: Callable[[str], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop_both() -> None:
        postgres.stop()
        os.kill(os.getpid(), signal.SIGINT)

    at_epoch({15: stop_both})
    started = time.monotonic()
    assert qtlplat(f"{RUN} {HEAD}") == 130
    assert time.monotonic() - started < 30
    told = capsys.readouterr().err
    assert "resume it with: qtlplat resume" in told
    assert "s3cret" not in told
    at_epoch({})
    postgres.start()
    assert qtlplat("resume -q") == 0
    assert numbers_of(url) == undisturbed(HEAD)["numbers"]
    assert left(url) == []


@pytest.mark.slow
def test_a_server_that_is_away_for_a_minute_of_training_costs_nothing(
    postgres: PostgresServer, url: str, qtlplat: Callable[[str], int], undisturbed: Callable[[str], dict[str, Any]]
) -> None:
    """By the clock this time, and again and again: wherever it happens, in reads and starts too."""
    ended = threading.Event()

    def shake() -> None:
        while not ended.wait(0.7):
            postgres.stop()
            time.sleep(0.8)
            postgres.start()

    thread = threading.Thread(target=shake)
    thread.start()
    try:
        assert [qtlplat(f"{RUN} {HEAD} -q --seed {seed}") for seed in (0, 1, 2)] == [0, 0, 0]
    finally:
        ended.set()
        thread.join()
    reader = Reader(find_store(url))
    first = min(reader.runs(kind="run"), key=lambda run: run.created)
    metrics = [{name: value.hex() for name, value in cell.metrics.items()} for cell in reader.cells(first.id)]
    assert metrics == undisturbed(HEAD)["numbers"]["run"]["metrics"]
    assert len(reader.runs()) == 6
    assert left(url) == []


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "line",
    [
        *("runs", "runs --json", "show @last", "show @last --json", "compare @last @last"),
        *("store path", "store check", "store backup", "store upgrade"),
        *("show nothing --debug", "run --head nothing --debug", "resume nothing --debug"),
        *("store merge nowhere.db --debug", "store recover --to x.db --debug"),
    ],
)
def test_a_password_is_printed_nowhere(
    line: str, stored: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert stored(line) in (0, 2, 5)
    told = capsys.readouterr()
    assert "s3cret" not in told.out + told.err
    assert "word@" not in told.out + told.err


@pytest.fixture(scope="module")
def stored(
    plugins: Path, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], int]]:
    """A command line on a store with a run that was made by a command with the password in it."""
    url = postgres.store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTLPLAT_FILES", str(tmp_path_factory.mktemp("files")))
        patch.chdir(tmp_path_factory.mktemp("here"))
        patch.setattr("sys.argv", ["qtlplat", "run", "--store", url])
        call_it = lambda line: _run([*shlex.split(line), "--store", url])  # noqa: E731
        assert call_it(f"{RUN} {HEAD}") == 0
        yield call_it


def test_what_is_stored_of_a_run_holds_no_password(
    stored: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert stored("store backup -o copy.db") == 0
    assert b"s3cret" not in Path("copy.db").read_bytes()
    assert b"***@127.0.0.1" in Path("copy.db").read_bytes()


def test_wrong_passwords_are_printed_nowhere_either(
    postgres: PostgresServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTLPLAT_STORE_PATIENCE", "0")
    for url in (
        postgres.url("lab", password="s3cretwrong"),
        postgres.url("lab", more="?password=s3cret&sslpassword=s3cret2&x=1"),
    ):
        for line in ("runs --debug", "store check --debug", "run --head linear --debug -v"):
            assert _run([*shlex.split(line), "--store", url]) in (3, 5)
            told = capsys.readouterr()
            assert "s3cret" not in told.out + told.err
