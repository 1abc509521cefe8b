"""Runs a command, here or in a process of its own, and asserts how it ended: code, message, nothing lost."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qtlplat.cli.app import _run
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

MOST_LINES = 12  # of a message
MOST_CHARACTERS = 1000  # of a line: names and values are cut long before
PROGRAM = "from qtlplat.cli.app import main; main()"


@dataclass(frozen=True)
class Outcome:
    """How a command ended. out, err: what it wrote, decoded without loss."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> list[str]:
        """The lines of the error message; what stands before it are notes."""
        lines = self.err.split("\n")
        first = next((i for i, line in enumerate(lines) if line.startswith("error: ")), len(lines))
        return [line for line in lines[first:] if line]


def here(*words: object) -> Outcome:
    """Run a command line in this process, on streams as strict as a terminal's."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", e, newline="") for e in ("strict", "backslashreplace"))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _run([str(word) for word in words])
    for stream in (out, err):
        stream.flush()
    texts = (stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]
    return Outcome(code, *texts)


def apart(
    *words: str | bytes,
    environment: Mapping[str, str | bytes] | None = None,
    program: str = PROGRAM,
    seconds: float = 60,
) -> Outcome:
    """Run a command line in a process of its own; one that takes longer than `seconds` fails the test."""
    env = {os.fsencode(k): os.fsencode(v) for k, v in os.environ.items() if not k.startswith("QTLPLAT_")}
    env |= {os.fsencode(k): os.fsencode(v) for k, v in (environment or {}).items()}
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, env=env, capture_output=True, timeout=seconds, check=False)
    return Outcome(done.returncode, *(text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr)))


def assert_refused(outcome: Outcome, code: int, *words: str, fix: bool = True, out: bool = False) -> None:
    """The command ended with `code` and a message of the promised form, which holds all of `words`.

    fix: whether it must say how to mend it; out: whether it may have printed, as `data check` does its findings.
    """
    told = f"code {outcome.code}\n{outcome.out}\n{outcome.err}"
    assert outcome.code == code, told
    assert code not in (0, 1), told
    assert out or outcome.out == "", told
    assert "Traceback" not in outcome.err, told
    message = outcome.message
    assert message, told
    assert len(message) <= MOST_LINES, told
    assert sum(line.startswith("error: ") for line in message) == 1, told
    assert_inert(outcome)
    if fix:
        assert any(line.startswith("  fix: ") for line in message), told
    for word in words:
        assert word in outcome.err, f"{word!r} is not in\n{told}"


def assert_fine(outcome: Outcome, *warnings: str) -> None:
    """The command succeeded; each of `warnings` stands in a line of its own on stderr, and no further warning does."""
    told = f"code {outcome.code}\n{outcome.out}\n{outcome.err}"
    assert outcome.code == 0, told
    lines = [line for line in outcome.err.split("\n") if line.startswith("warning: ")]
    assert len(lines) == len(warnings), told
    for line, words in zip(sorted(lines), sorted(warnings), strict=True):
        assert words in line, told
    assert_inert(outcome)


def assert_inert(outcome: Outcome) -> None:
    """Nothing that was written steers a terminal, hides text or fills the screen."""
    for text, layout in ((outcome.out, "\n\t"), (outcome.err, "\n")):
        hostile = {c for c in text if not c.isprintable() and c not in layout}
        assert not hostile, f"{hostile!r} in {text!r}"
    for line in outcome.err.split("\n"):
        assert len(line) <= MOST_CHARACTERS, f"a line of {len(line)} characters: {line[:200]}"


@contextlib.contextmanager
def nothing_lost(store: Path) -> Iterator[None]:
    """Around a fault: finished runs, with every row and file, are afterwards what they were before."""
    before = _finished(store)
    yield
    assert_sound(store)
    after = _finished(store)
    assert {run: after.get(run) for run in before} == before


def assert_sound(store: Path) -> None:
    """The store, if there is one, opens and is whole, and no unfinished file lies beside it."""
    location = find_store(str(store))
    if store.exists():
        Reader(location).runs()
        with contextlib.closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    rests = [path for path in location.files.rglob(".*") if path.is_file()] if location.files.exists() else []
    assert rests == []


def _finished(store: Path) -> dict[str, list[object]]:
    """What the store has of each finished run, read past our own code: rows of all tables, bytes of files."""
    if not store.exists():
        return {}
    files = find_store(str(store)).files
    with contextlib.closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        keyed = [t for t in sorted(tables) if _has_run(connection, t)]
        found: dict[str, list[object]] = {}
        for row in connection.execute("SELECT * FROM runs WHERE status = 'finished'").fetchall():
            rows = [connection.execute(f"SELECT * FROM {t} WHERE run_id = ?", row[:1]).fetchall() for t in keyed]
            paths = connection.execute("SELECT path FROM artifacts WHERE run_id = ?", row[:1]).fetchall()
            sums = [hashlib.sha256((files / path).read_bytes()).hexdigest() for (path,) in paths]
            found[row[0]] = [row, *map(repr, rows), sums]
    return found


def _has_run(connection: sqlite3.Connection, table: str) -> bool:
    return "run_id" in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


@contextlib.contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Around a command that reads a dataset: names, kinds, contents, sizes and times are afterwards what they were."""
    before = _tree(folder)
    yield
    assert _tree(folder) == before


def _tree(folder: Path) -> dict[bytes, tuple[object, ...]]:
    found: dict[bytes, tuple[object, ...]] = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        plain = path.is_file() and not path.is_symlink() and status.st_size < 2**24
        content = path.read_bytes() if plain else b""
        found[os.fsencode(path)] = (
            status.st_mode,
            status.st_size,
            status.st_mtime_ns,
            hashlib.sha256(content).digest(),
        )
    return found


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """A command inside that hangs (on a pipe, a device, an expression) is interrupted, and so ends with 130."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
