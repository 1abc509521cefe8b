"""`run --tune`: every variant and cell is trained with its best candidate, and whoever reads the run sees which."""

import json
import shlex
import shutil

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qtlplat.analysis import convergence
from qtlplat.cli.app import _run
from qtlplat.runs.fitted_controls import inner_losses
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

from .conftest import SMALL

TUNED = SMALL.replace(" --epochs 2", "") + (
    " --head 'dressed[qubits=2,layers=1]' --controls linear,quantum-kernel,logistic --tune -S tuning.epochs=4 "
    "-S tuning.learning_rates=[0.002,0.02] -S tuning.folds=2"
)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    path = tmp_path_factory.mktemp("tuned") / "store.db"
    assert _run([*shlex.split(f"run {TUNED} -q"), "--store", str(path)]) == 0
    return path


def test_cells_are_trained_with_their_best_candidates(tuned, json_of):
    run = json_of("show @last --store", tuned)
    assert [(one["cell"], one["learning_rate"]) for one in run["candidates"]] == [
        *((cell, rate) for cell in range(4) for rate in (0.002, 0.02)),
        *((cell, None) for cell in range(4, 8) for _ in range(4)),
    ]
    for cell in run["cells"][:4]:
        tried = [one for one in run["candidates"] if one["cell"] == cell["position"]]
        best = min(tried, key=lambda one: one["loss"])
        trained = [epoch["epoch"] for epoch in run["epochs"] if epoch["cell"] == cell["position"]]
        assert trained == list(range(1, best["epochs"] + 1))
    assert run["plan"]["tuning"] == {"learning_rates": [0.002, 0.02], "epochs": 4, "folds": 2}
    assert set(run["seconds"]) == {"total", "pretrain", "features", "tune", "fit", "heads"}


