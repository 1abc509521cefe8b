import csv
import io
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stored_runs import ESC, FORMULA, HOSTILE, is_inert, qtlplat, store_runs

ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT {} FROM c"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store_runs(tmp_path / "s.db", HOSTILE)
    return tmp_path / "s.db"


def test_rows_come_in_every_form(store: Path) -> None:
    query = "SELECT run, f1, f1 * 2 AS twice FROM v_runs WHERE kind = 'run' ORDER BY f1 DESC"
    form = json.loads(qtlplat(store, "sql", query, "--json").out)
    assert list(form[0]) == ["run", "f1", "twice"]
    assert (form[0]["f1"], form[0]["twice"], form[1]["f1"]) == (pytest.approx(0.95), pytest.approx(1.9), None)
    lines = qtlplat(store, "sql", query).out.splitlines()
    assert lines[0] == "run\tf1\ttwice"
    assert float(lines[1].split("\t")[1]) == form[0]["f1"]
    rows = list(csv.DictReader(io.StringIO(qtlplat(store, "sql", query, "--csv").out)))
    assert [row["run"] for row in rows] == [one["run"] for one in form]
    assert float(rows[0]["f1"]) == form[0]["f1"]
    assert qtlplat(store, "sql", query, "--md").out.startswith("| run | f1 | twice |\n")
    assert len(json.loads(qtlplat(store, "sql", query, "--json", "-n", "1").out)) == 1
    assert len(qtlplat(store, "sql", query, "-n", "1").out.splitlines()) == 2
    assert [one["f1"] for one in json.loads(qtlplat(store, "sql", query, "--json", "--sort", "f1").out)][1] is None


def test_hostile_text_is_inert_in_every_form(store: Path) -> None:
    query = f"SELECT head, '{FORMULA}' AS \"{ESC}[b]|\" FROM v_runs WHERE kind = 'run'"
    for form in ([], ["--md"], ["--json"]):
        called = qtlplat(store, "sql", query, *form)
        assert called.code == 0
        assert is_inert(called.out)
    rows = list(csv.reader(io.StringIO(qtlplat(store, "sql", query, "--csv").out)))
    assert rows[1][1] == f"'{FORMULA}"
    wrong = qtlplat(store, "sql", f"SELECT {ESC} FROM runs")
    assert (wrong.code, wrong.out) == (2, "")
    assert is_inert(wrong.err)


def test_columns_of_one_name_are_told_apart_and_blobs_are_hexadecimal(store: Path) -> None:
    called = qtlplat(store, "sql", "SELECT 1 AS a, 2 AS a, 3 AS a_2, x'00ff' AS b", "--json")
    assert json.loads(called.out) == [{"a": 1, "a_2": 2, "a_2_2": 3, "b": "00ff"}]


def test_a_query_comes_from_stdin(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"SELECT 'a' AS \xc3\xbc"), "utf-8"))
    assert json.loads(qtlplat(store, "sql", "-", "--json").out) == [{"ü": "a"}]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"SELECT '\xff'"), "utf-8"))
    assert qtlplat(store, "sql", "-").code == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b" " * 1_000_001), "utf-8"))
    called = qtlplat(store, "sql", "-")
    assert (called.code, called.out) == (2, "")
    assert "more than 1,000,000 characters" in called.err


def test_no_rows_are_no_error(store: Path) -> None:
    called = qtlplat(store, "sql", "SELECT 1 WHERE 0")
    assert (called.code, called.out, called.err) == (0, "", "no rows\n")
    assert json.loads(qtlplat(store, "sql", "SELECT 1 WHERE 0", "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one of QUERY, --schema and --examples"),
        (["SELECT 1", "--schema"], "one of QUERY, --schema and --examples"),
        (["DELETE FROM runs"], "a query can only read; it may not use DELETE"),
        (["SELECT * FROM v_runz"], "did you mean: v_runs"),
        (["SELECT 1", "--timeout", "0"], "--timeout"),
        (["SELECT 1", "--cols", "x"], "unknown column 'x'"),
    ],
)
def test_what_is_wrong_is_told_with_code_2(store: Path, arguments: list[str], words: str) -> None:
    before = store.read_bytes()
    called = qtlplat(store, "sql", *arguments)
    assert (called.code, called.out) == (2, "")
    assert words in called.err
    assert "Traceback" not in called.err
    assert store.read_bytes() == before


