"""One value that nothing of ours has written: its run is left out and named, every other run is read as before."""

import json
import logging
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from by_hand import sql
from damage import SWEEP, fill
from sample_runs import NAME

from qtlplat.cli.app import main
from qtlplat.store.backends.find import find_store
from qtlplat.store.core import columns, run_columns, schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.maintenance.check import check
from qtlplat.store.maintenance.merge import merge
from qtlplat.store.maintenance.recover import recover
from qtlplat.store.read.access import DamagedRunError
from qtlplat.store.read.lineage import family
from qtlplat.store.read.loaded import gather
from qtlplat.store.read.misclassified import mistakes
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sweeps import sweeps
from qtlplat.store.write.writer import Writer

DEEP = '{"a": ' + "[" * 1500 + "]" * 1500 + "}"
# what no writer of ours stores, by the type of a column; a text of bytes is cast
BAD: dict[type, list[Any]] = {
    columns.Text: [b"\x00blob"],
    columns.Time: [b"\x00blob", "yesterday", "2026-01-01T00:00:00", "2026-13-01T00:00:00+00:00"],
    columns.Number: ["many", b"\x00"],
    columns.Whole: ["many", 0.5, b"\x00", 1e300],
    columns.Facts: ["", "{broken", "5", "null", '{"a": NaN}', '{"a": 1} x', DEEP, b"\x00"],
    columns.Numbers: ["", "{broken", "5", '{"a": "x"}', '["x"]', '{"a": 1' + "0" * 400 + "}"],
}
BAD[run_columns.PlanJson] = [
    *BAD[columns.Facts],
    *(
        f'{{"{role}": {value}}}'
        for role in ("dataset", "head")
        for value in ('"x"', "[]", '{"options": 1}', '{"code": 1}')
    ),
    *(f'{{"training": {value}}}' for value in ("5", "null", '{"epochs": "x"}', '{"n_init": 0}', '{"other": []}')),
    *(f'{{"{name}": {{}}}}' for name in ("device", "accelerator", "seed", "seeds", "replace", "controls", "samples")),
    '{"controls": [1]}',
    '{"backbone": {"code": 1}}',
    '{"train_sizes": ["x"]}',
    '{"tuning": 5}',
    '{"control_code": {"linear": 1}}',
]
BAD[run_columns.CountsJson] = [
    *BAD[columns.Facts],
    *(f'{{"head": {value}}}' for value in ('"x"', "[]", "null", "true", '{"vqc": "x"}', '{"vqc": {}}')),
]
TEXTS = (columns.Text, columns.Time, columns.Facts, columns.Numbers)
RUNS = [table for table in schema.metadata.sorted_tables if schema.key_of(table) in ("id", "run_id")]
RUNS = [table for table in RUNS if table.name not in ("reproductions", "sweeps", "trash")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with a store, to be copied, of four runs; the third one has remarks."""
    folder = tmp_path_factory.mktemp("whole")
    location = find_store(str(folder / NAME))
    ids = fill(location, 3)
    with Writer(location) as writer:
        writer.tag([ids[2]], ["paper"])
        writer.note(ids[2], "a note")
    return folder, ids


@pytest.fixture
def ids(location: StoreLocation, whole: tuple[Path, list[str]]) -> list[str]:
    shutil.copytree(whole[0], location.path.parent, dirs_exist_ok=True)
    return whole[1]


def spoil(location: StoreLocation, table: str, column: str, value: Any, run: str, *, as_text: bool = False) -> None:
    """In all rows of a run, or, of a key, in one."""
    key, new = ("id" if table == "runs" else "run_id"), "CAST(? AS TEXT)" if as_text else "?"
    raw = sqlite3.connect(location.path)
    raw.execute("PRAGMA synchronous = OFF")
    raw.execute("PRAGMA ignore_check_constraints = ON")
    assert raw.execute(f"UPDATE OR IGNORE {table} SET {column} = {new} WHERE {key} = ?", (value, run)).rowcount > 0
    raw.commit()
    raw.close()


def kinds() -> Iterator[tuple[str, str, Any, bool]]:
    """Table, column, value, and whether the value is bytes that are to be text, for every column of a run's rows."""
    seen: set[type] = set()
    for table in RUNS:
        for column in table.columns:
            if column.name in ("id", "run_id", "parent_id"):
                continue
            tried = type(column.type) in seen
            seen.add(type(column.type))
            for value in BAD[type(column.type)][: 1 if tried else None]:
                yield table.name, column.name, value, False
            if isinstance(column.type, TEXTS):
                yield table.name, column.name, b"\xff\xfe", True


KINDS = list(kinds())


def code(*words: str) -> object:
    """A command's exit code."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code


def read_all(reader: Reader, run: str) -> None:
    reader.run(run)
    for read in (reader.cells, reader.epochs, reader.predictions, reader.environment, reader.artifacts, reader.owners):
        read(run)
    family(reader, run)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "table",
    [
        t.name if t.name in ("lineage", "notes") else pytest.param(t.name, marks=pytest.mark.slow) for t in RUNS
    ],  # of few columns
)
def test_a_bad_value_hides_no_other_run(
    location: StoreLocation, ids: list[str], table: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, sound = ids[2], [run for run in ids if run != ids[2]]
    content = location.path.read_bytes()
    before = {run.id: run for run in Reader(location).runs()}
    for name, column, value, as_text in KINDS:
        if name != table:
            continue
        what = (column, value if not isinstance(value, str) else value[:20])
        spoil(location, table, column, value, bad, as_text=as_text)
        caplog.clear()
        reader = Reader(location)
        found = {run.id: run for run in reader.runs()}
        assert {run: found[run] for run in sound} == {run: before[run] for run in sound}, what
        if bad not in found:
            (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
            assert bad in line
            assert "qtlplat store check" in line
        rows = Reader(location).table(["run", "f1", "head.size", "replace"], where="env.python = '3.11' and f1 > 0")
        assert set(sound[1:]) <= {row["run"] for row in rows}, what
        assert len(gather(Reader(location), sound, probabilities=True)) == 3
        assert mistakes(Reader(location), sound).predictions == 6
        one = Reader(location)
        # which nobody reads; and of means over cells rankings read one, which the cells tell as well
        if (column != "since" or table not in schema.REMARKS) and table != "run_metrics":
            with pytest.raises(DamagedRunError, match=f"{table}.{column}"):  # it never passes for whole
                read_all(one, bad)
        problems = check(location).problems
        assert any(f"{table}.{column}" in p.what and p.where == f"run {bad}" for p in problems), what
        assert all(run not in f"{p.where} {p.what}" for p in problems for run in sound), what
        location.path.write_bytes(content)


def test_a_bad_value_hides_no_other_damage(location: StoreLocation, ids: list[str]) -> None:
    spoil(location, "runs", "host", b"\xff", ids[2], as_text=True)
    spoil(location, "runs", "plan", "{broken", ids[1])
    sql(location, "UPDATE predictions SET predicted = 0 WHERE run_id = ?", ids[3])
    sql(location, "DROP INDEX ix_tags_tag")
    next((location.files / "weights").iterdir()).unlink()
    found = {
        (p.what.split(":")[0].split(";")[0], p.where.rpartition("/")[0] or p.where) for p in check(location).problems
    }
    folder = str(location.files / "weights")
    assert found >= {
        ("cannot be read", f"run {ids[2]}"),
        ("cannot be read", f"run {ids[1]}"),
        ("not as stored", f"run {ids[3]}"),
        ("the index 'ix_tags_tag' is missing", str(location.path.parent)),
        ("the file is missing", folder),
    }


@pytest.mark.slow
def test_every_listing_tells_sound_runs_and_names_the_damaged_one(
    location: StoreLocation, ids: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = ids[2]
    spoil(location, "components", "options", "{broken", bad)
    store = ["--store", str(location.path)]
    for command in (
        ["runs", "--json"],
        ["runs", "--where", "head.size = 3", "--json"],
        ["best", "--json", "--by", "run"],
        ["pareto", "f1", "seconds", "--json"],
        ["report", "--where", "f1 > 0"],
        ["plot", "--where", "f1 > 0", "-o", str(tmp_path / "p.svg")],
        ["export", "--where", "f1 > 0", "-o", str(tmp_path / "all.zip")],
    ):
        assert code(*store, *command) == 0, command
        out, err = capsys.readouterr()
        assert bad in err, command
        assert "qtlplat store check" in err
        if "--json" in command:
            rows = json.loads(out)
            listed = {row["run"] for row in (rows if isinstance(rows, list) else rows["rows"])}
            assert listed
            assert listed <= set(ids) - {bad}
    for command in (["show", bad], ["compare", ids[1], bad], ["export", bad, "-o", str(tmp_path / "b.zip")]):
        assert code(*store, *command) == 5
        assert bad in capsys.readouterr().err
    for command in (["show", ids[1]], ["compare", ids[1], ids[3]], ["export", ids[1], "-o", str(tmp_path / "b.zip")]):
        assert code(*store, *command) == 0


@pytest.mark.slow
def test_a_bundle_by_filter_lacks_what_is_not_whole(
    location: StoreLocation, ids: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sql(location, "UPDATE predictions SET predicted = 0 WHERE run_id = ?", ids[1])
    next(path for path in (location.files / "weights").iterdir() if path.stat().st_size == len("weights!")).unlink()
    bundle = tmp_path / "b.zip"
    store = ["--store", str(location.path), "export", "-o", str(bundle), "--json"]
    for named in ([ids[1], ids[3]], ["@last", ids[2]]):
        assert code(*store, *named) == 5
        assert not bundle.exists()
    capsys.readouterr()
    assert code(*store, "--where", "kind = 'run'") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["runs"] == [ids[3]]
    assert "left out, damaged: " in err
    assert ids[1] in err
    assert ids[2] in err
    sql(location, "UPDATE predictions SET predicted = 0 WHERE run_id = ?", ids[0])  # on which all others build
    bundle.unlink()
    assert code(*store, "--where", "kind = 'run'") == 2
    assert not bundle.exists()


def test_what_is_recovered_has_no_bad_values(location: StoreLocation, ids: list[str], tmp_path: Path) -> None:
    spoil(location, "predictions", "probabilities", "[", ids[1])
    spoil(location, "runs", "plan", "{", ids[2])
    spoil(location, "artifacts", "bytes", "many", ids[3])
    new = find_store(str(tmp_path / "new" / "store.db"))
    found = recover(location, new)
    assert found.whole == [ids[0]]
    assert found.gone == [ids[2]]
    assert found.in_part == {ids[1]: ["predictions"], ids[3]: ["artifacts"]}
    assert check(new).problems == ()
    assert {run.id for run in Reader(new).runs()} == set(ids) - {ids[2]}


def test_a_remark_that_is_damaged_is_not_merged(location: StoreLocation, ids: list[str], tmp_path: Path) -> None:
    spoil(location, "notes", "since", "yesterday", ids[2])
    new = find_store(str(tmp_path / "new" / "store.db"))
    done = merge(new, location, partly=True)
    assert set(done.runs) == set(ids) - {ids[2]}
    assert "notes.since" in done.left_out[ids[2]]
    assert check(new).problems == ()


def test_an_id_that_is_no_text_hides_nothing(location: StoreLocation, ids: list[str], tmp_path: Path) -> None:
    sql(location, "UPDATE runs SET id = CAST(x'ff' AS TEXT) WHERE id = ?", ids[2])
    assert {run.id for run in Reader(location).runs()} == set(ids) - {ids[2]}
    problems = {(p.what, p.where) for p in check(location).problems}
    assert ("cannot be read: runs.id: bytes that are not UTF-8", "run '\\udcff'") in problems
    assert ("it was stored and is not there any more", f"run {ids[2]}") in problems
    assert set(recover(location, find_store(str(tmp_path / "new.db"))).whole) == set(ids) - {ids[2]}


@pytest.mark.parametrize("column", ["created", "cuts"])
@pytest.mark.sampled(1)
def test_a_damaged_reproduction_hides_no_run(location: StoreLocation, ids: list[str], column: str) -> None:
    sql(location, f"UPDATE reproductions SET {column} = 'x'")
    assert len(Reader(location).runs()) == 4
    assert Reader(location).reproductions() == []
    assert any(f"reproductions.{column}" in problem.what for problem in check(location).problems)


@pytest.mark.parametrize(("table", "column"), [("sweeps", "definition"), ("sweep_members", "point")])
def test_a_damaged_sweep_hides_no_run(location: StoreLocation, ids: list[str], table: str, column: str) -> None:
    assert [one.content for one in sweeps(Reader(location))] == [SWEEP]
    sql(location, f"UPDATE {table} SET {column} = 'x'")
    assert len(Reader(location).runs()) == 4
    assert sweeps(Reader(location)) == []
    assert any(f"{table}.{column}" in problem.what for problem in check(location).problems)


@pytest.mark.slow
def test_behind_a_server_a_bad_value_hides_no_other_run(behind_a_server: StoreLocation) -> None:
    ids = fill(behind_a_server, 2)
    for table, column, value in (("runs", "plan", "{broken"), ("components", "options", "[1]"),
                                 ("runs", "created", "x"), ("predictions", "probabilities", "[")):  # fmt: skip
        key = "id" if table == "runs" else "run_id"
        ((before,), *_) = sql(behind_a_server, f"SELECT {column} FROM {table} WHERE {key} = ?", ids[1])
        sql(behind_a_server, f"UPDATE {table} SET {column} = ? WHERE {key} = ?", value, ids[1])
        reader = Reader(behind_a_server)
        assert {ids[0], ids[2]} <= {run.id for run in reader.runs()}
        rows = Reader(behind_a_server).table(["run"], where="replace = 'all' and head.size = 3")
        assert ids[2] in {row["run"] for row in rows}
        with pytest.raises(DamagedRunError, match=f"{table}.{column}"):
            reader.predictions(reader.run(ids[1]).id)
        assert any(f"{table}.{column}" in problem.what for problem in check(behind_a_server).problems)
        sql(behind_a_server, f"UPDATE {table} SET {column} = ? WHERE {key} = ?", before, ids[1])
    problems = check(behind_a_server).problems  # of components and predictions, one value is in all rows now
    assert {problem.where for problem in problems} <= {f"run {ids[1]}"}
