import signal
import subprocess
import sys
from pathlib import Path

import sample_runs
from sample_runs import finished_run

from qtlplat.store.core import schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


def test_kill_9_keeps_every_acknowledged_epoch_and_shows_interrupted(location: StoreLocation) -> None:
    command = [sys.executable, sample_runs.__file__, str(location.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().split()[0]
        for _ in range(5):
            acknowledged = int(process.stdout.readline())
        reader = Reader(location)
        assert reader.run(run_id).status == "running"
        assert reader.cells(run_id)[0].status == "running"
        assert reader.run(run_id).pid == process.pid
        process.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout if line.endswith("\n"))])
    numbers = [e.epoch for e in reader.epochs(run_id)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > acknowledged
    assert reader.run(run_id).status == "interrupted"
    assert reader.cells(run_id)[0].status == "interrupted"


HALF_WRITTEN = """
import os, signal, sqlite3, sys
raw = sqlite3.connect(sys.argv[1], isolation_level=None)
raw.execute("PRAGMA journal_mode = delete")
raw.execute("PRAGMA cache_size = 2")  # so that pages are written before the commit
raw.execute("BEGIN IMMEDIATE")
raw.execute("UPDATE runs SET status = 'failed'")
(run_id,) = raw.execute("SELECT id FROM runs").fetchone()
raw.executemany("INSERT INTO environment VALUES (?, ?, ?)", ((run_id, f"n{i}", "x" * 500) for i in range(500)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_reader_gets_over_a_write_that_was_killed_half_way(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run_id = finished_run(writer)
    subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(location.path)], check=False)
    journal = Path(f"{location.path}-journal")
    assert any(journal.read_bytes()[:512])  # a hot journal: the reader may not open the file as it is
    assert Reader(location).run(run_id).status == "finished"
    assert Reader(location).environment(run_id) == {"python": "3.11"}
    assert not journal.exists()


BEGUN = """
import os, signal, sqlite3, sys
raw = sqlite3.connect(sys.argv[1], isolation_level=None)
raw.execute("PRAGMA cache_size = 2")  # so that pages are written before the commit
raw.execute("BEGIN IMMEDIATE")
raw.execute("PRAGMA application_id = %d")
raw.execute("CREATE TABLE runs (id TEXT)")
raw.executemany("INSERT INTO runs VALUES (?)", (["x" * 500] for _ in range(500)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_store_whose_making_was_killed_half_way_is_made_by_the_next(location: StoreLocation) -> None:
    """Nobody takes what is there for a damaged database, nor for another application's."""
    subprocess.run([sys.executable, "-c", BEGUN % schema.APPLICATION_ID, str(location.path)], check=False)
    assert location.path.stat().st_size > 0
    assert Path(f"{location.path}-journal").stat().st_size > 0
    assert Reader(location).runs() == []
    with Writer(location) as writer:
        run_id = finished_run(writer)
    assert Reader(location).run(run_id).status == "finished"
