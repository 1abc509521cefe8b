"""The store in Python: it says what the reader says, tables hold the same values, errors explain themselves."""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_runs import component, finished_run, new_run

import qtlplat
from qtlplat.store.backends.find import find_store
from qtlplat.store.write.writer import Writer


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    with Writer(find_store(str(path))) as writer:
        pretraining = finished_run(writer, (0.5,), kind="pretraining")
        for layers, f1 in ((1, (0.75, 0.5)), (2, (1.0, 0.5))):
            roles = [component(role) for role in ("dataset", "backbone", "evaluator")]
            head = component("head", name=f"dressed{layers}", options={"layers": layers})
            finished_run(writer, f1, pretraining, components=[*roles, head])
    return path


def test_a_store_is_found_as_by_the_command_line(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(qtlplat.open_store(place).runs()) == 3
    assert len(qtlplat.open_store(str(place)).runs()) == 3
    monkeypatch.setenv("QTLPLAT_STORE", str(place))
    assert len(qtlplat.open_store().runs()) == 3
    empty = qtlplat.open_store(tmp_path / "none.db")
    assert empty.runs() == []
    assert not empty.location.exists


def test_runs_are_filtered_sorted_and_cut(place: Path) -> None:
    store = qtlplat.open_store(place)
    found = store.runs("head.layers >= 1 and f1 > 0.7", sort="-f1")
    assert [run.values("f1") for run in found] == [(1.0, 0.5)]
    assert [run.title for run in store.runs(kind="run", sort="head.layers")] == [
        "my-backbone + dressed1",
        "my-backbone + dressed2",
    ]
    assert len(store.runs(limit=2)) == 2
    with pytest.raises(qtlplat.QtlplatError, match="layerz"):
        store.runs("head.layerz = 3")


def test_a_run_tells_its_values_its_parents_and_its_children(place: Path) -> None:
    store = qtlplat.open_store(place)
    run = store.run("@last")
    assert (run.mean(), run.std()) == (0.75, pytest.approx(math.sqrt(0.125)))
    (parent,) = [one for one in store.runs() if one.record.kind == "pretraining"]
    assert {child.id for child in parent.children()} == {one.id for one in store.runs(kind="run")}
    assert run.to_dict()["run"] == run.id
    assert run.environment == {"python": "3.11"}
    assert store.run(run.id[:6]).id == run.id


def test_tables_hold_the_values_of_the_records(place: Path) -> None:
    pytest.importorskip("pandas")
    store = qtlplat.open_store(place)
    table = store.runs(kind="run", sort="head.layers").frame()
    assert table["f1"].tolist() == [0.625, 0.75]
    assert table["f1_sd"].tolist() == pytest.approx([math.sqrt(0.03125), math.sqrt(0.125)])
    assert table["head.layers"].tolist() == [1, 2]
    assert table["trainable"].tolist() == [6, 6]
    run = store.run("@last")
    assert run.cells().frame()["f1"].tolist() == [1.0, 0.5]
    assert run.epochs().frame()[["cell", "epoch"]].values.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    predictions = run.predictions().frame()
    assert predictions[["p0", "p1"]].values.tolist() == [[0.25, 0.75]] * 2
    assert run.artifacts().frame()["kind"].tolist() == ["weights"]
    assert qtlplat.open_store(place.with_name("none.db")).runs().frame().empty


def test_a_table_of_fields_agrees_with_the_runs(place: Path) -> None:
    store = qtlplat.open_store(place)
    rows = store.table(["run", "head.layers", "f1", "min(f1)"], "kind = 'run'", sort="-f1")
    assert [(row["head.layers"], row["f1"], row["min(f1)"]) for row in rows] == [(2, 0.75, 0.5), (1, 0.625, 0.5)]
    assert [row["run"] for row in rows] == [run.id for run in store.runs(kind="run", sort="-f1")]


def test_an_error_says_where_and_how_to_mend_it(place: Path) -> None:
    store = qtlplat.open_store(place)
    with pytest.raises(qtlplat.QtlplatError) as caught:
        store.run("abcdef")
    told = "".join(traceback.format_exception(caught.value))
    assert "there is no run 'abcdef'" in told
    assert "fix: list them: qtlplat runs" in told
    with pytest.raises(qtlplat.QtlplatError, match="'f2'"):
        store.run("@last").mean("f2")


def test_without_pandas_a_table_says_what_to_install(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(qtlplat.ConfigError) as caught:
        qtlplat.open_store(place).runs().frame()
    assert caught.value.fix == "pip install 'qtlplat[pandas]'"
    assert len(qtlplat.open_store(place).runs().rows()) == 3


def test_what_a_notebook_shows_is_inert(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    with Writer(find_store(str(place))) as writer:
        head = component("head", name="<script>alert(1)</script>\x1b[2J")
        writer.finish_run(writer.start_run(new_run(components=[head])), "finished", {})
    (run,) = qtlplat.open_store(place).runs()
    shown = run._repr_html_()
    assert "<script" not in shown
    assert "\x1b" not in shown + repr(run)


def test_sql_answers_in_rows(place: Path) -> None:
    store = qtlplat.open_store(place)
    assert store.sql("select head, f1 from v_runs where kind = 'run' order by f1") == [
        {"head": "dressed1", "f1": 0.625},
        {"head": "dressed2", "f1": 0.75},
    ]
    with pytest.raises(qtlplat.QtlplatError):
        store.sql("delete from runs")
    assert len(store.runs()) == 3


def test_a_comparison_is_that_of_the_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from qtlplat.cli.app import _run

    store = qtlplat.open_store(place)
    rows = store.compare("@-2", store.run("@last"))
    assert rows[1].test is not None
    assert _run(["compare", "@-2", "@last", "--json", "--store", str(place)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert json.loads(json.dumps(rows.rows())) == told["rows"]
    with pytest.raises(qtlplat.QtlplatError, match="no controls"):
        store.compare("@last")


def test_runs_are_tagged_and_noted(place: Path) -> None:
    store = qtlplat.open_store(place)
    run = store.run("@last")
    run.tag("paper", "draft")
    run.tag(remove=["draft"])
    run.note("the one")
    assert (run.record.tags, run.record.note) == (("paper",), "the one")
    assert [one.id for one in store.runs("tag = 'paper' and note like '%one%'")] == [run.id]
    run.note(None)
    assert store.run(run.id).record.note is None


def test_a_table_of_runs_names_tags_and_notes(place: Path) -> None:
    store = qtlplat.open_store(place)
    run = store.run("@last")
    run.tag("paper", "draft")
    run.note("the one")
    rows = {row["run"]: (row["tags"], row["note"]) for row in store.runs().rows()}
    assert rows.pop(run.id) == ("draft, paper", "the one")
    run.tag(remove="draft")
    assert store.run(run.id).record.tags == ("paper",)
    assert set(rows.values()) == {(None, None)}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda store: store.table([]), "no field is named"),
        (lambda store: store.table("f1"), "not a list"),
        (lambda store: store.table(["f1"], limit=-1), "the limit is -1"),
        (lambda store: store.runs(limit=-1), "the limit is -1"),
        (lambda store: store.compare(), "no run is named"),
    ],
)
def test_what_means_nothing_is_refused_in_words(place: Path, asked: Callable[[qtlplat.Store], Any], words: str) -> None:
    with pytest.raises(qtlplat.QtlplatError, match=words):
        asked(qtlplat.open_store(place))
