import csv
import io
import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest
from stored_runs import ESC, HOSTILE, is_inert, qtlplat, store_runs

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import NewRun
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store_runs(tmp_path / "s.db")
    return tmp_path / "s.db"


def ids(store: Path) -> tuple[str, str, str]:
    """A pretraining, a finished run that builds on it, a failed one."""
    failed, run, pretraining = (record.id for record in Reader(find_store(str(store))).runs())
    return pretraining, run, failed


# --- tag


def test_tags_are_given_taken_shown_and_counted(store: Path) -> None:
    _, run, failed = ids(store)
    called = qtlplat(store, "tag", run[:6], "@last", "--add", "paper", "-a", "draft")
    assert called.code == 0
    assert called.out.splitlines() == ["run\ttags", f"{run}\tdraft, paper", f"{failed}\tdraft, paper"]
    qtlplat(store, "tag", failed, "--remove", "draft", "--add", "worse")
    assert json.loads(qtlplat(store, "tag", failed, "--json").out) == [{"run": failed, "tags": ["paper", "worse"]}]
    tags = json.loads(qtlplat(store, "tag", "--json").out)
    assert [(one["tag"], one["runs"]) for one in tags] == [("draft", 1), ("paper", 2), ("worse", 1)]
    assert qtlplat(store, "tag", "--sort", "-runs", "-n", "1", "--cols", "tag").out.splitlines() == ["tag", "paper"]
    forms = json.loads(qtlplat(store, "runs", "--json").out)
    assert [form["tags"] for form in forms] == [["paper", "worse"], ["draft", "paper"], []]
    assert json.loads(qtlplat(store, "show", run, "--json").out)["tags"] == ["draft", "paper"]


def test_without_any_tag_it_says_how_to_give_one(store: Path) -> None:
    called = qtlplat(store, "tag")
    assert (called.code, called.out) == (0, "")
    assert "qtlplat tag @last --add paper" in called.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--add", "x"], "no run is named"),
        (["@last", "--add", "a b"], "'a b' is no tag"),
        (["@last", "--add", ESC], "is no tag"),
        (["@last", "--add", ""], "'' is no tag"),
        (["@last", "--add", "x", "--remove", "x"], "both added and removed"),
        (["@last", "--remove", "papre"], "did you mean: paper"),
        (["zzz", "--add", "x"], "there is no run 'zzz'"),
        (["@last", "zzz", "--add", "x"], "there is no run 'zzz'"),
    ],
)
def test_what_cannot_be_tagged_is_refused_and_nothing_is_stored(store: Path, arguments: list[str], words: str) -> None:
    qtlplat(store, "tag", "@last", "--add", "paper")
    before = store.read_bytes()
    called = qtlplat(store, "tag", *arguments)
    assert (called.code, called.out) == (2, "")
    assert words in called.err
    assert is_inert(called.err)
    assert store.read_bytes() == before


# --- note


def test_a_note_is_written_appended_to_printed_and_taken_away(store: Path) -> None:
    _, run, _ = ids(store)
    assert qtlplat(store, "note", run).err == f"no note on run {run}\n"
    assert qtlplat(store, "note", run, "the best one").out == "the best one\n"
    assert qtlplat(store, "note", run, "seen again", "--append").out == "the best one\nseen again\n"
    assert json.loads(qtlplat(store, "note", run, "--json").out) == {"run": run, "note": "the best one\nseen again"}
    assert json.loads(qtlplat(store, "runs", "--json", "-n", "2").out)[1]["note"] == "the best one\nseen again"
    called = qtlplat(store, "note", run, "--clear")
    assert (called.out, called.err) == ("", f"store: {store} (named by --store)\nno note on run {run}\n")


def test_a_note_and_a_tag_are_inert_wherever_they_are_printed(store: Path) -> None:
    _, run, _ = ids(store)
    assert qtlplat(store, "note", run, f"{HOSTILE}\n{ESC}").code == 0
    for arguments in (["note", run], ["runs", "--cols", "run,note"], ["runs", "--cols", "note", "--md"], ["show", run]):
        called = qtlplat(store, *arguments)
        assert called.code == 0
        assert is_inert(called.out + called.err)
    rows = list(csv.reader(io.StringIO(qtlplat(store, "runs", "--cols", "note", "--csv").out)))
    assert any(row[0].startswith("'=HYPERLINK") for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["@last", ""], "the note is empty"),
        (["@last", "x" * 10_001], "has 10001 characters"),
        (["@last", "--append"], "--append needs a text"),
        (["@last", "x", "--clear"], "exclude each other"),
        (["@last", "--edit", "--clear"], "exclude each other"),
        (["@last", "a\udcff"], "are no text"),
    ],
)
def test_what_is_no_note_is_refused(store: Path, arguments: list[str], words: str) -> None:
    before = store.read_bytes()
    called = qtlplat(store, "note", *arguments)
    assert (called.code, called.out) == (2, "")
    assert words in called.err
    assert store.read_bytes() == before


