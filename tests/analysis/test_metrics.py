"""Metrics agree with scikit-learn; the parameter counts with the counts that follow from the paper's shapes."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn import metrics as reference

from qtlplat.analysis.metrics import classification_metrics
from qtlplat.analysis.parameter_counts import parameter_counts


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_metrics_agree_with_scikit_learn(n_classes, n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n)
    probabilities = rng.dirichlet(np.ones(n_classes), size=n)
    predicted = probabilities.argmax(1)
    ours = classification_metrics(labels, probabilities)
    average = {"pos_label": 1} if n_classes == 2 else {"average": "macro", "labels": list(range(n_classes))}
    for name, function in (("precision", reference.precision_score), ("recall", reference.recall_score)):
        assert ours[name] == pytest.approx(function(labels, predicted, zero_division=0, **average), abs=1e-12)
    assert ours["f1"] == pytest.approx(reference.f1_score(labels, predicted, zero_division=0, **average), abs=1e-12)
    assert ours["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted), abs=1e-12)
    loss = reference.log_loss(labels, probabilities, labels=list(range(n_classes)))
    assert ours["loss"] == pytest.approx(loss, rel=1e-6)


def test_a_probability_of_zero_for_the_truth_gives_a_finite_loss():
    assert np.isfinite(classification_metrics(np.array([0]), np.array([[0.0, 1.0]]))["loss"])


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
