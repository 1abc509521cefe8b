import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from compared_runs import LINEAR, QUANTUM, predictions, store_run
from sqlalchemy import event
from stored_runs import HOSTILE, is_inert, qtlplat, store_runs

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import PredictionRow
from qtlplat.store.read.misclassified import mistakes
from qtlplat.store.read.queries import Reader

NAMES = ("normal", "anomalous")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture
def runs(store: Path) -> tuple[str, str]:
    """A quantum head that gets s1 and s2 wrong, a linear one that gets s2 and s3 wrong."""
    right = {"dressed5x3": [True, False, False, True], "linear": [True, True, False, False]}
    first, second = (
        store_run(store, (0.9,), head=head, predicted={0: predictions(0, row)}, classes=NAMES)
        for head, row in right.items()
    )
    return first, second


def listed(store: Path, *arguments: str) -> dict[str, Any]:
    called = qtlplat(store, "errors", *arguments, "--json")
    assert called.code == 0, called.err
    found: dict[str, Any] = json.loads(called.out, parse_constant=pytest.fail)
    return found


def test_the_worst_samples_come_first_with_their_heads(store: Path, runs: tuple[str, str]) -> None:
    found = listed(store, *runs)
    assert found["runs"] == list(runs)
    assert [row["share"] for row in found["rows"]] == [row["wrong"] / row["tested"] for row in found["rows"]]
    assert found["mean_wrong"] == pytest.approx(sum(row["share"] for row in found["rows"]))
    counts = [found[name] for name in ("samples", "wrong_samples", "predictions", "wrong_predictions")]
    assert counts == [4, 3, 8, 4]
    both, quantum, linear = found["rows"]
    assert (both["sample"], both["wrong"], both["tested"], both["wrong_runs"], both["runs"]) == ("s2", 2, 2, 2, 2)
    assert (both["class"], both["given"], both["probability"], both["source"]) == (
        "anomalous",
        "normal",
        0.5,
        both["sample"].replace("s", "image "),
    )
    assert quantum["by"] == [
        {"head": "dressed5x3", "wrong": 1, "tested": 1},
        {"head": "linear", "wrong": 0, "tested": 1},
    ]
    assert (linear["sample"], linear["wrong_heads"], linear["heads"]) == ("s3", 1, 2)
    assert linear["given_all"] == [{"class": "normal", "n": 1, "probability": 0.5}]


def test_what_one_run_alone_gets_wrong(store: Path, runs: tuple[str, str]) -> None:
    first, second = runs
    assert [row["sample"] for row in listed(store, first, second, "--only-by", first)["rows"]] == ["s1"]
    assert [row["sample"] for row in listed(store, first, "--only-by", second)["rows"]] == ["s3"]
    assert "1 of 4 samples wrong by" in qtlplat(store, "errors", first, "--only-by", second).err


def test_a_filter_chooses_the_runs(store: Path, runs: tuple[str, str]) -> None:
    first, second = runs
    assert listed(store, "--where", "head = 'linear'")["runs"] == [second]
    assert set(listed(store, "--where", "f1 > 0")["runs"]) == set(runs)
    assert listed(store, first, second, "--where", "head = 'linear'") == listed(store, second)
    assert [row["sample"] for row in listed(store, "--where", "f1 > 0", "--only-by", first)["rows"]] == ["s1"]


def test_listings_say_how_much_there_is(store: Path, runs: tuple[str, str]) -> None:
    called = qtlplat(store, "errors", *runs, "-n", "1")
    assert len(called.out.splitlines()) == 2
    assert (
        "3 of 4 samples wrong, in 4 of 8 predictions on 2 backbones; the worst 1 are shown, more with -n" in called.err
    )
    assert "the dataset cannot be asked" in called.err  # no plugin is called steel: nothing but files is missing
    assert [row["sample"] for row in listed(store, *runs, "--sort", "sample", "-n", "2")["rows"]] == ["s1", "s2"]


def test_a_run_without_mistakes_is_no_error(store: Path) -> None:
    run = store_run(store, (1.0,), predicted={0: predictions(0, [True])})
    called = qtlplat(store, "errors", run)
    assert (called.code, called.out) == (0, "")
    assert "no sample is misclassified" in called.err
    assert qtlplat(store, "errors", run, "-o", str(store.with_name("x.png"))).code == 3


def test_pandas_reads_the_csv_back_equal(store: Path) -> None:
    given = [PredictionRow(0, f"s{i}", HOSTILE, i % 2, 1 - i % 2, (1 / 3, 2 / 3)) for i in range(5)]
    run = store_run(store, (0.0,), head=HOSTILE, predicted={0: given}, classes=("=1+1", "-2"))
    called = qtlplat(store, "errors", run, "--csv")
    assert is_inert(called.out + called.err)
    table, rows = pd.read_csv(io.StringIO(called.out)), listed(store, run)["rows"]
    numbers = ["wrong", "tested", "wrong_runs", "runs", "wrong_heads", "heads", "probability"]
    assert table[numbers].to_dict("records") == [{name: row[name] for name in numbers} for row in rows]
    assert table["class"].tolist() == [f"'{row['class']}" for row in rows]  # a spreadsheet would run them
    assert [json.loads(text) for text in table["by"]] == [row["by"] for row in rows]
    assert rows[0]["by"][0]["head"] == HOSTILE


@pytest.mark.sampled(2)
@pytest.mark.parametrize("form", [[], ["--json"], ["--md"]])
def test_hostile_names_are_inert(store: Path, form: list[str]) -> None:
    given = [PredictionRow(0, HOSTILE, HOSTILE, 0, 1, (0.1, 0.9))]
    run = store_run(store, (0.0,), head=HOSTILE, predicted={0: given}, classes=(HOSTILE, "b"))
    called = qtlplat(store, "errors", run, *form)
    assert called.code == 0
    assert is_inert(called.out + called.err)
    assert len(called.out.splitlines()) == {"": 2, "--md": 3}.get("".join(form), len(called.out.splitlines()))
    assert form != ["--md"] or "<script>" not in called.out.replace("\\<", "")


def test_pretrainings_have_nothing_to_show(store: Path) -> None:
    pretraining, _, _ = store_runs(store)
    called = qtlplat(store, "errors", pretraining)
    assert (called.code, called.out) == (3, "")
    assert "no predictions are stored" in called.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no run is named"),
        (["@last", "--only-by", "@last"], "requires other runs"),
        (["@last", "--json", "-o", "x.png"], "two forms"),
        (["@last", "--sort", "size"], "unknown column"),
        (["@-9"], "there is no run"),
        (["--where", "head = 'nobody'"], "no runs match the filter"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(store: Path, runs: tuple[str, str], arguments: list[str], words: str) -> None:
    called = qtlplat(store, "errors", *arguments)
    assert (called.code, called.out) == (2, "")
    assert words in called.err


def test_only_the_predictions_of_the_named_runs_are_looked_at(store: Path) -> None:
    run, _ = (store_run(store, values, predicted={0: predictions(0, [False])}) for values in (LINEAR, QUANTUM))
    reader, statements = Reader(find_store(str(store))), []
    event.listen(reader._engine, "before_cursor_execute", lambda *a: statements.append((a[2], a[3])))
    mistakes(reader, [run])

    def plans(connection: Any) -> list[str]:
        found = []
        for statement, values in list(statements):
            if "predictions" in statement:
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                found.append("\n".join(row.detail for row in rows))
        return found

    told = reader.read(plans)
    assert told
    assert len(told) == 2
    assert all("SCAN predictions" not in plan and "SEARCH predictions USING" in plan for plan in told)
