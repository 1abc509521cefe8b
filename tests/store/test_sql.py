"""Questions in SQL: they read what is there, and can do nothing else, whatever they say."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from asked_runs import HOSTILE, stored
from damage import snapshot
from sample_runs import finished_run

from qtlplat.errors import StoreError, UsageError
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sql.example_queries import EXAMPLES
from qtlplat.store.read.sql.sqlite import ask
from qtlplat.store.write.writer import Writer

ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> StoreLocation:
    location = find_store(str(tmp_path_factory.mktemp("asked") / "a ü?#%.db"))
    stored(location)
    return location


def everything(names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> tuple[list[str], list[tuple[Any, ...]]]:
    return list(names), list(rows)


def answer(location: StoreLocation, query: str, seconds: float = 20.0) -> tuple[list[str], list[tuple[Any, ...]]]:
    return ask(Reader(location), query, everything, seconds)


def test_names_and_rows_come_as_they_are(asked: StoreLocation) -> None:
    query = f"SELECT head, '{HOSTILE.replace(chr(39), chr(39) * 2)}' AS \"a b\", NULL, 1.5, x'00ff' FROM v_runs LIMIT 1"
    assert answer(asked, query)[0][:2] == ["head", "a b"]
    assert answer(asked, query)[1][0][1:] == (HOSTILE, None, 1.5, b"\x00\xff")
    assert answer(asked, " -- a comment\n VALUES (1), (2) ; ") == (["column1"], [(1,), (2,)])
    assert answer(asked, "SELECT CAST(x'ff41' AS TEXT)")[1] == [("\\xffA",)]
    assert answer(asked, "SELECT sqrt(2.25), sqrt(-1), sqrt('x')")[1] == [(1.5, None, None)]
    assert answer(asked, "EXPLAIN QUERY PLAN SELECT * FROM v_runs")[1]
    of_one = "(SELECT run FROM v_runs WHERE cells = 6 AND f1 < 1 LIMIT 1)"
    ((sd,),) = answer(asked, f"SELECT sqrt(f1_variance) FROM v_runs WHERE run = {of_one}")[1]
    query = f"SELECT stddev_samp(f1) FROM v_cells WHERE variant = 'head' AND run = {of_one}"
    assert answer(asked, query)[1] == [(pytest.approx(sd),)]
    assert answer(asked, "SELECT value FROM json_each('[3, 4]')")[1] == [(3,), (4,)]
    assert ("id",) in answer(asked, "SELECT name FROM pragma_table_info('runs')")[1]


@pytest.mark.parametrize("question", EXAMPLES)
def test_every_example_has_an_answer(asked: StoreLocation, question: str) -> None:
    names, rows = answer(asked, EXAMPLES[question])
    assert rows
    assert len(set(names)) == len(names)
    if question == "the best runs":
        assert rows == sorted(rows, key=lambda row: -math.inf if row[3] is None else -row[3]) or rows[0][3] is not None


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM runs",
        "DROP TABLE runs",
        "DROP VIEW v_runs",
        "UPDATE tags SET tag = 'x'",
        "INSERT INTO tags VALUES ('a', 'b', 'c')",
        "REPLACE INTO tags VALUES ('a', 'b', 'c')",
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x (y)",
        "CREATE TEMP VIEW x AS SELECT 1",
        "CREATE VIRTUAL TABLE x USING fts5(y)",
        "ALTER TABLE runs ADD COLUMN x",
        "WITH x AS (SELECT 1) DELETE FROM runs",
        "ATTACH 'other.db' AS other",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO 'other.db'",
        "REINDEX",
        "ANALYZE",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT x",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = wal",
        "PRAGMA writable_schema = ON",
        "PRAGMA user_version = 3",
        "PRAGMA database_list",
        "SELECT * FROM pragma_query_only(0)",
        "SELECT load_extension('x.so')",
        "SELECT LOAD_EXTENSION('x.so')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT writefile('x', 'y')",
        "SELECT readfile('/etc/passwd')",
        "EXPLAIN DELETE FROM runs",
    ],
)
def test_whatever_is_more_than_reading_is_refused_and_nothing_changes(asked: StoreLocation, query: str) -> None:
    before = snapshot(asked)
    with pytest.raises(UsageError) as caught:
        answer(asked, query)
    assert caught.value.exit_code == 2
    assert snapshot(asked) == before
    assert not Path("other.db").exists()
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "the query is empty"),
        (" \n", "the query is empty"),
        (";", "it has no columns"),
        ("-- nothing", "it has no columns"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELECT 1; DROP TABLE runs", "more than one statement"),
        ("SELEC 1", "syntax error"),
        ("SELECT 'x", "unrecognized token"),
        ("SELECT ?", "binding"),
        ("SELECT 1\0; DROP TABLE runs", "null character"),
        ("SELECT '\ud800'", "surrogates"),
        ("SELECT * FROM v_run", "did you mean: v_runs"),
        ("SELECT haed FROM v_runs", "did you mean: head"),
        ("SELECT r.hed FROM v_runs r", "did you mean: head"),
        ("SELECT nonsense() FROM v_runs", "no such function"),
        ("SELECT zeroblob(2000000000)", "too big"),
        ("SELECT json_extract('{', '$')", "malformed JSON"),
        ("SELECT '" + "x" * 2_000_000, "unrecognized token"),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "stack overflow"),
    ],
)
def test_what_cannot_be_understood_is_told_in_our_form(asked: StoreLocation, query: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        answer(asked, query)
    lines = caught.value.lines()
    assert words in "\n".join(lines)
    assert len(lines) <= 12
    assert all(line.isprintable() for line in lines)


def test_an_endless_query_is_stopped_and_so_is_one_with_endless_rows(asked: StoreLocation) -> None:
    for query in (ENDLESS, ENDLESS.replace("count(*)", "n")):
        started = time.monotonic()
        with pytest.raises(UsageError, match=r"was stopped after 0\.3 seconds"):
            answer(asked, query, 0.3)
        assert time.monotonic() - started < 10


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, ArithmeticError)])
def test_a_signal_ends_a_query_with_what_its_handler_raises(
    asked: StoreLocation, number: signal.Signals, raised: type[BaseException]
) -> None:
    def stop(*_: Any) -> None:
        raise raised

    before, hook = signal.signal(number, stop), sys.unraisablehook
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    timer.start()
    try:
        with pytest.raises(raised):
            answer(asked, ENDLESS, 60.0)
    finally:
        timer.join()
        signal.signal(number, before)
    assert sys.unraisablehook is hook
    assert answer(asked, "SELECT 1")[1] == [(1,)]


def test_rows_are_handed_on_as_they_come(asked: StoreLocation) -> None:
    def first(_names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> Any:
        return next(rows)[0]

    assert ask(Reader(asked), ENDLESS.replace("count(*)", "n"), first, 60.0) == 1


def test_a_writer_goes_on_while_a_query_is_read(location: StoreLocation) -> None:
    with Writer(location) as writer:
        finished_run(writer)

        def write_between(_names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> list[Any]:
            return [*rows]

        assert len(ask(Reader(location), "SELECT run FROM v_runs", write_between)) == 1
        finished_run(writer)
    assert len(answer(location, "SELECT run FROM v_runs")[1]) == 2


def test_there_has_to_be_a_store(location: StoreLocation) -> None:
    with pytest.raises(UsageError, match="there is no store to ask"):
        answer(location, "SELECT 1")
    assert not location.path.exists()
    location.path.write_bytes(b"my thesis\n" * 500)
    with pytest.raises(StoreError, match="not an SQLite database"):
        answer(location, "SELECT 1")


READ_ONLY = """
import os, sys
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sql.sqlite import ask
def count(store):
    return ask(Reader(find_store(store)), "SELECT count(*) FROM v_runs", lambda names, rows: next(rows)[0])
count(sys.argv[1])  # what is imported now need not be readable later
os.chdir(sys.argv[2])
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
print(count("s.db"))
"""


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_store_on_read_only_media_can_be_asked(asked: StoreLocation, tmp_path: Path, journal: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # where any user may look
        folder = Path(name)
        shutil.copyfile(asked.path, folder / "s.db")
        raw = sqlite3.connect(folder / "s.db")
        raw.execute(f"PRAGMA journal_mode = {journal}")
        raw.close()
        (folder / "s.db").chmod(0o444)
        folder.chmod(0o555)
        command = [sys.executable, "-c", READ_ONLY, str(asked.path), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        left = {path.name for path in folder.iterdir()}
        folder.chmod(0o755)
    assert (done.stdout.strip(), done.returncode) == ("6", 0), done.stderr
    assert left == {"s.db"}
