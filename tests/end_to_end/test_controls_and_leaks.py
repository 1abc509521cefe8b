"""Controls are cells of the same run; every cell says what its backbone had seen."""

import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from qtlplat.runs import execute
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader
from qtlplat_steel_synth.options import SteelSynthOptions
from qtlplat_steel_synth.surfaces import load

from .conftest import SMALL

HEAD = "--head 'dressed[qubits=2,layers=1]'"
VALIDATED = "-S pretraining.monitor=validation -S pretraining.val_size=0.1"


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    return tmp_path_factory.mktemp("controlled") / "s.db"


def test_controls_are_cells_of_the_run_and_leave_its_metrics_alone(json_of, qtlplat, controlled):
    plain = json_of(f"run {SMALL} {HEAD} --store", controlled)
    run = json_of(f"run {SMALL} {HEAD} --controls auto --store", controlled)
    assert run["fingerprint"] != plain["fingerprint"]
    assert run["metrics"] == plain["metrics"]  # bitwise: the head's cells are what they are without controls
    shown = json_of(f"show {run['run']} --store", controlled)
    variants = [cell["variant"] for cell in shown["cells"]]
    names = ["head", "linear", "mlp", "identity", "unentangled", "frozen", "shuffled"]
    assert variants == [name for name in names for _ in range(2)]
    assert [cell["position"] for cell in shown["cells"]] == list(range(14))
    for first, second in zip(shown["cells"][::2], shown["cells"][1::2], strict=True):
        for cell, own in ((first, shown["cells"][0]), (second, shown["cells"][1])):
            assert (cell["fold"], cell["test_hash"], cell["train_hash"]) == (
                own["fold"],
                own["test_hash"],
                own["train_hash"],
            )
    assert len(shown["epochs"]) == 14 * 2
    assert shown["parameters"]["controls"].keys() == set(names[1:])
    _, out, _ = qtlplat(f"show {run['run']} --cells --store", controlled)
    assert "the head and its controls" in out
    assert out.splitlines()[1].startswith("0\t")
    assert f"± {np.std(run['metrics']['f1']['values'], ddof=1):.4f}" in out
    assert len(json_of("runs --kind run --store", controlled)[0]["metrics"]["f1"]["values"]) == 2


@pytest.mark.slow
def test_shuffled_labels_are_the_same_labels_in_another_order(json_of, controlled):
    run = json_of(f"run {SMALL} {HEAD} --controls shuffled --store", controlled)
    predictions = Reader(find_store(str(controlled))).predictions(run["run"])
    true = {p.sample_id: p.label for p in predictions if p.cell < 2}
    shuffled = {p.sample_id: p.label for p in predictions if p.cell >= 2}
    assert true.keys() == shuffled.keys()
    assert sorted(true.values()) == sorted(shuffled.values())
    assert true != shuffled


def test_a_shared_backbone_leaks_and_the_page_says_so(json_of, qtlplat, controlled):
    run = json_of(f"run {SMALL} --head linear --store", controlled)
    cells = json_of(f"show {run['run']} --store", controlled)["cells"]
    tested = sum(cell["n_test"] for cell in cells)
    seen = sum(cell["leakage"] * cell["n_test"] for cell in cells)
    assert seen == pytest.approx(0.8 * tested, abs=1)  # of all samples, the test part of pretraining was not seen
    assert all(cell["leakage"] <= cell["group_leakage"] <= 1 for cell in cells)
    assert {cell["pretraining"] for cell in cells} == {run["pretraining"]}
    for command in (f"show {run['run']}", f"run {SMALL} --head linear --reuse"):
        _, out, _ = qtlplat(f"{command} --store", controlled)
        words = f"the backbone was trained on {100 * seen / tested:.0f} % of the test samples"
        assert re.search(f"^leakage:? +{words}", out, re.MULTILINE)


@pytest.mark.slow
def test_nested_cells_have_a_backbone_each_and_no_leak(json_of, qtlplat, controlled):
    line = SMALL.replace("kfold[folds=2]", "nested[folds=2,grouped=true]") + " -S pretraining.val_size=0.3"
    run = json_of(f"run {line} --head linear -S pretraining.grouped=true --store", controlled)
    cells = json_of(f"show {run['run']} --store", controlled)["cells"]
    assert [(cell["leakage"], cell["group_leakage"]) for cell in cells] == [(0, 0), (0, 0)]
    assert len({cell["pretraining"] for cell in cells}) == 2
    assert run["pretraining"] is None
    for cell in cells:
        pretraining = json_of(f"show {cell['pretraining']} --store", controlled)
        assert pretraining["kind"] == "pretraining"
        assert pretraining["cells"][0]["n_train"] + pretraining["cells"][0]["n_test"] == cell["n_train"]
    _, out, _ = qtlplat(f"show {run['run']} --store", controlled)
    assert "leakage:" not in out
    again = json_of(f"run {line} --head 'mlp[hidden=[2]]' -S pretraining.grouped=true --store", controlled)
    found = json_of(f"show {again['run']} --store", controlled)["cells"]
    assert [cell["pretraining"] for cell in found] == [cell["pretraining"] for cell in cells]


