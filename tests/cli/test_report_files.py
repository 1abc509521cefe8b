"""`qtlplat report`: nothing private is told, files are written whole or not at all, wrong uses name the way out."""

import re
import sys
from pathlib import Path

import pytest
from compared_runs import cell
from reported import PARAMETERS, backbone, filled, page
from stored_runs import qtlplat

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import ComponentRow, NewRun
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return filled(tmp_path / "s.db")


def test_nothing_private_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Writer(find_store(str(path))) as writer:
        names = ("dataset", "backbone", "head", "evaluator")
        rows = [
            ComponentRow(r, f"{r}[root=/home/lovelace/{r}]", r, "d", "1", "d" * 64, {"root": "/home/lovelace"})
            for r in names
        ]
        parts = {
            "component": "c",
            "provider": "p",
            "options": {"root": "/home/lovelace", "n": 1},
            "locations": ["root"],
        }
        plan = {"seed": 0, **dict.fromkeys(names, parts)}
        environment = {
            "host": "lovelaces-laptop",
            "python": "3.11",
            "command": "run -S dataset.root=/home/lovelace --store lovelace.db",
        }
        run = writer.start_run(NewRun("run", "f", 0, plan, rows, "a" * 64, environment, PARAMETERS))
        writer.add_cells(run, [cell(0, 0)])
        writer.finish_cell(run, 0, {"f1": 0.5}, 1.0)
        writer.finish_run(run, "failed", {}, error="disk full: /home/lovelace/s.db")
    for suffix in (".html", ".md", ".tex"):
        out = tmp_path / f"report{suffix}"
        assert qtlplat(path, "report", "-o", str(out)).code == 0
        text = out.read_text(encoding="utf-8")
        assert "lovelace" not in text
        assert "/home" not in text


# --- files and flags


def test_without_a_file_markdown_goes_to_stdout(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.md"
    assert qtlplat(store, "report", "-o", str(out)).code == 0
    called = qtlplat(store, "report")
    assert called.out == out.read_text(encoding="utf-8")
    assert called.err == ""


def test_the_same_store_gives_the_same_bytes(store: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.html", tmp_path / "b.html"]
    for file in files:
        assert qtlplat(store, "report", "-o", str(file)).code == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_brings_its_backbone_and_no_other_run(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    nested = next(r.id for r in reader.runs() if r.components["evaluator"].name == "nested6")
    rows = page(store, nested[:8]).table("Runs")
    assert {row["run"] for row in rows} == {nested[:8], str(reader.cells(nested)[0].pretraining)[:8]}


def test_a_pretraining_alone_has_a_command_that_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run = backbone(path)
    out = qtlplat(path, "report", run).out
    assert re.search(
        r"^qtlplat run --dataset .*--head linear .*--accelerator cuda .*--pretrain-epochs 2", out, re.MULTILINE
    )


def test_an_existing_file_is_left_alone_without_force(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    out.write_text("mine", encoding="utf-8")
    called = qtlplat(store, "report", "-o", str(out))
    assert called.code == 2
    assert "--force" in called.err
    assert out.read_text(encoding="utf-8") == "mine"
    assert qtlplat(store, "report", "-o", str(out), "--force").code == 0
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_directory_that_is_not_there_is_said_before_any_work(store: Path, tmp_path: Path) -> None:
    called = qtlplat(store, "report", "-o", str(tmp_path / "no such" / "report.html"))
    assert (called.code, called.out) == (5, "")
    assert "mkdir -p" in called.err
    assert not (tmp_path / "no such").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "report.pdf"], ".html, .md or .tex"),
        (["-o", "report"], ".html, .md or .tex"),
        (["--budget", "quick"], "--recipe"),
        (["-S", "dataset.root=x"], "--audit"),
        (["--recipe", "nobody2020"], "qtlplat reproduce"),
        (["f" * 16], "there is no run"),
    ],
)
def test_wrong_uses_name_the_way_out(store: Path, arguments: list[str], words: str) -> None:
    called = qtlplat(store, "report", *arguments)
    assert called.code == 2
    assert words in called.err
    assert called.out == ""


def test_an_empty_store_is_told(tmp_path: Path) -> None:
    called = qtlplat(tmp_path / "none.db", "report")
    assert called.code == 2
    assert "no runs" in called.err
    assert not (tmp_path / "none.db").exists()


def test_without_matplotlib_only_the_figures_are_missing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = page(store)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    without = page(store)
    assert not any(name == "svg" for name, _ in without.tags)
    assert without.tables == whole.tables
    assert "pip install 'qtlplat[plot]'" in without.text
    assert "--kind convergence" in without.text or "--kind pareto" in without.text