def test_a_store_is_needed_and_none_is_made(tmp_path: Path) -> None:
    called = qtlplat(tmp_path / "s.db", "sql", "SELECT 1")
    assert called.code == 2
    assert "there is no store to ask" in called.err
    assert "fix: name the one that is meant, --store PATH" in called.err
    assert list(tmp_path.iterdir()) == []


def test_the_schema_names_every_view_table_and_column(store: Path, tmp_path: Path) -> None:
    rows = json.loads(qtlplat(tmp_path / "none.db", "sql", "--schema", "--json").out)
    raw = sqlite3.connect(store)
    known = raw.execute(
        "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c "
        "WHERE m.type IN ('table', 'view') AND m.name NOT IN ('qtlplat_schema')"
    ).fetchall()
    raw.close()
    assert {(row["name"], row["column"]) for row in rows if row["column"]} == set(known)
    assert all(row["meaning"] for row in rows)
    text = qtlplat(store, "sql", "--schema").out
    assert "v_runs\t\tview\tA run outside of the trash" in text


def test_the_examples_are_printed_as_sql_that_can_be_asked(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = qtlplat(store, "sql", "--examples").out
    for block in text.strip().split("\n\n"):
        assert block.startswith("-- ")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(block.encode()), "utf-8"))
        assert qtlplat(store, "sql", "-").code == 0
    rows = json.loads(qtlplat(store, "sql", "--examples", "--json").out)
    assert text.count("-- ") == len(rows)
    assert set(rows[0]) == {"question", "query"}


def started(store: Path, *arguments: str, **more: object) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-c",
        "from qtlplat.cli.app import main; main()",
        "sql",
        *arguments,
        "--store",
        str(store),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_stops_a_query(store: Path, number: signal.Signals, code: int) -> None:
    with started(store, ENDLESS.format("count(*)")) as process:
        time.sleep(2)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, b"")
    assert b"Traceback" not in err


def test_rows_are_printed_as_they_come_until_nobody_reads_them(store: Path) -> None:
    with started(store, ENDLESS.format("n")) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == [b"n\n", b"1\n", b"2\n"]
        process.stdout.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_terminal_gets_a_table_of_the_first_rows(store: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from qtlplat.cli.app import main; main()", "sql", ENDLESS.format("n")]
    with subprocess.Popen([*command, "--store", str(store)], stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            shown += piece
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert b"the first 1000 rows" in process.stderr.read()
    os.close(ours)
    assert b" 1000 " in shown.replace(b"\r\n", b" \n")
    assert b"1001" not in shown


def test_asking_imports_neither_torch_nor_pandas(store: Path) -> None:
    code = (
        "import sys\nfrom qtlplat.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pennylane', 'pandas', 'numpy'} & sys.modules.keys()\nprint(sorted(heavy))"
    )
    command = [sys.executable, "-c", code, "sql", "SELECT count(*) AS n FROM v_runs", "--store", str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["n", "3", "[]"]


@pytest.mark.parametrize("options", [(), ("--sort", "f1"), ("--where", "f1 > 0"), ("--cols", "run,f1")])
def test_plain_text_has_all_digits_however_the_rows_are_chosen(store: Path, options: tuple[str, ...]) -> None:
    query = "SELECT run, 1.0 / 3 AS f1 FROM v_runs"
    lines = qtlplat(store, "sql", query, *options).out.splitlines()
    assert [line.split("\t")[1] for line in lines[1:]] == ["0.3333333333333333"] * 3


def test_examples_are_a_listing_like_others(store: Path, tmp_path: Path) -> None:
    every = json.loads(qtlplat(store, "sql", "--examples", "--json").out)
    where = f"question = '{every[1]['question']}'"
    assert json.loads(qtlplat(store, "sql", "--examples", "--json", "--where", where).out) == every[1:2]
    plain = qtlplat(store, "sql", "--examples", "--where", where).out
    assert every[1]["question"] in plain
    assert every[0]["question"] not in plain
    called = qtlplat(store, "sql", "--examples", "-o", str(tmp_path / "examples.json"))
    assert called.code == 0
    assert json.loads((tmp_path / "examples.json").read_text()) == every


@pytest.mark.parametrize("query", ["selec 1", "SELECT nothing FROM v_runs"])
def test_what_is_not_understood_is_sent_to_schema_and_examples(store: Path, query: str) -> None:
    called = qtlplat(store, "sql", query)
    assert called.code == 2
    assert (
        f"qtlplat sql --schema --store {store}; example queries: qtlplat sql --examples --store {store}" in called.err
    )
