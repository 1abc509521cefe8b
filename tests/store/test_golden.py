"""Every schema that was released: a store of it is upgraded, and every record read as it was written."""

import math
import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from golden_stores import FOLDER, REVISIONS, golden
from sample_runs import upgrade_at_once

from qtlplat.errors import StoreError
from qtlplat.store.backends.bootstrap import prepare
from qtlplat.store.core import schema
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import EpochRow, PredictionRow
from qtlplat.store.maintenance.check import check
from qtlplat.store.read.queries import Reader


@pytest.fixture(params=REVISIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> StoreLocation:
    return golden(request.param, tmp_path / "old one?.db")


def test_there_is_one_for_each_released_schema() -> None:
    assert [*schema.REVISIONS[:-2]] == REVISIONS  # the last one's is made when the next is begun


def test_an_old_store_is_refused_with_the_command_and_the_check_says_so(old: StoreLocation) -> None:
    with pytest.raises(StoreError, match="older schema") as caught:
        Reader(old).runs()
    assert "qtlplat store upgrade" in caught.value.fix
    (problem,) = check(old).problems
    assert "older schema" in problem.what
    assert problem.fix == "qtlplat store upgrade (it makes a backup first)"


def test_every_record_of_an_old_store_is_read_after_its_upgrade(old: StoreLocation) -> None:
    content, revision = list(sqlite3.connect(old.path).iterdump()), _revision(old.path)
    copy = prepare(old)
    assert copy is not None
    assert list(sqlite3.connect(copy).iterdump()) == content
    assert _revision(copy) == revision
    reader = Reader(old)
    runs = sorted(reader.runs(), key=lambda run: run.seed)
    pretraining, finished, *_ = runs
    assert [run.kind for run in runs] == ["pretraining", *["run"] * 4]
    assert [run.status for run in runs] == ["finished", "finished", "failed", "interrupted", "interrupted"]
    assert [run.error for run in runs] == ["", "", "loss is NaN", "", ""]
    assert [run.seed for run in runs] == [1, 2, 3, 4, 5]
    assert reader.children(pretraining.id) == [run.id for run in reversed(runs[1:])]
    assert [a.path for a in reader.artifacts(pretraining.id)] == ["weights/w.safetensors"]
    assert reader.artifacts(pretraining.id)[0].meta == {"cut": 1}
    for run in runs[1:]:
        assert run.plan == {"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}
        assert run.parameters == {"head": {"total": 6}}
        assert run.fingerprint == "f" * 64
        assert run.dataset_digest == "a" * 64
        assert run.pretraining == pretraining.id
        assert run.components["head"].options == {"qubits": 5, "note": "ü=1"}
        assert reader.environment(run.id) == {"python": "3.11", "odd": 'a "b"\n'}
        first, second = reader.epochs(run.id)
        assert math.isnan(first.values["train_loss"])
        assert {k: v for k, v in first.values.items() if k != "train_loss"} == {
            "test_loss": math.inf,
            "extra": -math.inf,
        }
        assert second == EpochRow(1, 0, 0.5, {"test_accuracy": 0.1})
        assert reader.predictions(run.id) == [PredictionRow(0, "s1", "image-1", 1, 0, (0.1, 0.9))]
        cells = reader.cells(run.id)
        assert [cell.status for cell in cells] == [run.status] * 2
        known = revision != "0001"
        assert [cell.variant for cell in cells] == ["head", "linear" if known else "head"]
        assert {(cell.leakage, cell.group_leakage, cell.selection_leakage) for cell in cells} == {
            (0.25, 0.5, 0.125) if known else (None, None, None)
        }
    assert finished.metrics["f1"] == ((0.75,) if known else (0.75, 0.75))
    assert math.isnan(finished.metrics["auc"][0])
    assert finished.seconds == {"total": 2.5}
    outcomes = reader.reproductions()
    assert [outcome.id == outcome.content.id for outcome in outcomes] == ([True] if known else [])


def test_an_upgraded_store_is_sound_and_its_rows_are_sealed(old: StoreLocation) -> None:
    prepare(old)
    (problem,) = check(old).problems  # the dump has no files beside it
    assert problem.what.startswith("the file is missing")
    raw = sqlite3.connect(old.path)
    raw.execute("UPDATE metrics SET value = 0.5 WHERE name = 'f1'")
    raw.commit()
    raw.close()
    assert "not as stored: rows of metrics" in [problem.what for problem in check(old).problems]


@pytest.mark.parametrize("processes", [4, pytest.param(16, marks=pytest.mark.slow)])
def test_an_upgrade_that_several_processes_race_for_is_made_once(tmp_path: Path, processes: int) -> None:
    location = golden(REVISIONS[0], tmp_path / "store.db")
    context = multiprocessing.get_context("forkserver")
    barrier, made = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=upgrade_at_once, args=(location, barrier, made)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    backups = [made.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * processes
    (backup,) = filter(None, backups)
    assert [str(path) for path in tmp_path.glob("*before*")] == [backup]
    assert len(Reader(location).runs()) == 5


def _revision(path: Path) -> str:
    raw = sqlite3.connect(path)
    (found,) = raw.execute("SELECT version_num FROM qtlplat_schema").fetchone()
    raw.close()
    return str(found)


def test_the_maker_writes_the_newest_schema(tmp_path: Path) -> None:
    """So that the next golden database can be made."""
    import subprocess
    import sys

    made = subprocess.run([sys.executable, str(FOLDER / "make.py")], capture_output=True, text=True, check=True).stdout
    assert f"INSERT INTO \"qtlplat_schema\" VALUES('{schema.REVISIONS[-1]}')" in made
    raw = sqlite3.connect(tmp_path / "made.db")
    raw.executescript(made)
    assert raw.execute("SELECT count(*) FROM runs").fetchone() == (5,)
    raw.close()
