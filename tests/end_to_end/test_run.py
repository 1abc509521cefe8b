"""One command from images to a stored result."""

import json
import sqlite3

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

from .conftest import SMALL

RUN_KEYS = {
    "run", "kind", "status", "fingerprint", "dataset", "backbone", "head", "evaluator", "metrics", "parameters",
    "pretraining", "seconds",
}  # fmt: skip


@pytest.mark.slow
def test_the_run_ends_with_folds_parameter_counts_id_and_next_commands(qtlplat, tmp_path):
    code, out, err = qtlplat(f"run {SMALL} --head 'dressed[qubits=2,layers=1]' --store", tmp_path / "s.db")
    assert code == 0, err
    assert "mean" in out
    assert "± sd" in out
    assert "circuit\t" in out
    (run,) = Reader(find_store(str(tmp_path / "s.db"))).runs(kind="run")
    assert f"run {run.id}: F1 {np.mean(run.metrics['f1']):.4f}" in out
    assert f"qtlplat show {run.id[:8]}" in out
    again = "run --dataset 'steel-synth[per_class=18,images_per_kind=8,size=96]' --backbone lenet2 --head linear"
    again = f"qtlplat {again} --evaluator 'kfold[folds=2]' --epochs 2 --pretrain-epochs 1 --store {tmp_path / 's.db'}"
    assert again in out


@pytest.mark.slow
def test_without_data_the_first_line_says_that_surfaces_are_synthetic(qtlplat):
    code, _, err = qtlplat("run --dry-run -S dataset.per_class=18 --evaluator kfold[folds=2]")
    assert code == 0, err
    assert "steel-synth" in err.splitlines()[0]
    assert "say nothing about real steel" in err.splitlines()[0]


def test_json_has_the_fixed_shape_and_show_repeats_it(stored, json_of):
    (run,) = json_of("runs --kind run --store", stored)
    assert set(run) >= RUN_KEYS
    assert run["status"] == "finished"
    assert set(run["head"]) == {"name", "component", "provider", "version", "options"}
    assert set(run["seconds"]) >= {"total", "pretrain", "features", "heads"}
    assert set(run["metrics"]["f1"]) == {"mean", "std", "values"}
    shown = json_of(f"show {run['run'][:6]} --store", stored)
    assert {key: shown[key] for key in run} == run
    assert len(shown["cells"]) == 2
    assert len(shown["epochs"]) == 4
    assert set(shown["epochs"][0]) >= {"cell", "epoch", "seconds", "train_loss", "test_loss", "test_accuracy"}


def test_every_sample_is_predicted_once_and_metrics_follow_from_the_predictions(stored):
    reader = Reader(find_store(str(stored)))
    (run,) = reader.runs(kind="run")
    predictions = reader.predictions(run.id)
    assert len(predictions) == len({p.sample_id for p in predictions}) == 36
    for cell in reader.cells(run.id):
        mine = [p for p in predictions if p.cell == cell.position]
        labels, predicted = [p.label for p in mine], [p.predicted for p in mine]
        assert predicted == [int(np.argmax(p.probabilities)) for p in mine]
        assert cell.metrics["f1"] == pytest.approx(f1_score(labels, predicted, zero_division=0), abs=1e-12)
        assert cell.metrics["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-12)
        assert cell.n_test == len(mine)


def test_the_pretraining_is_a_run_with_its_own_epochs_and_weights(stored):
    location = find_store(str(stored))
    reader = Reader(location)
    (run,) = reader.runs(kind="run")
    pretraining = reader.run(run.pretraining)
    assert pretraining.kind == "pretraining"
    assert pretraining.status == "finished"
    (epoch,) = reader.epochs(pretraining.id)
    assert set(epoch.values) == {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    (weights,) = [a for a in reader.artifacts(pretraining.id) if a.kind == "weights"]
    assert (location.files / weights.path).stat().st_size == weights.bytes


def test_another_head_reuses_backbone_and_features(stored, json_of, qtlplat, tmp_path):
    import shutil

    shutil.copytree(stored.parent, tmp_path / "copy")
    store = tmp_path / "copy" / stored.name
    first = json_of("runs --kind run --store", store)[0]
    code, out, err = qtlplat(f"run {SMALL} --head linear --json --store", store)
    assert code == 0, err
    second = json.loads(out)
    assert "backbone found" in err
    assert "frozen features found" in err
    assert second["pretraining"] == first["pretraining"]
    assert second["fingerprint"] != first["fingerprint"]
    assert second["parameters"]["head"] == {"pre_net": 0, "vqc": 0, "post_net": 128 * 2 + 2, "total": 128 * 2 + 2}
    assert len(json_of("runs --kind pretraining --store", store)) == 1


def test_needed_prints_the_finished_run_and_trains_nothing(stored, json_of):
    before = stored.read_bytes()
    run = json_of("runs --kind run --store", stored)[0]
    again = json_of(f"run {SMALL} --head 'dressed[qubits=2,layers=1]' --reuse --store", stored)
    assert again == run
    assert stored.read_bytes() == before


@pytest.mark.slow
def test_damaged_weights_are_noticed_and_trained_again(stored, qtlplat, tmp_path):
    import shutil

    shutil.copytree(stored.parent, tmp_path / "copy")
    store = tmp_path / "copy" / stored.name
    location = find_store(str(store))
    reader = Reader(location)
    pretraining = reader.runs(kind="pretraining")[0].id
    path = location.files / reader.artifacts(pretraining)[0].path
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    code, _, err = qtlplat(f"run {SMALL} --head linear --store", store)
    assert code == 0, err
    assert "weights are damaged" in err
    assert len(reader.runs(kind="pretraining")) == 2


def test_same_seed_gives_bitwise_equal_metrics_weights_and_predictions(stored, qtlplat, tmp_path):
    code, _, err = qtlplat(f"run {SMALL} --head 'dressed[qubits=2,layers=1]' --store", tmp_path / "again.db")
    assert code == 0, err
    answers = []
    for path in (stored, tmp_path / "again.db"):
        reader = Reader(find_store(str(path)))
        run = reader.runs(kind="run")[0]
        values = [{k: v.hex() for k, v in e.values.items()} for e in reader.epochs(run.id)]
        metrics = {k: [v.hex() for v in values] for k, values in run.metrics.items()}
        weights = sorted(a.sha256 for i in (run.id, run.pretraining) for a in reader.artifacts(i))
        answers.append((values, metrics, weights, [p.probabilities for p in reader.predictions(run.id)]))
    assert answers[0] == answers[1]


def test_seeds_repeat_all_folds(json_of, tmp_path):
    facts = json_of(f"run {SMALL} --head linear --seeds 2 --seed 5 --dry-run --store", tmp_path / "s.db")
    assert [(c["fold"], c["seed"]) for c in facts["cells"]] == [(0, 5), (1, 5), (0, 6), (1, 6)]
    assert not (tmp_path / "s.db").exists()


def test_the_store_opens_with_plain_sqlite(stored):
    with sqlite3.connect(f"file:{stored}?mode=ro", uri=True) as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (2,)
