"""Surroundings that few have: no home directory, a working directory that is gone, a second Ctrl-C at the very end."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest
from outcome import assert_refused, here

import qtlplat.cli.app
from qtlplat.errors import Terminated


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose number the system does not know, without HOME, as `docker run --user` and schedulers leave one."""
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "QTLPLAT_STORE"):
        monkeypatch.delenv(name, raising=False)

    def nobody(_number: int) -> NoReturn:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_directory(elsewhere: Path) -> None:
    for words in ([], ["--store", "~/s.db"]):
        for command in ("runs", "store path", "store check", "run --head linear"):
            done = here(*command.split(), *words)
            assert_refused(done, 3)
            assert "--store" in done.err
    assert here("ls").code == 0, "the user's own registry is none"
    assert here("runs", "--store", elsewhere / "s.db").code == 0


@pytest.mark.parametrize("name", ["QTLPLAT_STORE", "QTLPLAT_FILES", "--store"])
def test_the_home_of_somebody_unknown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, words = "~nobody-of-that-name/s.db", []
    if name == "--store":
        words = [name, place]
    else:
        monkeypatch.setenv("QTLPLAT_STORE", "postgresql://me@127.0.0.1:1/lab")
        monkeypatch.setenv(name, place)
    done = here("store", "path", *words)
    assert_refused(done, 3)
    assert "~nobody-of-that-name" in done.err
    assert name in done.err


def test_a_directory_that_was_deleted_meanwhile(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with contextlib.chdir(gone):
        gone.rmdir()
        for command in ("runs", "store check", "ls"):
            done = here(*command.split())
            assert_refused(done, 5)
            assert "current directory" in done.err
            assert "cd to" in done.err


@pytest.mark.parametrize(("second", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_a_second_signal_while_the_first_one_is_told(
    second: type[BaseException], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    def again(_lines: object) -> NoReturn:
        raise second

    monkeypatch.setattr(qtlplat.cli.app.cli, "main", interrupted)
    monkeypatch.setattr(qtlplat.cli.app, "complain", again)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        qtlplat.cli.app.main(["runs"])
    assert ended.value.code == code


def test_a_signal_that_is_ignored_stays_ignored_to_the_end(tmp_path: Path) -> None:
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{UNLOADING}".replace("sleep(20)", "sleep(1)")
    line = [sys.executable, "-c", code, "store", "path", "--store", str(tmp_path / "s.db")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while "unloading" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


UNLOADING = """
import atexit, sys, time
def unload():
    print("unloading", flush=True)
    time.sleep(20)
atexit.register(unload)
from qtlplat.cli.app import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_process_is_unloaded_ends_it_at_once_and_silently(number: signal.Signals) -> None:
    """Torch takes seconds for that, after everything has been said."""
    line = [sys.executable, "-c", UNLOADING, "store", "path", "--store", "s.db"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        while "unloading" not in process.stdout.readline():
            assert process.poll() is None
        sent = time.monotonic()
        process.send_signal(number)
        said = process.stderr.read()
        assert process.wait(10) == -number
    assert time.monotonic() - sent < 10
    assert "Traceback" not in said
