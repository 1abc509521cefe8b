"""A bundle brings runs from one store to another: whole, with the same bytes each time, whatever happens meanwhile."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from exchanged import (
    HOSTILE,
    SAMPLES,
    Sent,
    change,
    ids_hash,
    put_together,
    qtlplat,
    snapshot,
    taken_apart,
    with_database,
)

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import ArtifactRow, NewCell, NewRun, PredictionRow
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


def shown(store: Path, run: str) -> dict[str, object]:
    return qtlplat(store, "show", run, "--json").json  # type: ignore[no-any-return]


def rows(store: Path, table: str) -> list[tuple[object, ...]]:
    raw = sqlite3.connect(store)
    found = raw.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
    raw.close()
    return found


def test_an_imported_run_shows_the_same(sent: Sent) -> None:
    done = qtlplat(sent.other, "import", sent.bundle)
    assert done.code == 0
    assert "2 runs with 2 files imported" in done.err
    for run in (sent.run, sent.parent):
        assert shown(sent.other, run) == shown(sent.store, run)
    there, here = Reader(find_store(str(sent.other))), Reader(find_store(str(sent.store)))
    assert {run.id for run in there.runs()} == {sent.run, sent.parent}
    assert repr(there.predictions(sent.run)) == repr(here.predictions(sent.run))
    assert check(there.location).problems == ()
    for table in ("tags", "notes", "lineage"):
        assert rows(sent.other, table) == rows(sent.store, table)


@pytest.mark.slow
def test_files_are_renamed_by_content_and_nothing_else_differs(sent: Sent) -> None:
    location = find_store(str(sent.store))
    with Writer(location) as writer:
        run = writer.start_run(NewRun("run", "f" * 64, 7, {}, [], "a" * 64, {}))
        writer.link(run, "pretraining", sent.parent)
        (location.files / "features").mkdir()
        (location.files / "features" / "key.npy").write_bytes(b"cached")
        sha256 = hashlib.sha256(b"cached").hexdigest()
        writer.add_artifact(run, ArtifactRow("features", "features/key.npy", sha256, 6))
        writer.finish_run(run, "finished", {})
    bundle = sent.bundle.with_name("named.zip")
    assert qtlplat(sent.store, "export", run, "-o", bundle).code == 0
    assert qtlplat(sent.other, "import", bundle).code == 0
    here, there = shown(sent.store, run), shown(sent.other, run)
    assert there.pop("artifacts") == [{**here.pop("artifacts")[0], "path": f"features/{sha256}.npy"}]  # type: ignore[index]
    assert there == here
    assert shown(sent.other, sent.parent)["children"] == [run]
    assert shown(sent.store, sent.parent)["children"] == [run, sent.run]


def test_json_keys_are_documented(sent: Sent) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    for command, words in (
        ("export", ["export", sent.failed, "-o", sent.bundle.with_name("x.zip"), "--json"]),
        ("export", ["export", sent.failed, "--to", "tensorboard", sent.other.parent / "t", "--json"]),
        ("import", ["import", sent.bundle, "--json"]),
    ):
        part = page.split(f"\n## qtlplat {command}\n", 1)[1].split("\n## ", 1)[0]
        assert [key for key in qtlplat(sent.store, *words).json if f'"{key}"' not in part] == []


def test_hostile_names_come_through_unchanged(sent: Sent) -> None:
    bundle = sent.bundle.with_name("failed.zip")
    assert qtlplat(sent.store, "export", sent.failed, "-o", bundle).code == 0
    assert qtlplat(sent.other, "import", bundle).code == 0
    assert shown(sent.other, sent.failed) == shown(sent.store, sent.failed)
    assert shown(sent.other, sent.failed)["error"] == HOSTILE


def test_the_same_bundle_twice_is_harmless(sent: Sent) -> None:
    assert qtlplat(sent.other, "import", sent.bundle).code == 0
    before = snapshot(sent.other.parent)
    again = qtlplat(sent.other, "import", sent.bundle, "--json").json
    assert (again["runs"], sorted(again["same"]), again["files"]) == ([], sorted([sent.run, sent.parent]), 0)
    assert snapshot(sent.other.parent) == before


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes_from_whatever_store(sent: Sent) -> None:
    again = sent.bundle.with_name("again.zip")
    assert qtlplat(sent.store, "export", sent.run[:8], sent.run, "-o", again).code == 0
    assert again.read_bytes() == sent.bundle.read_bytes()
    assert qtlplat(sent.other, "import", sent.bundle).code == 0
    assert qtlplat(sent.other, "export", sent.run, "-o", again, "--force").code == 0
    assert again.read_bytes() == sent.bundle.read_bytes()


def test_runs_are_chosen_by_a_filter(sent: Sent) -> None:
    bundle = sent.bundle.with_name("chosen.zip")
    told = qtlplat(sent.store, "export", "--where", "head = 'dressed5x3'", "-o", bundle, "--json").json
    assert (told["runs"], told["built_upon"]) == ([sent.run], [sent.parent])
    assert bundle.read_bytes() == sent.bundle.read_bytes()


def test_a_dry_run_says_all_and_changes_nothing(sent: Sent) -> None:
    for _ in range(2):
        before = snapshot(sent.other.parent)
        dry = qtlplat(sent.other, "import", sent.bundle, "--dry-run", "--json").json
        assert snapshot(sent.other.parent) == before
        done = qtlplat(sent.other, "import", sent.bundle, "--json").json
        assert {**dry, "dry_run": False, "files": done["files"]} == done
        assert dry["files"] == 0
    nowhere = sent.other.parent / "no" / "where.db"
    assert qtlplat(nowhere, "import", sent.bundle, "--dry-run").code == 0
    assert not nowhere.parent.exists()


def test_what_is_in_a_bundle(sent: Sent) -> None:
    members = taken_apart(sent.bundle)
    files = [name for name in members if name.startswith("store.files/")]
    assert sorted(members) == sorted(["README.txt", "manifest.json", "runs.json", "splits.json", "store.db", *files])
    assert {members[name] for name in files} == {b"of the backbone", b"of the heads"}
    manifest = json.loads(members["manifest.json"])
    assert (manifest["runs"], manifest["built_upon"]) == ([sent.run], [sent.parent])
    assert set(manifest["members"]) == set(members) - {"manifest.json"}
    told = json.loads(members["runs.json"])[sent.run]
    expected = shown(sent.store, sent.run)
    assert {key: value for key, value in told.items() if expected[key] != value} == {}
    assert b"qtlplat import" in members["README.txt"]
    assert sent.run.encode() in members["README.txt"]


def test_splits_lead_from_cells_to_samples(sent: Sent) -> None:
    splits = json.loads(taken_apart(sent.bundle)["splits.json"])
    cells = splits["runs"][sent.run]
    assert [(c["variant"], c["fold"]) for c in cells] == [("head", 0), ("head", 1), ("linear", 0), ("linear", 1)]
    for cell in cells:
        tested = SAMPLES[:3] if cell["fold"] == 0 else SAMPLES[3:]
        assert splits["samples"][cell["test"]] == tested
        assert splits["samples"][cell["train"]] == [s for s in SAMPLES if s not in tested]
    for known, ids in splits["samples"].items():
        assert ids_hash(ids) == known


def test_splits_of_a_backbone_lie_within_those_of_its_fold(sent: Sent) -> None:
    location = find_store(str(sent.store))
    with Writer(location) as writer:
        backbone = writer.start_run(NewRun("pretraining", "f" * 64, 7, {}, [], "a" * 64, {}))
        trained, tested = SAMPLES[:2], SAMPLES[2:3]  # of what fold 1 trains on
        writer.add_cells(backbone, [NewCell(0, 0, 7, 2, 1, ids_hash(trained), ids_hash(tested))])
        writer.add_predictions(backbone, [PredictionRow(0, tested[0], "image-1", 1, 1, (0.5, 0.5))])
    from qtlplat_bundles.splits import splits

    reader = Reader(location)
    assert splits(reader, [sent.run, backbone])["samples"][ids_hash(trained)] == trained
    assert ids_hash(trained) not in splits(reader, [backbone])["samples"]


def test_training_samples_that_nobody_can_know_are_not_guessed(sent: Sent) -> None:
    change(sent.store, "DELETE FROM digests")
    change(sent.store, "UPDATE cells SET train_hash = ? WHERE position = 0", "0" * 64)
    from qtlplat_bundles.splits import splits

    found = splits(Reader(find_store(str(sent.store))), [sent.run])
    assert "0" * 64 not in found["samples"]
    assert found["runs"][sent.run][0]["train"] == "0" * 64


@pytest.mark.slow
def test_a_report_is_put_in_on_request(sent: Sent) -> None:
    bundle = sent.bundle.with_name("reported.zip")
    assert qtlplat(sent.store, "export", sent.run, "-o", bundle, "--with-report").code == 0
    page = taken_apart(bundle)["report.html"].decode()
    assert page.startswith("<!DOCTYPE html>")
    assert sent.run[:8] in page
    assert qtlplat(sent.other, "import", bundle).code == 0
    folder = bundle.with_name("page")
    done = qtlplat(sent.store, "export", sent.run, "--to", "report", folder, "--json")
    assert done.json["rows"] == [{"run": sent.run, "written": str(folder / "report.html")}]
    assert (folder / "report.html").read_text() == page


def test_a_report_needs_the_plugin_that_writes_it(sent: Sent, tmp_path: Path) -> None:
    registry = tmp_path / "r.toml"
    registry.write_text("[plugins]\ndisabled = ['reports']\n")
    bundle = tmp_path / "reported.zip"
    done = qtlplat(sent.store, "export", sent.run, "-o", bundle, "--with-report", "--registry", registry)
    assert (done.code, done.out, bundle.exists()) == (2, "", False)
    assert "plugin 'reports' of qtlplat might hold it, but is disabled in the registry" in done.err


def test_runs_in_the_trash_come_back_out_of_a_bundle(sent: Sent) -> None:
    change(sent.store, "INSERT INTO trash VALUES (?, '2026-01-01T00:00:00+00:00')", sent.parent)
    bundle = sent.bundle.with_name("trash.zip")
    assert qtlplat(sent.store, "export", sent.run, "-o", bundle).code == 0
    assert bundle.read_bytes() == sent.bundle.read_bytes()


# --- refused


def test_only_what_has_ended_and_is_whole_is_exported(sent: Sent) -> None:
    bundle = sent.bundle.with_name("no.zip")
    location = find_store(str(sent.store))
    with Writer(location) as writer:
        running = writer.start_run(NewRun("run", "f" * 64, 7, {}, [], "a" * 64, {}))
        told = qtlplat(sent.store, "export", running, "-o", bundle)
        writer.finish_run(running, "finished", {})
    assert (told.code, "has not ended" in told.err) == (2, True)
    next((location.files / "weights").iterdir()).unlink()
    told = qtlplat(sent.store, "export", sent.run, "-o", bundle)
    assert told.code == 5
    assert "the file is missing" in told.err
    assert not bundle.exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["@last"], 2, "export where to?"),
        (["@last", "-o", "b.tar"], 2, "no .zip file"),
        (["@last", "-o", "no/where/b.zip"], 5, "no such directory"),
        (["fff0", "-o", "b.zip"], 2, "there is no run"),
        (["-o", "b.zip"], 2, "no run is named"),
        (["--where", "head = 'nobody'", "-o", "b.zip"], 2, "no runs match the filter"),
        (["--where", "head = ", "-o", "b.zip"], 2, "--where"),
        (["@last", "-o", "b.zip", "--with-weights"], 2, "--with-weights"),
        (["@last", "--to", "mlflow", "d", "--with-report"], 2, "--with-report"),
        (["@last", "--to", "mlflow"], 2, "--to mlflow DIR"),
    ],
)
def test_wrong_command_lines(
    words: list[str], code: int, said: str, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sent.other.parent)
    told = qtlplat(sent.store, "export", *words)
    assert (told.code, told.out) == (code, "")
    assert said in told.err
    assert list(sent.other.parent.iterdir()) == []


def test_a_bundle_is_not_overwritten_unasked(sent: Sent) -> None:
    before = sent.bundle.read_bytes()
    assert qtlplat(sent.store, "export", sent.failed, "-o", sent.bundle).code == 2
    assert sent.bundle.read_bytes() == before


def test_a_run_with_other_content_is_a_clash(sent: Sent) -> None:
    assert qtlplat(sent.other, "import", sent.bundle).code == 0
    change(sent.other, "UPDATE metrics SET value = 0.25 WHERE run_id = ? AND cell = 0 AND name = 'f1'", sent.run)
    before = snapshot(sent.other.parent)
    told = qtlplat(sent.other, "import", sent.bundle)
    assert told.code == 5
    assert f"{sent.run}: differs in metrics" in told.err
    assert str(sent.bundle) in told.err
    assert ".import." not in told.err
    assert snapshot(sent.other.parent) == before
    partly = qtlplat(sent.other, "import", sent.bundle, "--partly", "--json").json
    assert (partly["same"], list(partly["left_out"])) == ([sent.parent], [sent.run])


def test_a_bundle_that_does_not_fit_the_disk_is_refused(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    full = shutil._ntuple_diskusage(2**30, 2**30 - 1000, 1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    told = qtlplat(sent.other, "import", sent.bundle)
    assert told.code == 5
    assert "1000 bytes free" in told.err
    assert list(sent.other.parent.iterdir()) == []


def test_a_refused_import_leaves_no_directory(sent: Sent) -> None:
    cut = sent.bundle.with_name("cut.zip")
    members = taken_apart(sent.bundle)
    put_together({**members, "runs.json": b"{}"}, cut, listed=False)
    assert qtlplat(sent.other.parent / "new" / "s.db", "import", cut).code == 3
    assert not (sent.other.parent / "new").exists()
    assert qtlplat(sent.other.parent / "new" / "s.db", "import", sent.bundle).code == 0


def test_a_file_that_no_import_would_take_is_not_exported(sent: Sent) -> None:
    location = find_store(str(sent.store))
    with Writer(location) as writer:
        run = writer.start_run(NewRun("run", "f" * 64, 7, {}, [], "a" * 64, {}))
        (location.files / ".hidden").mkdir()
        (location.files / ".hidden" / "x").write_bytes(b"1")
        writer.add_artifact(run, ArtifactRow("x", ".hidden/x", hashlib.sha256(b"1").hexdigest(), 1))
        writer.finish_run(run, "finished", {})
    told = qtlplat(sent.store, "export", run, "-o", sent.bundle, "--force")
    assert told.code == 5
    assert "a name that no bundle takes" in told.err


def test_a_newer_version_is_named(sent: Sent, tmp_path: Path) -> None:
    members = taken_apart(sent.bundle)
    manifest = json.loads(members["manifest.json"])
    for changes in ({"version": 2, "more": 1}, {"revision": "0099"}):
        data = json.dumps({**manifest, **changes}).encode()
        bundle = put_together({**members, "manifest.json": data}, tmp_path / "n.zip", listed=False)
        told = qtlplat(sent.other, "import", bundle)
        assert told.code == 3
        assert "newer version of qtlplat" in told.err
        assert "pip install --upgrade qtlplat" in told.err
    newer = with_database(members, lambda db: db.execute("UPDATE qtlplat_schema SET version_num = '0099'"), tmp_path)
    told = qtlplat(sent.other, "import", put_together(newer, tmp_path / "m.zip"))
    assert (told.code, "does not know" in told.err) == (5, True)


# --- killed

KILLED = """
import os, signal, sys
from qtlplat.store.core import artifacts, row_digests
name, times = sys.argv[1], int(sys.argv[2])
module = artifacts if name == "copy_file" else row_digests
real = getattr(module, name)
def deadly(*args, **kwargs):
    global times
    times -= 1
    if times < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)
