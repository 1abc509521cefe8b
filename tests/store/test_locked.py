"""A database that another process holds for too long ends every command with 7, and with that process's number."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from damage import fill

from qtlplat.cli.app import _run
from qtlplat.errors import LockedError
from qtlplat.store.backends import lock_holders, postgres as backend, sqlite
from qtlplat.store.core import database
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

HOLD = """
import sqlite3, sys
raw = sqlite3.connect(sys.argv[1], isolation_level=None)
raw.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
COMMANDS = ("runs", "show @last", "best", "pareto f1 seconds", "report", "store check", "store check --json",
            "store backup", "store upgrade", "store gc", "export @last -o {0}/b.zip", "rm @last", "tag @last x",
            "note @last x", "sql 'select 1'", "resume --all", "store recover --to {0}/r.db",
            "errors @last", "diff @last @-2", "compare @last @-2",
            "replay @last", "plot --where 'f1 > 0' -o {0}/p.svg")  # fmt: skip


@pytest.fixture
def holder(location: StoreLocation, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The number of a process that holds the store."""
    fill(location, 1)
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    command = [sys.executable, "-c", HOLD, str(location.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def test_every_command_ends_with_7_and_names_the_holder(
    location: StoreLocation, holder: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if not lock_holders.LOCKS.exists():
        pytest.skip("this system does not tell who holds a lock")
    for command in COMMANDS:
        words = shlex.split(command.format(tmp_path))
        assert _run(["--store", str(location.path), *words]) == 7, command
        out, err = capsys.readouterr()
        assert out == ""
        assert f"held by process {holder} (" in err, command
        assert "fix: " in err


def test_where_the_system_does_not_tell_that_is_said(
    location: StoreLocation, holder: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert holder
    monkeypatch.setattr(lock_holders, "LOCKS", tmp_path / "nowhere")
    with pytest.raises(LockedError, match="which process cannot be known here"):
        Reader(location).runs()
    with pytest.raises(LockedError, match="cannot be known"):
        Writer(location)


def test_locks_of_others_and_those_that_wait_are_not_taken_for_the_holder(
    location: StoreLocation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill(location, 1)
    inode = location.path.stat().st_ino
    (tmp_path / "locks").write_text(
        f"1: POSIX  ADVISORY  WRITE 1 00:00:{inode + 1} 0 EOF\n"
        f"1: -> POSIX  ADVISORY  WRITE 1 00:00:{inode} 0 EOF\n"
        f"2: POSIX  ADVISORY  READ 4194305 ff:ff:{inode} 0 EOF\n"
        "3: something new\n"
    )
    monkeypatch.setattr(lock_holders, "LOCKS", tmp_path / "locks")
    assert lock_holders.of_file(location.path) == lock_holders.UNKNOWN


def test_behind_a_server_the_session_is_named(behind_a_server: StoreLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = fill(behind_a_server, 1)
    monkeypatch.setattr(backend, "LOCK_SECONDS", 1)
    holding = database.engine(behind_a_server, write=True)
    with holding.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        with pytest.raises(
            LockedError, match=rf"held by session {pid} \(.qtlplat., user .researcher., from 127"
        ) as caught:
            Reader(behind_a_server).run(ids[1])
    assert caught.value.exit_code == 7
