"""Ten ways in which a store's file is no store any more, and what tells that nothing touched it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sample_runs import whole_run
from test_reproductions import OUTCOME

from qtlplat.store.core import database, row_digests
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.sweep_records import MemberRow, NewSweep
from qtlplat.store.write.writer import Writer

PAGE = 4096
SWEEP = NewSweep(
    "circuits",
    {"axes": {"seed": [0, 1]}},
    tuple(MemberRow(i, f"fingerprint {i}", "backbone", {"seed": i}, {"head": "mlp", "seed": i}) for i in (0, 1)),
)


def snapshot(location: StoreLocation) -> dict[str, str]:
    """sha256 of every file beside the store and below its files, by path; directories have none."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(location.path.parent.rglob("*"))
    }


def digests(location: StoreLocation) -> dict[str, dict[str, str]]:
    with database.engine(location, write=False).begin() as connection:
        return row_digests.sealed(connection)


def fill(location: StoreLocation, runs: int = 6) -> list[str]:
    """A store of several pages with whole runs; returns their ids."""
    with Writer(location) as writer:
        parent = whole_run(writer, location, kind="pretraining")
        writer.add_reproduction(OUTCOME)
        writer.add_sweep(SWEEP)
        rest = [whole_run(writer, location, b"weights" + b"!" * i, parent=parent) for i in range(runs)]
    return [parent, *rest]


def _change(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def _sql(path: Path, *statements: str) -> None:
    raw = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        raw.execute(statement)
    raw.close()


def _root_page(path: Path, name: str) -> int:
    raw = sqlite3.connect(path)
    (page,) = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
    raw.close()
    return int(page)


def _foreign(path: Path) -> None:
    path.unlink()
    _sql(path, "CREATE TABLE runs (id TEXT, mine TEXT)", "INSERT INTO runs VALUES ('1', 'precious')")


def _overwrite_page(path: Path, name: str) -> None:
    _change(path, (_root_page(path, name) - 1) * PAGE, b"\xff" * PAGE)


# what was done -> how
KINDS: dict[str, Callable[[Path], object]] = {
    "another application's database": _foreign,
    "a text file": lambda path: path.write_bytes(b"my thesis\n" * 500),
    "zeros instead of a database": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "cut within the header": lambda path: path.write_bytes(path.read_bytes()[:60]),
    "cut to the half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "the last page is gone": lambda path: path.write_bytes(path.read_bytes()[:-PAGE]),
    "a newer schema": lambda path: _sql(path, "UPDATE qtlplat_schema SET version_num = '9999'"),
    "a newer schema in WAL mode": lambda path: _sql(
        path, "UPDATE qtlplat_schema SET version_num = '9999'", "PRAGMA journal_mode = wal"
    ),
    "all behind the header overwritten": lambda path: _change(path, 100, b"\xa5" * (path.stat().st_size - 100)),
    "the runs' page overwritten": lambda path: _overwrite_page(path, "runs"),
}