def test_nested_cells_train_on_the_features_of_their_own_backbone(json_of, controlled):
    """The heads of both folds, one by one and stacked with their features side by side, are the same heads."""
    line = SMALL.replace("kfold[folds=2]", "nested[folds=2]")
    run = json_of(f"run {line} --head linear --store", controlled)
    reader = Reader(find_store(str(controlled)))
    features = [a for a in reader.artifacts(run["run"]) if a.kind == "features"]
    assert len(features) == 2
    assert run["metrics"]["loss"]["values"][0] != run["metrics"]["loss"]["values"][1]


@pytest.mark.slow
def test_holdout_tests_what_the_backbone_was_not_trained_on(json_of, qtlplat, controlled):
    line = SMALL.replace("kfold[folds=2]", "holdout")
    run = json_of(f"run {line} --head linear --n-seeds 3 --store", controlled)
    cells = json_of(f"show {run['run']} --store", controlled)["cells"]
    assert [(cell["seed"], cell["leakage"]) for cell in cells] == [(0, 0), (1, 0), (2, 0)]
    assert all(cell["group_leakage"] > 0 for cell in cells)
    _, out, _ = qtlplat(f"show {run['run']} --store", controlled)
    assert re.search("^leakage +the source image of", out, re.MULTILINE)
    assert "best epoch" not in out
    chosen = " -S pretraining.monitor=test -S pretraining.val_size=0"
    _, out, _ = qtlplat(f"run {line} --head linear{chosen} --store", controlled)
    assert "the backbone's best epoch was chosen on 100 % of the test samples" in out


@pytest.mark.slow
def test_a_pretraining_says_what_its_test_part_shares_with_training(json_of, qtlplat, controlled):
    run = json_of(f"run {SMALL} --head linear --store", controlled)
    (cell,) = json_of(f"show {run['pretraining']} --store", controlled)["cells"]
    assert (cell["leakage"], cell["selection_leakage"]) == (0, 0)
    assert 0 < cell["group_leakage"] <= 1


@pytest.mark.parametrize(
    ("option", "code", "words"),
    [
        ("--controls lineal", 3, "no such control: 'lineal'"),
        ("--controls auto,linear", 3, "auto stands alone"),
        ("--controls identity --head linear", 3, "control identity does not fit the head linear"),
        ("--evaluator holdout[grouped=true]", 3, "-S pretraining.grouped=true"),
        (f"--evaluator nested[folds=2] -S pretraining.grouped=true {VALIDATED}", 3, "samples for validation"),
    ],
)
@pytest.mark.sampled(2)
def test_wrong_controls_and_evaluators_are_refused(qtlplat, tmp_path, option, code, words):
    found, out, err = qtlplat(f"run {SMALL} {HEAD} {option} --store", tmp_path / "s.db")
    assert found == code, err
    assert words in err
    assert out == ""


def test_fitted_controls_resume_and_are_those_of_scikit_learn(qtlplat, json_of, monkeypatch, tmp_path):
    """Stopped after one cell, and resumed: the stored probabilities follow from the stored features."""
    store, fitted = tmp_path / "s.db", []

    def one(*arguments):
        if fitted:
            raise KeyboardInterrupt
        fitted.append(1)
        return fit_cell(*arguments)

    fit_cell = execute.fit_cell
    monkeypatch.setattr(execute, "fit_cell", one)
    line = f"run {SMALL} --head linear --controls svm-rbf,logistic --store {store}"
    assert qtlplat(line)[0] == 130
    monkeypatch.setattr(execute, "fit_cell", fit_cell)
    assert qtlplat(f"resume --store {store}")[0] == 0
    run = json_of(f"show @last --store {store}")
    assert run["parameters"]["controls"]["svm-rbf"] is None
    assert [c["variant"] for c in run["cells"]] == ["head"] * 2 + ["logistic"] * 2 + ["svm-rbf"] * 2
    assert all(set(c["metrics"]) == set(run["cells"][0]["metrics"]) for c in run["cells"])
    assert len(json_of(f"compare @last --store {store}")["rows"]) == 3

    cells = {c["position"] for c in run["cells"] if c["variant"] == "logistic"}
    rows = [row for row in Reader(find_store(str(store))).predictions(run["run"]) if row.cell in cells]
    features = np.load(next((tmp_path / "s.files" / "features").glob("*.npy")))
    images = load(SteelSynthOptions(per_class=18, images_per_kind=8))
    at = {name: i for i, name in enumerate(images.sample_ids)}
    for cell in cells:
        tested = [at[row.sample_id] for row in rows if row.cell == cell]
        train = np.setdiff1d(np.arange(len(images)), tested)
        mean, sd = features[train].astype(float).mean(axis=0), features[train].astype(float).std(axis=0)
        scaled = (features - mean) / np.where(sd > 0, sd, 1)
        model = LogisticRegression(max_iter=10_000).fit(scaled[train], images.labels[train])
        found = [row.probabilities for row in rows if row.cell == cell]
        np.testing.assert_allclose(found, model.predict_proba(scaled[tested]), atol=1e-9)