setattr(module, name, deadly)
from qtlplat.cli.app import main
main(sys.argv[3:])
"""


@pytest.mark.parametrize(
    ("where", "times"),
    [
        pytest.param("copy_file", 0, marks=pytest.mark.slow),
        ("seal", 3),
        pytest.param("seal", 2, marks=pytest.mark.slow),
    ],
)
def test_kill_9_leaves_nothing_half_and_the_import_can_be_done_again(where: str, times: int, sent: Sent) -> None:
    """`seal` stands inside the transaction of a run; upgrading the bundle's copy seals its two runs before that."""
    words = [where, str(times), "import", str(sent.bundle), "--store", str(sent.other)]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    left = [path for path in sent.other.parent.iterdir() if ".import." in path.name]
    assert len(left) == 1
    for run in Reader(find_store(str(sent.other))).runs():
        assert shown(sent.other, run.id)["cells"] == shown(sent.store, run.id)["cells"]
    assert qtlplat(sent.other, "import", sent.bundle).code == 0
    assert shown(sent.other, sent.run) == shown(sent.store, sent.run)
    assert sorted(path.name for path in sent.other.parent.iterdir()) == ["t.db", "t.files"]
    assert check(find_store(str(sent.other))).problems == ()


@pytest.mark.slow
def test_what_a_killed_import_left_is_found_and_told(sent: Sent) -> None:
    assert qtlplat(sent.other, "import", sent.bundle).code == 0
    left = sent.other.parent / ".t.import.0123abcd"
    left.mkdir()
    os.utime(left, (1, 1))
    told = qtlplat(sent.other, "store", "check")
    assert told.code == 5
    assert f"rm -r {left}" in told.out


def test_bundles_open_with_any_zip_program(sent: Sent) -> None:
    with zipfile.ZipFile(sent.bundle) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
