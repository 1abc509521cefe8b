"""The choice of `--tune` among the options of scikit-learn's learners is that of its own GridSearchCV."""

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from qtlplat.analysis.convergence import best_candidates
from qtlplat.backbones.model import HeadFactory
from qtlplat.catalog.provider import Component, Provider
from qtlplat.contracts import Cell, NoOptions
from qtlplat.heads.tuning import inner_cells
from qtlplat.quantum.circuits.embedding import embedding_of
from qtlplat.runs.fitted_controls import FittedControl, fit_cell, fitted_controls, inner_losses
from qtlplat.seeding import derive_seed
from qtlplat.specs import HeadSpec
from qtlplat.state.epochs import CellKey
from qtlplat_classical import qtlplat_controls
from qtlplat_dressed import circuit
from qtlplat_dressed.options import DressedOptions
from qtlplat_linear import build_linear

SPECS = {spec.name: spec for spec in qtlplat_controls()}
EMBEDDING = embedding_of(circuit(DressedOptions(qubits=3, layers=1)))
RNG = np.random.default_rng(2)
N, F, K = 96, 8, 3
LABELS = np.arange(N) % K
FEATURES = torch.tensor(RNG.normal(size=(N, F)) + 0.8 * LABELS[:, None], dtype=torch.float32)
GROUPS = [f"image {i // 3}" for i in range(N)]
CELL = Cell(1, 4, np.setdiff1d(np.arange(N), np.arange(0, N, 4)), np.arange(0, N, 4))
SEED = derive_seed("fitted control", 4, 1) % 2**32


def calibrated(model):
    inner = StratifiedKFold(5, shuffle=True, random_state=SEED)
    return CalibratedClassifierCV(model, cv=inner, ensemble=False)


def states(components):
    return EMBEDDING.states(np.pi / 2 * np.tanh(components)).view(np.float64)


def kernel(one, other):
    return np.abs(one.view(np.complex128).conj() @ other.view(np.complex128).T) ** 2


# written out here: scikit-learn's own classes, the options that are searched by their path in the estimator
ESTIMATORS = {
    "logistic": (make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000)), "logisticregression__C"),
    "svm-rbf": (calibrated(make_pipeline(StandardScaler(), SVC())), "estimator__svc__C"),
    "fourier": (
        make_pipeline(
            StandardScaler(), RBFSampler(gamma="scale", n_components=256, random_state=SEED),
            LogisticRegression(max_iter=10_000),
        ),
        "logisticregression__C",
    ),
    "boosting": (HistGradientBoostingClassifier(early_stopping=False, random_state=SEED), "max_iter"),
    "quantum-kernel": (
        calibrated(
            make_pipeline(
                StandardScaler(), PCA(3, whiten=True, svd_solver="full"), FunctionTransformer(states),
                SVC(kernel=kernel, tol=1e-9),
            )
        ),
        "estimator__svc__C",
    ),
}  # fmt: skip


def control(name):
    spec = SPECS[name]
    return FittedControl(name, spec, "qtlplat", K, None, EMBEDDING if spec.quantum else None)


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_candidates_and_choice_are_those_of_grid_search(name):
    """Same folds (scikit-learn's StratifiedGroupKFold), same scoring (log-loss, mean over folds), to 1e-9.

    Of the quantum kernel to 1e-6: the solver of the machine stops when it is about 1e-9 from the optimum.
    """
    close = 1e-6 if name == "quantum-kernel" else 1e-9
    own, spec = control(name), SPECS[name]
    inner = inner_cells(CELL, LABELS, GROUPS, 3)
    losses = inner_losses(own, FEATURES, LABELS, CELL, inner)

    train, numbers = CELL.train, FEATURES.numpy().astype(np.float64)
    folds = StratifiedGroupKFold(3, shuffle=True, random_state=inner[0].seed % 2**32)
    estimator, path = ESTIMATORS[name]
    (option,) = spec.grid
    search = GridSearchCV(estimator, {path: list(spec.grid[option])}, scoring="neg_log_loss", cv=folds)
    search.fit(numbers[train], LABELS[train], groups=np.array(GROUPS)[train])
    np.testing.assert_allclose(losses, -search.cv_results_["mean_test_score"], rtol=0, atol=close)

    rows = [
        {"cell": 0, "number": number, "loss": loss, "options": candidate}
        for number, (loss, candidate) in enumerate(zip(losses, spec.candidates, strict=True))
    ]
    chosen = best_candidates(rows)[0]["options"]
    assert chosen == {option: search.best_params_[path]}
    fitted = fit_cell(own, CellKey(1, 0), FEATURES, LABELS, CELL, chosen)
    expected = search.predict_proba(numbers[CELL.test])
    np.testing.assert_allclose(fitted.probabilities, expected, rtol=0, atol=close)


def test_every_grid_has_four_values_and_the_default_among_them():
    for name, spec in SPECS.items():
        assert len(spec.candidates) == 4
        own = control(name)
        given = (FEATURES[:60].numpy().astype(np.float64), LABELS[:60], FEATURES[60:].numpy().astype(np.float64), SEED)
        (default,) = own.probabilities(*given)
        same = [np.allclose(default, found, rtol=0, atol=1e-9) for found in own.probabilities(*given, spec.candidates)]
        assert sum(same) == 1, name


def test_no_test_sample_of_the_cell_is_used():
    features = FEATURES.clone()
    features[CELL.test] = torch.nan
    labels = LABELS.copy()
    labels[CELL.test] = 99
    inner = inner_cells(CELL, LABELS, GROUPS, 3)
    expected = inner_losses(control("logistic"), FEATURES, LABELS, CELL, inner)
    assert inner_losses(control("logistic"), features, labels, CELL, inner) == expected


def test_candidates_are_tried_before_a_run():
    """Two samples of a class in the smallest training part are enough for a fit, and too few for one of two folds."""
    head = HeadFactory(HeadSpec(name="linear", summary="one layer", build=build_linear), NoOptions(), 4, 2, None)
    owner = Provider("qtlplat", "1", "qtlplat", "qtlplat")
    seen = []

    def fit_each(*, candidates, **given):
        seen.append((list(candidates), len(given["labels"])))
        return [SPECS["logistic"].fit(**given, **one) for one in candidates]

    spec = SPECS["logistic"]
    watched = type(spec)(name="theirs", summary="of a third party", fit=spec.fit, grid=spec.grid, fit_each=fit_each)
    cells = [Cell(0, 0, np.arange(40), np.array([0])), Cell(0, 1, np.arange(8), np.array([0]))]
    made = {"theirs": Component(watched, owner)}
    fitted_controls(made, head, np.arange(40) % 2, cells)
    assert seen == []
    fitted_controls(made, head, np.arange(40) % 2, cells, tuned=True)
    assert seen == [(spec.candidates, 8)]
