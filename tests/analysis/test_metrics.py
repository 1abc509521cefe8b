"""Metrics agree with scikit-learn 1.9; the parameter counts with the counts that follow from the paper's shapes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn import metrics as reference
from sklearn.preprocessing import label_binarize

from qtlplat.analysis.metrics import CALIBRATION_BINS, class_metrics, classification_metrics, undefined_metrics
from qtlplat.analysis.parameter_counts import parameter_counts
from qtlplat.metrics import SHIPPED

predictions = st.tuples(st.integers(2, 5), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([2, 30]))


def drawn(n_classes, n, seed, bits):
    """Labels (n,) and probabilities (n, K) that sum to 1; few bits make ties, which ranks must count half."""
    rng = np.random.default_rng(seed)
    steps = rng.multinomial(2**bits, rng.dirichlet(np.ones(n_classes)), size=n)
    return rng.integers(n_classes, size=n), steps / steps.sum(axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(predictions)
def test_metrics_of_predicted_classes_agree_with_scikit_learn(given_):
    labels, probabilities = drawn(*given_)
    k, predicted = probabilities.shape[1], probabilities.argmax(1)
    ours = classification_metrics(labels, probabilities)
    average = {"pos_label": 1} if k == 2 else {"average": "macro", "labels": list(range(k))}
    for name, function in (("precision", reference.precision_score), ("recall", reference.recall_score)):
        assert ours[name] == pytest.approx(function(labels, predicted, zero_division=0, **average), abs=1e-12)
    assert ours["f1"] == pytest.approx(reference.f1_score(labels, predicted, zero_division=0, **average), abs=1e-12)
    assert ours["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted), abs=1e-12)
    assert {name: ours[name] for name in ("f1", "accuracy", "precision", "recall")} == class_metrics(
        labels, predicted, k
    )


@settings(max_examples=100, deadline=None)
@given(predictions)
def test_metrics_of_probabilities_agree_with_scikit_learn(given_):
    labels, probabilities = drawn(*given_)
    every = list(range(probabilities.shape[1]))
    ours = classification_metrics(labels, probabilities)
    assert ours["loss"] == pytest.approx(reference.log_loss(labels, probabilities, labels=every), abs=1e-9)
    brier = reference.brier_score_loss(labels, probabilities, labels=every, scale_by_half=True)
    assert ours["brier"] == pytest.approx(brier, abs=1e-9)
    if len(every) == 2:
        plain = reference.brier_score_loss(labels, probabilities[:, 1], labels=every, pos_label=1)
        assert ours["brier"] == pytest.approx(plain, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(predictions)
def test_ranks_agree_with_scikit_learn(given_):
    labels, probabilities = drawn(*given_)
    k, there = probabilities.shape[1], np.unique(labels)
    ours = classification_metrics(labels, probabilities)
    # one against the rest; what scikit-learn says of a single class, which it can only for classes that are there
    columns = [1] if k == 2 else list(there)
    aucs = [reference.roc_auc_score(labels == c, probabilities[:, c]) for c in columns if len(there) > 1]
    assert ours["roc_auc"] == pytest.approx(np.mean(aucs) if aucs else math.nan, abs=1e-9, nan_ok=True)
    averages = [reference.average_precision_score(labels == c, probabilities[:, c]) for c in columns if c in there]
    assert ours["average_precision"] == pytest.approx(
        np.mean(averages) if averages else math.nan, abs=1e-9, nan_ok=True
    )
    if 2 < k == len(there):
        whole = reference.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
        assert ours["roc_auc"] == pytest.approx(whole, abs=1e-9)
        binary = label_binarize(labels, classes=range(k))
        whole = reference.average_precision_score(binary, probabilities, average="macro")
        assert ours["average_precision"] == pytest.approx(whole, abs=1e-9)


def by_hand(labels, probabilities, bins):
    """Expected calibration error as Guo et al. (2017) write it, one sample and one bin after the other."""
    total = 0.0
    for m in range(1, bins + 1):
        inside = [
            (max(row), list(row).index(max(row)) == label)
            for label, row in zip(labels, probabilities.tolist(), strict=True)
            if (m - 1) / bins < max(row) <= m / bins
        ]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            confidence = sum(sure for sure, _ in inside) / len(inside)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


@settings(max_examples=60, deadline=None)
@given(predictions)
def test_the_calibration_error_is_that_of_guo_et_al(given_):
    labels, probabilities = drawn(*given_)
    expected = by_hand(labels.tolist(), probabilities, CALIBRATION_BINS)
    assert classification_metrics(labels, probabilities)["ece"] == pytest.approx(expected, abs=1e-9)


def test_every_cell_has_the_metrics_that_are_declared_and_within_their_bounds():
    labels = np.array([0, 1, 2, 1, 0, 2])
    for probabilities in (np.eye(3)[labels], np.eye(3)[(labels + 1) % 3], np.full((6, 3), 1 / 3)):
        found = classification_metrics(labels, probabilities.astype(np.float32))
        assert list(found) == list(SHIPPED)
        assert all(SHIPPED[name].allows(value) and math.isfinite(value) for name, value in found.items())
    best = classification_metrics(labels, np.eye(3)[labels])
    assert {n: v for n, v in best.items() if SHIPPED[n].lower_is_better} == {"loss": 0, "brier": 0, "ece": 0}


def test_a_probability_of_zero_for_the_truth_gives_the_finite_loss_of_scikit_learn():
    labels, probabilities = np.array([0]), np.array([[0.0, 1.0]])
    loss = classification_metrics(labels, probabilities)["loss"]
    assert loss == pytest.approx(reference.log_loss(labels, probabilities, labels=[0, 1]), abs=1e-9)


def test_metrics_without_a_definition_are_nan_and_the_user_hears_of_it():
    even = np.full((4, 2), 0.5)
    ours = classification_metrics(np.zeros(4, dtype=np.int64), even)
    assert math.isnan(ours["roc_auc"])
    assert math.isnan(ours["average_precision"])
    assert classification_metrics(np.ones(4, dtype=np.int64), even)["average_precision"] == 1.0
    tests = {
        "fold 0": np.array([0, 1, 2]),
        "fold 1": np.array([1, 1]),
        "fold 2": np.array([0, 2]),
        "fold 3": np.array([2, 0]),
    }
    assert undefined_metrics(tests, ("a", "b", "c")) == [
        "fold 1 tests a single class: roc_auc is not defined there, and its mean neither",
        "fold 2, fold 3 test no sample of b: roc_auc and average_precision are means over the other classes",
    ]


def test_the_parameter_counts_relate_the_saving_to_the_model_and_to_the_replaced_layers():
    counts = parameter_counts(100, [50, 30, 20], 2, {"pre_net": 6, "vqc": 3, "post_net": 1})
    assert counts == {
        "backbone_total": 200,
        "replaced_layers": 2,
        "replaced": 50,
        "kept": 150,
        "head": {"pre_net": 6, "vqc": 3, "post_net": 1, "total": 10},
        "model_total": 160,
        "reduction_percent_model": 20.0,
        "reduction_percent_replaced": 80.0,
    }