def test_controls_with_solvers_of_their_own_are_fitted_with_their_best_candidates(tuned, json_of):
    """The stored probabilities are those of scikit-learn's logistic regression with the stored C, to 1e-9."""
    run = json_of("show @last --store", tuned)
    own = [one for one in run["candidates"] if one["options"]]
    assert {(one["learning_rate"], one["epochs"]) for one in own} == {(None, None)}
    assert [one["number"] for one in own] == [0, 1, 2, 3] * 4
    assert [one["options"]["C"] for one in own] == [0.001, 0.01, 0.1, 1.0] * 2 + [0.1, 1.0, 10.0, 100.0] * 2
    assert [cell["variant"] for cell in run["cells"][4:]] == ["logistic"] * 2 + ["quantum-kernel"] * 2

    files = tuned.with_name("store.files")
    (features,) = (np.load(path).astype(np.float64) for path in (files / "features").glob("*.npy"))
    (facts,) = (json.loads(path.read_text()) for path in (files / "images").glob("*.json"))
    rows = {row.sample_id: row for row in Reader(find_store(str(tuned))).predictions(run["run"]) if row.cell in (4, 5)}
    cells = np.array([rows[name].cell for name in facts["sample_ids"]])
    labels, stored = np.array(facts["labels"]), np.array([rows[n].probabilities for n in facts["sample_ids"]])
    for cell in (4, 5):
        best = min((one for one in own if one["cell"] == cell), key=lambda one: one["loss"])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=best["options"]["C"], max_iter=10_000))
        expected = model.fit(features[cells != cell], labels[cells != cell]).predict_proba(features[cells == cell])
        np.testing.assert_allclose(stored[cells == cell], expected, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_run_stopped_while_it_tunes_such_a_control_ends_bitwise_equal(tuned, qtlplat, monkeypatch, tmp_path):
    store = tmp_path / "store.db"
    shutil.copy(tuned, store)
    shutil.copytree(tuned.with_name("store.files"), tmp_path / "store.files")
    tried = []

    def losses(control, features, labels, cell, inner):
        tried.append(control.name)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return inner_losses(control, features, labels, cell, inner)

    monkeypatch.setattr("qtlplat.runs.tuning.inner_losses", losses)
    code, _, err = qtlplat(f"run {TUNED} -q --store", store)
    assert code == 130, err
    code, _, err = qtlplat("resume -q --store", store)
    assert code == 0, err
    assert tried == ["logistic", "logistic", *["quantum-kernel"] * 3]  # the third cell again, and the last
    code, out, err = qtlplat("replay @last --heads-only --verify --store", store)
    assert code == 0, err
    assert "bitwise" in out + err
    reader = Reader(find_store(str(store)))
    for numbers in (reader.candidates, reader.predictions):
        replayed, resumed, undisturbed = (numbers(run.id) for run in reader.runs(kind="run"))
        assert replayed == resumed == undisturbed


def test_the_page_says_what_was_tried_and_chosen(tuned, qtlplat):
    code, out, _ = qtlplat("show @last --store", tuned)
    assert code == 0
    assert "tried for each cell: learning rates 0.002, 0.02, up to 4 epochs, 2 inner folds" in out
    assert "of 2)" in out
    assert "tried for logistic: C = 0.001, 0.01, 0.1, 1" in out
    assert "tried for quantum-kernel: C = 0.1, 1, 10, 100" in out
    (line,) = [line for line in out.splitlines() if line.startswith("logistic") and "C = " in line]
    assert "of 2)" in line
    assert "the best of the grid is at its end" in out
    assert "not converged" not in out


def test_the_plan_is_found_again_and_printed_as_a_command(tuned, qtlplat, json_of):
    run = json_of("show @last --store", tuned)
    code, out, err = qtlplat(f"run {TUNED} --reuse --json --store", tuned)
    assert code == 0, err
    assert f'"run": "{run["run"]}"' in out
    plan = json_of(f"run {TUNED} --dry-run --store", tuned)
    assert plan["fingerprint"] == run["fingerprint"]
    assert plan["tuning"] == run["plan"]["tuning"]
    untuned = json_of(f"run {SMALL} --head 'dressed[qubits=2,layers=1]' --controls linear --dry-run --store", tuned)
    assert untuned["fingerprint"] != plan["fingerprint"]
    assert "tuning" not in untuned


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("--tune --epochs 3", "and --epochs sets one of them"),
        ("--tune -S training.learning_rate=0.1", "and -S training.learning_rate sets one of them"),
        ("-S tuning.epochs=3 --epochs 3", "and --epochs sets one of them"),
        ("--tune -S tuning.folds=1", "greater than or equal to 2"),
        ("--tune -S tuning.learning_rates=[]", "at least 1 item"),
        ("--tune -S tuning.learning_rates=[0.0]", "greater than 0"),
        ("--tune -S tuning.folds=50", "50 inner folds need as many training samples of every class; fold 0 has 9"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_is_stored(more, words, qtlplat, tmp_path):
    line = f"run {SMALL.replace(' --epochs 2', '')} --head linear {more} --store"
    code, _, err = qtlplat(line, tmp_path / "store.db")
    assert code == (2 if "sets one of them" in words else 3)
    assert words in " ".join(err.split())
    assert not (tmp_path / "store.db").exists()


def test_the_next_command_tunes_too(qtlplat, tmp_path):
    line = f"run {SMALL.replace(' --epochs 2', '')} --head linear --tune -S tuning.epochs=1 --store"
    code, out, err = qtlplat(line, tmp_path / "store.db")
    assert code == 0, err
    (other,) = [line for line in out.splitlines() if "--head dressed" in line]
    assert " --tune -S " in other
    assert "True" not in other


def test_an_untuned_run_whose_loss_still_falls_says_so(qtlplat, tmp_path, monkeypatch):
    monkeypatch.setattr(convergence, "FALL", 0.001)
    head = "--head 'dressed[qubits=2,layers=1]' -S training.learning_rate=0.02"
    code, out, _ = qtlplat(f"run {SMALL.replace('--epochs 2', '--epochs 20')} {head} --store", tmp_path / "store.db")
    assert code == 0
    assert "not converged: the training loss fell by more than 0.001 nats within the last 4 epochs (head 0.0" in out
