import hashlib
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stored_runs import component, qtlplat, store_runs

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import ArtifactRow, NewRun
from qtlplat.store.write.writer import Writer


def test_the_path_goes_to_stdout_and_the_reason_to_stderr(tmp_path: Path) -> None:
    called = qtlplat(tmp_path / "s.db", "store", "path")
    assert called.out == f"{tmp_path / 's.db'}\n"
    assert "--store" in called.err
    assert "nothing is stored there yet" in called.err
    assert list(tmp_path.iterdir()) == []


def test_json_names_path_files_reason_and_existence(tmp_path: Path) -> None:
    store_runs(tmp_path / "s.db")
    form = json.loads(qtlplat(tmp_path / "s.db", "store", "path", "--json").out)
    assert form == {
        "path": str(tmp_path / "s.db"),
        "files": str(tmp_path / "s.files"),
        "why": "named by --store",
        "exists": True,
    }


def test_a_password_in_a_url_is_printed_nowhere(tmp_path: Path) -> None:
    called = qtlplat("postgresql://me:s3cret@host/db", "store", "path")
    assert (called.code, called.out) == (0, "postgresql://me@host/db\n")
    assert "s3cret" not in called.err


SERVER = "postgresql://me:s3cret@127.0.0.1:1/db"


@pytest.mark.parametrize("command", [["runs"], ["store", "check"], ["show", "abc"], ["run", "--head", "linear"]])
def test_a_server_that_is_not_there_ends_with_5(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLPLAT_STORE_PATIENCE", "0")
    called = qtlplat(SERVER, *command)
    assert (called.code, called.out) == (5, "")
    assert "error: the server does not answer" in called.err
    assert "where: postgresql://me@127.0.0.1:1/db" in called.err
    assert "s3cret" not in called.err


def test_a_driver_that_is_not_installed_ends_with_3_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    called = qtlplat(SERVER, "runs")
    assert (called.code, called.out) == (3, "")
    assert "fix: pip install 'qtlplat[postgres]'" in called.err


def test_upgrade_has_nothing_to_do_on_a_new_store(tmp_path: Path) -> None:
    store_runs(tmp_path / "s.db")
    assert "up to date" in qtlplat(tmp_path / "s.db", "store", "upgrade").err


def test_upgrade_needs_a_store(tmp_path: Path) -> None:
    called = qtlplat(tmp_path / "s.db", "store", "upgrade")
    assert called.code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["runs", "show", "store"])
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    called = qtlplat(tmp_path / "s.db", command, "--help")
    assert called.code == 0
    assert "--store" in called.out


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a finished run, an outcome and a file, named as a terminal and a URI would mangle it."""
    path = tmp_path / "a \x1b[31m?#%.db"
    location = find_store(str(path))
    with Writer(location) as writer:
        row = weights(location.files, b"weights")
        run_id = writer.start_run(new_run())
        writer.add_artifact(run_id, row)
        writer.finish_run(run_id, "finished", {"total": 1.0})
    return path


def new_run() -> NewRun:
    return NewRun("run", "f" * 64, 7, {"replace": "all"}, [component("head", "dressed5x3")], "a" * 64, {"a": "b"})


def weights(files: Path, content: bytes) -> ArtifactRow:
    digest = hashlib.sha256(content).hexdigest()
    (files / "weights").mkdir(exist_ok=True)
    (files / "weights" / digest).write_bytes(content)
    return ArtifactRow("weights", f"weights/{digest}", digest, len(content))


def execute(path: Path, sql: str) -> None:
    raw = sqlite3.connect(path)
    raw.execute(sql)
    raw.commit()
    raw.close()


def test_check_of_a_whole_store(store: Path) -> None:
    called = qtlplat(store, "store", "check", "--json")
    assert (called.code, json.loads(called.out)) == (0, {"ok": True, "problems": []})
    called = qtlplat(store, "store", "check")
    assert (called.code, called.out) == (0, "")
    assert "no problems found" in called.err


def test_check_lists_problems_and_ends_with_5(store: Path) -> None:
    execute(store, "UPDATE environment SET value = 'c'")
    (store.with_name(f"{store.stem}.files") / "nobody's").write_bytes(b"")
    called = qtlplat(store, "store", "check", "--json")
    answer = json.loads(called.out)
    assert called.code == 5
    assert set(answer) == {"ok", "problems"}
    assert answer["ok"] is False
    (problem,) = answer["problems"]
    assert set(problem) == {"what", "where", "fix"}
    assert problem["what"] == "not as stored: rows of environment"
    assert "of no run" in called.err
    called = qtlplat(store, "store", "check")
    assert called.code == 5
    assert called.out.splitlines()[0] == "what\twhere\tfix"
    assert "not as stored: rows of environment" in called.out


def test_check_of_what_is_no_store_says_so_in_the_same_shape(store: Path) -> None:
    store.write_bytes(b"my thesis\n" * 50)
    called = qtlplat(store, "store", "check", "--json")
    assert called.code == 5
    (problem,) = json.loads(called.out)["problems"]
    assert "not an SQLite database" in problem["what"]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.name)])
def test_check_of_what_cannot_be_opened_has_the_same_shape_too(make: Callable[[Path], None], tmp_path: Path) -> None:
    """Without --json it is a message, as of every command."""
    make(tmp_path / "s.db")
    called = qtlplat(tmp_path / "s.db", "store", "check", "--json")
    assert called.code == 5
    answer = json.loads(called.out)
    assert answer["ok"] is False
    (problem,) = answer["problems"]
    assert all(problem[key] for key in ("what", "where", "fix"))
    called = qtlplat(tmp_path / "s.db", "store", "check")
    assert (called.code, called.out) == (5, "")
    assert problem["what"] in called.err


@pytest.mark.parametrize(("command", "where"), [(["merge", ""], "OTHER"), (["recover", "--to", ""], "--to")])
def test_no_name_is_not_the_store_of_the_user(
    command: list[str], where: str, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As where a variable of the shell is not set: nothing is merged, nothing made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".qtlplat").mkdir()
    if command[0] == "merge":
        shutil.copyfile(store, tmp_path / ".qtlplat" / "store.db")
    called = qtlplat(store, "store", *command)
    assert called.code == 2
    assert f"where: {where}" in called.err
    assert "fix: " in called.err
    assert (tmp_path / ".qtlplat" / "store.db").exists() == (command[0] == "merge")


def test_backup_prints_the_path_of_a_store(store: Path) -> None:
    target = store.with_name("copy.db")
    called = qtlplat(store, "store", "backup", "-o", str(target))
    assert (called.code, called.out) == (0, f"{target}\n")
    assert "files of runs are not in it" in called.err
    assert len(json.loads(qtlplat(target, "runs", "--json").out)) == 1
    again = qtlplat(store, "store", "backup", "-o", str(target))
    assert again.code == 2
    assert "exists" in again.err
    called = qtlplat(store, "store", "backup", "-q")
    assert called.code == 0
    assert "\x1b" not in called.out + called.err


def test_recover_says_what_is_whole_and_what_is_not(store: Path) -> None:
    execute(store, "UPDATE environment SET value = 'c'")
    before = store.read_bytes()
    target = store.with_name("saved.db")
    called = qtlplat(store, "store", "recover", "--to", str(target))
    assert (called.code, called.out) == (0, f"{target}\n")
    assert "complete runs: 0" in called.err
    assert "without rows of environment" in called.err
    assert store.read_bytes() == before
    (run,) = json.loads(qtlplat(target, "runs", "--json").out)
    assert run["status"] == "failed"
    called = qtlplat(store, "store", "recover", "--to", str(store.with_name("third.db")), "--json")
    assert json.loads(called.out)["in_part"] == {run["run"]: ["environment"]}
    assert qtlplat(store, "store", "recover").code == 2
    assert qtlplat(store, "store", "recover", "--to", str(target)).code == 2


def test_merge_takes_over_skips_and_refuses(store: Path) -> None:
    mine = store.with_name("mine.db")
    called = qtlplat(mine, "store", "merge", str(store))
    assert (called.code, called.out) == (0, f"{mine}\n")
    assert "merged: 1 run with 1 file\n" in called.err
    (run,) = json.loads(qtlplat(mine, "runs", "--json").out)
    answer = json.loads(qtlplat(mine, "store", "merge", str(store), "--json").out)
    assert (answer["runs"], answer["same"]) == ([], [run["run"]])
    execute(mine, "UPDATE runs SET seed = 8")
    called = qtlplat(mine, "store", "merge", str(store))
    assert called.code == 5
    assert called.out == ""
    assert f"{run['run']}: differs in runs" in called.err
    assert "\x1b" not in called.err
    called = qtlplat(mine, "store", "merge", str(store), "--partly")
    assert called.code == 0
    assert "left out: 1" in called.err


@pytest.mark.parametrize("command", ["check", "backup", "upgrade", "recover --to x.db"])
def test_without_a_store_there_is_nothing_to_look_after(tmp_path: Path, command: str) -> None:
    called = qtlplat(tmp_path / "s.db", "store", *command.split())
    assert called.code == 2
    assert "there is no store to" in called.err
    assert "fix: name the one that is meant, --store PATH" in called.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "named"), [("merge", "OTHER"), ("recover --to", "--to")])
def test_another_store_is_told_by_what_named_it(store: Path, command: str, named: str) -> None:
    called = qtlplat(store, "store", *command.split(), "oracle://db/x")
    assert called.code == 3
    assert f"where: {named}\n" in called.err


SPOILED = {
    "text": lambda path: path.write_bytes(b"my thesis\n" * 500),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-4096]),
    "newer": lambda path: execute(path, "UPDATE qtlplat_schema SET version_num = '9999'"),
}
COMMANDS = [
    "runs",
    "show @last",
    "compare @last @-2",
    "plot @last",
    "report @last -o out.html",
    "run --backbone lenet1 --head linear --reuse",
    "run --backbone lenet1 --head linear --epochs 1 -S dataset.per_class=8",
    "store check",
    "store backup",
    "store upgrade",
    "store merge other.db",
]


@pytest.mark.parametrize("kind", SPOILED)
def test_every_command_refuses_a_spoiled_store_and_leaves_it_as_it_is(
    store: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = store.with_name("s.db")
    store.rename(plain)
    store.with_name(f"{store.stem}.files").rename(store.with_name("s.files"))
    shutil.copy(plain, plain.with_name("other.db"))
    SPOILED[kind](plain)
    monkeypatch.chdir(plain.parent)
    content, names = plain.read_bytes(), sorted(path.name for path in plain.parent.iterdir())
    for command in COMMANDS:
        called = qtlplat(plain, *command.split())
        assert called.code == 5, (command, called)
        assert plain.read_bytes() == content, command
        assert sorted(path.name for path in plain.parent.iterdir()) == names, command
        assert len(called.err.splitlines()) <= 12
        assert "Traceback" not in called.err
    with Writer(find_store("mine/m.db")):
        pass
    assert qtlplat("mine/m.db", "store", "merge", "s.db").code == 5  # nor is it taken for one to merge
    assert plain.read_bytes() == content
