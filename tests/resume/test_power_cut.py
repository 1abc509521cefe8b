"""A power cut keeps what was synced, and of the rest anything: nothing that a run relies on is among that rest.

A disk is played that follows the system calls of a whole run, as strace wrote them down, and knows what a power cut
could take away: contents since the last sync of their file, names since the last sync of their directory.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from below_strace import below_strace

from qtlplat.store.backends.sqlite_file import journal_mode

pytestmark = [
    pytest.mark.usefixtures("single_threaded", "plugins"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
CALL = re.compile(r"(\w+)\((?:AT_FDCWD(?:<.*?>)?, )?(?:\d+<(?P<file>.*?)>)?(?:\"(?P<path>.*?)\")?(?P<rest>.*)\) += \d")
TRACED = "openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat2,unlink"


class Disk:
    """What is not safe, by path, and every time that it was relied on. The journal is a rollback journal."""

    def __init__(self, database: Path) -> None:
        self.database, self.journal = str(database), f"{database}-journal"
        self.files = database.with_name(f"{database.stem}.files")
        self.there: set[str] = set()
        self.contents: set[str] = set()
        self.names: set[str] = set()
        self.relied_on: list[str] = []
        self.commits = self.renamed = 0

    def rely(self, on: set[str], among: set[str], what: str) -> None:
        self.relied_on += [f"{what}: {path}" for path in sorted(on & among)]

    def openat(self, path: str, rest: str) -> None:
        if "O_CREAT" in rest and path not in self.there:
            self.names.add(path)
        self.there.add(path)

    def write(self, path: str, _rest: str) -> None:
        if path == self.database and self.journal in self.there:
            self.rely({self.journal}, self.contents | self.names, "the database is written, its journal is not safe")
        self.contents.add(path)

    pwrite64 = ftruncate = write

    def fsync(self, path: str, _rest: str) -> None:
        self.contents.discard(path)
        self.names = {name for name in self.names if str(Path(name).parent) != path}

    fdatasync = fsync

    def rename(self, path: str, rest: str) -> None:
        (target,) = re.findall('"(.*?)"', rest)
        self.rely({path}, self.contents, "a file gets its name, its content is not safe")
        self.names = (self.names - {path}) | {target}
        self.there = (self.there - {path}) | {target}
        self.renamed += 1

    renameat2 = rename

    def unlink(self, path: str, _rest: str) -> None:
        if path == self.journal:
            self.rely({self.database}, self.contents | self.names, "a commit ends, the database is not safe")
            owned = {name for name in self.there if Path(name).parent.parent == self.files and "/locks/" not in name}
            self.rely(owned, self.contents | self.names, "a commit ends, a file of the run is not safe")
            self.commits += 1
        for known in (self.there, self.contents, self.names):
            known.discard(path)


def played(trace: str, store: Path) -> Disk:
    disk = Disk(store)
    for line in trace.splitlines():
        if call := CALL.match(line):
            getattr(disk, call[1])(call["file"] or call["path"], call["rest"])
    return disk


def test_a_run_relies_on_nothing_that_a_power_cut_could_take_away(store: Path) -> None:
    if journal_mode(sqlite3.sqlite_version_info) == "wal":
        pytest.skip("this SQLite keeps another journal")
    assert below_strace(store, ["-y", "-s", "4", "-e", f"trace={TRACED}"]) == 0
    disk = played((store.parent / "trace").read_text(), store)
    assert disk.relied_on == []
    assert disk.commits > 15
    assert disk.renamed > 3


LOST = {
    "no sync of the database": ("fdatasync(5</d/runs.db>)", "a commit ends, the database is not safe"),
    "no sync of the journal": ("fdatasync(6</d/runs.db-journal>)", "its journal is not safe"),
    "no sync of the journal's name": ("fdatasync(7</d>)", "its journal is not safe"),
    "no sync of a file": ("fsync(8</d/runs.files/weights/.w>)", "its content is not safe"),
    "no sync of a name": ("fsync(9</d/runs.files/weights>)", "a file of the run is not safe"),
}
SOUND = """\
openat(AT_FDCWD</d>, "/d/runs.db", O_RDWR|O_CREAT, 0644) = 5</d/runs.db>
openat(AT_FDCWD</d>, "/d/runs.files/weights/.w", O_RDWR|O_CREAT|O_EXCL, 0666) = 8</d/runs.files/weights/.w>
write(8</d/runs.files/weights/.w>, "a"..., 9) = 9
fsync(8</d/runs.files/weights/.w>) = 0
rename("/d/runs.files/weights/.w", "/d/runs.files/weights/w") = 0
fsync(9</d/runs.files/weights>) = 0
openat(AT_FDCWD</d>, "/d/runs.db-journal", O_RDWR|O_CREAT, 0644) = 6</d/runs.db-journal>
pwrite64(6</d/runs.db-journal>, "a"..., 9, 0) = 9
fdatasync(6</d/runs.db-journal>) = 0
fdatasync(7</d>) = 0
pwrite64(5</d/runs.db>, "a"..., 9, 0) = 9
fdatasync(5</d/runs.db>) = 0
unlink("/d/runs.db-journal") = 0
"""


def test_the_disk_that_is_played_misses_no_sync_that_is_left_out() -> None:
    store = Path("/d/runs.db")
    sound = played(SOUND, store)
    assert (sound.relied_on, sound.commits, sound.renamed) == ([], 1, 1)
    for line, words in LOST.values():
        assert f"{line} = 0\n" in SOUND
        relied_on = played(SOUND.replace(f"{line} = 0\n", ""), store).relied_on
        assert any(words in one for one in relied_on), (line, relied_on)
