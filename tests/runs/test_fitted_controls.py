"""Controls with solvers of their own: they see training samples alone, and what they return is checked."""

import numpy as np
import pytest
import torch

from qtlplat.backbones.model import HeadFactory
from qtlplat.catalog.provider import Component, Provider
from qtlplat.contracts import Cell, NoOptions
from qtlplat.control_specs import FittedControlSpec
from qtlplat.errors import ConfigError, PluginError
from qtlplat.runs.fitted_controls import fit_cell, fitted_controls, fitted_problem
from qtlplat.specs import HeadSpec
from qtlplat.state.epochs import CellKey
from qtlplat_linear import build_linear

OWNER = Provider("acme", "1", "acme", "acme")
LABELS = np.arange(20) % 2
HEAD = HeadFactory(HeadSpec(name="linear", summary="one layer", build=build_linear), NoOptions(), 4, 2, None)


def shares(*, labels, n_classes, **_others):
    """Always the shares of the training samples."""
    share = np.bincount(labels, minlength=n_classes) / len(labels)
    return lambda test: np.tile(share, (len(test), 1))


def control(fit=shares, **more):
    spec = FittedControlSpec(name="theirs", summary="of a third party", fit=fit, **more)
    (one,) = fitted_controls(
        {"theirs": Component(spec, OWNER)}, HEAD, LABELS, [Cell(0, 0, np.arange(20), np.array([0]))]
    )
    return one


def returns(make):
    return lambda **_given: lambda test: make(len(test))


def test_a_control_is_fitted_to_the_training_samples_of_its_cell_alone():
    """Everything but the training samples is not a number, and labels of test samples are no class."""
    features, labels = torch.full((20, 4), torch.nan), np.full(20, 99)
    train, test = np.array([3, 1, 8, 6]), np.array([0, 2])
    features[train], features[test] = torch.arange(16.0).reshape(4, 4), -1.0
    labels[train] = [0, 1, 0, 0]
    seen = []

    def fit(*, features, labels, n_classes, seed, embedding):
        seen.append((features, labels, n_classes, seed, embedding))

        def predict(test):
            seen.append(test)
            return np.full((len(test), 2), 0.5)

        return predict

    made, key = control(fit), CellKey(2, 0)
    seen.clear()
    one = fit_cell(made, key, features, labels, Cell(0, 7, train, test))
    (given, classes, n_classes, seed, embedding), tested = seen
    np.testing.assert_array_equal(given, np.arange(16.0).reshape(4, 4))
    assert given.dtype == tested.dtype == np.float64
    assert classes.tolist() == [0, 1, 0, 0]
    assert (n_classes, embedding) == (2, None)
    np.testing.assert_array_equal(tested, np.full((2, 4), -1.0))
    assert (one.key, one.state, one.probabilities.shape) == (key, {}, (2, 2))
    fit_cell(made, key, features, labels, Cell(1, 7, train, test))
    assert seen[2][3] != seed  # another fold, another seed
    fit_cell(made, key, features, labels, Cell(0, 7, train, test))
    assert seen[4][3] == seed


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: [[0.5, 0.5]] * n, "it must be float64"),
        (lambda n: np.full((n, 2), 0.5, np.float32), "float32 \\(3, 2\\), it must be float64 \\(3, 2\\)"),
        (lambda n: np.ones((n, 3)) / 3, "\\(3, 3\\), it must be float64 \\(3, 2\\)"),
        (lambda n: np.full((n, 2), np.nan), "returned no probabilities"),
        (lambda n: np.tile([1.5, -0.5], (n, 1)), "returned no probabilities"),
        (lambda n: np.ones((n, 2)), "returned no probabilities"),
        (lambda _n: 1 / 0, "predicting with control theirs failed"),
    ],
)
def test_what_is_no_probability_is_an_error_of_the_plugin(make, message):
    with pytest.raises(PluginError, match=message) as caught:
        control(returns(make))
    assert caught.value.where == "acme"


def test_the_order_in_which_controls_were_typed_does_not_matter():
    specs = [FittedControlSpec(name=name, summary="of a third party", fit=shares) for name in ("b", "a")]
    baselines = {spec.name: Component(spec, OWNER) for spec in specs}
    cells = [Cell(0, 0, np.arange(20), np.array([0]))]
    assert [one.name for one in fitted_controls(baselines, HEAD, LABELS, cells)] == ["a", "b"]


def test_a_control_says_what_it_cannot_be_fitted_to():
    def fit(**_given):
        raise ConfigError("too few samples")

    with pytest.raises(ConfigError, match="control theirs does not fit the run: too few samples") as caught:
        control(fit)
    assert caught.value.where == "--controls"


def test_a_control_of_circuits_does_not_fit_a_classical_head():
    with pytest.raises(ConfigError, match="the head linear has no circuit"):
        control(quantum=True)


def test_coefficients_are_counted_where_they_can_be():
    assert control().trainable is None
    assert control(parameters=lambda f, k: 10 * f + k).trainable == 42
    with pytest.raises(PluginError, match="must be a number of at least 0 or None"):
        control(parameters=lambda _f, _k: 1.5)


def test_candidates_that_depend_on_each_other_are_found():
    def fit_each(*, candidates, **_others):
        n = len(candidates)
        return [lambda test: np.tile([1 - 0.1 * n, 0.1 * n, 0.0], (len(test), 1))] * n

    def spec(**more):
        return FittedControlSpec(name="theirs", summary="of a third party", fit=fit, **more)

    def fit(*, labels, n_classes, smooth=1.0, **_others):
        share = (np.bincount(labels, minlength=n_classes) + smooth) / (len(labels) + smooth * n_classes)
        return lambda test: np.tile(share, (len(test), 1))

    assert fitted_problem(spec(), "acme", 6, 3) == ""
    assert fitted_problem(spec(grid={"smooth": [0.5, 2.0]}), "acme", 6, 3) == ""
    problem = fitted_problem(spec(grid={"smooth": [0.5, 2.0]}, fit_each=fit_each), "acme", 6, 3)
    assert problem == "theirs predicts other probabilities of {'smooth': 0.5} alone than among all candidates"
    with pytest.raises(PluginError, match="returned 0 predictors for 2 candidates"):
        fitted_problem(spec(grid={"smooth": [0.5, 2.0]}, fit_each=lambda **_given: []), "acme", 6, 3)
