"""Streams that are closed or full before a command begins, as under a daemon or on a full disk: its exit code stays."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from outcome import PROGRAM, assert_sound
from sampling import sampled

from qtlplat.store.backends.find import find_store
from qtlplat.store.write.writer import Writer


@pytest.mark.parametrize(
    ("streams", "line", "code"),
    sampled(
        [
            (">&-", "runs --store s.db", 0),
            (">&- 2>&-", "runs --store s.db", 0),
            ("2>&-", "runs --store s.db", 0),
            ("2>&-", "nothing", 2),
            ("<&- >&- 2>&-", "store check --store s.db", 0),
            (">&- 2>&-", "store backup -o copy.db --store s.db", 0),
            (">/dev/full", "store path --store s.db", 5),
            ("2>/dev/full", "nothing", 2),
            (">/dev/full 2>/dev/full", "store path --store s.db", 5),
            ("2>/dev/full", "store check --store none.db", 2),
        ],
        4,
    ),
)
@pytest.mark.sampled(1)
def test_a_command_without_its_streams(streams: str, line: str, code: int) -> None:
    with Writer(find_store("s.db")):
        pass
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(PROGRAM)} {line} {streams}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert_sound(Path("s.db"))