def test_a_note_is_written_in_an_editor(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tmp_path / "editor.py"
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")
    monkeypatch.delenv("VISUAL", raising=False)
    touch = "os.utime(path, (os.path.getmtime(path) + 5,) * 2)"
    editor.write_text(f"import os, sys\npath = sys.argv[1]\nopen(path, 'a').write('and more')\n{touch}\n")
    qtlplat(store, "note", "@last", "one,")
    assert qtlplat(store, "note", "@last", "--edit").out in ("one,and more\n", "one,\nand more\n")
    editor.write_text("pass")
    called = qtlplat(store, "note", "@last", "--edit")
    assert called.err == "the note was not changed\n"
    assert "and more" in called.out
    editor.write_text(f"import os, sys\npath = sys.argv[1]\nopen(path, 'w').close()\n{touch}\n")
    assert "no note on run" in qtlplat(store, "note", "@last", "--edit").err
    editor.write_text("raise SystemExit(1)")
    assert qtlplat(store, "note", "@last", "--edit").code == 2


# --- rm, runs --trash, store gc


def test_what_is_put_away_is_listed_in_the_trash_and_comes_back(store: Path) -> None:
    pretraining, run, failed = ids(store)
    called = qtlplat(store, "rm", failed, pretraining)
    assert (called.code, called.out) == (0, "")
    assert f"run {failed} was moved to the trash" in called.err
    assert f"built on by 1 run ({run[:8]}): store gc will keep it" in called.err
    assert [form["run"] for form in json.loads(qtlplat(store, "runs", "--json").out)] == [run]
    trash = json.loads(qtlplat(store, "runs", "--trash", "--json").out)
    assert [form["run"] for form in trash] == [failed, pretraining]
    assert all(form["trashed"] for form in trash)
    assert qtlplat(store, "runs", "--trash", "--kind", "run", "--cols", "run").out.splitlines() == ["run", failed]
    assert json.loads(qtlplat(store, "show", "@last", "--json").out)["run"] == run
    shown = json.loads(qtlplat(store, "show", pretraining, "--json").out)
    assert (shown["trashed"] is not None, shown["children"]) == (True, [run])
    again = json.loads(qtlplat(store, "rm", failed, "--json").out)
    assert again == [{"run": failed, "trashed": trash[0]["trashed"], "changed": False}]
    back = json.loads(qtlplat(store, "rm", "--restore", failed, run, "--json").out)
    assert [(one["trashed"], one["changed"]) for one in back] == [(None, True), (None, False)]
    assert "is not in the trash" in qtlplat(store, "rm", "--restore", failed).err
    assert len(json.loads(qtlplat(store, "runs", "--json").out)) == 2


def test_a_running_run_is_not_put_away(store: Path) -> None:
    with Writer(find_store(str(store))) as writer:
        run = writer.start_run(NewRun("run", "f" * 64, 7, {}, [], "a" * 64, {}))
        called = qtlplat(store, "rm", run)
    assert (called.code, called.out) == (7, "")
    assert f"run {run} is owned by process {os.getpid()}" in called.err


def test_gc_deletes_what_it_says_and_says_what_it_deleted(store: Path) -> None:
    pretraining, run, failed = ids(store)
    weights = store.with_name("s.files") / "weights" / "left.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"12345")
    qtlplat(store, "rm", failed, pretraining)
    foreseen = json.loads(qtlplat(store, "store", "gc", "--dry-run", "--json").out)
    assert weights.exists()
    later = json.loads(qtlplat(store, "store", "gc", "--older-than", "1", "--dry-run", "--json").out)
    assert (later["runs"], set(later["kept"])) == ([], {failed, pretraining})
    done = json.loads(qtlplat(store, "store", "gc", "--json").out)
    assert done == {**foreseen, "dry_run": False}
    assert done["runs"] == [failed]
    assert done["kept"] == {pretraining: f"run {run} builds on it"}
    assert (done["files"], done["bytes"]) == ({"weights": {"number": 1, "bytes": 5}}, 5)
    assert not weights.exists()
    qtlplat(store, "rm", run)
    called = qtlplat(store, "store", "gc")
    assert called.out.splitlines() == ["deleted\tnumber\tbytes", "runs\t2\t"]
    assert "runs deleted: 2" in called.err
    assert json.loads(qtlplat(store, "runs", "--trash", "--json").out) == []
    assert qtlplat(store, "show", failed).code == 2


def test_gc_needs_a_store(tmp_path: Path) -> None:
    called = qtlplat(tmp_path / "none.db", "store", "gc")
    assert called.code == 2
    assert "there is no store to empty the trash of" in called.err
    assert list(tmp_path.iterdir()) == []


def test_an_older_store_is_upgraded_by_a_remark(store: Path) -> None:
    raw = sqlite3.connect(store)
    raw.execute("UPDATE qtlplat_schema SET version_num = '9999'")
    raw.commit()
    raw.close()
    called = qtlplat(store, "tag", "@last", "--add", "x")
    assert called.code == 5
    assert "schema '9999'" in called.err


@pytest.mark.parametrize("command", ["tag", "note", "rm", "sql"])
def test_they_have_help(tmp_path: Path, command: str) -> None:
    called = qtlplat(tmp_path / "s.db", command, "--help")
    assert (called.code, called.err) == (0, "")
    assert "--store" in called.out
