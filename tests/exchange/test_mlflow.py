"""Runs in MLflow, as its own client reads them: parameters, metrics with steps, nested cells, and no second copy."""

import json
import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exchanged import Sent, change, fill, qtlplat

from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

pytestmark = pytest.mark.filterwarnings("ignore")  # what MLflow says about its own libraries


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, str, str], Path]:
    """A store, its ids, and a directory with all of them in MLflow; making one takes MLflow many seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    ids = fill(folder / "s.db")
    done = qtlplat(folder / "s.db", "export", *ids, "--to", "mlflow", folder / "m", "--with-weights", "--json")
    assert done.code == 0, done.err
    assert done.err == ""
    assert [row["run"] for row in done.json["rows"]] == list(ids)
    return folder / "s.db", ids, folder / "m"


@pytest.fixture
def client(exported: tuple[Path, tuple[str, str, str], Path]) -> Iterator[Any]:
    from mlflow import MlflowClient

    uri = f"sqlite:///{exported[2] / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    yield client
    client._tracking_client.store.engine.dispose()


def runs(client: Any, condition: str) -> list[Any]:
    (experiment,) = [e for e in client.search_experiments() if e.name == "qtlplat"]
    return list(client.search_runs([experiment.experiment_id], condition))


def one(client: Any, run_id: str) -> Any:
    (found,) = runs(client, f"tags.`qtlplat.run` = '{run_id}'")
    return found


@pytest.mark.slow
def test_a_run_has_its_parameters_metrics_and_words(exported: Any, client: Any) -> None:
    store, (parent, run, failed), _ = exported
    shown = qtlplat(store, "show", run, "--json").json
    found = one(client, run)
    assert found.info.run_name == f"dressed5x3 on dressed5x3 {run[:8]}"
    assert found.info.status == "FINISHED"
    assert found.data.params["plan.training.learning_rate"] == "0.001"
    assert found.data.params["head"] == "dressed5x3"
    assert found.data.params["head.options.size"] == "3"
    assert found.data.params["parameters.head.total"] == "8230"
    assert found.data.metrics["f1"] == pytest.approx(shown["metrics"]["f1"]["mean"], abs=1e-15)
    assert found.data.metrics["f1_sd"] == pytest.approx(shown["metrics"]["f1"]["std"], abs=1e-15)
    assert found.data.metrics["f1 of linear"] == pytest.approx(0.925, abs=1e-15)
    assert math.isnan(found.data.metrics["accuracy"])
    assert found.data.metrics["leakage"] == 0.5
    assert found.data.tags["qtlplat.pretraining"] == parent
    assert {name for name in found.data.tags if name.startswith("qtlplat.tag.")} == {
        f"qtlplat.tag.{tag}" for tag in shown.get("tags", [])
    }
    assert found.data.tags.get("mlflow.note.content") == shown.get("note")
    assert one(client, failed).info.status == "FAILED"


@pytest.mark.slow
def test_cells_are_nested_runs_with_every_epoch_at_its_step(exported: Any, client: Any) -> None:
    store, (_, run, _), _ = exported
    parts = runs(client, f"tags.`mlflow.parentRunId` = '{one(client, run).info.run_id}'")
    by_cell = {int(part.data.tags["qtlplat.cell"]): part for part in parts}
    reader = Reader(find_store(str(store)))
    cells = reader.cells(run)
    assert sorted(by_cell) == [cell.position for cell in cells]
    for cell in cells:
        part = by_cell[cell.position]
        assert part.data.params["fold"] == str(cell.fold)
        assert part.data.params["test_hash"] == cell.test_hash
        assert part.data.metrics["f1"] == cell.metrics["f1"]
        stored = [e for e in reader.epochs(run) if e.cell == cell.position]
        for name in ("test_loss", "gate_norm"):
            history = client.get_metric_history(part.info.run_id, name)
            read = [(m.step, m.value) for m in sorted(history, key=lambda m: m.step)]
            assert repr(read) == repr([(e.epoch, e.values[name]) for e in stored])
    mean = client.get_metric_history(one(client, run).info.run_id, "test_loss")
    assert {(m.step, m.value) for m in mean} == {(0, 1.0), (1, 0.5), (2, 0.25)}


@pytest.mark.slow
def test_files_are_artifacts(exported: Any, client: Any) -> None:
    _, (_, run, _), directory = exported
    found = one(client, run)
    assert {a.path for a in client.list_artifacts(found.info.run_id)} == {"run.json", "weights"}
    (file,) = client.list_artifacts(found.info.run_id, "weights")
    assert Path(client.download_artifacts(found.info.run_id, file.path)).read_bytes() == b"of the heads"
    told = json.loads(Path(client.download_artifacts(found.info.run_id, "run.json")).read_text())
    assert told["run"]["id"] == run
    assert found.info.artifact_uri.startswith(directory.as_uri())


@pytest.mark.slow
def test_a_second_export_changes_nothing_but_remarks(exported: Any, client: Any) -> None:
    store, (_, run, _), directory = exported
    before = one(client, run).info.run_id
    change(store, "DELETE FROM tags")
    assert qtlplat(store, "export", run, "--to", "mlflow", directory, "--with-weights").code == 0
    found = one(client, run)
    assert found.info.run_id == before
    assert [name for name in found.data.tags if name.startswith("qtlplat.tag.")] == []
    assert len(runs(client, "")) == 3 + 4


@pytest.mark.slow
def test_a_run_that_was_cut_off_half_way_is_written_anew(exported: Any, client: Any) -> None:
    store, (_, run, _), directory = exported
    before = one(client, run).info.run_id
    client.delete_tag(before, "qtlplat.content")
    assert qtlplat(store, "export", run, "--to=mlflow", "-o", directory, "--with-weights").code == 0
    assert one(client, run).info.run_id != before
    assert client.get_run(before).info.lifecycle_stage == "deleted"
    assert len(runs(client, "")) == 3 + 4


@pytest.mark.slow
def test_neither_torch_nor_a_network_is_needed(sent: Sent) -> None:
    program = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise RuntimeError('network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from qtlplat.cli.app import _run\n"
        "code = _run(sys.argv[1:])\n"
        "print(code, [n for n in ('torch', 'pennylane', 'tensorflow') if n in sys.modules])\n"
    )
    for to in ("mlflow", "tensorboard"):
        words = ["export", sent.run, "--to", to, str(sent.other.parent / to), "--store", str(sent.store)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "MLFLOW", "CI", "DO_NOT"))}
        done = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, env=environment
        )
        assert done.stdout.splitlines()[-1] == "0 []", done.stderr
        assert "network" not in done.stderr
        assert done.stderr == ""


@pytest.mark.slow
def test_a_database_of_something_else_is_refused(sent: Sent, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "mlflow.db").write_text("no database" * 99)
    told = qtlplat(sent.store, "export", sent.run, "--to", "mlflow", tmp_path / "d")
    assert told.code == 5
    assert "MLflow cannot write there" in told.err
    (tmp_path / "file").write_text("")
    assert qtlplat(sent.store, "export", sent.run, "--to", "mlflow", tmp_path / "file").code == 5


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_without_the_library_the_command_that_installs_it_is_named(
    name: str, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    told = qtlplat(sent.store, "export", sent.run, "--to", name, sent.other.parent / "d")
    assert told.code == 3
    assert f"pip install 'qtlplat[{name}]'" in told.err
    assert list(sent.other.parent.iterdir()) == []


def test_names_are_what_mlflow_takes_and_stay_apart() -> None:
    from qtlplat_trackers.to_mlflow import _named

    names = ["a/b", "a:b", "../x", "", "ü", "x" * 400, "x" * 401, "a\x1b", "a\n"]
    found = _named({name: i for i, name in enumerate(names)})
    assert list(found.values()) == list(range(len(names)))
    assert all(0 < len(name) <= 250 and name.isascii() and name.isprintable() for name in found)
    assert not any(name.startswith(".") or set(name) & set("/\\:") for name in found)


def test_sqlite_holds_what_tests_spoil(sent: Sent) -> None:
    """The store in these tests is one that has what trackers are asked about: a NaN, a control, a nasty name."""
    raw = sqlite3.connect(sent.store)
    assert raw.execute("SELECT count(*) FROM metrics WHERE value = 'NaN'").fetchone() == (1,)
    assert raw.execute("SELECT count(DISTINCT variant) FROM cells").fetchone() == (2,)
    raw.close()
