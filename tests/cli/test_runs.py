import csv
import io
import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from stored_runs import FORMULA, HOSTILE, MARKUP, is_inert, qtlplat, store_runs

from qtlplat.cli.commands.runs import COLUMNS, LEAST_NEEDED
from qtlplat.cli.render.column_fit import fitting
from qtlplat.cli.render.run_columns import age


def refuse_constants(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def test_runs_are_listed_newest_first_with_full_values(tmp_path: Path) -> None:
    pretraining, run, failed = store_runs(tmp_path / "s.db")
    lines = [line.split("\t") for line in qtlplat(tmp_path / "s.db", "runs").out.splitlines()]
    assert lines[0][:3] == ["run", "kind", "status"]
    assert [line[0] for line in lines[1:]] == [failed, run, pretraining]
    row = dict(zip(lines[0], lines[2], strict=True))
    assert (row["status"], row["head"], row["cells"]) == ("finished", "mine", "2")
    assert row["f1"] == "0.9500 ± 0.0707"
    datetime.fromisoformat(row["created"])


def test_json_is_the_strict_short_form(tmp_path: Path) -> None:
    pretraining, run, failed = store_runs(tmp_path / "s.db")
    called = qtlplat(tmp_path / "s.db", "runs", "--json")
    forms = json.loads(called.out, parse_constant=refuse_constants)
    assert [form["run"] for form in forms] == [failed, run, pretraining]
    assert forms[1]["metrics"]["accuracy"] == {"mean": None, "std": None, "values": [1.0, None]}  # it held a NaN
    assert forms[1]["metrics"]["f1"]["values"] == [0.9, 1.0]
    assert forms[1]["pretraining"] == pretraining
    assert forms[0]["error"] == "loss is NaN"
    assert forms[2]["head"] is None


def test_kind_number_sort_and_columns_are_obeyed(tmp_path: Path) -> None:
    pretraining, run, failed = store_runs(tmp_path / "s.db")
    store = tmp_path / "s.db"

    def ids(*arguments: str) -> list[str]:
        return [form["run"] for form in json.loads(qtlplat(store, "runs", "--json", *arguments).out)]

    assert ids("--kind", "pretraining") == [pretraining]
    assert ids("-n", "1") == [failed]
    assert ids("--sort", "f1")[0] == run
    assert ids("--sort", "created", "-n", "1") == [pretraining]
    called = qtlplat(store, "runs", "--cols", "run,f1_sd", "--kind", "run")
    assert called.out.splitlines()[2].split("\t") == [run, "0.07071"]
    wrong = qtlplat(store, "runs", "--sort", "f2")
    assert (wrong.code, wrong.out) == (2, "")
    assert "f1" in wrong.err


def test_csv_gives_numbers(tmp_path: Path) -> None:
    store_runs(tmp_path / "s.db")
    rows = list(csv.DictReader(io.StringIO(qtlplat(tmp_path / "s.db", "runs", "--csv").out)))
    assert float(rows[1]["f1"]) == pytest.approx(0.95)
    assert float(rows[1]["f1_sd"]) == pytest.approx(math.sqrt(0.005))
    assert rows[2]["head"] == ""


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--md"]])
def test_hostile_names_are_inert_in_every_form(tmp_path: Path, form: list[str]) -> None:
    store_runs(tmp_path / "s.db", name=HOSTILE, error=HOSTILE)
    called = qtlplat(tmp_path / "s.db", "runs", *form)
    assert called.code == 0
    assert is_inert(called.out + called.err)
    if form == ["--json"]:
        assert json.loads(called.out)[0]["head"]["name"] == HOSTILE  # nothing is lost either
    elif form == ["--csv"]:
        values = [value for row in csv.reader(io.StringIO(called.out)) for value in row]
        assert not any(value.startswith(("=", "+", "@")) for value in values)
        assert any(value.startswith(f"'{FORMULA}") for value in values)
    elif form == ["--md"]:
        assert len(called.out.splitlines()) == 5
        assert "<script>" not in called.out.replace("\\<", "")
    else:
        assert len(called.out.splitlines()) == 4
        assert MARKUP in called.out


def test_an_empty_store_is_no_error(tmp_path: Path) -> None:
    called = qtlplat(tmp_path / "none.db", "runs")
    assert (called.code, called.out) == (0, "")
    assert "qtlplat run" in called.err
    assert json.loads(qtlplat(tmp_path / "none.db", "runs", "--json").out) == []
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_database_ends_with_5_and_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("not a database " * 20)
    called = qtlplat(tmp_path / "s.db", "runs")
    assert (called.code, called.out) == (5, "")
    assert "fix: name another file" in called.err


READING = ["runs", "show @last", "store path", "best", "pareto f1 accuracy", "diff @last @-2"]


def test_reading_imports_nothing_heavy(tmp_path: Path) -> None:
    store_runs(tmp_path / "s.db")
    code = (
        "import sys\nfrom qtlplat.cli.app import _run\n"
        "heavy = {'torch', 'pennylane', 'pluggy', 'alembic', 'numpy', 'pydantic', 'sqlalchemy.orm'}\n"
        "for line in sys.argv[2:]:\n"
        "    assert _run([*line.split(), '--store', sys.argv[1]]) == 0, line\n"
        "    assert not heavy & set(sys.modules), (line, heavy & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "s.db"), *READING]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("created", "words"),
    [
        ("2026-01-02T00:00:00+00:00", "just now"),
        ("2026-01-01T23:59:00+00:00", "1 min ago"),
        ("2026-01-01T21:00:01+00:00", "2 h ago"),
        ("2025-12-01T00:00:00+00:00", "32 d ago"),
        ("2026-01-03T00:00:00+00:00", "just now"),  # another machine's clock
    ],
)
def test_age_is_told_in_one_unit(created: str, words: str) -> None:
    assert age(created, datetime(2026, 1, 2, tzinfo=UTC)) == words


def test_the_least_needed_columns_go_first_on_a_narrow_terminal() -> None:
    rows = [{column.key: "x" * 10 for column in COLUMNS if column.show is None}]
    assert fitting(rows, COLUMNS, 500, LEAST_NEEDED) == list(COLUMNS)
    medium = {c.key for c in fitting(rows, COLUMNS, 110, LEAST_NEEDED)}
    assert "evaluator" not in medium
    assert "created" in medium
    assert {c.key for c in fitting(rows, COLUMNS, 1, LEAST_NEEDED)} == {
        "run",
        "status",
        "backbone",
        "head",
        "f1",
        "leakage",
    }
